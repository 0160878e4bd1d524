"""Transactions that wait for a block: per sender by nonce, and across senders in order of arrival."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from local_chain.errors import InvalidTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_chain.transactions import Transaction

MAX_TRANSACTIONS = (
    10_000  # bounds memory: 1.3 GB if every one were as large as it may be, a few MB in practice
)
MAX_NONCE_GAP = 1_000  # how far ahead of its account a transaction may wait: bounds what one sender fills
PRICE_BUMP_PERCENT = 10  # what a replacement has to pay more, as geth asks


class Pool:
    """The waiting transactions, at most ``limit``; the chain checks them before they enter."""

    def __init__(self, *, limit: int = MAX_TRANSACTIONS) -> None:
        self._limit = limit
        self._by_sender: dict[bytes, dict[int, tuple[int, Transaction]]] = {}
        self._by_hash: dict[bytes, Transaction] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """The waiting transaction with this hash."""
        return self._by_hash.get(transaction_hash)

    def add(self, transaction: Transaction, *, account_nonce: int) -> None:
        """Take a transaction in, in the place of one with the same nonce if it pays enough more.

        A full pool drops the cheapest that no other waits for, if the new one pays more. Raises
        InvalidTransaction.
        """
        if transaction.hash in self._by_hash:
            raise InvalidTransaction("already known")
        if transaction.nonce > account_nonce + MAX_NONCE_GAP:
            raise InvalidTransaction(f"nonce too high: expected at most {account_nonce + MAX_NONCE_GAP}")
        waiting = self._by_sender.setdefault(transaction.sender, {})
        arrival = self._arrivals
        if (old := waiting.get(transaction.nonce)) is not None:
            arrival, replaced = old
            if not _outbids(transaction, replaced):
                raise InvalidTransaction("replacement transaction underpriced")
            del self._by_hash[replaced.hash]
        elif len(self._by_hash) >= self._limit:
            self._make_room_for(transaction)
        self._arrivals += 1
        waiting[transaction.nonce] = (arrival, transaction)
        self._by_hash[transaction.hash] = transaction

    def next_nonce(self, sender: bytes, account_nonce: int) -> int:
        """The first nonce from ``account_nonce`` on that nothing waits for."""
        waiting = self._by_sender.get(sender, {})
        while account_nonce in waiting:
            account_nonce += 1
        return account_nonce

    def ready(self, nonce_of: Callable[[bytes], int]) -> Iterator[Transaction]:
        """The transactions that can run now: each sender's in nonce order without a gap, the earliest
        arrival first.
        """
        heads: list[tuple[int, bytes, int]] = []
        for sender, waiting in self._by_sender.items():
            nonce = nonce_of(sender)
            if nonce in waiting:
                heads.append((waiting[nonce][0], sender, nonce))
        heapq.heapify(heads)
        while heads:
            _, sender, nonce = heapq.heappop(heads)
            waiting = self._by_sender[sender]
            yield waiting[nonce][1]
            if nonce + 1 in waiting:
                heapq.heappush(heads, (waiting[nonce + 1][0], sender, nonce + 1))

    def remove(self, transaction: Transaction) -> None:
        """Drop a transaction that was mined or can never be."""
        if self._by_hash.pop(transaction.hash, None) is None:
            return
        waiting = self._by_sender[transaction.sender]
        del waiting[transaction.nonce]
        if not waiting:
            del self._by_sender[transaction.sender]

    def _make_room_for(self, new: Transaction) -> None:
        """Drop the cheapest of the senders' last transactions: dropping an earlier one would leave a gap."""
        lasts = [waiting[max(waiting)][1] for waiting in self._by_sender.values() if waiting]
        candidates = [last for last in lasts if last.sender != new.sender or last.nonce > new.nonce]
        cheapest = min(candidates, key=_price, default=None)
        if cheapest is None:
            raise InvalidTransaction("txpool is full")
        if _price(new) <= _price(cheapest):
            raise InvalidTransaction(
                f"transaction underpriced: gas tip cap {new.max_priority_fee}, minimum needed "
                f"{cheapest.max_priority_fee + 1}: the pool is full"
            )
        self.remove(cheapest)

    def clear(self) -> None:
        """Drop everything."""
        self._by_sender.clear()
        self._by_hash.clear()

    def __iter__(self) -> Iterator[Transaction]:
        return iter(tuple(self._by_hash.values()))


def _price(transaction: Transaction) -> tuple[int, int]:
    return transaction.max_priority_fee, transaction.max_fee


def _outbids(new: Transaction, old: Transaction) -> bool:
    pairs = ((new.max_fee, old.max_fee), (new.max_priority_fee, old.max_priority_fee))
    return all(100 * ours >= (100 + PRICE_BUMP_PERCENT) * theirs for ours, theirs in pairs)
