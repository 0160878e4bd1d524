"""dag-cbor as nobody should write it: maps and values put together by hand."""

from collections.abc import Mapping

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.dag_cbor import Encodable

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG = range(7)

Pairs = dict[str, bytes]
"""A map's keys and its values' encodings, in the order in which they are written."""


def head(major: int, number: int, *, width: int | None = None) -> bytes:
    """Give the head of a value; `width` (1, 2, 4 or 8 bytes) makes it longer than need be."""
    if width is None:
        return dag_cbor.encode(number) if major == UINT else _retyped(dag_cbor.encode(number), major)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + number.to_bytes(width, "big")


def pairs(document: Mapping[str, Encodable]) -> Pairs:
    """Give a document's fields, encoded, in canonical order."""
    keys = sorted(document, key=lambda key: (len(key), key))
    return {key: dag_cbor.encode(document[key]) for key in keys}


def joined(fields: Pairs) -> bytes:
    """Give the map of these fields, in the order in which they stand."""
    return raw_map([(dag_cbor.encode(key), value) for key, value in fields.items()])


def raw_map(items: list[tuple[bytes, bytes]]) -> bytes:
    """Give a map of encoded keys and values, as they stand."""
    return head(MAP, len(items)) + b"".join(key + value for key, value in items)


def with_value(document: Mapping[str, Encodable], name: str, encoded: bytes) -> bytes:
    """Give the document with these very bytes as the value of one field."""
    return joined({**pairs(document), name: encoded})


def _retyped(encoded: bytes, major: int) -> bytes:
    return bytes([encoded[0] | major << 5]) + encoded[1:]
