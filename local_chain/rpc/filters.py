"""Filters that clients poll: new logs, new blocks, waiting transactions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from local_chain.errors import ChainError
from local_chain.filters import Filter
from local_chain.rpc.logs import find_logs, log_query
from local_chain.rpc.quantities import (
    LATEST,
    Json,
    block_ref,
    hex_data,
    hex_quantity,
    mapping,
    member,
    quantity,
)
from local_chain.rpc.registry import method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.node import Node

MAX_BLOCKS_AT_ONCE = 1_000  # hashes in one answer of a block filter; the next poll gives the rest
_FOREVER = (1 << 63) - 1  # a height that no chain reaches, and that SQLite holds


@method("eth_newFilter", mapping)
def new_filter(node: Node, fields: Mapping[str, Json]) -> Json:
    """Wait for logs; without a height as its end, the filter stays open."""
    is_open = fields.get("blockHash") is None and member(fields, "toBlock", block_ref, LATEST).number is None
    query = log_query(node, {**fields, "toBlock": hex_quantity(_FOREVER)} if is_open else fields)
    return hex_quantity(node.filters.add(Filter(node.chain.head.number + 1, logs=query)))


@method("eth_newBlockFilter")
def new_block_filter(node: Node) -> Json:
    """Wait for blocks."""
    return hex_quantity(node.filters.add(Filter(node.chain.head.number + 1)))


@method("eth_newPendingTransactionFilter")
def new_pending_filter(node: Node) -> Json:
    """Wait for transactions that wait for a block."""
    return hex_quantity(node.filters.add(Filter(0, told={item.hash for item in node.chain.pool})))


@method("eth_getFilterChanges", quantity)
def filter_changes(node: Node, identifier: int) -> Json:
    """What came since the last poll."""
    item, head = node.filters.get(identifier), node.chain.head.number
    if item.told is not None:
        waiting = [transaction.hash for transaction in node.chain.pool]
        fresh = [one for one in waiting if one not in item.told]
        item.told = set(waiting)
        return [hex_data(one) for one in fresh]
    first = item.next_number
    if item.logs is not None:
        query = replace(item.logs, first=max(first, item.logs.first), last=min(head, item.logs.last))
        found = find_logs(node, query)
        gone, item.removed, item.next_number = item.removed, [], head + 1
        return gone + found
    last = min(head, first + MAX_BLOCKS_AT_ONCE - 1)
    item.next_number = last + 1
    return [hex_data(node.chain.block_at(number).hash) for number in range(first, last + 1)]


@method("eth_getFilterLogs", quantity)
def filter_logs(node: Node, identifier: int) -> Json:
    """Every log that matches, whether told or not."""
    item = node.filters.get(identifier)
    if item.logs is None:
        raise ChainError("filter not found: this one is not for logs")
    return find_logs(node, item.logs)


@method("eth_uninstallFilter", quantity)
def uninstall_filter(node: Node, identifier: int) -> Json:
    """Forget a filter; whether there was one."""
    return node.filters.remove(identifier)
