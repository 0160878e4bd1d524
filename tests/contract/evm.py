"""py-evm as a bare machine for the contract tests: signed transactions in, receipts (status, gas, logs) out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import rlp
from eth.chains.base import ChainContext
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks import BerlinVM, CancunVM, PragueVM
from eth.vm.message import Message
from eth_hash.auto import keccak
from eth_keys import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHAIN_ID = 4242
GENESIS_TIME = 1_800_000_000
GAS_LIMIT = 30_000_000
COINBASE = b"\xc0" * 20
FUNDS = 10**24
BLANK_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
FORKS = {"berlin": BerlinVM, "cancun": CancunVM, "prague": PragueVM}


def private_key(seed: int) -> Any:
    return keys.PrivateKey((0xF00D << 128 | seed).to_bytes(32, "big"))


@dataclass(frozen=True, slots=True)
class RawLog:
    address: bytes
    topics: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did. `reason` is the Error(string) of a revert, "" where it carried none."""

    ok: bool
    gas: int
    reason: str
    logs: tuple[RawLog, ...]
    created: bytes
    transaction: bytes = field(compare=False, repr=False)


class Machine:
    """One account state that changes by transactions."""

    def __init__(
        self, fork: str = "prague", *, db: Any = None, root: bytes = BLANK_ROOT, time: int = GENESIS_TIME
    ):
        self.fork_name = fork
        self._vm = FORKS[fork]
        self._db = db if db is not None else AtomicDB()
        self._number = 1
        self.time = time
        self.state = self._vm.get_state_class()(self._db, self._context(), root)

    def _context(self) -> ExecutionContext:
        return ExecutionContext(
            coinbase=COINBASE,
            timestamp=self.time,
            block_number=self._number,
            difficulty=1,
            mix_hash=b"\0" * 32,
            gas_limit=GAS_LIMIT,
            prev_hashes=(),
            chain_id=ChainContext(CHAIN_ID).chain_id,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )

    def advance(self, seconds: int) -> None:
        self.time += seconds
        self._number += 1
        self.state.execution_context = self._context()

    def copy(self) -> Machine:
        """Give another machine that stands where this one stands now."""
        root = self.root()
        self.state.persist()
        return Machine(self.fork_name, db=self._db, root=root, time=self.time)

    def root(self) -> bytes:
        """Give the root of the whole state, as a block would hold it."""
        self.state.lock_changes()
        return self.state.make_state_root()

    def fund(self, address: bytes, amount: int = FUNDS) -> None:
        self.state.set_balance(address, amount)
        self.state.lock_changes()

    def storage(self, address: bytes, slot: int) -> int:
        return self.state.get_storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self.state.set_storage(address, slot, value)
        self.state.lock_changes()

    def storage_roots(self, *addresses: bytes) -> tuple[bytes, ...]:
        """Give the roots of the accounts' storage, as a block would hold them."""
        self.state.make_state_root()
        return tuple(self.state._account_db._get_account(a).storage_root for a in addresses)

    def slots_met(self, address: bytes) -> list[int]:
        """Give the slots that were read or written since this machine was made."""
        return sorted(self.state._account_db._get_address_store(address).get_accessed_slots())

    def code(self, address: bytes) -> bytes:
        return self.state.get_code(address)

    def send(self, key: Any, to: bytes, data: bytes, *, gas: int = 16_000_000, value: int = 0) -> Receipt:
        sender = key.public_key.to_canonical_address()
        if not self.state.get_balance(sender):
            self.fund(sender)
        nonce = self.state.get_nonce(sender)
        unsigned = self._vm.get_transaction_builder().create_unsigned_transaction(
            nonce=nonce, gas_price=1, gas=gas, to=to, value=value, data=data
        )
        tx = unsigned.as_signed_transaction(key, chain_id=CHAIN_ID)
        computation = self.state.apply_transaction(tx)
        gas_used = self._vm.finalize_gas_used(tx, computation)
        self.state.lock_changes()
        return Receipt(
            ok=computation.is_success,
            gas=gas_used,
            reason="" if computation.is_success else reason_of(computation.output),
            logs=tuple(RawLog(*entry) for entry in computation.get_log_entries()),
            created=created_at(sender, nonce),
            transaction=tx.encode(),
        )

    def call(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """Run an eth_call: nothing is kept."""
        snapshot = self.state.snapshot()
        message = Message(
            gas=10_000_000, to=to, sender=sender, value=0, data=data, code=self.state.get_code(to)
        )
        context = self.state.get_transaction_context_class()(gas_price=0, origin=sender)
        computation = self.state.computation_class.apply_message(self.state, message, context)
        self.state.revert(snapshot)
        if not computation.is_success:
            raise AssertionError(f"call failed: {reason_of(computation.output)!r}")
        return computation.output


def created_at(sender: bytes, nonce: int) -> bytes:
    return keccak(rlp.encode([sender, nonce]))[12:]


def reason_of(output: bytes) -> str:
    """Give the text of an Error(string), "" where there is none."""
    if output[:4] != bytes.fromhex("08c379a0"):
        return ""
    length = int.from_bytes(output[36:68], "big")
    return output[68 : 68 + length].decode()


# ---------------------------------------------------------------- which machine the tests run on


class Machines:
    """What makes a new machine: py-evm, or py-evm in step with a real engine (tests/contract/conftest.py)."""

    def __init__(self) -> None:
        self.name, self.make = "py-evm", lambda: Machine()

    @contextlib.contextmanager
    def made_by(self, name: str, make: Callable[[], Any]) -> Iterator[None]:
        before = self.name, self.make
        self.name, self.make = name, make
        yield
        self.name, self.make = before


MACHINES = Machines()
