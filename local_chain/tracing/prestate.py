"""The prestate tracer: every account that a transaction touches as it was before, or before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_chain.headers import EMPTY_CODE_HASH
from local_chain.rpc.quantities import Json, hex_data, hex_quantity
from local_chain.tries import NO_ACCOUNT, read_account, read_slot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_chain.receipts import Log
    from local_chain.replay import Replayed
    from local_chain.tracing.budget import TraceBudget
    from local_chain.tries import NodeReader
    from local_chain.watching import Frame, FrameEnd, Machine, Step

_ACCOUNT_BYTES = 200  # an account without its code and storage
_ADDRESS_MASK = (1 << 160) - 1
# Opcodes that touch the account whose address lies on the stack, and where.
_ADDRESS_AT = {
    "BALANCE": 0,
    "EXTCODESIZE": 0,
    "EXTCODEHASH": 0,
    "EXTCODECOPY": 0,
    "SELFDESTRUCT": 0,
    "CALL": 1,
    "CALLCODE": 1,
    "DELEGATECALL": 1,
    "STATICCALL": 1,
}


@dataclass(frozen=True, slots=True)
class PrestateOptions:
    """``diff`` shows what changed, before and after, and not what was only read."""

    diff: bool = False
    code: bool = True
    storage: bool = True
    empty: bool = False


class PrestateTracer:
    """The watcher that notes which accounts and slots are touched."""

    def __init__(
        self, options: PrestateOptions, budget: TraceBudget, nodes: NodeReader, *, coinbase: bytes
    ) -> None:
        self._options = options
        self._budget = budget
        self._nodes = nodes
        self._touched: dict[bytes, dict[int, None]] = {coinbase: {}}

    def log(self, log: Log) -> None:
        """See ``Watcher``."""

    def leave(self, end: FrameEnd) -> None:
        """See ``Watcher``."""

    def enter(self, frame: Frame) -> None:
        """See ``Watcher``."""
        self._touch(frame.sender)
        self._touch(frame.to)

    def step(self, step: Step, machine: Machine) -> None:
        """See ``Watcher``."""
        if step.op in ("SLOAD", "SSTORE"):
            self._touch(step.address)[machine.top(0)] = None
        elif (at := _ADDRESS_AT.get(step.op)) is not None:
            self._touch((machine.top(at) & _ADDRESS_MASK).to_bytes(20, "big"))

    def result(self, replayed: Replayed) -> Json:
        """The accounts, once the transaction has ended."""
        self._touch(replayed.transaction.sender)
        self._touch(replayed.recipient)
        for item in replayed.transaction.authorizations:
            if (authority := item.authority()) is not None:
                self._touch(authority)
        if self._options.diff:
            return self._changes(replayed)
        accounts = {who: self._read(replayed.before, who, slots) for who, slots in self._touched.items()}
        return {
            hex_data(who): account.json()
            for who, account in accounts.items()
            if account.exists or self._options.empty
        }

    def _touch(self, who: bytes) -> dict[int, None]:
        return self._touched.setdefault(who, {})

    def _changes(self, replayed: Replayed) -> Json:
        before: dict[str, Json] = {}
        after: dict[str, Json] = {}
        for who, slots in self._touched.items():
            old, new = self._read(replayed.before, who, slots), self._read(replayed.after, who, slots)
            if old == new:
                continue
            changed = {slot for slot in slots if old.slots.get(slot) != new.slots.get(slot)}
            if old.exists:
                before[hex_data(who)] = old.json(slots=changed)
            if new.exists:
                after[hex_data(who)] = new.json(slots=changed, unlike=old)
        return {"pre": before, "post": after}

    def _read(self, root: bytes, who: bytes, slots: Iterable[int]) -> _Account:
        account = read_account(self._nodes, root, who)
        has_code = account.code_hash != EMPTY_CODE_HASH
        code = self._nodes[account.code_hash] if has_code and self._options.code else b""
        self._budget.spend(_ACCOUNT_BYTES + 2 * len(code))
        return _Account(
            exists=account != NO_ACCOUNT,
            balance=account.balance,
            nonce=account.nonce,
            code=code,
            slots={
                slot: word
                for slot in (slots if self._options.storage else ())
                if (word := read_slot(self._nodes, account.storage_root, slot)) or not self._options.diff
            },
        )


@dataclass(frozen=True, slots=True)
class _Account:
    exists: bool
    balance: int
    nonce: int
    code: bytes
    slots: dict[int, int]

    def json(self, *, slots: set[int] | None = None, unlike: _Account | None = None) -> Json:
        """The account, with ``slots`` alone, and only what is ``unlike`` another."""
        view: dict[str, Json] = {}
        if unlike is None or self.balance != unlike.balance:
            view["balance"] = hex_quantity(self.balance)
        if self.nonce and (unlike is None or self.nonce != unlike.nonce):
            view["nonce"] = self.nonce
        if self.code and (unlike is None or self.code != unlike.code):
            view["code"] = hex_data(self.code)
        words = {at: word for at, word in self.slots.items() if slots is None or at in slots}
        if words:
            view["storage"] = {_word(at): _word(word) for at, word in sorted(words.items())}
        return view


def _word(value: int) -> str:
    return hex_data(value.to_bytes(32, "big"))
