"""What the chain keeps: trie nodes, blocks, transactions, logs, in one SQLite file or in memory.

Nothing of the state is ever pruned, so proofs and calls work at every height; expect 0.7 kB a
transfer in a full block, 4 kB a contract call in a block of its own. One block is one database transaction:
after kill -9 the head is the last block that was acknowledged.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from local_chain.errors import StateError
from local_chain.headers import Block, decode_header
from local_chain.sealing import unsealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STATE_VERSION = 1
DATABASE_NAME = "chain.sqlite3"
KEYS_NAME = "validators.json"
LOCK_NAME = "lock"
_CACHED_NODES = 65_536  # about 25 MB: the trie's upper levels and the hot contracts

_SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE nodes (hash BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL)",
    """CREATE TABLE transactions (
        hash BLOB PRIMARY KEY, number INTEGER NOT NULL, position INTEGER NOT NULL,
        raw BLOB NOT NULL, sender BLOB NOT NULL, receipt BLOB NOT NULL,
        gas_used INTEGER NOT NULL, succeeded INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX transactions_of_block ON transactions (number, position)",
    """CREATE TABLE logs (
        number INTEGER NOT NULL, position INTEGER NOT NULL, transaction_position INTEGER NOT NULL,
        address BLOB NOT NULL, topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
        PRIMARY KEY (number, position)) WITHOUT ROWID""",
    "CREATE INDEX logs_of_address ON logs (address, number)",
)


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A mined transaction: where it stands, its bytes, who sent it, its receipt."""

    hash: bytes
    number: int
    position: int
    raw: bytes
    sender: bytes
    receipt: bytes
    gas_used: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log and where it stands: ``position`` counts within the block."""

    number: int
    position: int
    transaction_position: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which logs are asked for: any of ``addresses`` (none: all) and, per position, any of its topics
    (none: all).
    """

    first: int
    last: int
    addresses: tuple[bytes, ...] = ()
    topics: tuple[tuple[bytes, ...], ...] = ()


class Store:
    """One chain's data. Not thread-safe: the node's worker thread owns it.

    ``nodes`` is a mapping for the tries: writes gather in memory until ``commit_block`` or ``discard``.
    """

    def __init__(self, directory: Path | None) -> None:
        self._lock = _lock(directory) if directory else None
        try:
            path = str(directory / DATABASE_NAME) if directory else ":memory:"
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # WAL with NORMAL survives a killed process; only a power cut may lose the newest blocks, never
            # consistency.
            self._db.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;"
            )
            self._open()
        except sqlite3.Error as error:
            self.close()
            raise StateError(f"cannot open the chain's database in {directory}: {error}") from error
        except StateError:
            self.close()
            raise
        self.nodes = NodeTable(self._db)
        self._head = self._read_head()

    def close(self) -> None:
        """Close the database and let go of the lock."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock is not None:
            self._lock.close()

    def copy_to(self, path: Path) -> None:
        """Write the whole chain to a file that only its owner can read, in the place of what is there."""
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
                copy = sqlite3.connect(file.name)
                try:
                    self._db.backup(copy)
                finally:
                    copy.close()
            Path(file.name).replace(path)
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"cannot write the chain to {path}: {error}") from error

    def copy_from(self, path: Path) -> None:
        """Take over the chain of such a file; StateError unless this store is new and that one whole."""
        if self._head is not None or self.meta("genesis") is not None:
            raise StateError("the state has a chain already", hint="load into a new --state, or into memory")
        try:
            source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            try:
                if source.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                    raise StateError(f"{path}: the file is damaged")
                version = source.execute("PRAGMA user_version").fetchone()[0]
                if version != STATE_VERSION:
                    text = f"{path}: not a chain of version {STATE_VERSION}: got version {version}"
                    raise StateError(text)
                source.backup(self._db)
            finally:
                source.close()
            self._head = self._read_head()
        except sqlite3.Error as error:
            raise StateError(f"cannot read a chain from {path}: {error}") from error
        if self._head is None:
            raise StateError(f"{path}: the file holds no chain")

    @property
    def head(self) -> Block | None:
        """The newest block without its transactions, or None before the genesis block."""
        return self._head

    def meta(self, name: str) -> object:
        """The JSON value kept under ``name``, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_meta(self, name: str, value: object) -> None:
        """Keep ``value`` as JSON under ``name``."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    def forget_meta(self, name: str) -> None:
        """Keep nothing under ``name`` any longer."""
        self._db.execute("DELETE FROM meta WHERE name = ?", (name,))

    def commit_block(
        self, block: Block, transactions: Sequence[StoredTransaction], logs: Iterable[StoredLog]
    ) -> None:
        """Store a block, what is in it, and the state that it left, all or nothing; it becomes the head."""
        row = (block.number, block.hash, block.sealed_header.encode())
        try:
            with _transaction(self._db):
                self.nodes.flush()
                self._db.execute("INSERT INTO blocks VALUES (?, ?, ?)", row)
                self._db.executemany(
                    "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (t.hash, t.number, t.position, t.raw, t.sender, t.receipt, t.gas_used, t.succeeded)
                        for t in transactions
                    ),
                )
                self._db.executemany(
                    "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (g.number, g.position, g.transaction_position, g.address, *_padded(g.topics), g.data)
                        for g in logs
                    ),
                )
        except sqlite3.Error as error:
            raise StateError(f"cannot store block {block.number}: {error}") from error
        finally:
            self.nodes.discard()
        self._head = block

    def rewind(self, number: int) -> None:
        """Forget every block above ``number``."""
        try:
            with _transaction(self._db):
                for table in ("blocks", "transactions", "logs"):
                    self._db.execute(f"DELETE FROM {table} WHERE number > ?", (number,))  # noqa: S608 - our own names
        except sqlite3.Error as error:
            raise StateError(f"cannot go back to block {number}: {error}") from error
        self._head = self._read_head()

    def block(self, number: int) -> Block | None:
        """The block at a height, without its transactions."""
        if self._head is not None and number == self._head.number:
            return self._head
        return self._block("SELECT sealed FROM blocks WHERE number = ?", number)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """The block with this hash, without its transactions."""
        return self._block("SELECT sealed FROM blocks WHERE hash = ?", block_hash)

    def ancestors(self, number: int) -> Iterator[bytes]:
        """The block hashes from ``number`` downwards, for BLOCKHASH."""
        while (block := self.block(number)) is not None:
            yield block.hash
            number -= 1

    def transaction(self, transaction_hash: bytes) -> StoredTransaction | None:
        """A mined transaction by its hash."""
        row = self._db.execute("SELECT * FROM transactions WHERE hash = ?", (transaction_hash,)).fetchone()
        return None if row is None else StoredTransaction(*row)

    def transactions(self, number: int) -> tuple[StoredTransaction, ...]:
        """The transactions of a block in order."""
        rows = self._db.execute("SELECT * FROM transactions WHERE number = ? ORDER BY position", (number,))
        return tuple(StoredTransaction(*row) for row in rows)

    def gas_until(self, number: int, position: int) -> int:
        """The gas that a block used up to and with its transaction at ``position``."""
        query = "SELECT SUM(gas_used) FROM transactions WHERE number = ? AND position <= ?"
        return int(self._db.execute(query, (number, position)).fetchone()[0])

    def block_logs(self, number: int) -> tuple[StoredLog, ...]:
        """The logs of a block in order."""
        rows = self._db.execute("SELECT * FROM logs WHERE number = ? ORDER BY position", (number,))
        return tuple(_log(row) for row in rows)

    def logs(self, query: LogQuery, *, limit: int) -> tuple[StoredLog, ...]:
        """At most ``limit`` logs that match, in chain order."""
        terms, values = ["number BETWEEN ? AND ?"], [query.first, query.last]
        arguments: list[object] = list(values)
        columns = [
            ("address", query.addresses),
            *((f"topic{i}", topics) for i, topics in enumerate(query.topics)),
        ]
        for column, wanted in columns:
            if wanted:
                terms.append(f"{column} IN ({','.join('?' * len(wanted))})")
                arguments.extend(wanted)
        if query.topics:  # a filter of n topics, even of wildcards, asks for logs with at least n
            terms.append(f"topic{len(query.topics) - 1} IS NOT NULL")
        where = " AND ".join(terms)  # columns and marks only; every value is bound
        sql = f"SELECT * FROM logs WHERE {where} ORDER BY number, position LIMIT ?"  # noqa: S608
        return tuple(_log(row) for row in self._db.execute(sql, (*arguments, limit)))

    def _block(self, sql: str, key: int | bytes) -> Block | None:
        row = self._db.execute(sql, (key,)).fetchone()
        return None if row is None else unsealed(decode_header(row[0]))

    def _read_head(self) -> Block | None:
        sql = "SELECT sealed FROM blocks ORDER BY number DESC LIMIT 1"
        row = self._db.execute(sql).fetchone()
        return None if row is None else unsealed(decode_header(row[0]))

    def _open(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._db.execute("SELECT name FROM sqlite_master").fetchone():
            with _transaction(self._db):
                for statement in _SCHEMA:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {STATE_VERSION}")
        elif version != STATE_VERSION:
            raise StateError(f"the state is of version {version}, this program reads {STATE_VERSION}")


class NodeTable:
    """Trie nodes and contract codes by their hash: a mapping with a cache, and with the writes of the open
    block.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._open: dict[bytes, bytes] = {}
        self._cache: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self._open.get(key, self._cache.get(key))
        if value is None:
            try:
                row = self._db.execute("SELECT value FROM nodes WHERE hash = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise StateError(f"cannot read the state: {error}") from error
            if row is None:
                raise KeyError(key)
            value = row[0]
            self._remember(key, value)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._open[key] = value

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, bytes):
            return False
        try:
            self[key]
        except KeyError:
            return False
        return True

    def flush(self) -> None:
        """Write what the open block left; the caller holds the database transaction."""
        self._db.executemany("INSERT OR IGNORE INTO nodes VALUES (?, ?)", self._open.items())
        for key, value in self._open.items():
            self._remember(key, value)

    def discard(self) -> None:
        """Forget the open block's writes."""
        self._open = {}

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= _CACHED_NODES:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = value


class _transaction:  # noqa: N801 - reads as the statement it stands for
    """BEGIN, then COMMIT or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        elif self._db.in_transaction:  # SQLite rolls back by itself on a full disk
            self._db.execute("ROLLBACK")


def _lock(directory: Path) -> IO[str]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / LOCK_NAME).open("a+")
    except OSError as error:
        raise StateError(f"cannot use the state directory {directory}: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        hint = "stop it, or give another --state"
        raise StateError(f"the state in {directory} is in use by process {holder}", hint=hint) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def _padded(topics: tuple[bytes, ...]) -> tuple[bytes | None, ...]:
    return (*topics, *(None,) * (4 - len(topics)))


def _log(
    row: tuple[int, int, int, bytes, bytes | None, bytes | None, bytes | None, bytes | None, bytes],
) -> StoredLog:
    number, position, transaction_position, address, *topics, data = row
    return StoredLog(
        number,
        position,
        transaction_position,
        address,
        tuple(t for t in topics if isinstance(t, bytes)),
        data,
    )
