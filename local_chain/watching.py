"""What an execution tells whoever watches it, opcode by opcode and call by call. Tracers are watchers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from local_chain.receipts import Log


@dataclass(slots=True)
class Step:
    """One opcode. ``cost`` and ``error`` are known once it is over; until then they are 0 and None.

    ``depth`` is 1 in the outermost call; ``address`` is whose storage the code works on.
    """

    pc: int
    op: str
    gas: int
    depth: int
    address: bytes
    refund: int
    cost: int = 0
    error: str | None = None


class Machine(Protocol):
    """What an opcode finds before it runs."""

    def top(self, position: int) -> int:
        """The word at ``position`` from the top of the stack, 0 being the top; 0 where there is none."""
        ...

    def stack(self) -> list[int]:
        """The whole stack, its top last."""
        ...

    def memory(self) -> bytes:
        """The whole memory."""
        ...

    def returned(self) -> bytes:
        """What the last call made by this code returned."""
        ...

    def slot(self, key: int) -> int:
        """A word of the storage that the code works on."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """A call that begins; ``kind`` is the opcode that makes it, and CALL or CREATE for the outermost."""

    kind: str
    sender: bytes
    to: bytes
    value: int
    gas: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FrameEnd:
    """How a call ended; ``error`` is None on success."""

    gas_used: int
    output: bytes
    error: str | None
    reverted: bool


class Watcher(Protocol):
    """Told of everything in the order in which it happens."""

    def enter(self, frame: Frame) -> None:
        """A call begins."""
        ...

    def step(self, step: Step, machine: Machine) -> None:
        """An opcode is about to run."""
        ...

    def log(self, log: Log) -> None:
        """The running code has written a log."""
        ...

    def leave(self, end: FrameEnd) -> None:
        """The innermost call has ended."""
        ...
