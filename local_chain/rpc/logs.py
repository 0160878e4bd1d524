"""Methods that find logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import ChainError, UnknownBlock
from local_chain.rpc.quantities import (
    LATEST,
    InvalidParams,
    Json,
    address,
    block_ref,
    hash32,
    listing,
    mapping,
    member,
    one_or_more,
)
from local_chain.rpc.registry import method
from local_chain.rpc.views import log_json
from local_chain.storage import LogQuery, StoredLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.node import Node

MAX_LOGS = 10_000  # in one answer, the bound that public providers use; a range can always be halved
MAX_TOPICS = 4
_topics = listing(one_or_more(hash32), limit=MAX_TOPICS)


class TooManyResults(ChainError):  # noqa: N818 - providers' name for it
    """The answer would be larger than the bound (-32005)."""


@method("eth_getLogs", mapping)
def get_logs(node: Node, fields: Mapping[str, Json]) -> Json:
    """The logs of one block or of a range that match addresses and topics."""
    return find_logs(node, log_query(node, fields))


def find_logs(node: Node, query: LogQuery) -> list[Json]:
    """The logs that match, with their places; TooManyResults above the bound."""
    found = node.chain.store.logs(query, limit=MAX_LOGS + 1)
    if len(found) > MAX_LOGS:
        raise TooManyResults(f"query returned more than {MAX_LOGS} results: ask for fewer blocks")
    return logs_json(node, found)


def log_query(node: Node, fields: Mapping[str, Json]) -> LogQuery:
    """The query of a filter object; UnknownBlock for a block hash that does not exist."""
    addresses = one_or_more(address)(fields.get("address"))
    nothing: tuple[tuple[bytes, ...], ...] = ()
    topics = member(fields, "topics", _topics, nothing)
    block_hash = member(fields, "blockHash", hash32, None)
    if block_hash is not None:
        if fields.get("fromBlock") is not None or fields.get("toBlock") is not None:
            raise InvalidParams(
                "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
            )
        try:
            number = node.chain.block_with_hash(block_hash).number
        except UnknownBlock as error:
            raise UnknownBlock("unknown block") from error
        return LogQuery(number, number, addresses, topics)
    first, last = (_height(node, fields, name) for name in ("fromBlock", "toBlock"))
    # Who asks for what comes after the head finds nothing; who names two heights has them wrong.
    if first > last and member(fields, "toBlock", block_ref, LATEST).number is not None:
        raise ChainError("invalid block range params")
    return LogQuery(first, last, addresses, topics)


def logs_json(node: Node, logs: tuple[StoredLog, ...]) -> list[Json]:
    """The logs with the hashes of their blocks and transactions, each looked up once a block."""
    places: dict[int, tuple[bytes, int, list[bytes]]] = {}
    views: list[Json] = []
    for log in logs:
        if log.number not in places:
            block = node.chain.block_at(log.number)
            hashes = [item.hash for item in node.chain.store.transactions(log.number)]
            places[log.number] = (block.hash, block.header.timestamp, hashes)
        block_hash, timestamp, hashes = places[log.number]
        transaction_hash = hashes[log.transaction_position]
        views.append(
            log_json(log, block_hash=block_hash, transaction_hash=transaction_hash, timestamp=timestamp)
        )
    return views


def _height(node: Node, fields: Mapping[str, Json], name: str) -> int:
    """A height that may lie above the head: then the range simply ends there."""
    ref = member(fields, name, block_ref, LATEST)
    return ref.number if ref.number is not None else node.resolve(ref).number
