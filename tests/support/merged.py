"""geth on a chain that was born merged: blocks that somebody else made are handed in, and geth runs them.

`engine_newPayload` takes a block only if state root, receipts root, logs bloom and gas are what geth computes itself, so
nothing but a state needs to be asked for afterwards. A state is a block's hash, and times are whatever the block says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rlp
from eth_hash.auto import keccak
from trie import HexaryTrie

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.engines import Socket

EMPTY_ROOT = keccak(rlp.encode(b""))
NO_UNCLES = keccak(rlp.encode([]))
INITIAL_BASE_FEE = 10**9  # EIP-1559, in wei
RULES = ("berlin", "london", "shanghai", "cancun")  # a merged chain of London's rules is one of Paris


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the next block needs to know of a block."""

    hash: bytes
    number: int
    time: int
    gas_limit: int
    root: bytes

    @property
    def at(self) -> dict[str, str]:
        """The block, as a parameter of `eth_getProof` and the like."""
        return {"blockHash": to_hex(self.hash)}


def to_hex(value: bytes) -> str:
    return "0x" + value.hex()


def to_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def ordered_root(items: Sequence[bytes]) -> bytes:
    """Give the root of the trie of a block's transactions or receipts."""
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return bytes(trie.root_hash)


def merged_genesis(
    rules: str, accounts: dict[str, Any], *, chain_id: int, time: int, gas_limit: int, base_fee: int
) -> dict[str, Any]:
    """Give a genesis document; `base_fee` in wei is the first block's, in force from London on."""
    older = (
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
    )
    since = RULES.index(rules)
    config: dict[str, Any] = {"chainId": chain_id, "terminalTotalDifficulty": 0}
    config |= {"terminalTotalDifficultyPassed": True} | {f"{name}Block": 0 for name in (*older, "berlin")}
    config |= {
        name: 0 for at, name in enumerate(("londonBlock", "shanghaiTime", "cancunTime"), 1) if at <= since
    }
    return {
        "config": config,
        "timestamp": hex(time),
        "gasLimit": hex(gas_limit),
        "baseFeePerGas": hex(base_fee),
        "difficulty": "0x0",
        "extraData": "0x",
        "alloc": accounts,
    }


def first(rpc: Socket) -> Sealed:
    """Give the genesis block."""
    block = rpc("eth_getBlockByNumber", "0x0", False)
    number, time, limit = (int(block[name], 16) for name in ("number", "timestamp", "gasLimit"))
    return Sealed(to_bytes(block["hash"]), number, time, limit, to_bytes(block["stateRoot"]))


def hand_in(
    rpc: Socket,
    rules: str,
    parent: Sealed,
    *,
    time: int,
    coinbase: bytes,
    base_fee: int,
    transactions: Sequence[bytes],
    state_root: bytes,
    receipts_root: bytes,
    bloom: bytes,
    gas_used: int,
) -> Sealed:
    """Make a block of this and have geth run it and take it for its head; AssertionError if geth finds anything else."""
    since = RULES.index(rules)
    # geth takes each block of a merged chain without London's rules for London's first: the limit doubles.
    limit, base_fee = (parent.gas_limit, base_fee) if since else (2 * parent.gas_limit, INITIAL_BASE_FEE)
    header: list[Any] = [
        *(parent.hash, NO_UNCLES, coinbase, state_root, ordered_root(transactions), receipts_root, bloom),
        *(0, parent.number + 1, limit, gas_used, time, b"", bytes(32), bytes(8), base_fee),
    ]
    payload: dict[str, Any] = {
        "parentHash": to_hex(parent.hash),
        "feeRecipient": to_hex(coinbase),
        "stateRoot": to_hex(state_root),
        "receiptsRoot": to_hex(receipts_root),
        "logsBloom": to_hex(bloom),
        "prevRandao": to_hex(bytes(32)),
        "blockNumber": hex(parent.number + 1),
        "gasLimit": hex(limit),
        "gasUsed": hex(gas_used),
        "timestamp": hex(time),
        "extraData": "0x",
        "baseFeePerGas": hex(base_fee),
        "transactions": [to_hex(raw) for raw in transactions],
    }
    more: tuple[Any, ...] = ()
    if rules in ("shanghai", "cancun"):
        header.append(EMPTY_ROOT)
        payload["withdrawals"] = []
    if rules == "cancun":
        header += [0, 0, bytes(32)]
        payload |= {"blobGasUsed": "0x0", "excessBlobGas": "0x0"}
        more = ([], to_hex(bytes(32)))
    name = keccak(rlp.encode(header))
    payload["blockHash"] = to_hex(name)
    version = max(1, since)
    answer = rpc(f"engine_newPayloadV{version}", payload, *more)
    assert answer["status"] == "VALID", answer
    choice = {"headBlockHash": to_hex(name)} | dict.fromkeys(
        ("safeBlockHash", "finalizedBlockHash"), to_hex(bytes(32))
    )
    chosen = rpc(f"engine_forkchoiceUpdatedV{version}", choice, None)
    assert chosen["payloadStatus"]["status"] == "VALID", chosen
    return Sealed(name, parent.number + 1, time, limit, state_root)
