"""A pytest plugin that runs mutants instead of tests: the tests are collected once, and each mutant is a fork of
that process in which those tests run that reach it, the quickest first, until one fails.

It reads what to run from the file that MUTATION_PLAN names: a list of mutant, node ids of tests, CPU seconds; and
writes the exit codes beside it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test

if TYPE_CHECKING:
    import pytest

LIVED, KILLED, OUT_OF_TIME = 0, 1, 36


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run all mutants of the plan; True tells pytest that the tests were taken care of."""
    path = Path(os.environ["MUTATION_PLAN"])
    plan = json.loads(path.read_text(encoding="utf-8"))
    items = {item.nodeid: item for item in session.items}
    codes: dict[str, int] = {}
    gc.collect()
    gc.freeze()  # a fork's collector would copy every page that it looks at
    running: dict[int, str] = {}

    def wait() -> None:
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        codes[running.pop(pid)] = code if code in {LIVED, KILLED} else OUT_OF_TIME
        path.with_suffix(".codes").write_text(json.dumps(codes), encoding="utf-8")
        if len(codes) % 50 == 0:
            print(f"  {len(codes)} of {len(plan)}", flush=True)

    for mutant, names, cpu_s in plan:
        while len(running) >= int(os.environ.get("MUTATION_WORKERS", "2")):
            wait()
        pid = os.fork()
        if pid == 0:
            _judge(mutant, [items[name] for name in names if name in items], cpu_s)
        running[pid] = mutant
    while running:
        wait()
    return True


def _judge(mutant: str, items: list[pytest.Item], cpu_s: int) -> None:
    """In a process of its own: end with 1 where a test notices the mutant, else 0."""
    code = KILLED  # what escapes pytest itself is noticed too
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        set_mutant_under_test(mutant)
        failed = any(
            report.failed for item in items for report in runtestprotocol(item, log=False, nextitem=None)
        )
        code = KILLED if failed else LIVED
    finally:
        os._exit(code)
