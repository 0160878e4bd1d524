"""Block headers and blocks as RLP, for every fork from Berlin to Prague.

The chain keeps a header with *round 0 and no seals* in its extra data: the plain Keccak of that is the QBFT
block hash, so parent links need no special case. Round and seals are kept beside it (see ``sealing``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from local_chain.forks import Fork

EMPTY_TRIE_ROOT = keccak256(rlp.encode(b""))
EMPTY_UNCLES_HASH = keccak256(rlp.encode([]))
EMPTY_CODE_HASH = keccak256(b"")
# EIP-7685 with no request of any type.
EMPTY_REQUESTS_HASH = sha256(b"").digest()

INITIAL_BASE_FEE = 1_000_000_000  # wei; EIP-1559's first base fee
ELASTICITY = 2
BASE_FEE_CHANGE_DENOMINATOR = 8


@dataclass(frozen=True, slots=True)
class Header:
    """One header; the fields stand in RLP order, and those that a fork lacks are None."""

    parent_hash: bytes
    uncles_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee: int | None = None
    withdrawals_root: bytes | None = None
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None
    parent_beacon_root: bytes | None = None
    requests_hash: bytes | None = None

    def to_list(self) -> list[bytes]:
        """The RLP items of this header."""
        values = (getattr(self, field.name) for field in fields(self))
        return [
            rlp.encode_scalar(value) if isinstance(value, int) else value
            for value in values
            if value is not None
        ]

    def encode(self) -> bytes:
        """The header as RLP."""
        return rlp.encode(list(self.to_list()))

    @property
    def hash(self) -> bytes:
        """Keccak of the encoding: the block hash while the extra data holds round 0 and no seals."""
        return keccak256(self.encode())

    def with_extra(self, extra_data: bytes) -> Header:
        """The same header with other extra data."""
        return replace(self, extra_data=extra_data)


def header_from_list(items: list[rlp.Item]) -> Header:
    """The header of decoded RLP ``items`` (15 to 21 byte strings); ValueError otherwise."""
    strings = [item for item in items if isinstance(item, bytes)]
    if len(strings) != len(items) or not _FEWEST_FIELDS <= len(items) <= len(_IS_SCALAR):
        raise ValueError(
            f"not a header: expected {_FEWEST_FIELDS} to {len(_IS_SCALAR)} strings, got {len(items)} items"
        )
    values: list[Any] = [
        int.from_bytes(item, "big") if scalar else item
        for item, scalar in zip(strings, _IS_SCALAR, strict=False)
    ]
    return Header(*values)


def decode_header(raw: bytes) -> Header:
    """The header of its RLP; ValueError for anything else."""
    try:
        return header_from_list(rlp.decode_list(raw, max_depth=1))
    except MalformedError as error:
        raise ValueError(f"not a header: {error}") from error


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block as it is stored and served.

    ``header`` has round 0 and no seals; ``seals`` are 65 bytes each (r, s, v); ``transactions`` are encoded.
    """

    header: Header
    round_number: int
    seals: tuple[bytes, ...]
    sealed_header: Header
    transactions: tuple[bytes, ...]

    @property
    def hash(self) -> bytes:
        """The block hash."""
        return self.header.hash

    @property
    def number(self) -> int:
        """The block's height."""
        return self.header.number

    def encode(self) -> bytes:
        """The whole block as RLP, with its seals."""
        # A legacy transaction is a list inside the block, a typed one a byte string (EIP-2718).
        bodies = [rlp.decode(raw) if raw[0] >= _RLP_LIST else raw for raw in self.transactions]
        items: list[rlp.Item] = [list(self.sealed_header.to_list()), bodies, []]
        if self.header.withdrawals_root is not None:
            items.append([])
        return rlp.encode(items)


def decode_block(raw: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Split an encoded block into its raw header (with seals) and its raw transactions.

    ValueError for anything that is not a block without uncles and withdrawals.
    """
    try:
        header, bodies, *rest = rlp.decode_list(raw, max_items=_MAX_BLOCK_ITEMS)
    except ValueError as error:
        raise ValueError("not a block: expected a header and transactions") from error
    except MalformedError as error:
        raise ValueError(f"not a block: {error}") from error
    if not isinstance(header, list) or not isinstance(bodies, list) or rest not in ([[]], [[], []]):
        raise ValueError(
            "not a block of this chain: expected a header, transactions, no uncles and no withdrawals"
        )
    return rlp.encode(header), tuple(rlp.encode(body) if isinstance(body, list) else body for body in bodies)


def next_base_fee(parent: Header) -> int | None:
    """The base fee in wei of the block after ``parent`` (EIP-1559), or None on a chain without one."""
    if parent.base_fee is None:
        return None
    target = parent.gas_limit // ELASTICITY
    if parent.gas_used == target:
        return parent.base_fee
    if parent.gas_used > target:
        delta = parent.base_fee * (parent.gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
        return parent.base_fee + max(delta, 1)
    return (
        parent.base_fee
        - parent.base_fee * (target - parent.gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR
    )


def fork_fields(fork: Fork, *, base_fee: int | None) -> dict[str, int | bytes]:
    """The header fields that ``fork`` adds, with the values they have on a chain without withdrawals and
    blobs.
    """
    added: dict[str, int | bytes] = {}
    if fork >= Fork.LONDON:
        added["base_fee"] = INITIAL_BASE_FEE if base_fee is None else base_fee
    if fork >= Fork.SHANGHAI:
        added["withdrawals_root"] = EMPTY_TRIE_ROOT
    if fork >= Fork.CANCUN:
        added |= {"blob_gas_used": 0, "excess_blob_gas": 0, "parent_beacon_root": bytes(32)}
    if fork >= Fork.PRAGUE:
        added["requests_hash"] = EMPTY_REQUESTS_HASH
    return added


_RLP_LIST = 0xC0

# A block of 30 million gas holds 1,428 transfers; access lists are the cheapest items at 1,900 gas a slot.
_MAX_BLOCK_ITEMS = 1_000_000
# Annotations are text here (PEP 563): "int" and "int | None" mark the scalars.
_IS_SCALAR = tuple(str(field.type).startswith("int") for field in fields(Header))
_FEWEST_FIELDS = 15  # Berlin's
