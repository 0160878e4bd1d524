"""A pytest plugin that runs mutants instead of tests: the tests are collected once, and each mutant is a fork of
that process in which those tests run that reach it, until one fails.

First the same tests run in such a fork with nothing changed. Where one of them fails there, nothing is judged: it
would have killed every mutant.

It reads what to run from the file that MUTATION_PLAN names: a list of mutant and node ids of tests; and writes the
exit codes beside it, after each.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test

if TYPE_CHECKING:
    from collections.abc import Sequence

LIVED, KILLED, OUT_OF_TIME = 0, 1, 36
# A fork that ends like this was stopped by its limits, or broken by the mutant. Any other signal came from outside,
# and says nothing of the mutant.
_LIMITS = {-signal.SIGXCPU, -signal.SIGALRM}
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
# Of the CPU time that the same tests take unchanged; and how much longer a busy machine may need than that.
_TIMES_CPU = 8
_TIMES_WALL = 30
_LEAST_CPU_S = 5
# What a killer's place in its list of tests is written as, in memory that forks share.
_PLACE_BYTES = 4


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run all mutants of the plan; True tells pytest that the tests were taken care of."""
    path = Path(os.environ["MUTATION_PLAN"])
    plan = json.loads(path.read_text(encoding="utf-8"))
    deadline_s = float(os.environ.get("MUTATION_DEADLINE", "inf"))  # Unix seconds
    items = {item.nodeid: item for item in session.items}
    missing = {name for _, names in plan for name in names} - items.keys()
    if missing:
        pytest.exit(f"not collected: {', '.join(sorted(missing))}", returncode=2)
    gc.collect()
    gc.freeze()  # a fork's collector would copy every page that it looks at
    cpu_s = _unchanged(
        [items[name] for name in dict.fromkeys(name for _, names in plan for name in names)], path
    )
    codes: dict[str, int] = {}
    killers: dict[str, Counter[str]] = defaultdict(Counter)
    running: dict[int, tuple[int, list[str]]] = {}
    places = mmap.mmap(-1, _PLACE_BYTES * max(1, len(plan)))

    def wait() -> None:
        pid, status = os.wait()
        index, names = running.pop(pid)
        mutant, code = plan[index][0], os.waitstatus_to_exitcode(status)
        if code == KILLED:
            place = int.from_bytes(places[_PLACE_BYTES * index : _PLACE_BYTES * (index + 1)], "big")
            killers[_function(mutant)][names[place]] += 1
            killers[_module(mutant)][names[place]] += 1
        if code in {LIVED, KILLED}:
            codes[mutant] = code
        elif code in _LIMITS | _CRASHES:
            codes[mutant] = OUT_OF_TIME if code in _LIMITS else KILLED
        path.with_suffix(".codes").write_text(json.dumps(codes), encoding="utf-8")
        if len(codes) % 50 == 0:
            print(f"  {len(codes)} of {len(plan)}", flush=True)

    for index, (mutant, reach) in enumerate(plan):
        while len(running) >= int(os.environ.get("MUTATION_WORKERS", "2")):
            wait()
        if time.time() > deadline_s:
            break
        # First what killed other mutants of this function, or of its module, then the quickest: any order gives
        # the same verdict.
        near, far = killers[_function(mutant)], killers[_module(mutant)]
        names = sorted(reach, key=lambda name: (-near[name], -far[name], cpu_s[name]))
        pid = os.fork()
        if pid == 0:
            limit_s = _LEAST_CPU_S + int(_TIMES_CPU * sum(cpu_s[name] for name in names))
            place = memoryview(places)[_PLACE_BYTES * index : _PLACE_BYTES * (index + 1)]
            _judge(mutant, [items[name] for name in names], limit_s, place)
        running[pid] = (index, names)
    while running:
        wait()
    return True


def _function(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0]


def _module(mutant: str) -> str:
    return _function(mutant).rpartition(".")[0]


def _unchanged(items: Sequence[pytest.Item], plan: Path) -> dict[str, float]:
    """Return the CPU seconds of each test where nothing is changed; end pytest where one of them fails."""
    found = plan.with_suffix(".unchanged")
    found.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        _time(items, found)
    os.waitpid(pid, 0)
    if not found.exists():
        pytest.exit("the tests of the unchanged code ended early: no mutant was judged", returncode=2)
    outcome = json.loads(found.read_text(encoding="utf-8"))
    if outcome["failed"]:
        print("\n".join(outcome["failed"]), file=sys.stderr)
        pytest.exit("tests of the unchanged code fail (above): no mutant was judged", returncode=2)
    times: dict[str, float] = outcome["cpu_s"]
    return times


def _time(items: Sequence[pytest.Item], found: Path) -> NoReturn:
    """In a process of its own: run all tests as a mutant's would be, and write what failed and what each took."""
    try:
        _quiet()
        set_mutant_under_test("")
        times: dict[str, float] = {}
        failed = []
        for item, following in zip(items, [*items[1:], None], strict=True):
            begun_s = time.process_time()
            if not _passes(item, following):
                failed.append(item.nodeid)
            times[item.nodeid] = time.process_time() - begun_s
        found.write_text(json.dumps({"failed": failed, "cpu_s": times}), encoding="utf-8")
    finally:
        os._exit(0)


def _judge(mutant: str, items: Sequence[pytest.Item], cpu_s: int, place: memoryview) -> NoReturn:
    """In a process of its own: end with 1 where a test notices the mutant, and note which, else with 0."""
    code = KILLED  # what escapes pytest itself is noticed too
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_TIMES_WALL * cpu_s)
        _quiet()
        set_mutant_under_test(mutant)
        for index, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
            place[:] = index.to_bytes(_PLACE_BYTES, "big")
            if not _passes(item, following):
                break
        else:
            code = LIVED
    finally:
        os._exit(code)


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _quiet() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
