"""What the device must not forget: one SQLite file outside all slots, each change one durable transaction."""

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from device_verifier.durable import PRIVATE_MODE, DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.facts import InstalledRelease
from device_verifier.records import (
    BUSY_PHASES,
    ChunkRecord,
    EventChain,
    Install,
    LogLine,
    Origin,
    Phase,
    QueuedEvent,
    Refusal,
)
from device_verifier.store_errors import as_slot_failure
from device_verifier.store_schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION
from device_verifier.trusted_ledger import LedgerFloor
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.report.reasons import Reason

__all__ = ["Change", "Store"]

# Rows of history kept: years of daily checks, a few megabytes.
MAX_LOG_LINES: Final = 10_000
# Seconds to wait for another process of ours that reads or writes (status beside install).
BUSY_TIMEOUT_S: Final = 10.0
_NO_EVENT: Final = bytes(32)
# What the keys of proven revocations begin with, before the release id in hex.
_REVOKED: Final = "revoked:"
# The floor's `seen_at`: its scope (32 bytes), then Unix seconds (8). Beside the table, so that an older agent
# can still open the file after a revert.
_SEEN_AT: Final = "floor-seen-at"
_INSTALL_COLUMNS: Final = ", ".join(Install.columns())
_SELECT_INSTALL: Final = f"SELECT {_INSTALL_COLUMNS} FROM install"  # noqa: S608 - our own names
_INSERT_INSTALL: Final = (
    f"INSERT INTO install ({_INSTALL_COLUMNS}) VALUES ({', '.join('?' for _ in Install.columns())})"  # noqa: S608
)


class Store:
    """Reads the state; `change()` is the only way to write it.

    Durable through power cuts: write-ahead log with synchronous=FULL. Every SQLite error leaves as
    SlotFailure.
    """

    def __init__(self, path: Path, *, steps: DurableSteps) -> None:
        """Open or create the store at `path` (its directory must exist); SlotFailure where that cannot be."""
        self._path = path
        self._steps = steps
        with as_slot_failure(path):
            # Made here, because SQLite would make it by the umask; the log beside it takes the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE))
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def change(self) -> "Generator[Change]":
        """Collect changes; all of them are on the disk when the block ends, or none if it raises."""
        with as_slot_failure(self._path):
            self._db.execute("BEGIN IMMEDIATE")
        try:
            with as_slot_failure(self._path):
                yield Change(self._db, self)
                self._steps.commit(self._db)
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # --- the ledger as last accepted ---

    def trust_roots(self) -> list[bytes]:
        """Return every signed trust root held, oldest first."""
        return [bytes(row[0]) for row in self._rows("SELECT signed FROM trust_root ORDER BY version")]

    def floor(self) -> LedgerFloor | None:
        """Return the newest accepted ledger state, or None before the first."""
        row = self._row("SELECT number, hash, time, root_version, scope FROM floor")
        if row is None:
            return None
        note = bytes(self._meta(_SEEN_AT, b""))
        # Of another scope: an agent that does not know the note has moved the floor since.
        seen_at = int.from_bytes(note[32:], "big") if note[:32] == row[4] else 0
        return replace(LedgerFloor(*row), seen_at=seen_at)

    def revocations(self) -> dict[bytes, Revocation]:
        """Return every revocation that was ever proven, by release id."""
        return {
            bytes.fromhex(key.removeprefix(_REVOKED)): revoked
            for key, word in self._rows("SELECT key, value FROM meta WHERE key GLOB ?", _REVOKED + "*")
            if (revoked := Revocation.decode(int.from_bytes(word, "big"))) is not None
        }

    # --- releases ---

    def install(self) -> Install | None:
        """Return the install under way or the last one that ended, None before the first."""
        row = self._row(_SELECT_INSTALL)
        return None if row is None else Install.from_row(row)

    def phase(self) -> Phase:
        """Return where the state machine stands."""
        row = self._row("SELECT phase FROM install")
        return Phase.IDLE if row is None else Phase(row[0])

    def installed(self, slot: str) -> InstalledRelease | None:
        """Return what slot set `slot` holds, None where that is unknown or half written."""
        row = self._row(
            "SELECT release, sequence, security_version, version FROM installed WHERE slot = ?", slot
        )
        return None if row is None else InstalledRelease(*row)

    def security_floor(self) -> int:
        """Return the security_version below which nothing may be installed."""
        return int(self._meta("security_floor", 0))

    def refusals(self) -> list[Refusal]:
        """Return the releases refused or failed here, newest first."""
        rows = self._rows(
            "SELECT release, reason, detail, at_s, count, retry_at_s, by_policy FROM refused"
            " ORDER BY at_s DESC"
        )
        return [Refusal.from_row(row) for row in rows]

    def staged_components(self) -> frozenset[str]:
        """Return the names of the components whose slots were written and read back."""
        return frozenset(row[0] for row in self._rows("SELECT name FROM staged"))

    # --- reports ---

    def event_chain(self, journal: str) -> EventChain:
        """Return where the chain of events named `journal` ends (sequence 0 and zeros before the first)."""
        row = self._row("SELECT sequence, link FROM event_chain WHERE journal = ?", journal)
        return EventChain(0, _NO_EVENT) if row is None else EventChain(*row)

    def events(self, journal: str, *, limit: int = -1) -> list[QueuedEvent]:
        """Return the oldest `limit` events that `journal` is not proven to hold yet, oldest first."""
        rows = self._rows(
            "SELECT sequence, receipts, link FROM event WHERE journal = ? ORDER BY sequence LIMIT ?",
            journal,
            limit,
        )
        return [QueuedEvent(*row) for row in rows]

    def count_events(self, device: bytes) -> int:
        """Return how many events of the device address are queued, for whatever journal."""
        rows = self._rows("SELECT count(*) FROM event WHERE journal LIKE ?", f"%:0x{device.hex()}")
        return int(rows[0][0])

    def log(self, limit: int) -> list[LogLine]:
        """Return the newest `limit` lines of history, oldest first."""
        rows = self._rows(
            "SELECT at_s, what, release, reason, detail FROM log ORDER BY id DESC LIMIT ?", limit
        )
        return [LogLine.from_row(row) for row in reversed(rows)]

    def note(self, name: str) -> bytes | None:
        """Return a small fact kept under `name`."""
        value = self._meta(f"note:{name}", None)
        return None if value is None else bytes(value)

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        # A corrupt page must not be read as state.
        self._db.execute("PRAGMA cell_size_check = ON")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        if found == 0 and application == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._steps.commit(self._db)
        elif application != APPLICATION_ID or found != SCHEMA_VERSION:
            raise SlotFailure(
                f"state file {self._path}",
                reason=Reason.STATE_DAMAGED,
                expected=f"fwledger state, schema {SCHEMA_VERSION}",
                got=f"application {application:#x}, schema {found}",
                hint="another agent or program wrote it; use the agent that did, or move the file away",
            )

    def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with as_slot_failure(self._path):
            return self._db.execute(query, arguments).fetchall()

    def _row(self, query: str, *arguments: object) -> tuple[Any, ...] | None:
        rows = self._rows(query, *arguments)
        return rows[0] if rows else None

    def _meta(self, key: str, default: object) -> Any:
        row = self._row("SELECT value FROM meta WHERE key = ?", key)
        return default if row is None else row[0]


