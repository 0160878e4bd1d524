"""Methods that read blocks, transactions and receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import UnknownBlock
from local_chain.headers import Block
from local_chain.rpc.quantities import (
    LATEST,
    BlockRef,
    InvalidParams,
    Json,
    block_hash,
    block_ref,
    boolean,
    hash32,
    hex_data,
    hex_quantity,
    quantity,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.views import (
    block_json,
    header_json,
    mined_transaction_json,
    pending_block_json,
    receipt_json,
    receipts_json,
    transaction_json,
)

if TYPE_CHECKING:
    from local_chain.node import Node


@method("eth_blockNumber")
def block_number(node: Node) -> Json:
    """The head's height."""
    return hex_quantity(node.chain.head.number)


@method("eth_getBlockByNumber", block_ref, optional(boolean, default=False))
@method("eth_getBlockByHash", block_hash, optional(boolean, default=False))
def get_block(node: Node, ref: BlockRef, full: bool) -> Json:
    """A block, or null; the pending one holds what waits, not executed, and has no hash yet."""
    if ref.tag == "pending":
        return pending_block_json(node.chain, full=full)
    block = _find(node, ref)
    return None if block is None else block_json(node.chain.store, block, full=full)


@method("eth_getHeaderByNumber", block_ref)
@method("eth_getHeaderByHash", block_hash)
def get_header(node: Node, ref: BlockRef) -> Json:
    """A header, or null."""
    block = _find(node, ref)
    return None if block is None else header_json(block)


@method("eth_getBlockTransactionCountByNumber", block_ref)
@method("eth_getBlockTransactionCountByHash", block_hash)
def count_transactions(node: Node, ref: BlockRef) -> Json:
    """How many transactions a block has, or null."""
    block = _find(node, ref)
    return None if block is None else hex_quantity(len(node.chain.store.transactions(block.number)))


@method("eth_getUncleCountByBlockNumber", block_ref)
@method("eth_getUncleCountByBlockHash", block_hash)
def count_uncles(node: Node, ref: BlockRef) -> Json:
    """Zero, or null."""
    return None if _find(node, ref) is None else hex_quantity(0)


@method("eth_getTransactionByHash", hash32)
def get_transaction(node: Node, transaction_hash: bytes) -> Json:
    """A transaction that is mined or waits, or null."""
    store = node.chain.store
    mined = store.transaction(transaction_hash)
    if mined is not None:
        return mined_transaction_json(mined, node.chain.block_at(mined.number))
    waiting = node.chain.pool.get(transaction_hash)
    return None if waiting is None else transaction_json(waiting, base_fee=None)


@method("eth_getTransactionByBlockNumberAndIndex", block_ref, quantity)
@method("eth_getTransactionByBlockHashAndIndex", block_hash, quantity)
def get_transaction_in_block(node: Node, ref: BlockRef, index: int) -> Json:
    """The transaction at an index of a block, or null."""
    block = _find(node, ref)
    mined = () if block is None else node.chain.store.transactions(block.number)
    return mined_transaction_json(mined[index], block) if block is not None and index < len(mined) else None


@method("eth_getRawTransactionByHash", hash32)
@method("debug_getRawTransaction", hash32)
def get_raw_transaction(node: Node, transaction_hash: bytes) -> Json:
    """A transaction as it was sent, or null."""
    found = node.chain.store.transaction(transaction_hash) or node.chain.pool.get(transaction_hash)
    return None if found is None else hex_data(found.raw)


@method("eth_getRawTransactionByBlockNumberAndIndex", block_ref, quantity)
@method("eth_getRawTransactionByBlockHashAndIndex", block_hash, quantity)
def get_raw_transaction_in_block(node: Node, ref: BlockRef, index: int) -> Json:
    """The transaction at an index of a block as it was sent, or null."""
    block = _find(node, ref)
    mined = () if block is None else node.chain.store.transactions(block.number)
    return hex_data(mined[index].raw) if index < len(mined) else None


@method("eth_getTransactionReceipt", hash32)
def get_receipt(node: Node, transaction_hash: bytes) -> Json:
    """The receipt of a mined transaction, or null."""
    mined = node.chain.store.transaction(transaction_hash)
    return None if mined is None else receipt_json(node.chain.store, node.chain.block_at(mined.number), mined)


@method("eth_getBlockReceipts", block_ref)
def get_block_receipts(node: Node, ref: BlockRef) -> Json:
    """Every receipt of a block, or null."""
    block = _find(node, ref)
    return None if block is None else receipts_json(node.chain.store, block)


@method("debug_getRawHeader", block_ref)
def get_raw_header(node: Node, ref: BlockRef) -> Json:
    """The sealed header as RLP: what a device verifies."""
    return hex_data(node.resolve(ref).sealed_header.encode())


@method("debug_getRawBlock", block_ref)
def get_raw_block(node: Node, ref: BlockRef) -> Json:
    """The sealed block as RLP: what a follower imports."""
    block = node.resolve(ref)
    raw = tuple(item.raw for item in node.chain.store.transactions(block.number))
    return hex_data(Block(block.header, block.round_number, block.seals, block.sealed_header, raw).encode())


@method("debug_getRawReceipts", block_ref)
def get_raw_receipts(node: Node, ref: BlockRef) -> Json:
    """A block's receipts as they stand in its receipts trie."""
    block = node.resolve(ref)
    return [hex_data(item.receipt) for item in node.chain.store.transactions(block.number)]


@method("eth_getUncleByBlockNumberAndIndex", block_ref, quantity)
@method("eth_getUncleByBlockHashAndIndex", block_hash, quantity)
def get_uncle(_node: Node, _ref: BlockRef, _index: int) -> Json:
    """QBFT has no uncles."""
    return None


@method("qbft_getValidatorsByBlockNumber", optional(block_ref, LATEST))
def get_validators(node: Node, ref: BlockRef) -> Json:
    """The validators' addresses; they never change on this chain."""
    if ref.hash is not None:
        raise InvalidParams("expected a block number or tag")
    node.resolve(ref)
    return [hex_data(address) for address in node.chain.genesis.validators]


def _find(node: Node, ref: BlockRef) -> Block | None:
    try:
        return node.resolve(ref)
    except UnknownBlock:
        return None
