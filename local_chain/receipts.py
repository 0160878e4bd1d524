"""Receipts and logs: what execution leaves behind, its encoding and its bloom filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.rlp import Item, encode_scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLOOM_BYTES = 256


@dataclass(frozen=True, slots=True)
class Log:
    """One event: 20-byte address, up to four 32-byte topics, data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """One transaction's receipt; ``cumulative_gas`` counts from the start of the block."""

    type: int
    succeeded: bool
    cumulative_gas: int
    logs: tuple[Log, ...]

    def encode(self) -> bytes:
        """The receipt as it stands in the receipts trie (EIP-2718)."""
        logs: list[Item] = [[log.address, list(log.topics), log.data] for log in self.logs]
        status, gas = encode_scalar(self.succeeded), encode_scalar(self.cumulative_gas)
        body = rlp.encode([status, gas, logs_bloom(self.logs), logs])
        return body if self.type == 0 else bytes([self.type]) + body


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The 2,048-bit filter over addresses and topics (Yellow Paper, 4.3.1)."""
    bits = 0
    for log in logs:
        for item in (log.address, *log.topics):
            digest = keccak256(item)
            for offset in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") & 0x7FF)
    return bits.to_bytes(BLOOM_BYTES, "big")


def union_bloom(blooms: Sequence[bytes]) -> bytes:
    """The filter of a block: every filter of its receipts together."""
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_BYTES, "big")
