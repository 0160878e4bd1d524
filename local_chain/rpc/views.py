"""Blocks, transactions, receipts and logs as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.headers import Block, Header
from local_chain.receipts import Log, logs_bloom
from local_chain.rpc.quantities import Json, hex_data, hex_quantity
from local_chain.transactions import LEGACY, SET_CODE, Transaction, contract_address, decode_transaction

if TYPE_CHECKING:
    from local_chain.chain import Chain
    from local_chain.storage import Store, StoredLog, StoredTransaction
    from local_chain.transactions import AccessList


def block_json(store: Store, block: Block, *, full: bool) -> dict[str, Json]:
    """A block with its transactions, whole or by hash."""
    header, mined = block.header, store.transactions(block.number)
    view = header_json(block)
    transactions: list[Json] = [
        mined_transaction_json(item, block) if full else hex_data(item.hash) for item in mined
    ]
    size = len(
        Block(
            header, block.round_number, block.seals, block.sealed_header, tuple(t.raw for t in mined)
        ).encode()
    )
    view |= {"size": hex_quantity(size), "uncles": [], "transactions": transactions}
    if header.withdrawals_root is not None:
        view["withdrawals"] = []
    return view


def pending_block_json(chain: Chain, *, full: bool) -> dict[str, Json]:
    """The block that would be made now: what is known only once it is sealed is null."""
    header = chain.pending_header()
    waiting = list(chain.pool.ready(lambda sender: chain.account(sender).nonce))
    block = Block(header, 0, (), header, tuple(transaction.raw for transaction in waiting))
    transactions: list[Json] = [
        transaction_json(item, base_fee=None) if full else hex_data(item.hash) for item in waiting
    ]
    view = header_json(block) | {"hash": None, "nonce": None}
    view |= {"size": hex_quantity(len(block.encode())), "uncles": [], "transactions": transactions}
    if header.withdrawals_root is not None:
        view["withdrawals"] = []
    return view


def header_json(block: Block) -> dict[str, Json]:
    """A header with its hash; the extra data is the sealed one, as a QBFT network shows it."""
    header = block.header
    view: dict[str, Json] = {
        "number": hex_quantity(header.number),
        "hash": hex_data(block.hash),
        "parentHash": hex_data(header.parent_hash),
        "sha3Uncles": hex_data(header.uncles_hash),
        "miner": hex_data(header.coinbase),
        "stateRoot": hex_data(header.state_root),
        "transactionsRoot": hex_data(header.transactions_root),
        "receiptsRoot": hex_data(header.receipts_root),
        "logsBloom": hex_data(header.logs_bloom),
        "difficulty": hex_quantity(header.difficulty),
        "totalDifficulty": hex_quantity(header.number + 1),
        "gasLimit": hex_quantity(header.gas_limit),
        "gasUsed": hex_quantity(header.gas_used),
        "timestamp": hex_quantity(header.timestamp),
        "extraData": hex_data(block.sealed_header.extra_data),
        "mixHash": hex_data(header.mix_hash),
        "nonce": hex_data(header.nonce),
    }
    return view | _fork_fields(header)


def mined_transaction_json(item: StoredTransaction, block: Block) -> dict[str, Json]:
    """A mined transaction."""
    transaction = decode_transaction(item.raw, sender=item.sender)
    view = transaction_json(transaction, base_fee=block.header.base_fee)
    return view | {
        "blockHash": hex_data(block.hash),
        "blockNumber": hex_quantity(item.number),
        "transactionIndex": hex_quantity(item.position),
    }


def transaction_json(transaction: Transaction, *, base_fee: int | None) -> dict[str, Json]:
    """A transaction that waits (no block yet); ``base_fee`` None also stands for "not mined"."""
    view: dict[str, Json] = {
        "type": hex_quantity(transaction.type),
        "hash": hex_data(transaction.hash),
        "from": hex_data(transaction.sender),
        "to": None if transaction.to is None else hex_data(transaction.to),
        "nonce": hex_quantity(transaction.nonce),
        "gas": hex_quantity(transaction.gas),
        "gasPrice": hex_quantity(transaction.effective_price(base_fee)),
        "value": hex_quantity(transaction.value),
        "input": hex_data(transaction.data),
        "v": hex_quantity(transaction.v),
        "r": hex_quantity(transaction.r),
        "s": hex_quantity(transaction.s),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
    if transaction.chain_id is not None:
        view["chainId"] = hex_quantity(transaction.chain_id)
    if transaction.type == LEGACY:
        return view
    view["yParity"] = hex_quantity(transaction.y_parity)
    view["accessList"] = access_list_json(transaction.access_list)
    if transaction.type > 1:
        view["maxFeePerGas"] = hex_quantity(transaction.max_fee)
        view["maxPriorityFeePerGas"] = hex_quantity(transaction.max_priority_fee)
    if transaction.type == SET_CODE:
        view["authorizationList"] = [
            {
                "chainId": hex_quantity(item.chain_id),
                "address": hex_data(item.address),
                "nonce": hex_quantity(item.nonce),
                "yParity": hex_quantity(item.y_parity),
                "r": hex_quantity(item.r),
                "s": hex_quantity(item.s),
            }
            for item in transaction.authorizations
        ]
    return view


def access_list_json(entries: AccessList) -> list[Json]:
    """An access list as EIP-2930 writes it."""
    return [
        {"address": hex_data(at), "storageKeys": [hex_data(slot.to_bytes(32, "big")) for slot in slots]}
        for at, slots in entries
    ]


def receipts_json(store: Store, block: Block) -> list[dict[str, Json]]:
    """The receipts of a block."""
    logs: dict[int, list[StoredLog]] = {}
    for log in store.block_logs(block.number):
        logs.setdefault(log.transaction_position, []).append(log)
    views, cumulative = [], 0
    for item in store.transactions(block.number):
        cumulative += item.gas_used
        views.append(_receipt_json(item, logs.get(item.position, []), block, cumulative))
    return views


def receipt_json(store: Store, block: Block, item: StoredTransaction) -> dict[str, Json]:
    """The receipt of one mined transaction."""
    logs = [log for log in store.block_logs(block.number) if log.transaction_position == item.position]
    return _receipt_json(item, logs, block, store.gas_until(block.number, item.position))


def log_json(
    log: StoredLog, *, block_hash: bytes, transaction_hash: bytes, timestamp: int
) -> dict[str, Json]:
    """A log and where it stands."""
    return {
        "address": hex_data(log.address),
        "topics": [hex_data(topic) for topic in log.topics],
        "data": hex_data(log.data),
        "blockNumber": hex_quantity(log.number),
        "blockHash": hex_data(block_hash),
        "blockTimestamp": hex_quantity(timestamp),
        "transactionHash": hex_data(transaction_hash),
        "transactionIndex": hex_quantity(log.transaction_position),
        "logIndex": hex_quantity(log.position),
        "removed": False,
    }


def _receipt_json(
    item: StoredTransaction, logs: list[StoredLog], block: Block, cumulative: int
) -> dict[str, Json]:
    transaction = decode_transaction(item.raw, sender=item.sender)
    created = contract_address(item.sender, transaction.nonce) if transaction.to is None else None
    header = block.header
    return {
        "transactionHash": hex_data(item.hash),
        "transactionIndex": hex_quantity(item.position),
        "blockHash": hex_data(block.hash),
        "blockNumber": hex_quantity(item.number),
        "from": hex_data(item.sender),
        "to": None if transaction.to is None else hex_data(transaction.to),
        "contractAddress": None if created is None else hex_data(created),
        "type": hex_quantity(transaction.type),
        "status": hex_quantity(int(item.succeeded)),
        "gasUsed": hex_quantity(item.gas_used),
        "cumulativeGasUsed": hex_quantity(cumulative),
        "effectiveGasPrice": hex_quantity(transaction.effective_price(header.base_fee)),
        "logsBloom": hex_data(logs_bloom(Log(log.address, log.topics, log.data) for log in logs)),
        "logs": [
            log_json(log, block_hash=block.hash, transaction_hash=item.hash, timestamp=header.timestamp)
            for log in logs
        ],
    }


def _fork_fields(header: Header) -> dict[str, Json]:
    view: dict[str, Json] = {}
    for name, number in (
        ("baseFeePerGas", header.base_fee),
        ("blobGasUsed", header.blob_gas_used),
        ("excessBlobGas", header.excess_blob_gas),
    ):
        if number is not None:
            view[name] = hex_quantity(number)
    for name, octets in (
        ("withdrawalsRoot", header.withdrawals_root),
        ("parentBeaconBlockRoot", header.parent_beacon_root),
        ("requestsHash", header.requests_hash),
    ):
        if octets is not None:
            view[name] = hex_data(octets)
    return view
