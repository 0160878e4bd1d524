"""The call tracer: which contract called which, with what, and how each call ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_chain.calls import revert_reason
from local_chain.rpc.quantities import Json, hex_data, hex_quantity
from local_chain.watching import Frame, FrameEnd

if TYPE_CHECKING:
    from local_chain.receipts import Log
    from local_chain.replay import Replayed
    from local_chain.tracing.budget import TraceBudget
    from local_chain.watching import Machine, Step


_CALL_BYTES = 400  # a call or a log without its data


@dataclass(frozen=True, slots=True)
class CallOptions:
    """``only_top`` leaves out the calls that contracts make; ``logs`` shows what each call logged."""

    only_top: bool = False
    logs: bool = False


class CallTracer:
    """The watcher that makes a tree of calls."""

    def __init__(self, options: CallOptions, budget: TraceBudget) -> None:
        self._options = options
        self._budget = budget
        self._open: list[_Node] = []
        self._top: _Node | None = None
        self._logs = 0

    def step(self, step: Step, machine: Machine) -> None:
        """See ``Watcher``."""

    def enter(self, frame: Frame) -> None:
        """See ``Watcher``."""
        node = _Node(frame)
        self._budget.spend(_CALL_BYTES + 2 * len(frame.data))
        if self._open:
            self._open[-1].calls.append(node)
        else:
            self._top = node
        self._open.append(node)

    def log(self, log: Log) -> None:
        """See ``Watcher``."""
        node = self._open[-1]
        self._budget.spend(_CALL_BYTES + 2 * len(log.data))
        node.logs.append((self._logs, len(node.calls), log))
        self._logs += 1

    def leave(self, end: FrameEnd) -> None:
        """See ``Watcher``."""
        node = self._open.pop()
        self._budget.spend(2 * len(end.output))
        node.end = end
        if end.error is not None:
            node.forget_logs()

    def result(self, replayed: Replayed) -> Json:
        """The tree, once the transaction has ended; its outermost call counts the transaction's own gas."""
        transaction, outcome, top = replayed.transaction, replayed.outcome, self._top
        frame = Frame(
            kind="CREATE" if transaction.to is None else "CALL",
            sender=transaction.sender,
            to=replayed.recipient,
            value=transaction.value,
            gas=transaction.gas,
            data=transaction.data,
        )
        end = FrameEnd(outcome.gas_used, outcome.output, outcome.error, reverted=outcome.reverted)
        inside: dict[str, Json] = {}
        if top is not None:
            inside = self._logged(top) if self._options.only_top else self._inside(top)
        return _call_json(frame, end, inside)

    def _inside(self, node: _Node) -> dict[str, Json]:
        view = (
            {"calls": [_call_json(call.frame, call.end, self._inside(call)) for call in node.calls]}
            if node.calls
            else {}
        )
        return view | self._logged(node)

    def _logged(self, node: _Node) -> dict[str, Json]:
        if not self._options.logs or not node.logs:
            return {}
        return {
            "logs": [
                {
                    "address": hex_data(log.address),
                    "topics": [hex_data(topic) for topic in log.topics],
                    "data": hex_data(log.data),
                    "index": hex_quantity(index),
                    "position": hex_quantity(position),
                }
                for index, position, log in node.logs
            ]
        }


class _Node:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.end: FrameEnd | None = None
        self.calls: list[_Node] = []
        self.logs: list[tuple[int, int, Log]] = []

    def forget_logs(self) -> None:
        """What a failed call logged, and what it called, never happened."""
        self.logs.clear()
        for call in self.calls:
            call.forget_logs()


def _call_json(frame: Frame, end: FrameEnd | None, inside: dict[str, Json]) -> dict[str, Json]:
    """A call in the order of geth's fields, with what it called and logged."""
    view: dict[str, Json] = {
        "from": hex_data(frame.sender),
        "gas": hex_quantity(frame.gas),
        "gasUsed": hex_quantity(0 if end is None else end.gas_used),
        "to": hex_data(frame.to),
        "input": hex_data(frame.data),
    }
    if end is not None:
        view |= _ending(end.output, end.error, reverted=end.reverted)
        if end.error is not None and frame.kind in ("CREATE", "CREATE2"):
            del view["to"]
    view |= inside
    if frame.kind != "STATICCALL":
        view["value"] = hex_quantity(frame.value)
    return view | {"type": frame.kind}


def _ending(output: bytes, error: str | None, *, reverted: bool) -> dict[str, Json]:
    view: dict[str, Json] = {}
    if output and (error is None or reverted):
        view["output"] = hex_data(output)
    if error is not None:
        view["error"] = error
        reason = revert_reason(output) if reverted else None
        if reason is not None:
            view["revertReason"] = reason
    return view
