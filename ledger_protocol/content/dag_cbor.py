"""Strict dag-cbor: one encoding a value, and no value outside what our documents are made of.

Source: protocol.md §1; https://ipld.io/specs/codecs/dag-cbor/spec/, less floats. The decoder runs before any
signature is checked, so it accepts only integers of 64 bits, byte and text strings, arrays, maps with text
keys in order (length, then bytes), booleans, null, and links (tag 42 with one of our CIDs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from ledger_protocol.content.cid import CID_BYTES, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import MAX_CBOR_DEPTH, MAX_CBOR_VALUES, MAX_U64

Value: TypeAlias = "bool | int | bytes | str | Cid | list[Value] | dict[str, Value] | None"
Encodable: TypeAlias = "bool | int | bytes | str | Cid | Sequence[Encodable] | Mapping[str, Encodable] | None"

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_LINK_TAG: Final = 42
_FALSE, _TRUE, _NULL = 20, 21, 22
_SIMPLE_VALUES: Final[dict[int, bool | None]] = {_FALSE: False, _TRUE: True, _NULL: None}


def encode(value: Encodable) -> bytes:
    """Return the one encoding of `value`; raise MalformedError for what `decode` would refuse."""
    out = bytearray()
    _write(out, value, 0)
    _check_count(_count(value))
    return bytes(out)


def decode(data: bytes, *, max_bytes: int) -> Value:
    """Return the value that `data` encodes, links as Cid; `encode` of it gives `data` again.

    Raise LimitError over `max_bytes`, 16 levels or 65,536 values, MalformedError for anything that is not
    strict.
    """
    if len(data) > max_bytes:
        raise LimitError(
            "length of document", expected=f"at most {max_bytes} bytes", got=f"{len(data)} bytes"
        )
    reader = _Reader(bytes(data))
    value = reader.value(0)
    if reader.at != len(data):
        raise MalformedError(
            "trailing bytes of document", expected=f"end at {reader.at}", got=f"{len(data)} bytes"
        )
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values = 0

    def take(self, count: int) -> bytes:
        left = len(self.data) - self.at
        if count > left:
            raise MalformedError(
                "truncated dag-cbor", expected=f"{count} bytes at {self.at}", got=f"{left} bytes"
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        if info > 27:
            raise MalformedError(
                f"length at byte {self.at - 1}", expected="definite", got=f"additional {info}"
            )
        if major == _SIMPLE:
            raise MalformedError(
                f"value at byte {self.at - 1}", expected="true, false or null", got="a float"
            )
        width = 1 << (info - 24)
        number = int.from_bytes(self.take(width), "big")
        if number < (24 if width == 1 else 1 << (width * 4)):
            raise MalformedError(f"integer before byte {self.at}", expected="minimal length", got=number)
        return major, number

    def value(self, depth: int) -> Value:
        if depth > MAX_CBOR_DEPTH:
            raise LimitError("depth of document", expected=f"at most {MAX_CBOR_DEPTH} levels", got="more")
        self.values += 1
        _check_count(self.values)
        start = self.at
        major, number = self.head()
        if major == _UINT:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major == _BYTES:
            return self.take(number)
        if major == _TEXT:
            return self.text(number)
        if major == _ARRAY:
            self.room(number)
            return [self.value(depth + 1) for _ in range(number)]
        if major == _MAP:
            self.room(2 * number)
            return self.map(number, depth)
        if major == _TAG:
            return self.link(number)
        if number in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[number]
        raise MalformedError(f"value at byte {start}", expected="true, false or null", got=f"simple {number}")

    def room(self, items: int) -> None:
        """Refuse a count that the bytes left cannot hold, before a loop runs over it."""
        left = len(self.data) - self.at
        if items > left:
            raise MalformedError(
                "truncated dag-cbor", expected=f"{items} items at {self.at}", got=f"{left} bytes"
            )

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedError(f"text before byte {self.at}", expected="UTF-8", got="other bytes") from None

    def map(self, count: int, depth: int) -> dict[str, Value]:
        result: dict[str, Value] = {}
        before: tuple[int, bytes] | None = None
        for _ in range(count):
            major, size = self.head()
            if major != _TEXT:
                raise MalformedError(
                    f"map key before byte {self.at}", expected="text", got=f"major type {major}"
                )
            key = self.text(size)
            order = (size, self.data[self.at - size : self.at])
            if before is not None and order <= before:
                raise MalformedError(
                    "order of map keys", expected="length, then bytes, each once", got=repr(key)
                )
            before = order
            result[key] = self.value(depth + 1)
        return result

    def link(self, tag: int) -> Cid:
        if tag != _LINK_TAG:
            raise MalformedError(f"tag before byte {self.at}", expected=_LINK_TAG, got=tag)
        major, size = self.head()
        if major != _BYTES or size != CID_BYTES + 1:
            raise MalformedError("link", expected=f"{CID_BYTES + 1} bytes", got=f"major type {major}, {size}")
        data = self.take(size)
        if data[0] != 0:
            raise MalformedError("first byte of link", expected=0, got=data[0])
        return Cid.from_bytes(data[1:])


def _check_count(values: int) -> None:
    if values > MAX_CBOR_VALUES:
        raise LimitError("values of document", expected=f"at most {MAX_CBOR_VALUES}", got="more")


def _count(value: Encodable) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list | tuple) else 1


def _head(out: bytearray, major: int, number: int) -> None:
    if number < 24:
        out.append(major << 5 | number)
        return
    power = next(power for power in range(4) if number >> (8 << power) == 0)
    out.append(major << 5 | 24 + power)
    out += number.to_bytes(1 << power, "big")


def _write(out: bytearray, value: Encodable, depth: int) -> None:
    if depth > MAX_CBOR_DEPTH:
        raise LimitError("depth of document", expected=f"at most {MAX_CBOR_DEPTH} levels", got="more")
    if value is None or isinstance(value, bool):
        out.append(_SIMPLE << 5 | (_NULL if value is None else _TRUE if value else _FALSE))
    elif isinstance(value, int):
        if not -1 - MAX_U64 <= value <= MAX_U64:
            raise MalformedError("integer", expected="64 bits", got=f"{value.bit_length()} bits")
        _head(out, _UINT if value >= 0 else _NEGATIVE, value if value >= 0 else -1 - value)
    elif isinstance(value, bytes | bytearray | memoryview):
        _head(out, _BYTES, len(value))
        out += value
    elif isinstance(value, str):
        data = _utf8(value)
        _head(out, _TEXT, len(data))
        out += data
    elif isinstance(value, Cid):
        _head(out, _TAG, _LINK_TAG)
        _head(out, _BYTES, CID_BYTES + 1)
        out += b"\0" + value.to_bytes()
    elif isinstance(value, Mapping):
        _head(out, _MAP, len(value))
        for key in sorted(value, key=_key_order):
            _write(out, key, depth)
            _write(out, value[key], depth + 1)
    elif isinstance(value, list | tuple):
        _head(out, _ARRAY, len(value))
        for item in value:
            _write(out, item, depth + 1)
    else:
        raise MalformedError("value", expected="a dag-cbor value without floats", got=type(value).__name__)


def _key_order(key: object) -> tuple[int, bytes]:
    if not isinstance(key, str):
        raise MalformedError("map key", expected="text", got=type(key).__name__)
    data = _utf8(key)
    return len(data), data


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedError("text", expected="Unicode without lone surrogates", got=ascii(text)) from None
