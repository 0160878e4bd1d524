"""What the chain needs of an EVM: a state that transactions change, and calls that change nothing.

``backend`` gives it by py-evm. Another EVM takes its place by giving ``Backend`` and ``Execution``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from local_chain.receipts import Log
    from local_chain.transactions import AccessList, Authorization, Transaction
    from local_chain.watching import Watcher


class NodeTable(Protocol):
    """Where the state's nodes and codes are kept by hash."""

    def __getitem__(self, key: bytes) -> bytes: ...

    def __setitem__(self, key: bytes, value: bytes) -> None: ...

    def __contains__(self, key: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class Environment:
    """What a contract can see of its block; ``ancestors`` gives block hashes from the parent downwards."""

    number: int
    timestamp: int
    coinbase: bytes
    gas_limit: int
    base_fee: int | None
    difficulty: int
    mix_hash: bytes
    ancestors: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """A message that changes nothing: ``to`` None runs init code. No nonce is checked.

    Fees are wei per gas; without them no gas is paid for, and the block's base fee is 0 to the code, as in
    geth. ``authorizations`` are for the caller to turn into changes of the state.
    """

    sender: bytes
    to: bytes | None
    data: bytes
    value: int
    gas: int
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    max_fee: int = 0
    max_priority_fee: int = 0

    def price(self, base_fee: int | None) -> int:
        """What a unit of gas costs in a block with ``base_fee``."""
        return min(self.max_fee, (base_fee or 0) + self.max_priority_fee)


@dataclass(frozen=True, slots=True)
class Change:
    """What an account is to be instead; None leaves a part as it is.

    ``storage`` takes the place of everything that is stored, then ``slots`` are set one by one.
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    storage: Mapping[int, int] | None = None
    slots: Mapping[int, int] | None = None


OUT_OF_GAS = "out of gas"  # the ``error`` of an outcome that ran out of it
Changes = Mapping[bytes, Change]
NO_CHANGES: Changes = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended; ``error`` is None on success and ``reverted`` tells a REVERT from other ends.

    ``gas_used`` is after refunds, ``gas_refunded`` what they gave back.
    """

    gas_used: int
    gas_refunded: int
    output: bytes
    error: str | None
    reverted: bool
    logs: tuple[Log, ...]


class Execution(Protocol):
    """A state being changed by the transactions of one block."""

    def apply(
        self,
        transaction: Transaction,
        *,
        gas_before: int,
        watcher: Watcher | None = None,
        free: bool = False,
    ) -> Outcome:
        """Execute one; InvalidTransaction, with the state unchanged, when no block may hold it here.

        ``watcher`` is told of every step. ``free`` asks not whether the sender may send, and lets
        one that offers less than the base fee run for nothing.
        """
        ...

    def finish(self) -> bytes:
        """Write the state's nodes and return its root."""
        ...


class Backend(Protocol):
    """An EVM over a table of state nodes."""

    def genesis_state(self, balances: Mapping[bytes, int]) -> bytes:
        """The root of a state that holds only these balances, in wei."""
        ...

    def begin(self, state_root: bytes, environment: Environment) -> Execution:
        """Start a block on a state."""
        ...

    def change(self, state_root: bytes, changes: Changes) -> bytes:
        """The root of the state with ``changes``, whose nodes are written."""
        ...

    def call(
        self, state_root: bytes, environment: Environment, call: Call, changes: Changes = NO_CHANGES
    ) -> Outcome:
        """Run a message on a state with ``changes``, and forget what either changed."""
        ...

    def touched(
        self, state_root: bytes, environment: Environment, call: Call, changes: Changes = NO_CHANGES
    ) -> tuple[Outcome, AccessList]:
        """``call``, with the accounts and slots that it used and that were there before it."""
        ...

    def within(self, seconds: float | None) -> AbstractContextManager[None]:
        """Bound what runs inside: ExecutionTimeout ends it after ``seconds``; None bounds nothing.

        An execution is ended where it jumps or calls, so one costly precompiled contract runs to its end.
        """
        ...

    def intrinsic_gas(self, transaction: Transaction) -> int:
        """The least gas with which the transaction is valid."""
        ...
