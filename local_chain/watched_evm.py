"""How py-evm is watched: its computation class, with every opcode and every call reported to a ``Watcher``,
and how it is stopped.

Part of the backend: with ``backend``, all that knows py-evm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth.exceptions import FullStack, Halt, InsufficientStack, OutOfGas, Revert, VMError
from eth.vm.logic.invalid import InvalidOpcode

from local_chain.receipts import Log
from local_chain.watching import Frame, FrameEnd, Step, Watcher

# geth counts these before it runs the opcode, and shows them with it.
_ERRORS_OF_A_STEP = (OutOfGas, InsufficientStack, FullStack)
_NAMES = {"SHA3": "KECCAK256"}  # py-evm keeps the older name
_JUMPDEST = 0x5B
_DESIGNATED_INVALID = 0xFE  # EIP-141
_LOGS = frozenset(f"LOG{count}" for count in range(5))


def watched(computation_class: Any, watcher: Watcher, error_text: Callable[[VMError], str]) -> Any:
    """A computation class that behaves like ``computation_class`` and tells ``watcher``."""
    refunds = _Refunds()

    def framed(apply: Callable[[], Any], message: Any, parent: Any) -> Any:
        watcher.enter(_frame(message, parent))
        before = refunds.total
        try:
            computation = apply()
        except VMError as refusal:
            watcher.leave(FrameEnd(0, b"", error_text(refusal), reverted=False))
            raise
        error = computation.error if computation.is_error else None
        if error is not None:
            refunds.total = before
        watcher.leave(
            FrameEnd(
                gas_used=computation.get_gas_used(),
                output=bytes(computation.output),
                error=None if error is None else error_text(error),
                reverted=isinstance(error, Revert),
            )
        )
        return computation

    class Watched(computation_class):  # type: ignore[misc] # py-evm's, chosen at run time
        opcodes = _Opcodes(computation_class.opcodes, watcher, refunds, error_text)
        running: Step

        @classmethod
        def apply_message(cls, state: Any, message: Any, context: Any, parent_computation: Any = None) -> Any:
            def apply() -> Any:
                return computation_class.apply_message.__func__(
                    cls, state, message, context, parent_computation=parent_computation
                )

            # A creation comes through here as well, from inside apply_create_message.
            return apply() if message.is_create else framed(apply, message, parent_computation)

        @classmethod
        def apply_create_message(
            cls, state: Any, message: Any, context: Any, parent_computation: Any = None
        ) -> Any:
            def apply() -> Any:
                return computation_class.apply_create_message.__func__(
                    cls, state, message, context, parent_computation=parent_computation
                )

            return framed(apply, message, parent_computation)

        def refund_gas(self, amount: int) -> None:
            refunds.total += amount
            super().refund_gas(amount)

    return Watched


def limited(computation_class: Any, check: Callable[[], None]) -> Any:
    """A computation class that behaves like ``computation_class`` until ``check`` raises.

    It is asked at every jump's end and at every call: code that does neither ends soon.
    """

    class Limited(computation_class):  # type: ignore[misc] # py-evm's, chosen at run time
        opcodes = computation_class.opcodes | {
            _JUMPDEST: _Checked(computation_class.opcodes[_JUMPDEST], check)
        }

        @classmethod
        def apply_message(cls, state: Any, message: Any, context: Any, parent_computation: Any = None) -> Any:
            check()
            return computation_class.apply_message.__func__(
                cls, state, message, context, parent_computation=parent_computation
            )

    return Limited


def opcode_name(number: int) -> str:
    """What geth calls an opcode that does nothing but fail."""
    return "INVALID" if number == _DESIGNATED_INVALID else f"opcode 0x{number:x} not defined"


class _Checked:
    """One of py-evm's opcodes, with a check before it."""

    def __init__(self, plain: Any, check: Callable[[], None]) -> None:
        self._plain, self._check = plain, check
        self.mnemonic, self.gas_cost = plain.mnemonic, plain.gas_cost

    def __call__(self, computation: Any) -> None:
        self._check()
        self._plain(computation=computation)


class _Refunds:
    """The refunds of the whole transaction so far."""

    def __init__(self) -> None:
        self.total = 0


