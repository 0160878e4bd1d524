"""Following another node: fetch its blocks, check the seals, execute them, and take over when it is gone.

A follower trusts the validators that it was told to pin, and nothing else: a block is imported when a
quorum of them sealed it and when executing it gives the very header that they sealed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.release.trust_root import QbftTrust, Validator
from local_chain.errors import ChainError, StateError, UpstreamError, UpstreamGone
from local_chain.headers import Block, decode_block, decode_header
from local_chain.sealing import Sealer, unsealed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from local_chain.node import Node
    from local_chain.server import Worker
    from local_chain.upstream import Upstream

POLL_S = 0.05
RETRY_S = 0.2  # between tries while the upstream is away
BLOCKS_AT_ONCE = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Succession:
    """What a follower needs to seal: the validators' keys, and when it begins.

    It begins when told, or once nobody has listened at the upstream's address for ``after_s`` seconds.
    """

    sealer: Sealer
    after_s: float | None


class Follower:
    """Keeps ``node`` at the height of ``upstream``."""

    def __init__(
        self,
        node: Node,
        upstream: Upstream,
        *,
        pinned: Sequence[Validator],
        succession: Succession | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._upstream = upstream
        self._trust = pinned_trust(pinned)
        self._succession = succession
        self._clock = clock
        self._gone_since: float | None = None
        self._complaint = ""
        node.forward = self.forward
        if succession is not None:
            node.promote = self.promote

    def forward(self, raw: bytes) -> None:
        """Pass a transaction on, and fetch the block that it may already be in; ChainError when it is
        refused.
        """
        self._upstream.call("eth_sendRawTransaction", "0x" + raw.hex())
        self.import_blocks(self.fetch())

    def promote(self) -> None:
        """Begin to seal. Refused while the upstream answers: two sealers with the same keys would make two
        chains.
        """
        if self._succession is None:
            raise ChainError("this node has no validator keys: start it with --keys")
        try:
            self._upstream.call("eth_blockNumber")
        except UpstreamError:
            self._take_over()
        else:
            raise ChainError(
                f"{self._upstream.url} still answers: stop it first, or there would be two chains"
            )

    def fetch(self) -> list[bytes]:
        """The next blocks as they came, unchecked; none when the upstream has no more."""
        ours = self._node.chain.head.number
        theirs = _number(self._upstream.call("eth_blockNumber"))
        wanted = range(ours + 1, min(theirs, ours + BLOCKS_AT_ONCE) + 1)
        if not wanted:
            return []
        answers = self._upstream.calls([("debug_getRawBlock", (hex(number),)) for number in wanted])
        return [_octets(answer) for answer in answers]

    def import_blocks(self, raws: list[bytes]) -> None:
        """Check and execute blocks; those that came in meanwhile are passed over. ChainError: a bad one."""
        for raw in raws:
            block = checked_block(raw, trust=self._trust)
            if block.number > self._node.chain.head.number:
                self._node.chain.import_block(block)

    async def follow(self, worker: Worker) -> AsyncIterator[None]:
        """The background loop: it ends when this node seals itself."""
        while self._node.chain.sealer is None:
            pause_s, gone = RETRY_S, False
            try:
                raws = await asyncio.to_thread(self.fetch)
                await worker.run(lambda raws=raws: self.import_blocks(raws))  # type: ignore[misc]
                pause_s = 0 if raws else POLL_S
                self._complain("")
            except UpstreamError as error:
                self._complain(str(error))
                gone = isinstance(error, UpstreamGone)
            except ChainError as error:
                self._complain(f"{self._upstream.url} sent what we do not accept: {error}")
            if self._is_overdue(gone=gone):
                await worker.run(self._take_over)
            await asyncio.sleep(pause_s)
            yield

    def _is_overdue(self, *, gone: bool) -> bool:
        """Whether to take over now. A node that is slow, or that lies, still lives: it never counts as
        gone.
        """
        if not gone or self._gone_since is None:
            self._gone_since = self._clock() if gone else None
        after_s = None if self._succession is None else self._succession.after_s
        if after_s is None or self._gone_since is None:
            return False
        return self._clock() - self._gone_since >= after_s

    def _take_over(self) -> None:
        if self._succession is not None and self._node.chain.sealer is None:
            self._node.chain.become_sealer(self._succession.sealer)
            self._node.promote = None
            _log.warning("sealing from block %d on", self._node.chain.head.number + 1)

    def _complain(self, text: str) -> None:
        """Say what is wrong once, not at every try."""
        if text and text != self._complaint:
            _log.warning("%s", text)
        self._complaint = text


def checked_block(raw: bytes, *, trust: QbftTrust) -> Block:
    """The block of ``raw`` if a quorum of the pinned validators sealed it; UpstreamError otherwise.

    Its content is still to be executed.
    """
    try:
        raw_header, transactions = decode_block(raw)
        qbft.verify_seals(raw_header, trust)
        return replace(unsealed(decode_header(raw_header)), transactions=transactions)
    except (ValueError, ProtocolError) as error:
        raise UpstreamError(f"a block that its validators did not seal: {error}") from error


def pinned_trust(pinned: Sequence[Validator]) -> QbftTrust:
    """The pinned validators as the device's verifier takes them; StateError when there are none."""
    if not pinned:
        raise StateError("no validators pinned", hint="give --pin FILE or --keys FILE")
    # A development chain may have fewer than four; its own operator pins them knowingly.
    return QbftTrust(validators=tuple(pinned), min_validators=1)


def _number(value: object) -> int:
    if not isinstance(value, str) or len(value) > 18:
        raise UpstreamError(f"expected a block number, got {str(value)[:80]}")
    try:
        return int(value, 16)
    except ValueError as error:
        raise UpstreamError(f"expected a block number, got {value}") from error


def _octets(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError as error:
        raise UpstreamError("expected a block in hex") from error
