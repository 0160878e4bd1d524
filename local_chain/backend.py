"""The only module, with ``watched_evm``, that knows py-evm: it executes transactions and calls on a state.

py-evm is archived. Everything around it (blocks, tries, pool, RPC) is ours, so another EVM takes its place
by giving what ``evm`` asks for.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.exceptions import (
    ContractCreationCollision,
    FullStack,
    InsufficientFunds,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
    Revert,
    StackDepthLimit,
    VMError,
    WriteProtection,
)
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.berlin import BerlinVM
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.london import LondonVM
from eth.vm.forks.paris import ParisVM
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.shanghai import ShanghaiVM
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from local_chain.errors import ChainError, ExecutionTimeout, InvalidTransaction
from local_chain.evm import (
    NO_CHANGES,
    OUT_OF_GAS,
    Call,
    Change,
    Changes,
    Environment,
    Execution,
    NodeTable,
    Outcome,
)
from local_chain.forks import Fork
from local_chain.headers import EMPTY_TRIE_ROOT
from local_chain.receipts import Log
from local_chain.transactions import LEGACY, AccessList, Transaction
from local_chain.watched_evm import limited, opcode_name, watched

if TYPE_CHECKING:
    from local_chain.watching import Watcher

_log = logging.getLogger(__name__)

_VMS: Mapping[Fork, Any] = {
    Fork.BERLIN: BerlinVM,
    Fork.LONDON: LondonVM,
    Fork.PARIS: ParisVM,
    Fork.SHANGHAI: ShanghaiVM,
    Fork.CANCUN: CancunVM,
    Fork.PRAGUE: PragueVM,
}
_INIT_CODE_WORD_GAS = 2  # EIP-3860
_TOO_DEEP = "calls nested too deep for this Python"
_CODE_DEPOSIT = "Write contract code"  # py-evm's reason for what a new contract's code costs
# geth's words, by which client libraries tell the errors apart.
_ERROR_TEXTS: tuple[tuple[type[VMError], str], ...] = (
    (Revert, "execution reverted"),
    (OutOfGas, OUT_OF_GAS),
    (FullStack, "stack limit reached 1024 (1023)"),
    (InvalidJumpDestination, "invalid jump destination"),
    (InsufficientFunds, "insufficient balance for transfer"),
    (WriteProtection, "write protection"),
    (StackDepthLimit, "max call depth exceeded"),
    (ContractCreationCollision, "contract address collision"),
)


class PyEvm:
    """``Backend`` by py-evm, for one chain id and one fork."""

    def __init__(self, nodes: NodeTable, *, chain_id: int, fork: Fork) -> None:
        self._db = AtomicDB(_NodeDb(nodes))
        self._vm = _VMS[fork]
        self._builder = self._vm.get_transaction_builder()
        self._chain_id = chain_id
        self._fork = fork
        self._check_time: Callable[[], None] | None = None

    def genesis_state(self, balances: Mapping[bytes, int]) -> bytes:
        """See ``Backend``."""
        return self.change(
            EMPTY_TRIE_ROOT, {address: Change(balance=balance) for address, balance in balances.items()}
        )

    def change(self, state_root: bytes, changes: Changes) -> bytes:
        """See ``Backend``."""
        state = self._state(state_root, _NOWHERE)
        _apply_changes(state, changes)
        state.persist()
        return bytes(state.state_root)

    def begin(self, state_root: bytes, environment: Environment) -> Execution:
        """See ``Backend``."""
        state = self._state(state_root, environment)
        return _PyEvmExecution(self._vm, self._builder, state, environment.base_fee or 0)

    def call(
        self, state_root: bytes, environment: Environment, call: Call, changes: Changes = NO_CHANGES
    ) -> Outcome:
        """See ``Backend``."""
        state = self._state(state_root, environment)
        _apply_changes(state, changes)
        return self._run(state, call, call.price(environment.base_fee))

    def touched(
        self, state_root: bytes, environment: Environment, call: Call, changes: Changes = NO_CHANGES
    ) -> tuple[Outcome, AccessList]:
        """See ``Backend``."""
        state = self._state(state_root, environment)
        _apply_changes(state, changes)
        seen: dict[bytes, dict[int, None]] = {}
        mark_address, mark_slot = state.mark_address_warm, state.mark_storage_warm

        def note_address(address: bytes) -> None:
            seen.setdefault(bytes(address), {})
            mark_address(address)

        def note_slot(address: bytes, slot: int) -> None:
            seen.setdefault(bytes(address), {})[slot] = None
            mark_slot(address, slot)

        state.mark_address_warm, state.mark_storage_warm = note_address, note_slot
        outcome = self._run(state, call, call.price(environment.base_fee))
        before = self._state(state_root, environment)
        _apply_changes(before, changes)
        made = {who for who in seen if state.has_code_or_nonce(who) and not before.has_code_or_nonce(who)}
        return outcome, tuple((who, tuple(slots)) for who, slots in seen.items() if who not in made)

    def _run(self, state: Any, call: Call, price: int) -> Outcome:
        if not price:
            _make_free(state)
        nonce = state.get_nonce(call.sender)
        to, access = call.to or b"", [(address, list(slots)) for address, slots in call.access_list]
        unsigned = self._builder.new_unsigned_access_list_transaction(
            self._chain_id, nonce, price, call.gas, to, call.value, call.data, access
        )
        transaction = SpoofTransaction(unsigned, from_=call.sender)
        executor = state.get_transaction_executor()
        try:
            message = executor.build_evm_message(transaction)
            computation = executor.build_computation(message, transaction)
        except RecursionError:  # Python 3.12 bounds its stack at compile time, below the EVM's 1,024 calls
            return Outcome(call.gas, 0, b"", _TOO_DEEP, reverted=False, logs=())
        except VMError as error:
            return Outcome(call.gas, 0, b"", _error_text(error), reverted=False, logs=())
        executor.finalize_computation(transaction, computation)
        return _outcome(self._vm, transaction, computation)

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """See ``Backend``."""
        before = self._check_time
        self._check_time = None if seconds is None else _time_limit(seconds)
        try:
            yield
        finally:
            self._check_time = before

    def intrinsic_gas(self, transaction: Transaction) -> int:
        """See ``Backend``."""
        gas = (
            int(_native(self._builder, transaction).intrinsic_gas)
            if transaction.raw
            else self._unsigned_gas(transaction)
        )
        if transaction.to is None and self._fork >= Fork.SHANGHAI:  # EIP-3860, which py-evm counts apart
            gas += _INIT_CODE_WORD_GAS * -(-len(transaction.data) // 32)
        if self._fork >= Fork.PRAGUE:  # EIP-7623: ten gas a token, four tokens a non-zero byte, is the floor
            zeros = transaction.data.count(0)
            gas = max(gas, 21_000 + 10 * (zeros + 4 * (len(transaction.data) - zeros)))
        return gas

    def _unsigned_gas(self, transaction: Transaction) -> int:
        access = [(address, list(slots)) for address, slots in transaction.access_list]
        unsigned = self._builder.new_unsigned_access_list_transaction(
            self._chain_id, 0, 0, 0, transaction.to or b"", transaction.value, transaction.data, access
        )
        return int(unsigned.intrinsic_gas)

    def _state(self, state_root: bytes, environment: Environment) -> Any:
        context = ExecutionContext(
            coinbase=Address(environment.coinbase),
            timestamp=environment.timestamp,
            block_number=BlockNumber(environment.number),
            difficulty=environment.difficulty,
            mix_hash=Hash32(environment.mix_hash),
            gas_limit=environment.gas_limit,
            prev_hashes=_Lazy(environment.ancestors),
            chain_id=self._chain_id,
            base_fee_per_gas=environment.base_fee if self._fork >= Fork.LONDON else None,
            excess_blob_gas=0 if self._fork >= Fork.CANCUN else None,
        )
        state = self._vm.get_state_class()(self._db, context, state_root)
        if self._check_time is not None:
            state.computation_class = limited(state.computation_class, self._check_time)
        return state


_NOWHERE = Environment(0, 0, bytes(20), 0, 0, 1, bytes(32), lambda: iter(()))


def _time_limit(seconds: float) -> Callable[[], None]:
    deadline = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > deadline:
            raise ExecutionTimeout(f"execution aborted (timeout = {seconds:g}s)")

    return check


def _apply_changes(state: Any, changes: Changes) -> None:
    for who, change in changes.items():
        if change.balance is not None:
            state.set_balance(who, change.balance)
        if change.nonce is not None:
            state.set_nonce(who, change.nonce)
        if change.code is not None:
            state.set_code(who, change.code)
        if change.storage is not None:
            state.delete_storage(who)
        for slot, word in {**(change.storage or {}), **(change.slots or {})}.items():
            state.set_storage(who, slot, word)
    if changes:
        state.lock_changes()  # what is set here is the original, by which writes are priced (EIP-2200)


class _PyEvmExecution:
    def __init__(self, vm: Any, builder: Any, state: Any, base_fee: int) -> None:
        self._vm = vm
        self._builder = builder
        self._state = state
        self._base_fee = base_fee

    def apply(
        self,
        transaction: Transaction,
        *,
        gas_before: int,
        watcher: Watcher | None = None,
        free: bool = False,
    ) -> Outcome:
        if gas_before + transaction.gas > self._state.gas_limit:
            raise InvalidTransaction("exceeds block gas limit")
        native = _native(self._builder, transaction)
        self._state.lock_changes()
        snapshot = self._state.snapshot()
        try:
            with _watching(self._state, watcher):
                computation = (
                    _run_free(self._state, native, self._base_fee)
                    if free
                    else self._state.apply_transaction(native)
                )
        except ChainError:  # the state could not be read: no fault of the transaction
            raise
        except ValidationError as error:
            self._state.revert(snapshot)
            raise InvalidTransaction(str(error)) from error
        except RecursionError as error:
            self._state.revert(snapshot)
            raise InvalidTransaction(_TOO_DEEP) from error
        except Exception as error:
            # A defect of the EVM: what fails so must not stand at the head of the pool for ever.
            self._state.revert(snapshot)
            _log.exception("transaction %s could not be executed", transaction.hash.hex())
            raise InvalidTransaction(f"the EVM failed on it: {type(error).__name__}") from error
        return _outcome(self._vm, native, computation)

    def finish(self) -> bytes:
        self._state.persist()
        return bytes(self._state.state_root)


def _make_free(state: Any) -> None:
    """Let a message cost nothing and tip nobody, whatever the block's base fee."""
    state.get_gas_price = lambda _transaction: 0
    state.get_tip = lambda _transaction: 0