class _Opcodes(dict[int, Callable[..., None]]):
    """py-evm's opcodes by number, each reporting itself; what it does not know as well."""

    def __init__(
        self,
        plain: dict[int, Any],
        watcher: Watcher,
        refunds: _Refunds,
        error_text: Callable[[VMError], str],
    ) -> None:
        self._watcher, self._refunds, self._error_text = watcher, refunds, error_text
        super().__init__({number: self._reporting(_name(fn), fn) for number, fn in plain.items()})

    def __missing__(self, number: int) -> Callable[..., None]:
        return self._reporting(opcode_name(number), InvalidOpcode(number))

    def _reporting(self, name: str, function: Any) -> Callable[..., None]:
        watcher, refunds = self._watcher, self._refunds

        def run(computation: Any) -> None:
            if not len(computation.code):  # py-evm stops by an opcode where there is no code; geth runs none
                function(computation=computation)
                return
            meter = computation.get_gas_meter()
            step = Step(
                pc=max(0, computation.code.program_counter - 1),
                op=name,
                gas=meter.gas_remaining,
                depth=computation.msg.depth + 1,
                address=computation.msg.storage_address,
                refund=refunds.total,
            )
            watcher.step(step, _Machine(computation))
            computation.running = step
            destroyed = _destroyed(computation) if name == "SELFDESTRUCT" else None
            try:
                function(computation=computation)
            except Halt:
                if destroyed is not None:
                    watcher.enter(destroyed)
                    watcher.leave(FrameEnd(0, b"", None, reverted=False))
                raise
            except _ERRORS_OF_A_STEP as error:
                step.error = self._error_text(error)
                raise
            finally:
                if not step.cost:  # a call's was settled where its child began
                    step.cost = step.gas - meter.gas_remaining
                if step.error is not None:  # what it could not pay is not gone, but asked for
                    step.cost = max(step.cost, getattr(function, "gas_cost", 0))
            if name in _LOGS:
                _, address, topics, data = computation._log_entries[-1]  # noqa: SLF001 - no public name
                watcher.log(Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data)))

        return run


class _Machine:
    """``watching.Machine`` over a computation."""

    def __init__(self, computation: Any) -> None:
        self._computation = computation

    def top(self, position: int) -> int:
        values = self._computation._stack.values  # noqa: SLF001 - py-evm has no way to look without popping
        return _word(values[-1 - position]) if position < len(values) else 0

    def stack(self) -> list[int]:
        return [_word(value) for value in self._computation._stack.values]  # noqa: SLF001

    def memory(self) -> bytes:
        return bytes(self._computation._memory._bytes)  # noqa: SLF001

    def returned(self) -> bytes:
        return bytes(self._computation.return_data)

    def slot(self, key: int) -> int:
        return int(self._computation.state.get_storage(self._computation.msg.storage_address, key))


def _name(function: Any) -> str:
    name: str = getattr(function, "mnemonic", None) or function.__wrapped__.mnemonic
    return _NAMES.get(name, name)


def _word(value: Any) -> int:
    return value if isinstance(value, int) else int.from_bytes(value, "big")


def _frame(message: Any, parent: Any) -> Frame:
    kind = "CREATE" if message.is_create else "CALL"
    sender = bytes(message.sender)
    if parent is not None:
        step: Step = parent.running
        kind, sender = step.op, bytes(parent.msg.storage_address)
        # What a call costs is what it takes up to here; a creation's own gas is counted apart.
        step.cost = step.gas - parent.get_gas_meter().gas_remaining
        if message.is_create:
            step.cost -= message.gas
    borrowed = kind in ("CALLCODE", "DELEGATECALL") and not message.is_delegation
    return Frame(
        kind=kind,
        sender=sender,
        to=bytes(message.code_address if borrowed else message.storage_address),
        value=0 if kind == "STATICCALL" else int(message.value),
        gas=int(message.gas),
        data=bytes(message.code if message.is_create else message.data),
    )


def _destroyed(computation: Any) -> Frame:
    address = computation.msg.storage_address
    heir = _Machine(computation).top(0).to_bytes(32, "big")[12:]
    value = int(computation.state.get_balance(address))
    return Frame("SELFDESTRUCT", bytes(address), heir, value, gas=0, data=b"")
