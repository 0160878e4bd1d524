"""What `fwledger audit` reads and writes beside its answer: an earlier export, progress, the output file."""

# ruff: noqa: PLC0415 - rich and the decoders are imported when they are needed

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from ledger_client.errors import NotTrustedError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger_client.cli.app import App

# A line of progress at most this often where there is no terminal (s).
_PROGRESS_EVERY_S = 5.0


def known_lines(path: Path) -> list[bytes]:
    """The lines of an earlier export. Raises NotTrustedError for what is none."""
    from ledger_client.audit.export import bounded_lines, read_lines

    with path.open("rb") as stream:
        lines = list(bounded_lines(stream))
    try:
        for _ in read_lines(lines):
            pass
    except ProtocolError as error:
        raise NotTrustedError(f"{path}: {error}", hint=error.hint) from error
    return lines


@contextmanager
def progress(app: App) -> Iterator[Callable[[int, int], None] | None]:
    """How far it is: a bar on a terminal, a line now and then elsewhere, nothing with --quiet."""
    if app.quiet:
        yield None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("proving", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last_s = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _PROGRESS_EVERY_S:
            last_s = time.monotonic()
            app.say(f"proving: block {done} of {total}")

    yield say


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name only when it is whole."""
    if path is None:
        yield sys.stdout
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
