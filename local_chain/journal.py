"""What happens on a node, for who watches its terminal or reads its log: blocks, and what failed and why.

The chain's thread only hands over what happened; another one words and prints it, so a slow terminal slows
no block.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from local_chain.calls import failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_chain.building import Body
    from local_chain.evm import Outcome
    from local_chain.headers import Block
    from local_chain.node import Node
    from local_chain.transactions import Transaction

LOG_SCHEMA = "fwledger-chain/log/1"
MAX_WAITING = 10_000  # happenings that nobody has read yet; what comes then is counted, not kept
_END_S = 2.0  # how long the last lines may take when the node stops
_MAX_TEXT = 300  # of what a contract or a client says


@dataclass(frozen=True, slots=True)
class Sealed:
    """A block that stands; ``body`` is None where the state was set by hand."""

    block: Block
    body: Body | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that was answered with an error."""

    method: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Missed:
    """So many happenings came faster than they were read."""

    count: int


Happening = Sealed | Failed | Missed


class Wording(Protocol):
    """Lines for a happening."""

    def __call__(self, happening: Happening) -> Iterator[str]:
        """Its lines, without their ends."""
        ...


class Journal:
    """Prints what happens on ``node`` from now on, in ``words``, on standard output."""

    def __init__(self, node: Node, words: Wording) -> None:
        self._words = words
        self._waiting: queue.SimpleQueue[Happening | None] = queue.SimpleQueue()
        self._missed = 0
        node.chain.on_body = lambda block, body: self._hand_over(Sealed(block, body))
        node.on_failure = lambda *what: self._hand_over(Failed(*what))
        self._thread = threading.Thread(target=self._print, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Print what waits, and stop."""
        self._waiting.put(None)
        self._thread.join(_END_S)

    def _hand_over(self, happening: Happening) -> None:
        if self._waiting.qsize() >= MAX_WAITING:
            self._missed += 1
            return
        if self._missed:
            self._waiting.put(Missed(self._missed))
            self._missed = 0
        self._waiting.put(happening)

    def _print(self) -> None:
        try:
            while (happening := self._waiting.get()) is not None:
                sys.stdout.writelines(line + "\n" for line in self._words(happening))
                if self._waiting.empty():
                    sys.stdout.flush()
        except (OSError, ValueError):  # nobody reads any more, or standard output was closed
            _forget_output()


def plain(happening: Happening) -> Iterator[str]:
    """A line a block, and one for each thing that failed."""
    if isinstance(happening, Failed):
        yield f"{shown(happening.method)} failed: {shown(happening.message)}"
        return
    if isinstance(happening, Missed):
        yield f"... {happening.count} lines left out"
        return
    block, count = happening.block, len(happening.block.transactions)
    words = [f"block {block.number}", f"0x{block.hash.hex()[:12]}", f"{count} tx{'' if count == 1 else 's'}"]
    words += [f"{block.header.gas_used} gas", f"round {block.round_number}"]
    if not block.seals:
        words[-1] = "no seals"
    if happening.body is None:
        words.append("state set by hand")
    yield "  ".join(words)
    for transaction, outcome in _outcomes(happening):
        if outcome.error is not None:
            yield f"  0x{transaction.hash.hex()} failed: {shown(str(failure(outcome)))}"


def as_json(happening: Happening) -> Iterator[str]:
    """A JSON object a line: each block, each of its transactions, each failure."""
    if isinstance(happening, Failed):
        yield _line("failure", method=happening.method, code=happening.code, message=happening.message)
        return
    if isinstance(happening, Missed):
        yield _line("missed", count=happening.count)
        return
    block = happening.block
    yield _line(
        "block",
        number=block.number,
        hash="0x" + block.hash.hex(),
        timestamp=block.header.timestamp,
        transactions=len(block.transactions),
        gasUsed=block.header.gas_used,
        round=block.round_number,
        seals=len(block.seals),
    )
    for transaction, outcome in _outcomes(happening):
        yield _line(
            "transaction",
            hash="0x" + transaction.hash.hex(),
            block=block.number,
            gasUsed=outcome.gas_used,
            error=None if outcome.error is None else str(failure(outcome)),
        )


def shown(text: str) -> str:
    """Text of a stranger on a terminal: on one line, not long, and without control characters."""
    short = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def _outcomes(sealed: Sealed) -> Iterator[tuple[Transaction, Outcome]]:
    if sealed.body is not None:
        yield from zip(sealed.body.transactions, sealed.body.outcomes, strict=True)


def _forget_output() -> None:
    """Let what is still buffered go nowhere: Python would end with an error where it cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _line(event: str, **fields: object) -> str:
    return json.dumps({"schema": LOG_SCHEMA, "event": event} | fields)
