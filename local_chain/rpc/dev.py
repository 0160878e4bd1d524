"""The verbs of development chains: time, snapshots, mining by hand. They answer on loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import ChainError
from local_chain.rpc.quantities import Json, hex_quantity, quantity
from local_chain.rpc.registry import method, optional

if TYPE_CHECKING:
    from local_chain.node import Node

MAX_MINED_AT_ONCE = 1_000


@method("evm_snapshot", privileged=True)
def snapshot(node: Node) -> Json:
    """Remember the present."""
    return hex_quantity(node.chain.snapshot())


@method("evm_revert", quantity, privileged=True)
def revert(node: Node, identifier: int) -> Json:
    """Go back to a snapshot."""
    return node.chain.revert(identifier)


@method("evm_mine", optional(quantity), privileged=True)
def mine(node: Node, timestamp: int | None) -> Json:
    """Seal a block now, at ``timestamp`` if one is given."""
    if timestamp is not None:
        node.chain.set_next_timestamp(timestamp)
    node.chain.mine(allow_empty=True)
    return "0x0"


@method("anvil_mine", optional(quantity, 1), optional(quantity), privileged=True)
@method("hardhat_mine", optional(quantity, 1), optional(quantity), privileged=True)
def mine_many(node: Node, count: int, interval_s: int | None) -> Json:
    """Seal ``count`` blocks, ``interval_s`` seconds apart."""
    if count > MAX_MINED_AT_ONCE:
        raise ChainError(f"expected at most {MAX_MINED_AT_ONCE} blocks at once, got {count}")
    for index in range(count):
        if interval_s and index:
            node.chain.set_next_timestamp(node.chain.head.header.timestamp + interval_s)
        node.chain.mine(allow_empty=True)
    return None


@method("evm_increaseTime", quantity, privileged=True)
def increase_time(node: Node, seconds: int) -> Json:
    """Move the clock forward; the whole offset in seconds."""
    return hex_quantity(node.chain.increase_time(seconds))


@method("evm_setNextBlockTimestamp", quantity, privileged=True)
def set_next_timestamp(node: Node, timestamp: int) -> Json:
    """Give the next block this time."""
    node.chain.set_next_timestamp(timestamp)
    return None
