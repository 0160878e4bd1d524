"""Methods that send transactions, sign them for the unlocked accounts, and tell what they cost."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from local_chain.calls import NOTHING_TO_CREATE, estimate_gas
from local_chain.errors import ChainError
from local_chain.forks import Fork
from local_chain.headers import next_base_fee
from local_chain.rpc.quantities import (
    BlockRef,
    InvalidParams,
    Json,
    address,
    block_ref,
    data,
    hex_data,
    hex_quantity,
    listing,
    mapping,
    member,
    quantity,
    wrong,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.signing import unlocked
from local_chain.rpc.state import call_data, call_from_json
from local_chain.rpc.views import transaction_json
from local_chain.transactions import (
    ACCESS_LIST,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Transaction,
    decode_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.node import Node

SUGGESTED_TIP_WEI = 1_000_000_000
MAX_FEE_HISTORY = 1_024  # blocks in one answer, as geth's


def percentile(value: Json) -> float:
    """A share in percent."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise wrong("a percentile", value)
    if not 0 <= value <= 100:
        raise ChainError(f"invalid reward percentile: {float(value):f}")
    return float(value)


@method("eth_sendRawTransaction", data)
def send_raw_transaction(node: Node, raw: bytes) -> Json:
    """Take a signed transaction in; its hash."""
    return hex_data(node.submit(raw).hash)


@method("eth_sendTransaction", mapping, privileged=True)
def send_transaction(node: Node, fields: Mapping[str, Json]) -> Json:
    """Complete a transaction, sign it with an unlocked account and take it in; its hash."""
    who = member(fields, "from", address, b"")
    if who not in node.accounts and (who in node.impersonated or (node.impersonates_all and who)):
        return hex_data(node.impersonate(_complete(node, fields, who).impersonated(who)).hash)
    account = unlocked(node, who)
    return hex_data(node.submit(_complete(node, fields, who).signed(account.secret_key).raw).hash)


@method("eth_signTransaction", mapping, privileged=True)
def sign_transaction(node: Node, fields: Mapping[str, Json]) -> Json:
    """Complete a transaction and sign it with an unlocked account, without sending it."""
    account = unlocked(node, member(fields, "from", address, b""))
    signed = _complete(node, fields, account.address).signed(account.secret_key)
    return {"raw": hex_data(signed.raw), "tx": transaction_json(signed, base_fee=None)}


@method("eth_fillTransaction", mapping)
def fill_transaction(node: Node, fields: Mapping[str, Json]) -> Json:
    """Complete a transaction without signing it: nonce, gas and fees where they are left out."""
    sender = member(fields, "from", address, bytes(20))
    filled = _complete(node, fields, sender).unsigned(sender)
    return {"raw": hex_data(filled.raw), "tx": transaction_json(filled, base_fee=None)}


@method("eth_gasPrice")
def gas_price(node: Node) -> Json:
    """A price in wei that the next block takes."""
    return hex_quantity((next_base_fee(node.chain.head.header) or 0) + SUGGESTED_TIP_WEI)


@method("eth_maxPriorityFeePerGas")
def max_priority_fee(_node: Node) -> Json:
    """A tip in wei."""
    return hex_quantity(SUGGESTED_TIP_WEI)


@method("eth_blobBaseFee")
def blob_base_fee(node: Node) -> Json:
    """The price of blob gas; this chain takes no blobs, so it stays at its floor."""
    if node.chain.genesis.fork < Fork.CANCUN:
        raise ChainError("blobs came with cancun")
    return hex_quantity(1)


@method("eth_feeHistory", quantity, block_ref, optional(listing(percentile, limit=100)))
def fee_history(node: Node, count: int, ref: BlockRef, percentiles: tuple[float, ...] | None) -> Json:
    """Base fees, fullness and tips of the blocks up to one."""
    for at, (low, high) in enumerate(itertools.pairwise(percentiles or ())):
        if low >= high:
            raise ChainError(f"invalid reward percentile: #{at}:{low:f} >= #{at + 1}:{high:f}")
    head = node.chain.head.number
    if ref.number is not None and ref.number > head:
        raise ChainError(f"request beyond head block: requested {ref.number}, head {head}")
    newest = node.resolve(ref)
    count = min(count, newest.number + 1, MAX_FEE_HISTORY)
    blocks = [node.chain.block_at(number) for number in range(newest.number - count + 1, newest.number + 1)]
    fees = [block.header.base_fee or 0 for block in blocks]
    view: dict[str, Json] = {
        "oldestBlock": hex_quantity(newest.number - count + 1 if count else 0),
        "baseFeePerGas": [hex_quantity(fee) for fee in (*fees, next_base_fee(newest.header) or 0)]
        if count
        else [],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
    }
    if percentiles:
        view["reward"] = [
            _rewards(node, block.number, block.header.base_fee, percentiles) for block in blocks
        ]
    return view


def _complete(node: Node, fields: Mapping[str, Json], sender: bytes) -> Transaction:
    chain = node.chain
    call = call_from_json(node, fields)
    if call.to is None and not call.data:
        raise ChainError(NOTHING_TO_CREATE)
    nonce = member(fields, "nonce", quantity, -1)
    if nonce < 0:
        nonce = chain.pool.next_nonce(sender, chain.account(sender).nonce)
    chain_id = member(fields, "chainId", quantity, chain.genesis.chain_id)
    kind, max_fee, tip = _fees(node, fields)
    if call.authorizations:
        if kind == LEGACY:
            raise InvalidParams("an authorizationList goes with maxFeePerGas, not with gasPrice")
        kind = SET_CODE
    elif kind == LEGACY and call.access_list:
        kind = ACCESS_LIST
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        gas=call.gas if fields.get("gas") is not None else estimate_gas(chain, call, chain.head),
        to=call.to,
        value=call.value,
        data=call_data(fields),
        max_fee=max_fee,
        max_priority_fee=tip,
        access_list=call.access_list,
        authorizations=call.authorizations,
    )


def _fees(node: Node, fields: Mapping[str, Json]) -> tuple[int, int, int]:
    """The type, maximal fee and tip, as the sender wants them or as the chain needs them."""
    base_fee = next_base_fee(node.chain.head.header)
    price = member(fields, "gasPrice", quantity, None)
    max_fee = member(fields, "maxFeePerGas", quantity, None)
    tip = member(fields, "maxPriorityFeePerGas", quantity, None)
    if price is not None or base_fee is None:
        price = SUGGESTED_TIP_WEI if price is None else price
        return LEGACY, price, price
    if max_fee is None:
        tip = SUGGESTED_TIP_WEI if tip is None else tip
        return DYNAMIC_FEE, 2 * base_fee + tip, tip
    return DYNAMIC_FEE, max_fee, min(SUGGESTED_TIP_WEI, max_fee) if tip is None else tip


def _rewards(node: Node, number: int, base_fee: int | None, percentiles: tuple[float, ...]) -> list[Json]:
    """The tips at which each share of the block's gas was used (EIP-1559's fee market, as geth computes
    it).
    """
    mined = node.chain.store.transactions(number)
    prices = [decode_transaction(item.raw, sender=item.sender).effective_price(base_fee) for item in mined]
    tips = sorted((price - (base_fee or 0), item.gas_used) for price, item in zip(prices, mined, strict=True))
    total = sum(gas for _, gas in tips)
    rewards: list[Json] = []
    for share in percentiles:
        threshold, seen, reward = total * share / 100, 0, 0
        for tip, gas in tips:
            seen, reward = seen + gas, tip
            if seen >= threshold:
                break
        rewards.append(hex_quantity(reward))
    return rewards
