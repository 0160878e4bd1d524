"""Progress of long work: a bar on a terminal, one line a step elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from ledger_client.cli.app import App


class Progress:
    """Called with the bytes done so far. `total` in bytes, or None where it is not known."""

    def __init__(self, app: App, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._app = app
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._app.quiet:
            return self
        if not sys.stderr.isatty():
            self._app.say(self._what)
            return self
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415 - as above
        from rich.progress import Progress as RichProgress  # noqa: PLC0415 - as above

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = RichProgress(*columns, console=Console(stderr=True))
        self._bar.start()
        self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int) -> None:
        """So many bytes are done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)
