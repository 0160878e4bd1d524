"""Methods that show what waits for a block, as geth shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

from local_chain.rpc.quantities import Json, address, hex_quantity
from local_chain.rpc.registry import method
from local_chain.rpc.views import transaction_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_chain.node import Node
    from local_chain.transactions import Transaction


@method("txpool_status")
def status(node: Node) -> Json:
    """How many transactions can run now, and how many wait for an earlier nonce."""
    ready, queued = _split(node)
    return {"pending": hex_quantity(len(ready)), "queued": hex_quantity(len(queued))}


@method("txpool_content")
def content(node: Node) -> Json:
    """What waits, by sender and nonce."""
    ready, queued = _split(node)
    return {"pending": _by_sender(ready, _whole), "queued": _by_sender(queued, _whole)}


@method("txpool_contentFrom", address)
def content_from(node: Node, who: bytes) -> Json:
    """What waits of one sender, by nonce."""
    ready, queued = ({str(t.nonce): _whole(t) for t in some if t.sender == who} for some in _split(node))
    return {"pending": ready, "queued": queued}


@method("txpool_inspect")
def inspect(node: Node) -> Json:
    """What waits, by sender and nonce, each in one line of text."""
    ready, queued = _split(node)
    return {"pending": _by_sender(ready, _line), "queued": _by_sender(queued, _line)}


def _split(node: Node) -> tuple[list[Transaction], list[Transaction]]:
    pool = node.chain.pool
    ready = list(pool.ready(lambda sender: node.chain.account(sender).nonce))
    hashes = {transaction.hash for transaction in ready}
    return ready, [transaction for transaction in pool if transaction.hash not in hashes]


def _by_sender(some: Iterable[Transaction], view: Callable[[Transaction], Json]) -> Json:
    views: dict[str, dict[str, Json]] = {}
    for transaction in some:
        of_sender = views.setdefault(to_checksum_address(transaction.sender), {})
        of_sender[str(transaction.nonce)] = view(transaction)
    return views


def _whole(transaction: Transaction) -> Json:
    return transaction_json(transaction, base_fee=None)


def _line(transaction: Transaction) -> Json:
    to = "contract creation" if transaction.to is None else to_checksum_address(transaction.to)
    return f"{to}: {transaction.value} wei + {transaction.gas} gas × {transaction.max_fee} wei"
