"""`make fuzz`: coverage-guided fuzzing of every decoder, a few seconds each.

    python -m tests.fuzz [--seconds 5] [--keep] [TARGET...]

atheris steers the targets of targets.py from the committed corpus and from valid documents. What it finds lies in
.cache/fuzz; an input that breaks a promise is printed, kept as a file, and ends the run with exit code 1: add it to
the corpus, then mend the decoder. `--keep` folds what reached new code into the corpus, smallest inputs first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from contextlib import redirect_stderr
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".cache" / "fuzz"
CORPUS = Path(__file__).with_name("corpus")
MAX_LEN = 4_096  # bytes of an input; the largest seed if that is longer
TIMEOUT_S = 10  # for one input; the slowest that is known takes 0.1 s
MEMORY_MIB = 2_048  # of a whole target's process; libraries and tables of the world take 200
KEPT_BYTES = 24_000  # committed for one target, so that 43 of them stay under 1 MB
KEPT_INPUT = 6_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=5, help="for each target")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="only fold what was found into the corpus")
    chosen = parser.parse_args()
    if chosen.keep:
        for folder in sorted(WORK.iterdir()):
            _keep(folder.name)
        return 0
    try:
        import atheris
    except ImportError:
        print("error: atheris is not installed: its makers publish it for Linux on x86-64", file=sys.stderr)
        print("hint: the corpus is replayed anywhere by tests/unit/test_fuzz_corpus.py", file=sys.stderr)
        return 2
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stderr(nowhere),  # a line for each module
        atheris.instrument_imports(include=["ledger_protocol", "device_verifier"]),
    ):
        from tests.fuzz.targets import TARGETS
    waiting = [name for name in TARGETS if not chosen.targets or name in chosen.targets]
    print(f"{len(waiting)} targets, {chosen.seconds} s each")
    running: dict[int, str] = {}
    broken: list[str] = []
    while waiting or running:
        while waiting and len(running) < chosen.workers:
            name = waiting.pop(0)
            pid = os.fork()
            if pid == 0:
                _fuzz(name, chosen.seconds)
            running[pid] = name
        pid, status = os.wait()
        name = running.pop(pid)
        if status:
            broken.append(name)
        print(_outcome(name, broke=bool(status)), flush=True)
    if broken:
        print(f"error: {', '.join(broken)} broke a promise", file=sys.stderr)
        print(
            f"hint: the inputs are in {WORK.relative_to(ROOT)}/*/crash-*; logs beside them", file=sys.stderr
        )
    return 1 if broken else 0


def _fuzz(name: str, seconds: int) -> None:
    """In a process of its own: run one target, and never return."""
    import atheris

    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    work, committed = WORK / name, CORPUS / name
    found = work / "found"
    for folder in (found, committed):
        folder.mkdir(parents=True, exist_ok=True)
    longest = MAX_LEN
    for seed in target.seeds():
        (found / sha256(seed).hexdigest()[:16]).write_bytes(seed)
        longest = max(longest, len(seed) + 256)
    log = os.open(work / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    arguments = ["fuzz", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={longest}"]
    arguments += [f"-artifact_prefix={work}/crash-"]
    arguments += [f"-max_total_time={seconds}", "-print_final_stats=1", str(found), str(committed)]
    try:
        atheris.Setup(arguments, target.run)
        atheris.Fuzz()
    except BaseException:  # a child must never run on as its parent
        os._exit(1)
    os._exit(0)


def _outcome(name: str, *, broke: bool) -> str:
    log = (WORK / name / "log").read_text(errors="replace")
    if broke:
        return f"{name:16} BROKEN\n{log[-3_000:]}"
    runs = next((line.split()[-1] for line in log.splitlines() if "number_of_executed_units" in line), "-")
    seen = [part for line in log.splitlines() for part in line.split("cov: ")[1:]]
    return f"{name:16} {runs:>9} runs, {seen[-1].split()[0] if seen else '-':>6} edges"


def _keep(name: str) -> None:
    """Commit the inputs, smallest first, that take the code a way that no smaller one took, up to a bound."""
    from tests.fuzz.targets import TARGETS

    folder = CORPUS / name
    inputs = {path.read_bytes() for path in (*folder.glob("*"), *(WORK / name / "found").glob("*"))}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    taken: set[tuple[str, int, int]] = set()
    total = 0
    for data in sorted(inputs, key=lambda one: (len(one), one)):
        ways = _ways(TARGETS[name].run, data)
        if ways <= taken or len(data) > KEPT_INPUT or total + len(data) > KEPT_BYTES:
            continue
        taken |= ways
        total += len(data)
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


def _ways(run: Callable[[bytes], None], data: bytes) -> set[tuple[str, int, int]]:
    """Which steps from line to line an input takes in our code."""
    ways: set[tuple[str, int, int]] = set()

    def trace(frame: FrameType, _event: str, _argument: object) -> object:
        file = frame.f_code.co_filename
        if "/ledger_protocol/" not in file and "/device_verifier/" not in file:
            return None
        last = 0

        def step(inner: FrameType, event: str, _argument: object) -> object:
            nonlocal last
            if event == "line":
                ways.add((file, last, inner.f_lineno))
                last = inner.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return ways


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)
