"""What SQLite and the file system say about the state file, as our errors."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from device_verifier.errors import SlotFailure
from ledger_protocol.report.reasons import Reason

__all__ = ["as_slot_failure"]


@contextmanager
def as_slot_failure(path: Path) -> Generator[None]:
    """Turn what SQLite and the file system refuse inside into SlotFailure."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
        raise SlotFailure(
            f"state file {path}",
            reason=Reason.DISK_FULL if full else Reason.STATE_DAMAGED,
            expected="room on its disk" if full else "a readable, writable SQLite file",
            got=str(error),
            hint="make room, then try again; nothing was changed"
            if full
            else "check the disk; a damaged file may be moved away: the device starts from its trust root",
        ) from error
    except OSError as error:
        raise SlotFailure(
            f"state file {path}",
            reason=Reason.STATE_DAMAGED,
            expected="a directory that the agent may write",
            got=error.strerror or str(error),
            hint="run `fwledger-device enrol` once; the state directory belongs to the agent's user",
        ) from error
