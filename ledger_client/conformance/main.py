"""`fwledger-conformance`: run the suite against a client, list its cases, explain one."""

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from ledger_client.conformance import report
from ledger_client.conformance.case import Case, Transport
from ledger_client.conformance.catalogue import CASES
from ledger_client.conformance.client import Client, CommandClient, PersistentClient
from ledger_client.conformance.runner import PATIENCE_S, TIMEOUT_S, Result, run_cases

__all__ = ["main"]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
DEFAULT_JOBS: Final = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run `fwledger-conformance`; return 0 where all passed, 1 where some failed, 2 for usage."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "list":
            return _list(arguments)
        if arguments.command == "explain":
            return _explain(arguments)
        return _run(arguments)
    except _UsageError as error:
        print(f"error: {error}\nhint: `fwledger-conformance list` names all cases", file=sys.stderr)
        return EXIT_USAGE


class _UsageError(Exception):
    """The command cannot be carried out as it stands."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fwledger-conformance",
        description="Show any client of the fwledger protocol good and bad worlds, and compare what it does.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run cases against a client")
    run.add_argument(
        "--client", required=True, metavar="CMD", help="the adapter command (docs/conformance.md)"
    )
    run.add_argument(
        "--persistent", action="store_true", help="keep `CMD serve` running; ask it line by line"
    )
    run.add_argument("--only", nargs="+", metavar="ID", default=[], help="cases, or beginnings of their ids")
    run.add_argument(
        "--without",
        nargs="+",
        metavar="TRANSPORT",
        default=[],
        choices=[transport.value for transport in Transport],
        help="leave out cases that are served so: " + ", ".join(transport.value for transport in Transport),
    )
    run.add_argument("--jobs", type=int, default=DEFAULT_JOBS, metavar="N", help="clients side by side (4)")
    run.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="seconds until a client is hung (60)"
    )
    run.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_S,
        metavar="S",
        help="seconds that the client is told to give one exchange (2)",
    )
    run.add_argument("--json", action="store_true", help="print the report as JSON")
    run.add_argument("--report", type=Path, metavar="FILE", help="write the JSON report there")
    run.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit report there")
    listing = commands.add_parser("list", help="list all cases")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    explain = commands.add_parser("explain", help="say what a case is about")
    explain.add_argument("id", metavar="ID")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    chosen = _chosen(arguments.only, set(arguments.without))
    if arguments.jobs < 1:
        raise _UsageError(f"--jobs: expected at least 1, got {arguments.jobs}")
    progress = _Progress(len(chosen), sys.stderr)

    def client() -> Client:
        kind = PersistentClient if arguments.persistent else CommandClient
        return kind(arguments.client)

    results = run_cases(
        chosen,
        client,
        jobs=arguments.jobs,
        timeout_s=arguments.timeout,
        patience_s=arguments.patience,
        on_result=progress.add,
    )
    progress.end()
    document = report.document(results, client=arguments.client, left_out=len(CASES) - len(chosen))
    if arguments.report is not None:
        arguments.report.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if arguments.junit is not None:
        arguments.junit.write_text(report.junit(results), encoding="utf-8")
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        print(report.text(results, left_out=len(CASES) - len(chosen)), end="")
    return 0 if all(result.passed for result in results) else EXIT_FAILED


def _list(arguments: argparse.Namespace) -> int:
    if arguments.json:
        cases = [report.case_document(case) for case in CASES.values()]
        print(json.dumps({"schema": "fwledger/conformance-cases/1", "cases": cases}, indent=2))
        return 0
    width = max(map(len, CASES))
    for case in CASES.values():
        print(f"{case.id:<{width}}  {case.attack}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    case = CASES.get(arguments.id)
    if case is None:
        raise _UsageError(f"no case is called {arguments.id}")
    print(report.explained(case), end="")
    return 0


def _chosen(only: Sequence[str], without: set[str]) -> list[Case]:
    """Give the cases that `--only` names by id or beginning, less those that need what is left out."""
    for name in only:
        if not any(_names(name, each) for each in CASES):
            raise _UsageError(f"no case is called {name}, or begins so")
    chosen = [case for case in CASES.values() if not only or any(_names(name, case.id) for name in only)]
    chosen = [case for case in chosen if not {each.value for each in case.transports} & without]
    if not chosen:
        raise _UsageError("no case is left to run")
    return chosen


def _names(name: str, case_id: str) -> bool:
    return case_id == name or case_id.startswith(f"{name.rstrip('.')}.")


class _Progress:
    """Counts on a terminal, names failures as they come elsewhere."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total, self._stream, self._live = total, stream, stream.isatty()
        self._done = self._failed = 0
        self._lock = threading.Lock()

    def add(self, result: Result) -> None:
        with self._lock:
            self._done += 1
            self._failed += not result.passed
            if self._live:
                told = f"\r{self._done} of {self._total} cases, {self._failed} failed"
                print(told, end="", file=self._stream, flush=True)
            elif not result.passed:
                print(f"failed: {result.case.id}", file=self._stream, flush=True)

    def end(self) -> None:
        if self._live:
            print(file=self._stream)


if __name__ == "__main__":
    sys.exit(main())