def _run_free(state: Any, native: Any, base_fee: int) -> Any:
    if native.gas < native.intrinsic_gas:
        raise ValidationError("intrinsic gas too low")
    if native.max_fee_per_gas < base_fee:
        _make_free(state)  # it could not even pay the base fee
    executor = state.get_transaction_executor()
    computation = executor.build_computation(executor.build_evm_message(native), native)
    return executor.finalize_computation(native, computation)


@contextlib.contextmanager
def _watching(state: Any, watcher: Watcher | None) -> Iterator[None]:
    if watcher is None:
        yield
        return
    unwatched = state.computation_class
    state.computation_class = watched(unwatched, watcher, _error_text)
    try:
        yield
    finally:
        state.computation_class = unwatched


class _NodeDb(BaseDB):
    """py-evm's view of the node table. Keys are hashes of their values, so a node that is deleted may as
    well stay.
    """

    def __init__(self, nodes: NodeTable) -> None:
        self._nodes = nodes

    def __getitem__(self, key: bytes) -> bytes:
        return self._nodes[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._nodes[key] = value

    def __delitem__(self, key: bytes) -> None:
        if key not in self._nodes:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        return key in self._nodes


class _Lazy(Iterable[Hash32]):
    """An iterable that looks nothing up until a contract asks for a block hash."""

    def __init__(self, source: Callable[[], Iterator[bytes]]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Hash32]:
        return map(Hash32, self._source())


def _native(builder: Any, transaction: Transaction) -> Any:
    native = builder.decode(transaction.raw)
    # The sender was recovered, and the signature checked, when the transaction was decoded: py-evm would do
    # it again.
    inner = native if transaction.type == LEGACY else native._inner  # noqa: SLF001 - no public name for it
    for target in (native, inner):
        target.__dict__["sender"] = transaction.sender
        target.__dict__["check_signature_validity"] = lambda: None
    return native


def _outcome(vm: Any, transaction: Any, computation: Any) -> Outcome:
    error = computation.error if computation.is_error else None
    used = vm.finalize_gas_used(transaction, computation)
    spent = transaction.gas - computation.get_gas_remaining() + computation.data_floor_gas
    return Outcome(
        gas_used=int(used),
        gas_refunded=int(spent - used),
        output=bytes(computation.output),
        error=None if error is None else _error_text(error),
        reverted=isinstance(error, Revert),
        logs=tuple(
            Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
            for address, topics, data in computation.get_log_entries()
        ),
    )


def _error_text(error: VMError) -> str:
    if isinstance(error, InvalidInstruction):  # "Invalid opcode 0xc @ 0"
        return f"invalid opcode: {opcode_name(int(str(error).split()[2], 16))}"
    if isinstance(error, InsufficientStack):
        counts = re.search(r"Wanted (\d+) .*had (\d+|none)", str(error))
        if counts is None:
            return "stack underflow"
        return f"stack underflow ({counts[2].replace('none', '0')} <=> {counts[1]})"
    if isinstance(error, OutOfGas) and _CODE_DEPOSIT in str(error):
        return "contract creation code storage out of gas"
    return next(
        (text for kind, text in _ERROR_TEXTS if isinstance(error, kind)), str(error) or type(error).__name__
    )
