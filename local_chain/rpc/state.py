"""Methods that read the state, prove it, or run calls on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_chain import tries
from local_chain.calls import access_list_of, estimate_gas, run_call
from local_chain.errors import ChainError
from local_chain.evm import NO_CHANGES, Call, Changes
from local_chain.headers import EMPTY_CODE_HASH
from local_chain.rpc.overrides import block_overrides, state_overrides
from local_chain.rpc.quantities import (
    LATEST,
    BlockRef,
    InvalidParams,
    Json,
    access_list,
    address,
    authorizations,
    block_ref,
    data,
    hex_data,
    hex_quantity,
    listing,
    mapping,
    member,
    proof_slot,
    quantity,
    slot,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.views import access_list_json
from local_chain.transactions import BLOB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.node import Node

_BLOB_FIELDS = ("blobs", "blobVersionedHashes", "maxFeePerBlobGas")


@method("eth_getBalance", address, optional(block_ref, LATEST))
def get_balance(node: Node, who: bytes, ref: BlockRef) -> Json:
    """The balance in wei."""
    return hex_quantity(_account(node, who, ref).balance)


@method("eth_getTransactionCount", address, optional(block_ref, LATEST))
def get_transaction_count(node: Node, who: bytes, ref: BlockRef) -> Json:
    """The nonce; with "pending", after what waits."""
    nonce = _account(node, who, ref).nonce
    return hex_quantity(node.chain.pool.next_nonce(who, nonce) if ref.tag == "pending" else nonce)


@method("eth_getCode", address, optional(block_ref, LATEST))
def get_code(node: Node, who: bytes, ref: BlockRef) -> Json:
    """The contract's code."""
    return _code(node, _account(node, who, ref).code_hash)


@method("eth_getAccountInfo", address, optional(block_ref, LATEST))
def get_account_info(node: Node, who: bytes, ref: BlockRef) -> Json:
    """Balance, nonce and code at once, as foundry's tools ask for them."""
    account = _account(node, who, ref)
    return {
        "balance": hex_quantity(account.balance),
        "nonce": hex_quantity(account.nonce),
        "code": _code(node, account.code_hash),
    }


@method("eth_getStorageAt", address, slot, optional(block_ref, LATEST))
def get_storage_at(node: Node, who: bytes, at: int, ref: BlockRef) -> Json:
    """One storage word, as 32 bytes."""
    root = _account(node, who, ref).storage_root
    return hex_data(tries.read_slot(node.chain.store.nodes, root, at).to_bytes(32, "big"))


@method("eth_getProof", address, listing(proof_slot), optional(block_ref, LATEST))
def get_proof(node: Node, who: bytes, slots: tuple[tuple[int, str], ...], ref: BlockRef) -> Json:
    """Account and slots with the nodes that prove them, or prove their absence (EIP-1186)."""
    nodes, root = node.chain.store.nodes, node.resolve(ref).header.state_root
    account = tries.read_account(nodes, root, who)
    return {
        "address": hex_data(who),
        "accountProof": [hex_data(item) for item in tries.prove(nodes, root, who)],
        "balance": hex_quantity(account.balance),
        "codeHash": hex_data(account.code_hash),
        "nonce": hex_quantity(account.nonce),
        "storageHash": hex_data(account.storage_root),
        "storageProof": [
            {
                "key": written,
                "value": hex_quantity(tries.read_slot(nodes, account.storage_root, at)),
                "proof": [
                    hex_data(n) for n in tries.prove(nodes, account.storage_root, at.to_bytes(32, "big"))
                ],
            }
            for at, written in slots
        ],
    }


@method(
    "eth_call",
    mapping,
    optional(block_ref, LATEST),
    optional(state_overrides, NO_CHANGES),
    optional(block_overrides),
)
def eth_call(
    node: Node, fields: Mapping[str, Json], ref: BlockRef, changes: Changes, visible: Mapping[str, Any] | None
) -> Json:
    """What a message returns, if accounts and the block were as the overrides say."""
    call, block = call_from_json(node, fields), node.resolve(ref)
    return hex_data(run_call(node.chain, call, block, changes=changes, visible=visible))


@method("eth_estimateGas", mapping, optional(block_ref, LATEST), optional(state_overrides, NO_CHANGES))
def eth_estimate_gas(node: Node, fields: Mapping[str, Json], ref: BlockRef, changes: Changes) -> Json:
    """A gas limit with which a message succeeds, if accounts were as the overrides say."""
    call, block = call_from_json(node, fields), node.resolve(ref)
    return hex_quantity(estimate_gas(node.chain, call, block, changes=changes))


@method("eth_createAccessList", mapping, optional(block_ref, LATEST), optional(state_overrides, NO_CHANGES))
def create_access_list(node: Node, fields: Mapping[str, Json], ref: BlockRef, changes: Changes) -> Json:
    """The access list that makes a message cheapest to run (EIP-2930), and the gas that it uses with it."""
    used, outcome = access_list_of(
        node.chain, call_from_json(node, fields), node.resolve(ref), changes=changes
    )
    view: dict[str, Json] = {"accessList": access_list_json(used), "gasUsed": hex_quantity(outcome.gas_used)}
    return view if outcome.error is None else view | {"error": outcome.error}


def call_from_json(node: Node, fields: Mapping[str, Json]) -> Call:
    """The message of a transaction object; InvalidParams when it is to carry blobs."""
    kind = member(fields, "type", quantity, None)
    if kind == BLOB or any(fields.get(name) is not None for name in _BLOB_FIELDS):
        raise InvalidParams("blob transactions (type 3) are not supported by this chain")
    most = node.chain.genesis.gas_limit
    max_fee, tip = offered_fees(fields)
    return Call(
        sender=member(fields, "from", address, bytes(20)),
        to=member(fields, "to", address, None),
        data=call_data(fields),
        value=member(fields, "value", quantity, 0),
        gas=min(member(fields, "gas", quantity, most) or most, most),
        access_list=member(fields, "accessList", access_list, ()),
        authorizations=member(fields, "authorizationList", authorizations, ()),
        max_fee=max_fee,
        max_priority_fee=tip,
    )


def offered_fees(fields: Mapping[str, Json]) -> tuple[int, int]:
    """The maximal fee and tip that a transaction object offers; a gas price is both."""
    price = member(fields, "gasPrice", quantity, None)
    max_fee = member(fields, "maxFeePerGas", quantity, None)
    tip = member(fields, "maxPriorityFeePerGas", quantity, None)
    if price is None:
        return max_fee or 0, tip or 0
    if max_fee is not None or tip is not None:
        raise ChainError("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    return price, price


def call_data(fields: Mapping[str, Json]) -> bytes:
    """The ``input`` or ``data`` of a transaction object; when both are given they must agree."""
    newer, older = member(fields, "input", data, None), member(fields, "data", data, None)
    if newer is not None and older is not None and newer != older:
        raise ChainError(
            'both "data" and "input" are set and not equal. Please use "input" to pass transaction call data'
        )
    return newer if newer is not None else older or b""


def _code(node: Node, code_hash: bytes) -> str:
    return "0x" if code_hash == EMPTY_CODE_HASH else hex_data(node.chain.store.nodes[code_hash])


def _account(node: Node, who: bytes, ref: BlockRef) -> tries.Account:
    return tries.read_account(node.chain.store.nodes, node.resolve(ref).header.state_root, who)
