"""What a witness has signed: one SQLite file, each change durable before it is told to anybody.

The rules that make a witness worth something are enforced here, inside the transaction that stores a note:
one hash a height, and never back. Whoever loses this file takes a new key.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ledger_client.errors import NotTrustedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger_protocol.ledger.witness_note import Checkpoint

# Notes kept for collectors whose other witnesses are behind, and for auditors who come once a day: a day of
# 12-second blocks, about 2.5 MB.
MAX_KEPT = 7_200

# Seconds to wait for another process that holds the file.
_BUSY_TIMEOUT_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY CHECK (id = 1), vkey TEXT, origin TEXT) STRICT;
CREATE TABLE IF NOT EXISTS note (
    number INTEGER PRIMARY KEY, hash BLOB, text BLOB, signed_at INTEGER, note BLOB
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Signed:
    """A stored note: height, block hash (32 bytes), when it was signed (Unix seconds), the note itself."""

    number: int
    hash: bytes
    signed_at: int
    note: bytes


class NoteStore:
    """The signed notes of one witness (`vkey`) of one chain (`origin`). Usable from several threads, one
    connection each.
    """

    def __init__(self, path: Path, *, vkey: str, origin: str, max_kept: int = MAX_KEPT) -> None:
        """Open or make the file (0600); only the newest `max_kept` heights stay in it.

        Raises UsageError where it is not this witness's.
        """
        self._path = path
        self.max_kept = max_kept
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Made here, because SQLite would make it by the umask.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise UsageError(f"cannot write {path}", got=error.strerror or error) from error
        with self._connection() as db:
            db.executescript(_SCHEMA)
            db.execute("INSERT OR IGNORE INTO witness VALUES (1, ?, ?)", (vkey, origin))
            found = db.execute("SELECT vkey, origin FROM witness").fetchone()
        if found != (vkey, origin):
            raise UsageError(
                f"{path} belongs to another witness or chain",
                expected=f"{vkey} on {origin}",
                got=f"{found[0]} on {found[1]}",
                hint="each key on each chain has a state of its own",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open between calls."""

    def newest(self) -> Signed | None:
        """The newest note, None before the first."""
        with self._connection() as db:
            row = db.execute(
                "SELECT number, hash, signed_at, note FROM note ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return None if row is None else Signed(*row)

    def at(self, number: int) -> Signed | None:
        """The note of a height, None where none was signed or it is not kept any more."""
        with self._connection() as db:
            row = db.execute(
                "SELECT number, hash, signed_at, note FROM note WHERE number = ?", (number,)
            ).fetchone()
        return None if row is None else Signed(*row)

    def keep(self, checkpoint: Checkpoint, *, signed_at: int, note: bytes) -> None:
        """Store a note; it is on the disk when this returns, and only then may anybody see it.

        Allowed is a height above the newest, or the newest checkpoint again at a later time (a heartbeat).
        Raises NotTrustedError for anything else: it would be a contradiction in this witness's name.
        """
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(
                "SELECT number, text, signed_at FROM note ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if row is not None:
                number, text, before = row
                heartbeat = (checkpoint.number, checkpoint.text) == (number, text) and signed_at >= before
                if checkpoint.number <= number and not heartbeat:
                    raise NotTrustedError(
                        "this witness signed something else before",
                        expected=f"a block above {number}, or the same at a later time",
                        got=f"block {checkpoint.number} of hash 0x{checkpoint.hash.hex()}",
                        hint="the node is behind or went back; look at it before anybody believes it",
                    )
            db.execute(
                "INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?)",
                (checkpoint.number, checkpoint.hash, checkpoint.text, signed_at, note),
            )
            db.execute("DELETE FROM note WHERE number <= ?", (checkpoint.number - self.max_kept,))
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # Opened for each call: no thread shares one, and closing rolls back what did not commit.
        try:
            db = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OverflowError) as error:
            raise UsageError(f"the state of this witness, {self._path}", got=error) from error
