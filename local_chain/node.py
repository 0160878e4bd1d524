"""A node: the chain, and what it does by itself (seal when something waits) and for its owner (unlocked
accounts).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import ChainError
from local_chain.filters import FilterTable
from local_chain.transactions import decode_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger_protocol.release.trust_root import Validator
    from local_chain.accounts import DevAccount
    from local_chain.chain import Chain
    from local_chain.channels import Channel
    from local_chain.headers import Block
    from local_chain.rpc.quantities import BlockRef
    from local_chain.transactions import Transaction


class Node:
    """What the RPC methods work on. One caller at a time.

    ``instant`` seals as soon as something waits; otherwise blocks come by ``seal_interval_block``, every
    ``block_time_s`` seconds where that is set (``on_block_time`` is told when it changes).
    ``forward`` is where a node that does not seal sends transactions. ``on_waiting`` is told when
    ``seal_waiting`` should be called, soon and once; ``on_pending`` of each transaction that came in;
    ``on_failure`` of each request that failed: its method, code and message.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        accounts: Sequence[DevAccount] = (),
        identities: Sequence[Validator] = (),
        instant: bool = True,
        forward: Callable[[bytes], None] | None = None,
    ) -> None:
        self.chain = chain
        self.accounts = {account.address: account for account in accounts}
        self.identities = tuple(identities)
        self.instant = instant
        self.forward = forward
        self.promote: Callable[[], None] | None = None
        self.filters = FilterTable()
        self.on_waiting: Callable[[], None] | None = None
        self.channels: dict[Channel, None] = {}  # an ordered set
        self.on_pending: Callable[[Transaction], None] | None = None
        self.on_failure: Callable[[str, int, str], None] | None = None
        self.impersonated: set[bytes] = set()
        self.impersonates_all = False
        self.block_time_s: float | None = None
        self.on_block_time: Callable[[], None] | None = None
        self._sealing_queued = False

    def submit(self, raw: bytes) -> Transaction:
        """Take a raw transaction in, or pass it on; InvalidTransaction when it can never be mined."""
        if self.chain.sealer is None:
            return self._pass_on(raw)
        return self._taken_in(self.chain.submit(raw))

    def impersonate(self, transaction: Transaction) -> Transaction:
        """Take in a transaction of an impersonated sender, which nobody signed; InvalidTransaction as in
        ``submit``.
        """
        if self.chain.sealer is None:
            raise ChainError("this node does not seal: it follows another one")
        return self._taken_in(self.chain.admit(transaction))

    def set_instant(self, instant: bool) -> None:
        """Seal as soon as something waits, and no longer by the clock; or only when told to."""
        self.instant = instant
        if instant:
            self._set_clock(None)
        if instant and len(self.chain.pool):
            self._queue_sealing()

    def set_block_time(self, seconds: float | None) -> None:
        """Seal every so many seconds, empty blocks too; None: only when told to."""
        self.instant = False
        self._set_clock(seconds)

    def _set_clock(self, seconds: float | None) -> None:
        self.block_time_s = seconds
        if self.on_block_time is not None:
            self.on_block_time()

    def _taken_in(self, transaction: Transaction) -> Transaction:
        if self.on_pending is not None:
            self.on_pending(transaction)
        if self.instant:
            self._queue_sealing()
        return transaction

    def _queue_sealing(self) -> None:
        if not self._sealing_queued:
            self._sealing_queued = True
            if self.on_waiting is not None:
                self.on_waiting()

    def seal_waiting(self) -> None:
        """Seal what waits, in as many blocks as it takes."""
        self._sealing_queued = False
        while len(self.chain.pool) and self.chain.mine(allow_empty=False) is not None:
            pass

    def seal_interval_block(self) -> None:
        """Seal one block, empty if nothing waits."""
        self.chain.mine(allow_empty=True)

    def resolve(self, ref: BlockRef) -> Block:
        """The block that ``ref`` means; UnknownBlock when there is none. Every block is final at once."""
        if ref.hash is not None:
            return self.chain.block_with_hash(ref.hash)
        if ref.number is not None:
            return self.chain.block_at(ref.number)
        return self.chain.block_at(0) if ref.tag == "earliest" else self.chain.head

    def _pass_on(self, raw: bytes) -> Transaction:
        if self.forward is None:
            raise ChainError("this node does not seal, and follows no other one")
        transaction = decode_transaction(raw)  # whether it can be mined is for the node that seals to say
        self.forward(raw)
        return transaction
