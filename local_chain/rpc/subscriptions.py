"""Subscriptions of clients that keep a connection open, and the messages that they get."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from local_chain.channels import Subscription
from local_chain.errors import ChainError
from local_chain.rpc.logs import MAX_LOGS, TooManyResults, find_logs, log_query
from local_chain.rpc.quantities import InvalidParams, Json, hex_data, mapping, wrong
from local_chain.rpc.registry import method, optional
from local_chain.rpc.views import header_json, transaction_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from local_chain.channels import Channel
    from local_chain.headers import Block
    from local_chain.node import Node
    from local_chain.storage import LogQuery
    from local_chain.transactions import Transaction

NEW_HEADS, LOGS, PENDING, SYNCING = "newHeads", "logs", "newPendingTransactions", "syncing"
KINDS = (NEW_HEADS, LOGS, PENDING, SYNCING)
_log = logging.getLogger(__name__)


def kind(value: Json) -> str:
    """The name of what can be subscribed to."""
    if not isinstance(value, str) or value not in KINDS:
        raise wrong(f"one of {', '.join(KINDS)}", value)
    return value


def identifier(value: Json) -> str:
    """A subscription's identifier, as ``eth_subscribe`` gave it."""
    if not isinstance(value, str):
        raise wrong("a subscription's identifier", value)
    return value


def option(value: Json) -> Json:
    """What goes with the kind: a log filter, or whether whole transactions are wanted."""
    return value


@method("eth_subscribe", kind, optional(option), over_socket=True)
def subscribe(node: Node, channel: Channel, name: str, wanted: Json) -> Json:
    """Be told of new blocks, logs or waiting transactions; the subscription's identifier."""
    if name == LOGS:
        fields = dict(mapping({} if wanted is None else wanted))
        for unused in ("fromBlock", "toBlock", "blockHash"):  # a subscription is about what comes
            fields.pop(unused, None)
        subscription = Subscription(name, logs=log_query(node, fields))
    elif wanted is None or (isinstance(wanted, bool) and name == PENDING):
        subscription = Subscription(name, full=bool(wanted))
    else:
        raise InvalidParams(f"too many arguments, want at most 1: {name} takes no option")
    node.channels[channel] = None
    return channel.add(subscription)


@method("eth_unsubscribe", identifier, over_socket=True)
def unsubscribe(_node: Node, channel: Channel, which: str) -> Json:
    """End a subscription of this connection."""
    if channel.subscriptions.pop(which, None) is None:
        raise ChainError("subscription not found")
    return True


def publish(node: Node) -> None:
    """From now on tell the node's subscribers of what happens on it."""
    node.chain.on_block = lambda block: _tell(_of_block(node, block))
    node.on_pending = lambda transaction: _tell(_of_pending(node, transaction))


def retraction(node: Node, height: int) -> Callable[[], None]:
    """What to do once every block above ``height`` is gone: tell who heard of its logs, newest first.

    Their filters and subscriptions get them again with ``removed`` set, as from geth after a fork.
    """
    head = node.chain.head.number
    messages = [
        (channel, which, log)
        for channel, which, subscription in _subscriptions(node)
        if subscription.logs is not None
        for log in _gone(node, replace(subscription.logs, first=0, last=head), height + 1, head) or ()
    ]
    of_filters = {
        number: _gone(node, item.logs, height + 1, min(head, item.next_number - 1))
        for number, item in node.filters
        if item.logs is not None and item.next_number > height + 1
    }

    def tell() -> None:
        for number, item in node.filters:
            item.next_number = min(item.next_number, height + 1)
            if number in of_filters:
                gone = of_filters[number]
                if gone is None or len(item.removed) + len(gone) > MAX_LOGS:
                    node.filters.remove(number)  # its client makes a new one, and reads all logs anew
                else:
                    item.removed += gone
        _tell(messages)

    return tell


def _gone(node: Node, query: LogQuery, first: int, last: int) -> list[Json] | None:
    """The logs from ``first`` to ``last`` that match, marked as removed; None when they are too many."""
    within = replace(query, first=max(first, query.first), last=min(last, query.last))
    try:
        found = find_logs(node, within)
    except TooManyResults:
        return None
    return [log | {"removed": True} for log in reversed(found) if isinstance(log, dict)]


def _of_block(node: Node, block: Block) -> Iterator[tuple[Channel, str, Json]]:
    number = block.number
    for channel, which, subscription in _subscriptions(node):
        if subscription.kind == NEW_HEADS:
            yield channel, which, header_json(block)
        elif subscription.logs is not None:
            query: LogQuery = replace(subscription.logs, first=number, last=number)
            for log in find_logs(node, query):
                yield channel, which, log


def _of_pending(node: Node, transaction: Transaction) -> Iterator[tuple[Channel, str, Json]]:
    for channel, which, subscription in _subscriptions(node):
        if subscription.kind == PENDING:
            full = subscription.full
            yield (
                channel,
                which,
                transaction_json(transaction, base_fee=None) if full else hex_data(transaction.hash),
            )


def _subscriptions(node: Node) -> Iterator[tuple[Channel, str, Subscription]]:
    for channel in tuple(node.channels):
        for which, subscription in tuple(channel.subscriptions.items()):
            yield channel, which, subscription


def _tell(messages: Iterable[tuple[Channel, str, Json]]) -> None:
    try:
        for channel, which, result in messages:
            message = {
                "jsonrpc": "2.0",
                "method": "eth_subscription",
                "params": {"subscription": which, "result": result},
            }
            channel.push(json.dumps(message, separators=(",", ":")).encode())
    except Exception:  # the block stands already: who listens must not be able to undo it
        _log.exception("a subscriber could not be told")