class Change:
    """One transaction's changes; made by `Store.change()`."""

    def __init__(self, db: sqlite3.Connection, store: Store) -> None:
        self._db = db
        self._store = store

    # --- the ledger as last accepted ---

    def add_trust_root(self, version: int, signed: bytes) -> None:
        """Hold a verified signed trust root."""
        self._db.execute(
            "INSERT OR IGNORE INTO trust_root (version, signed) VALUES (?, ?)", (version, signed)
        )

    def raise_floor(self, floor: LedgerFloor) -> None:
        """Keep `floor` as the newest accepted ledger state; RuntimeError if that would lower it."""
        held = self._store.floor()
        if held is not None and (
            floor.root_version < held.root_version
            or (floor.scope == held.scope and (floor.number, floor.time) < (held.number, held.time))
            or (floor.scope == held.scope and floor.seen_at < held.seen_at)
        ):
            raise RuntimeError("the ledger floor never goes back")
        self._db.execute("DELETE FROM floor")
        self._db.execute(
            "INSERT INTO floor (number, hash, time, root_version, scope) VALUES (?, ?, ?, ?, ?)",
            (floor.number, floor.hash, floor.time, floor.root_version, floor.scope),
        )
        self._set_meta(_SEEN_AT, floor.scope + floor.seen_at.to_bytes(8, "big"))

    def keep_revocation(self, release: bytes, revoked: Revocation) -> None:
        """Keep a proven revocation for ever."""
        self._set_meta(_REVOKED + release.hex(), revoked.encode().to_bytes(32, "big"))

    # --- the state machine ---

    def begin(self, install: Install) -> None:
        """Idle, confirmed or reverted -> offered: `install` becomes the install under way."""
        held = self._store.phase()
        if held in BUSY_PHASES or install.phase is not Phase.OFFERED:
            raise RuntimeError(f"cannot offer a release while the last install is {held}")
        self._db.execute("DELETE FROM install")
        self._db.execute("DELETE FROM staged")
        self._db.execute(_INSERT_INSTALL, install.to_row())

    def move(self, phase: Phase, *, reason: Reason | None = None, detail: str = "") -> None:
        """Take one arrow of the state machine; RuntimeError for an arrow that it does not have."""
        held = self._store.phase()
        if not held.leads_to(phase):
            raise RuntimeError(f"the state machine has no arrow from {held} to {phase}")
        self._db.execute("UPDATE install SET phase = ?, reason = ?, detail = ?", (phase, reason, detail))

    def set_verdict(self, reason: Reason, detail: str) -> None:
        """Note why an armed slot must not run or stay, before the boot loader is told: the other slot reports
        it.
        """
        if self._store.phase() not in {Phase.ARMED, Phase.TRIAL}:
            raise RuntimeError("only an armed slot or one on trial gets a verdict")
        self._db.execute("UPDATE install SET reason = ?, detail = ?", (reason, detail))

    def set_terms(self, origin: Origin, *, overridden: bool) -> None:
        """Note where the install under way goes on from, and whether a technician overrode it."""
        self._db.execute("UPDATE install SET origin = ?, overridden = ?", (origin, overridden))

    def set_armed_at(self, at_s: int) -> None:
        """Note when the boot loader was armed."""
        self._db.execute("UPDATE install SET armed_at_s = ?", (at_s,))

    # --- slots ---

    def forget_slot(self, slot: str) -> None:
        """Forget what slot set `slot` held: it is about to be overwritten."""
        self._db.execute("DELETE FROM installed WHERE slot = ?", (slot,))
        self._db.execute("DELETE FROM staged")
        self._db.execute("DELETE FROM chunk WHERE slot = ?", (slot,))

    def forget_chunks(self, slot: str, slot_class: str) -> None:
        """Forget what the slot held (before it is written again from zero)."""
        self._db.execute("DELETE FROM chunk WHERE slot = ? AND slot_class = ?", (slot, slot_class))

    def add_chunks(self, chunks: Sequence[ChunkRecord]) -> None:
        """Note leaves that are flushed to a slot."""
        self._db.executemany(
            "INSERT OR REPLACE INTO chunk (slot, slot_class, offset, length, digest) VALUES (?, ?, ?, ?, ?)",
            [(c.slot, c.slot_class, c.offset, c.length, c.digest) for c in chunks],
        )

    def set_staged(self, name: str) -> None:
        """Note that component `name` is written and read back."""
        self._db.execute("INSERT OR IGNORE INTO staged (name) VALUES (?)", (name,))

    def set_installed(self, slot: str, release: InstalledRelease) -> None:
        """Note what slot set `slot` holds, whole and verified."""
        self._db.execute(
            "INSERT OR REPLACE INTO installed (slot, release, sequence, security_version, version)"
            " VALUES (?, ?, ?, ?, ?)",
            (slot, release.release, release.sequence, release.security_version, release.version),
        )

    def raise_security_floor(self, security_version: int) -> None:
        """Refuse lower security versions from now on; only a confirmed release may do this."""
        self._set_meta("security_floor", max(security_version, self._store.security_floor()))

    # --- releases that failed ---

    def refuse(self, refusal: Refusal) -> None:
        """Remember why a release was refused or failed here."""
        self._db.execute(
            "INSERT OR REPLACE INTO refused (release, reason, detail, at_s, count, retry_at_s, by_policy)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                refusal.release,
                refusal.reason,
                refusal.detail,
                refusal.at_s,
                refusal.count,
                refusal.retry_at_s,
                refusal.by_policy,
            ),
        )

    def clear_refusal(self, release: bytes) -> None:
        """Allow a release to be tried again (it confirmed, or an operator said so)."""
        self._db.execute("DELETE FROM refused WHERE release = ?", (release,))

    # --- reports ---

    def queue_event(self, journal: str, event: QueuedEvent) -> None:
        """Queue a signed event for `journal`; the chain of events there goes on from it."""
        if event.sequence <= self._store.event_chain(journal).sequence:
            raise RuntimeError("an event's sequence exceeds the one before it")
        self._db.execute(
            "INSERT INTO event (journal, sequence, receipts, link) VALUES (?, ?, ?, ?)",
            (journal, event.sequence, event.receipts, event.link),
        )
        self.set_event_chain(journal, EventChain(event.sequence, event.link))

    def set_event_chain(self, journal: str, chain: EventChain) -> None:
        """Continue from `chain`: after an event, or from the proven word after a wiped store."""
        self._db.execute(
            "INSERT OR REPLACE INTO event_chain (journal, sequence, link) VALUES (?, ?, ?)",
            (journal, chain.sequence, chain.link),
        )

    def drop_events(self, journal: str, through_sequence: int) -> int:
        """Delete the events up to `through_sequence`, which are proven to be in `journal` (how many)."""
        cursor = self._db.execute(
            "DELETE FROM event WHERE journal = ? AND sequence <= ?", (journal, through_sequence)
        )
        return cursor.rowcount

    def drop_these_events(self, journal: str, sequences: Sequence[int]) -> None:
        """Delete single events, which are proven to be in anchors of `journal`."""
        self._db.executemany(
            "DELETE FROM event WHERE journal = ? AND sequence = ?", [(journal, one) for one in sequences]
        )

    def log(self, line: LogLine) -> None:
        """Add a line of history."""
        self._db.execute(
            "INSERT INTO log (at_s, what, release, reason, detail) VALUES (?, ?, ?, ?, ?)",
            (line.at_s, line.what, line.release, line.reason, line.detail),
        )
        self._db.execute("DELETE FROM log WHERE id <= (SELECT max(id) FROM log) - ?", (MAX_LOG_LINES,))

    def set_note(self, name: str, value: bytes) -> None:
        """Keep a small fact under `name`."""
        self._set_meta(f"note:{name}", value)

    def _set_meta(self, key: str, value: object) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
