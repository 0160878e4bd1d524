"""The verbs of development chains: time, snapshots, mining by hand, and other people's accounts.

They answer on loopback only. Their names are anvil's and, where hardhat has them, hardhat's too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import ChainError
from local_chain.evm import Change
from local_chain.rpc.overrides import nonce
from local_chain.rpc.quantities import (
    Json,
    address,
    boolean,
    data,
    hash32,
    hex_data,
    hex_quantity,
    mapping,
    member,
    quantity,
    slot,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.subscriptions import retraction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.node import Node

MAX_MINED_AT_ONCE = 1_000
MAX_INTERVAL_S = 31_536_000  # a year; what an event loop's clock can count to is far above
_NOTHING: Mapping[str, Json] = {}


@method("evm_snapshot", privileged=True)
@method("anvil_snapshot", privileged=True)
def snapshot(node: Node) -> Json:
    """Remember the present."""
    return hex_quantity(node.chain.snapshot())


@method("evm_revert", quantity, privileged=True)
@method("anvil_revert", quantity, privileged=True)
def revert(node: Node, identifier: int) -> Json:
    """Go back to a snapshot; who listens is told of the logs that are gone."""
    height = node.chain.snapshot_height(identifier)
    if height is None:
        return False
    told = retraction(node, height)
    node.chain.revert(identifier)
    told()
    return True


@method("anvil_reset", optional(mapping, _NOTHING), privileged=True)
@method("hardhat_reset", optional(mapping, _NOTHING), privileged=True)
def reset(node: Node, options: Mapping[str, Json]) -> Json:
    """Go back to the first block, and undo what was set by hand; this chain forks no other one."""
    forking = member(options, "forking", mapping, _NOTHING)
    if any(value is not None for value in forking.values()):
        raise ChainError("this chain does not fork another one: expected no forking options")
    told = retraction(node, 0)
    node.chain.reset()
    node.impersonated.clear()
    node.impersonates_all = False
    told()
    return True


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


@method("evm_setAutomine", boolean, privileged=True)
@method("anvil_setAutomine", boolean, privileged=True)
def set_automine(node: Node, instant: bool) -> Json:
    """Seal as soon as something waits (and no longer by the clock), or only when told to."""
    node.set_instant(instant)
    return True


@method("evm_setIntervalMining", quantity, privileged=True)
@method("anvil_setIntervalMining", quantity, privileged=True)
def set_interval_mining(node: Node, seconds: int) -> Json:
    """Seal every so many seconds instead of at once; 0: only when told to."""
    if seconds > MAX_INTERVAL_S:
        raise ChainError(f"expected at most {MAX_INTERVAL_S} s between blocks, got {seconds}")
    node.set_block_time(seconds or None)
    return True


@method("anvil_getIntervalMining", privileged=True)
def get_interval_mining(node: Node) -> Json:
    """How many seconds lie between blocks, or null."""
    return None if node.block_time_s is None else max(1, round(node.block_time_s))


@method("anvil_getAutomine", privileged=True)
@method("hardhat_getAutomine", privileged=True)
def get_automine(node: Node) -> Json:
    """Whether a transaction is sealed as soon as it waits."""
    return node.instant


@method("evm_increaseTime", quantity, privileged=True)
@method("anvil_increaseTime", quantity, privileged=True)
def increase_time(node: Node, seconds: int) -> Json:
    """Move the clock forward; the whole offset in seconds."""
    return hex_quantity(node.chain.increase_time(seconds))


@method("evm_setNextBlockTimestamp", quantity, privileged=True)
@method("anvil_setNextBlockTimestamp", quantity, privileged=True)
def set_next_timestamp(node: Node, timestamp: int) -> Json:
    """Give the next block this time."""
    node.chain.set_next_timestamp(timestamp)
    return None


@method("anvil_setNextBlockBaseFeePerGas", quantity, privileged=True)
@method("hardhat_setNextBlockBaseFeePerGas", quantity, privileged=True)
def set_next_base_fee(node: Node, base_fee: int) -> Json:
    """Give the next block this base fee in wei, which followers refuse."""
    node.chain.set_next_base_fee(base_fee)
    return None


@method("anvil_setBalance", address, quantity, privileged=True)
@method("hardhat_setBalance", address, quantity, privileged=True)
def set_balance(node: Node, who: bytes, balance: int) -> Json:
    """Give an account this balance in wei, in an empty block that is sealed now."""
    return _changed(node, who, Change(balance=balance))


@method("anvil_setNonce", address, nonce, privileged=True)
@method("hardhat_setNonce", address, nonce, privileged=True)
def set_nonce(node: Node, who: bytes, number: int) -> Json:
    """Give an account this nonce, in an empty block that is sealed now."""
    if number < node.chain.account(who).nonce:
        raise ChainError("the nonce can only grow: a lower one would make sent transactions valid again")
    return _changed(node, who, Change(nonce=number))


@method("anvil_setCode", address, data, privileged=True)
@method("hardhat_setCode", address, data, privileged=True)
def set_code(node: Node, who: bytes, code: bytes) -> Json:
    """Give an account this code, in an empty block that is sealed now."""
    return _changed(node, who, Change(code=code))


@method("anvil_setStorageAt", address, slot, hash32, privileged=True)
@method("hardhat_setStorageAt", address, slot, hash32, privileged=True)
def set_storage_at(node: Node, who: bytes, at: int, word: bytes) -> Json:
    """Set one word of an account's storage, in an empty block that is sealed now."""
    _changed(node, who, Change(slots={at: int.from_bytes(word, "big")}))
    return True


@method("anvil_setCoinbase", address, privileged=True)
@method("hardhat_setCoinbase", address, privileged=True)
def set_coinbase(node: Node, who: bytes) -> Json:
    """Let tips go to this address from the next block on, and not to the block's proposer."""
    node.chain.coinbase = who
    return None


@method("anvil_impersonateAccount", address, privileged=True)
@method("hardhat_impersonateAccount", address, privileged=True)
def impersonate(node: Node, who: bytes) -> Json:
    """Let ``eth_sendTransaction`` send for this account without its key."""
    node.impersonated.add(who)
    return None


@method("anvil_stopImpersonatingAccount", address, privileged=True)
@method("hardhat_stopImpersonatingAccount", address, privileged=True)
def stop_impersonating(node: Node, who: bytes) -> Json:
    """Let it no longer."""
    node.impersonated.discard(who)
    return None


@method("anvil_autoImpersonateAccount", boolean, privileged=True)
def impersonate_all(node: Node, every: bool) -> Json:
    """Let ``eth_sendTransaction`` send for every account."""
    node.impersonates_all = every
    return None


@method("anvil_dropTransaction", hash32, privileged=True)
@method("hardhat_dropTransaction", hash32, privileged=True)
def drop_transaction(node: Node, transaction_hash: bytes) -> Json:
    """Forget a transaction that waits; its hash, or null when it does not wait."""
    waiting = node.chain.pool.get(transaction_hash)
    if waiting is None:
        return None
    node.chain.pool.remove(waiting)
    return hex_data(transaction_hash)


@method("anvil_dropAllTransactions", privileged=True)
def drop_all(node: Node) -> Json:
    """Forget every transaction that waits."""
    node.chain.pool.clear()
    return None


def _changed(node: Node, who: bytes, change: Change) -> Json:
    node.chain.change_state({who: change})
    return None
