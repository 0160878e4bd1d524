"""A block header: the RLP list that a block's hash and seals are taken over (protocol.md §4).

Parsing says nothing about trust: `qbft.verify_seals` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.ledger import rlp

MAX_HEADER_BYTES = 32_768  # 128 validators with their seals are about 12 kB
MIN_FIELDS = 15  # Berlin
MAX_FIELDS = 24  # London 16, Shanghai 17, Cancun 20, Prague 21; a few more forks may follow
_EXTRA_DATA = 12
_FIXED_BYTES = {  # field: name and length in bytes
    0: ("parent hash", 32),
    1: ("ommers hash", 32),
    2: ("coinbase", 20),
    3: ("state root", 32),
    4: ("transactions root", 32),
    5: ("receipts root", 32),
    6: ("logs bloom", 256),
    13: ("mix hash", 32),
    14: ("nonce", 8),
    16: ("withdrawals root", 32),
    19: ("parent beacon root", 32),
    20: ("requests hash", 32),
}
_SCALARS = {  # field: name and greatest length in bytes
    7: ("difficulty", 32),
    8: ("number", 8),
    9: ("gas limit", 8),
    10: ("gas used", 8),
    11: ("timestamp", 8),
    15: ("base fee", 32),
    17: ("blob gas used", 8),
    18: ("excess blob gas", 8),
}
_UNKNOWN_FIELD_BYTES = 32  # every field that forks have added so far is a hash or a number


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. `fields` are all its RLP items, in order; hashes are 32 bytes, the coinbase 20,
    `timestamp` in Unix s.
    """

    fields: tuple[bytes, ...]
    parent_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    difficulty: int
    number: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes

    def encode(self) -> bytes:
        """Give the RLP that this header was parsed from."""
        return rlp.encode(list(self.fields))

    def encode_with_extra(self, extra_data: bytes) -> bytes:
        """Give the RLP of this header with another extraData."""
        return rlp.encode([*self.fields[:_EXTRA_DATA], extra_data, *self.fields[_EXTRA_DATA + 1 :]])


def parse_header(raw: bytes) -> Header:
    """Parse a header of 15 to 24 fields, each of its own kind and length.

    Raises MalformedError for anything else, LimitError for more than 32,768 bytes.
    """
    if len(raw) > MAX_HEADER_BYTES:
        raise LimitError("header: too large", expected=f"at most {MAX_HEADER_BYTES} bytes", got=len(raw))
    items = rlp.decode_list(raw, max_depth=2, max_items=MAX_FIELDS + 2)
    if not MIN_FIELDS <= len(items) <= MAX_FIELDS:
        raise MalformedError("header: field count", expected=f"{MIN_FIELDS} to {MAX_FIELDS}", got=len(items))
    fields = tuple(_field(index, item) for index, item in enumerate(items))
    return Header(
        fields=fields,
        parent_hash=fields[0],
        coinbase=fields[2],
        state_root=fields[3],
        transactions_root=fields[4],
        receipts_root=fields[5],
        difficulty=int.from_bytes(fields[7], "big"),
        number=int.from_bytes(fields[8], "big"),
        timestamp=int.from_bytes(fields[11], "big"),
        extra_data=fields[_EXTRA_DATA],
        mix_hash=fields[13],
        nonce=fields[14],
    )


def _field(index: int, item: rlp.Item) -> bytes:
    if isinstance(item, list):
        raise MalformedError(f"header: field {index}", expected="a byte string", got="a list")
    if index in _FIXED_BYTES:
        name, size_bytes = _FIXED_BYTES[index]
        if len(item) != size_bytes:
            raise MalformedError(f"header: {name}", expected=f"{size_bytes} bytes", got=f"{len(item)} bytes")
    elif index in _SCALARS:
        name, max_bytes = _SCALARS[index]
        rlp.scalar(item, max_bytes=max_bytes, what=f"header: {name}")
    elif index != _EXTRA_DATA and len(item) > _UNKNOWN_FIELD_BYTES:
        raise MalformedError(
            f"header: field {index}", expected=f"at most {_UNKNOWN_FIELD_BYTES} bytes", got=len(item)
        )
    return item
