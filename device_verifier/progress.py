"""How long work tells how far it is: a bar on a terminal, a line a step elsewhere, or nothing."""

import time
from typing import Final, Protocol, TextIO

__all__ = ["BarProgress", "LineProgress", "NoProgress", "Progress"]

# Seconds between redraws of the bar: often enough to look alive on a serial console of 9,600 baud.
REDRAW_S: Final = 0.2
BAR_CELLS: Final = 24
MIB: Final = 1024 * 1024


class Progress(Protocol):
    """Hears of steps and of bytes."""

    def step(self, text: str) -> None:
        """Begin a step."""

    def advance(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Say that `done_bytes` of `total_bytes` are done."""


class NoProgress:
    """Says nothing (`--quiet`)."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def advance(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Say nothing."""


class LineProgress:
    """One line a step, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def step(self, text: str) -> None:
        """Print the step."""
        print(text, file=self._out, flush=True)

    def advance(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Say nothing: a log does not want a hundred lines."""


class BarProgress:
    """One line that is redrawn, for terminals."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn_at = 0.0

    def step(self, text: str) -> None:
        """Print the step."""
        print(text, file=self._out, flush=True)

    def advance(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Redraw the bar, not more than five times a second; end the line when all is done."""
        finished = done_bytes >= total_bytes
        now = time.monotonic()
        if not finished and now - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = now
        share = done_bytes / total_bytes if total_bytes else 1.0
        cells = "#" * round(share * BAR_CELLS)
        self._out.write(
            f"\r{label} [{cells:<{BAR_CELLS}}] {share:4.0%} "
            f"{done_bytes / MIB:.1f}/{total_bytes / MIB:.1f} MiB"
        )
        if finished:
            self._out.write("\n")
        self._out.flush()
