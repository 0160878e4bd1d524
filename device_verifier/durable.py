"""The one door through which the device changes anything that must survive a power cut.

Every write to a slot, flush, boot loader change, rename and database commit passes through `DurableSteps`,
so that a harness can cut the power before or after each one (design: device.md, How it is proved).
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

__all__ = ["PRIVATE_MODE", "DurableSteps", "replace_file"]

# Only the agent's own user may read keys, state and boot choices.
PRIVATE_MODE: Final = 0o600


class DurableSteps:
    """The real disk. A test's twin overrides these five methods and nothing else."""

    def write_at(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at byte `offset` of the open file `fd` (OSError as the system gives it)."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            offset += written
            view = view[written:]

    def flush(self, fd: int) -> None:
        """Return once what was written to `fd` would survive a power cut."""
        os.fdatasync(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step that a power cut cannot split."""
        source.replace(target)
        self._flush_directory(target.parent)

    def remove(self, path: Path) -> None:
        """Remove `path` if it is there."""
        path.unlink(missing_ok=True)
        self._flush_directory(path.parent)

    def commit(self, connection: sqlite3.Connection) -> None:
        """End the database transaction; it is on the disk afterwards (the store runs with
        synchronous=FULL).
        """
        connection.execute("COMMIT")

    @staticmethod
    def _flush_directory(path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def replace_file(path: Path, data: bytes, *, steps: DurableSteps, mode: int = PRIVATE_MODE) -> None:
    """Make `path` hold exactly `data`: temporary file, flush, rename, flush of the directory.

    Readers see the old bytes or the new ones, also after a power cut. OSError as the system gives it.
    """
    temporary = path.with_name(f".{path.name}.new")
    # What an earlier cut left behind is worthless: it was never renamed.
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        steps.write_at(fd, data, 0)
        steps.flush(fd)
    finally:
        os.close(fd)
    steps.replace(temporary, path)
