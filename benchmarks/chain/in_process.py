"""Peers without a server: py-evm's bare chain on SQLite, which is the ceiling, and eth-tester."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.vm.forks.prague import PragueVM
from eth_tester import EthereumTester, PyEVMBackend

from local_chain.accounts import BALANCE_WEI, dev_accounts

if TYPE_CHECKING:
    from benchmarks.chain.workload import Workload

CHAIN_ID = 31_337
TESTER_CHAIN_ID = 131_277_322_940_537


class SqliteDb(BaseDB):
    """A table of keys and values, committed once a block."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def commit(self) -> None:
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    def close(self) -> None:
        self._db.execute("COMMIT")
        self._db.close()

    def __getitem__(self, key: bytes) -> bytes:
        row = self._db.execute("SELECT v FROM kv WHERE k = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        self._db.execute("DELETE FROM kv WHERE k = ?", (key,))

    def _exists(self, key: bytes) -> bool:
        return self._db.execute("SELECT 1 FROM kv WHERE k = ?", (key,)).fetchone() is not None


def ceiling(work: Workload, *, per_block: int) -> float:
    """Transactions a second of py-evm's ``mine_all`` on SQLite: stored, neither sealed nor served."""
    with tempfile.TemporaryDirectory(prefix="bench-ceiling-") as folder:
        db = SqliteDb(Path(folder) / "chain.sqlite")
        configured = MiningChain.configure(vm_configuration=((0, PragueVM),), chain_id=CHAIN_ID)
        params = {"difficulty": 0, "gas_limit": 30_000_000, "timestamp": 1_700_000_000}
        chain = configured.from_genesis(AtomicDB(db), params, _genesis_state())
        builder = chain.get_vm().get_transaction_builder()
        for raw in work.setup:
            _mine(chain, [builder.decode(raw)], db)
        transactions = [builder.decode(raw) for raw in work.work]
        started = time.perf_counter()
        for first in range(0, len(transactions), per_block):
            _mine(chain, transactions[first : first + per_block], db)
        spent_s = time.perf_counter() - started
        db.close()
        return len(transactions) / spent_s


def _genesis_state() -> dict:
    return {
        account.address: {"balance": BALANCE_WEI, "nonce": 0, "code": b"", "storage": {}}
        for account in dev_accounts()
    }


def _mine(chain: MiningChain, transactions: list, db: SqliteDb) -> None:
    _, receipts, _ = chain.mine_all(transactions, gas_limit=30_000_000)
    if len(receipts) != len(transactions):
        raise RuntimeError("py-evm left transactions out")
    db.commit()


def eth_tester(work: Workload, *, per_block: int) -> float:
    """Transactions a second of eth-tester in this process: nothing sealed, stored or served."""
    backend = PyEVMBackend(genesis_state=_genesis_state())
    tester = EthereumTester(backend)
    for raw in work.setup:
        tester.send_raw_transaction("0x" + raw.hex())
    started = time.perf_counter()
    for number, raw in enumerate(work.work, 1):
        if per_block == 1:
            tester.send_raw_transaction("0x" + raw.hex())
            continue
        # Its own pool takes one transaction of a sender: several a block go by the layer below.
        backend.send_raw_transaction(raw)
        if number % per_block == 0:
            tester.mine_block()
    return len(work.work) / (time.perf_counter() - started)
