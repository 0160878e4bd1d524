"""Moves of ether as logs, as if ether were a token (``traceTransfers`` of ``eth_simulateV1``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_protocol.keccak import keccak256
from local_chain.receipts import Log

if TYPE_CHECKING:
    from local_chain.watching import Frame, FrameEnd, Machine, Step

ETHER = b"\xee" * 20  # the address that stands for ether (ERC-7528)
_TRANSFER = keccak256(b"Transfer(address,address,uint256)")


class TransferLogger:
    """The watcher that keeps every log, and makes one of every transfer; those of failed calls go."""

    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._marks: list[int] = []

    def logs(self) -> tuple[Log, ...]:
        """All of them, in order."""
        return tuple(self._logs)

    def step(self, step: Step, machine: Machine) -> None:
        """See ``Watcher``."""

    def enter(self, frame: Frame) -> None:
        """See ``Watcher``."""
        self._marks.append(len(self._logs))
        if frame.value and frame.kind != "DELEGATECALL":
            topics = (_TRANSFER, bytes(12) + frame.sender, bytes(12) + frame.to)
            self._logs.append(Log(ETHER, topics, frame.value.to_bytes(32, "big")))

    def log(self, log: Log) -> None:
        """See ``Watcher``."""
        self._logs.append(log)

    def leave(self, end: FrameEnd) -> None:
        """See ``Watcher``."""
        mark = self._marks.pop()
        if end.error is not None:
            del self._logs[mark:]
