"""Subscriptions of clients that keep a connection open, and the messages that they get."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from local_chain.channels import Subscription
from local_chain.errors import ChainError
from local_chain.rpc.logs import find_logs, log_query
from local_chain.rpc.quantities import InvalidParams, Json, hex_data, mapping, wrong
from local_chain.rpc.registry import method, optional
from local_chain.rpc.views import header_json, transaction_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        raise InvalidParams(f"too many arguments: {name} takes no option")
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
