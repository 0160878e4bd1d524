"""Hostile versions of valid bytes, for decoders: bytes changed, cut and added; fields changed, lost and added."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import CODECS, Cid
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

cids = st.builds(Cid, st.sampled_from(sorted(CODECS)), st.binary(min_size=32, max_size=32))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    cids,
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """`valid` with one to four bytes changed, put in, or taken out, or its tail cut."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change" if data:
                data[at] ^= draw(st.integers(1, 255))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=5))
            case "remove":
                del data[at : at + draw(st.integers(1, 5))]
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def altered(draw: st.DrawFn, document: bytes) -> bytes:
    """A valid dag-cbor document with one value somewhere in it replaced, removed, doubled or added."""
    root = dag_cbor.decode(document, max_bytes=len(document))
    root = copy.deepcopy(root)
    node = root
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and draw(st.booleans()):
            node = node[key]
            continue
        match draw(st.sampled_from(["replace", "remove", "double"])):
            case "replace":
                node[key] = draw(values)
            case "remove":
                del node[key]
            case _ if isinstance(node, list):
                node.append(node[key])
            case _:
                node[draw(st.text(max_size=6))] = node[key]
        break
    return dag_cbor.encode(root)


def hostile(document: bytes) -> st.SearchStrategy[bytes]:
    """Everything that a decoder of this document should survive."""
    return st.one_of(
        st.binary(max_size=200), mutated(document), altered(document), values.map(dag_cbor.encode)
    )


def decodes_strictly(
    decode: Callable[[bytes], object], encode: Callable[[object], bytes], data: bytes
) -> None:
    """Decode `data`: only ProtocolError may leave, and what is accepted must encode to the same bytes."""
    try:
        value = decode(data)
    except ProtocolError:
        return
    assert encode(value) == data
