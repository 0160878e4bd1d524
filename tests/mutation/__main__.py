"""`make mutate`: change the verifiers a little, thousands of times, and see that a test notices each change.

    python -m tests.mutation [--go-on | --again | --report-only] [--share 0.3] [--minutes 20] [GROUP...]

mutmut mutates a copy of the tree, one group of modules after another (groups.py). What the tests let live is
looked up in survivors.toml, and docs/mutation-report.md is written: counts by module, and each survivor with the
reason why it may. The mutants of a module are tried in a shuffled order that is the same each time (sample.py), so
that a run that takes a share or is stopped leaves a fair sample; `--go-on` tries more, `--again` only what lived.
Exit code 1 where fewer than 90 % of a module's died, or where one lives without a reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.mutation.groups import GROUPS, Group
from tests.mutation.report import Mutant, Report, read_reasons
from tests.mutation.sample import LEAST, chosen, judged, shuffled

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".cache" / "mutate"
PAGE = ROOT / "docs" / "mutation-report.md"
REASONS = Path(__file__).with_name("survivors.toml")
# What a raise says is for people; the tests hold the class of an error, and the page of reason codes its meaning.
IGNORED_LINES = (
    r"^\s*raise ",
    r"^\s*(expected|got|hint)=",
    r"^\s*return NotTrusted\(",
    r"^\s*f?\"[^\"]*\",?$",
)
COPIED = (
    "ledger_protocol",
    "device_verifier",
    "ledger_client",
    "local_chain",
    "contracts",
    "examples",
    "tests",
)
# Tests of seconds, which would run against every mutant: other tests hold what they hold, on one example.
SLOW = (
    "a_few_milliseconds",
    "thousand",
    "eight_hundred",
    "random_tries",
    "million",
    "noise",
    "endless",
    "256_steps",
)
# Exit codes of a mutant's test run, as forks.py gives them, and as mutmut notes that no test reaches it.
KILLED, OUT_OF_TIME, UNTESTED = 1, 36, 33
DIED = {KILLED, OUT_OF_TIME}
PYTEST = [
    "--hypothesis-profile=ci",
    "-p",
    "no:cacheprovider",
    "-k",
    " and ".join(f"not {one}" for one in SLOW),
]
# The first half of `mutmut run`: make the mutants, and find which tests reach which function.
GENERATE = """
import os, sys
import mutmut.__main__ as mutmut
workers = int(sys.argv[1])
mutmut.set_mutant_under_test("mutant_generation")
os.makedirs("mutants", exist_ok=True)
mutmut.copy_src_dir()
mutmut.copy_also_copy_files()
mutmut.setup_source_paths()
mutmut.store_lines_covered_by_tests()
mutmut.create_mutants(workers)
runner = mutmut.get_mutant_runner(workers)
mutmut.collect_or_load_stats(runner, mutants_caught_by_type_checker={}, apply_config_invalidation=False)
os._exit(0)
"""
# mutmut's own view of what a mutant changed, as JSON on standard output.
DIFFS = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps({name: get_diff_for_mutant(name, path=path) for name, path in json.load(sys.stdin).items()}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *(group.name for group in GROUPS)], metavar="GROUP")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--go-on", action="store_true", help="keep the verdicts that there are, and try more")
    how.add_argument("--again", action="store_true", help="try only the mutants that lived last time")
    how.add_argument("--report-only", action="store_true", help="write the page of the last runs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--share", type=float, default=1, help=f"of each module's mutants (0 to 1), at least {LEAST}"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for each group; then stop")
    asked = parser.parse_args()
    if not asked.report_only:
        for group in GROUPS:
            if not asked.groups or group.name in asked.groups:
                _run(group, asked)
    mutants = tuple(mutant for group in GROUPS for mutant in _mutants(group))
    report = Report(mutants, read_reasons(REASONS))
    PAGE.write_text(report.page(), encoding="utf-8")
    print(report.summary())
    return 0 if report.good else 1


def _run(group: Group, asked: argparse.Namespace) -> None:
    work = WORK / group.name
    kept = asked.go_on or asked.again
    if not kept:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        _copy(ROOT / name, work / name)
        if kept and name not in ("ledger_protocol", "device_verifier"):
            _copy(ROOT / name, work / "mutants" / name)
    for module in group.modules:
        if not (work / "mutants" / f"{module}.meta").exists():
            # New in the group: mutmut would take the copy that is there for mutated already.
            (work / "mutants" / module).unlink(missing_ok=True)
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (work / "pyproject.toml").write_text(configuration + _settings(group), encoding="utf-8")
    # New tests have to be known, so which test reaches what is found out anew.
    (work / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    print(f"== {group.name}", flush=True)
    made = [sys.executable, "-c", GENERATE, str(asked.workers)]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(made, cwd=work, env=plain, check=True, stdout=subprocess.DEVNULL)
    _judge(group, asked)


def _judge(group: Group, asked: argparse.Namespace) -> None:
    """Run the tests that reach each mutant, in forks of one process that has collected them."""
    work = WORK / group.name
    stats = json.loads((work / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
    reach = stats["tests_by_mangled_function_name"]
    places: list[tuple[int, str, list[str]]] = []
    for module in group.modules:
        meta = _meta(work, module)
        known = meta["exit_code_by_key"]
        order = shuffled(known)
        sample = set(chosen(order, asked.share))
        for place, name in enumerate(order):
            tests = sorted(reach.get(name.partition("__mutmut_")[0], ()))
            if not tests:
                known[name] = UNTESTED
            elif (
                (known[name] not in {None, KILLED}) if asked.again else _wanting(known[name], name in sample)
            ):
                places.append((place, name, tests))
        _write_meta(work, module, meta)
    # All modules advance together, so that a stopped run has tried as many of each.
    plan = [(name, tests) for _, name, tests in sorted(places)]
    if not plan:
        return
    (work / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (work / "plan.codes").unlink(missing_ok=True)
    files = sorted({test.partition("::")[0] for _, tests in plan for test in tests})
    environment = _environment(work) | {
        "MUTATION_PLAN": str(work / "plan.json"),
        "MUTATION_WORKERS": str(asked.workers),
        "MUTATION_DEADLINE": str(time.time() + 60 * asked.minutes),
    }
    arguments = ["-q", "-p", "tests.mutation.forks", "-p", "no:xdist", *PYTEST, *files]
    try:
        subprocess.run(
            [sys.executable, "-m", "pytest", *arguments], cwd=work / "mutants", env=environment, check=True
        )
    finally:
        _note_codes(group)


def _wanting(code: int | None, sampled: bool) -> bool:
    return sampled and code in {None, UNTESTED}


def _note_codes(group: Group) -> None:
    """Keep the verdicts of a run, also of one that was stopped."""
    work = WORK / group.name
    if not (work / "plan.codes").exists():
        return
    codes = json.loads((work / "plan.codes").read_text(encoding="utf-8"))
    for module in group.modules:
        meta = _meta(work, module)
        known = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {name: codes.get(name, code) for name, code in known.items()}
        _write_meta(work, module, meta)


def _environment(work: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(work / "mutants"), "MUTANT_UNDER_TEST": ""}


def _meta(work: Path, module: str) -> dict[str, dict[str, int | None]]:
    path = work / "mutants" / f"{module}.meta"
    found: dict[str, dict[str, int | None]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write_meta(work: Path, module: str, meta: dict[str, dict[str, int | None]]) -> None:
    (work / "mutants" / f"{module}.meta").write_text(json.dumps(meta), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".venv"))


def _settings(group: Group) -> str:
    tests = [name for name in group.tests if (ROOT / name).exists()]
    return f"""
