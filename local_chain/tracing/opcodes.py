"""The struct log: every opcode with its gas, and the stack, memory and storage that it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_chain.rpc.quantities import Json, hex_data, hex_quantity

if TYPE_CHECKING:
    from local_chain.receipts import Log
    from local_chain.replay import Replayed
    from local_chain.tracing.budget import TraceBudget
    from local_chain.watching import Frame, FrameEnd, Machine, Step

_STEP_BYTES = 120  # a step without stack, memory and storage
_WORD_BYTES = 70


@dataclass(frozen=True, slots=True)
class OpcodeOptions:
    """What a step shows; ``limit`` 0 keeps all of them."""

    memory: bool = False
    stack: bool = True
    storage: bool = True
    returned: bool = False
    limit: int = 0


class OpcodeTracer:
    """The watcher that makes a struct log."""

    def __init__(self, options: OpcodeOptions, budget: TraceBudget) -> None:
        self._options = options
        self._budget = budget
        self._steps: list[tuple[Step, dict[str, Json]]] = []
        self._storage: dict[bytes, dict[str, str]] = {}

    def enter(self, frame: Frame) -> None:
        """See ``Watcher``."""

    def leave(self, end: FrameEnd) -> None:
        """See ``Watcher``."""

    def log(self, log: Log) -> None:
        """See ``Watcher``."""

    def step(self, step: Step, machine: Machine) -> None:
        """See ``Watcher``."""
        if self._options.limit and len(self._steps) >= self._options.limit:
            return
        details: dict[str, Json] = {}
        if self._options.stack:
            details["stack"] = [hex_quantity(word) for word in machine.stack()]
        if self._options.memory:
            memory = machine.memory()
            details["memory"] = [hex_data(memory[at : at + 32]) for at in range(0, len(memory), 32)]
        if self._options.storage and step.op in ("SLOAD", "SSTORE"):
            details["storage"] = self._used(step, machine)
        if self._options.returned and (returned := machine.returned()):
            details["returnData"] = hex_data(returned)
        words = sum(len(value) for value in details.values() if isinstance(value, list | dict | str))
        self._budget.spend(_STEP_BYTES + _WORD_BYTES * words)
        self._steps.append((step, details))

    def result(self, replayed: Replayed) -> Json:
        """The trace, once the transaction has ended."""
        outcome = replayed.outcome
        shown = b"" if outcome.error is not None and not outcome.reverted else outcome.output
        return {
            "gas": outcome.gas_used,
            "failed": outcome.error is not None,
            "returnValue": hex_data(shown),
            "structLogs": [_step_json(step, details) for step, details in self._steps],
        }

    def _used(self, step: Step, machine: Machine) -> dict[str, str]:
        """Every slot of this contract that was read or written up to here, as geth shows them."""
        used = self._storage.setdefault(step.address, {})
        key = machine.top(0)
        value = machine.slot(key) if step.op == "SLOAD" else machine.top(1)
        used[f"{key:064x}"] = f"{value:064x}"
        return dict(used)


def _step_json(step: Step, details: dict[str, Json]) -> dict[str, Json]:
    view: dict[str, Json] = {
        "pc": step.pc,
        "op": step.op,
        "gas": step.gas,
        "gasCost": step.cost,
        "depth": step.depth,
    }
    if step.refund:
        view["refund"] = step.refund
    if step.error is not None:
        view["error"] = step.error
    return view | details
