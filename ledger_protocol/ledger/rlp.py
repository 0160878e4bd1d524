"""Recursive Length Prefix, read strictly: one encoding for each value, nothing after it (Ethereum yellow
paper, appendix B).

It reads what strangers send, before any seal or hash is checked, so depth and item count are bounded first.
"""

from __future__ import annotations

from typing import TypeAlias, Union

from ledger_protocol.errors import LimitError, MalformedError

Item: TypeAlias = Union[bytes, "list[Item]"]

MAX_DEPTH = 8  # lists in lists; a receipt is the deepest thing we read: receipt, logs, log, topics
MAX_ITEMS = 65_536  # items in all; a receipt of 512 events has about 6,000
_SHORT_PAYLOAD = 55  # bytes; up to here the prefix byte itself tells the length
_MAX_LENGTH_BYTES = 4  # a payload length of 4 GiB is far beyond every document's own limit


def decode(data: bytes, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Item:
    """Decode exactly one item that fills `data`.

    `max_depth` counts lists that contain one another (a flat list is 1), `max_items` counts every string
    and list. Raises MalformedError for anything but the canonical encoding, LimitError beyond a bound.
    """
    item, end, _ = _item(data, 0, len(data), max_depth, max_items)
    if end != len(data):
        raise MalformedError("rlp: bytes after the item", expected=f"{end} bytes", got=f"{len(data)} bytes")
    return item


def decode_list(data: bytes, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> list[Item]:
    """Decode one item that must be a list. Raises as `decode` does."""
    item = decode(data, max_depth=max_depth, max_items=max_items)
    if not isinstance(item, list):
        raise MalformedError("rlp: wrong kind of item", expected="a list", got="a byte string")
    return item


def encode(item: Item) -> bytes:
    """Encode byte strings and lists of them, canonically."""
    if isinstance(item, list):
        return _prefixed(b"".join(map(encode, item)), 0xC0)
    if len(item) == 1 and item[0] < 0x80:
        return bytes(item)
    return _prefixed(item, 0x80)


def encode_scalar(number: int) -> bytes:
    """Give the shortest big-endian bytes of a whole number; 0 is empty."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def scalar(item: Item, *, max_bytes: int, what: str) -> int:
    """Read a whole number of at most `max_bytes` bytes, without leading zeros. Raises MalformedError."""
    if isinstance(item, list):
        raise MalformedError(f"{what}: wrong kind of item", expected="a whole number", got="a list")
    if len(item) > max_bytes:
        raise MalformedError(
            f"{what}: number too long", expected=f"at most {max_bytes} bytes", got=f"{len(item)}"
        )
    if item[:1] == b"\0":
        raise MalformedError(
            f"{what}: number not in shortest form", expected="no leading zero byte", got=item.hex()
        )
    return int.from_bytes(item, "big")


def _item(data: bytes, at: int, limit: int, depth_left: int, items_left: int) -> tuple[Item, int, int]:
    """Read the item at `at`, which may not pass `limit`. Gives the item, where it ends, and the items still
    allowed.
    """
    if items_left <= 0:
        raise LimitError(
            "rlp: too many items", hint="the document holds more items than anything we read needs"
        )
    items_left -= 1
    is_list, start, end = _extent(data, at, limit)
    if not is_list:
        return data[start:end], end, items_left
    if depth_left <= 0:
        raise LimitError("rlp: lists nested too deep")
    items: list[Item] = []
    while start < end:
        item, start, items_left = _item(data, start, end, depth_left - 1, items_left)
        items.append(item)
    return items, end, items_left


def _extent(data: bytes, at: int, limit: int) -> tuple[bool, int, int]:
    """Read the prefix at `at`: whether a list, and where its payload starts and ends."""
    if at >= limit:
        raise MalformedError("rlp: ends early", expected="an item", got="nothing")
    prefix = data[at]
    if prefix < 0x80:
        return False, at, at + 1
    is_list = prefix >= 0xC0
    size = prefix - (0xC0 if is_list else 0x80)
    start = at + 1
    if size > _SHORT_PAYLOAD:
        length_bytes = size - _SHORT_PAYLOAD
        if length_bytes > _MAX_LENGTH_BYTES:
            raise LimitError(
                "rlp: length too long", expected=f"at most {_MAX_LENGTH_BYTES} bytes", got=length_bytes
            )
        start += length_bytes
        if start > limit:
            raise MalformedError("rlp: ends early", expected="the length of an item", got="the end")
        size = int.from_bytes(data[at + 1 : start], "big")
        if size <= _SHORT_PAYLOAD or data[at + 1] == 0:
            raise MalformedError("rlp: length not in shortest form", got=data[at:start].hex())
    end = start + size
    if end > limit:
        raise MalformedError("rlp: ends early", expected=f"{size} bytes of payload", got=f"{limit - start}")
    if size == 1 and not is_list and data[start] < 0x80:
        raise MalformedError(
            "rlp: byte not in shortest form", expected=f"{data[start]:02x}", got=f"81{data[start]:02x}"
        )
    return is_list, start, end


def _prefixed(payload: bytes, base: int) -> bytes:
    if len(payload) <= _SHORT_PAYLOAD:
        return bytes([base + len(payload)]) + payload
    length = encode_scalar(len(payload))
    return bytes([base + _SHORT_PAYLOAD + len(length)]) + length + payload