[tool.mutmut]
source_paths = ["ledger_protocol", "device_verifier"]
only_mutate = {json.dumps(group.modules)}
also_copy = {json.dumps(COPIED[2:-1])}
do_not_mutate_patterns = {json.dumps(IGNORED_LINES)}
pytest_add_cli_args = {json.dumps(PYTEST)}
pytest_add_cli_args_test_selection = {json.dumps(tests)}
"""


def _mutants(group: Group) -> list[Mutant]:
    work = WORK / group.name
    found: list[tuple[str, str, int | None]] = []
    for module in group.modules:
        if (work / "mutants" / f"{module}.meta").exists():
            codes = _meta(work, module)["exit_code_by_key"]
            counted = set(judged(shuffled(codes), codes))
            found += [(name, module, code if name in counted else None) for name, code in codes.items()]
    alive = {name: module for name, module, code in found if code is not None and code not in DIED}
    diffs = _diffs(work, alive) if alive else {}
    return [
        Mutant(
            name,
            module,
            killed=code in DIED,
            out_of_time=code == OUT_OF_TIME,
            untested=code == UNTESTED,
            diff=diffs.get(name, ""),
            tried=code is not None,
        )
        for name, module, code in found
    ]


def _diffs(work: Path, paths: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", DIFFS],
        cwd=work,
        input=json.dumps(paths),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
