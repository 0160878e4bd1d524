"""Proof documents: their bounds and their one form (§5)."""

from collections.abc import Callable

from ledger_client.conformance.case import ACCEPT, GONE, PROOF, refuse
from ledger_client.conformance.cases.proofs import ARBITRARY, NOT_PROVEN, SECTION, with_nodes
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import cbor, documents
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.dag_cbor import Encodable

with_nodes(
    "of-513-nodes",
    NOT_PROVEN,
    "nodes are counted before they are read: 512 at most",
    lambda s: [*s.world.nodes(), *(place.to_bytes(4, "big") for place in range(513))],
    attack="endless data",
)
with_nodes(
    "of-10000-nodes",
    NOT_PROVEN,
    "a proof is bounded in nodes and in bytes",
    lambda s: [*s.world.nodes(), *(place.to_bytes(2, "big") for place in range(10_000))],
    attack="endless data",
)
with_nodes(
    "with-a-node-of-1025-bytes",
    NOT_PROVEN,
    "a node has 1,024 bytes at most",
    lambda s: [*s.world.nodes(), bytes(1_025)],
    attack="endless data",
)
with_nodes("with-an-empty-node", NOT_PROVEN, "a node has a byte at least", lambda s: [*s.world.nodes(), b""])


def _padded(s: Scenario, size_bytes: int) -> list[bytes]:
    """Give nodes that make the whole proof this large."""
    nodes = s.world.nodes()
    place = 0
    while True:
        left = size_bytes - len(s.world.proof(nodes=nodes))
        if left <= 0:
            break
        nodes.append(
            place.to_bytes(4, "big") + bytes(min(1_000, left - 3) - 4) if left > 1_010 else _fill(left)
        )
        place += 1
    return nodes


def _fill(left: int) -> bytes:
    # A byte string's head takes 1, 2 or 3 bytes of what is left.
    return b"\xee" * (left - (1 if left <= 24 else 2 if left <= 257 else 3))


with_nodes("of-65536-bytes", ACCEPT, "a proof may have 65,536 bytes", lambda s: _padded(s, 2**16))
with_nodes(
    "of-65537-bytes",
    refuse(*PROOF, *GONE),
    "a proof has 65,536 bytes at most",
    lambda s: _padded(s, 2**16 + 1),
    attack="endless data",
)


def _document(
    name: str, why: str, change: Callable[[documents.Document], bytes], attack: str = ARBITRARY
) -> None:
    """Register a case whose proof document is encoded another way."""

    @case(f"proof.{name}", attack, SECTION, NOT_PROVEN, why)
    def _(s: Scenario) -> None:
        whole = dag_cbor.decode(s.world.proof(), max_bytes=2**16)
        assert isinstance(whole, dict)
        s.check({**s.stick(), "proof.cbor": change(dict(whole))})


_document("not-a-map", "a proof is a map", lambda fields: dag_cbor.encode(list(fields.values())))
_document("empty", "no bytes are no proof", lambda _fields: b"")
_document(
    "of-another-schema",
    "another schema is another document",
    lambda fields: dag_cbor.encode({**fields, "schema": "fwledger/ledger-proof/2"}),
)
_document(
    "with-unknown-field",
    "an unknown field may change what a known one means",
    lambda fields: dag_cbor.encode({**fields, "values": {"halted": False}}),
)
_document(
    "without-note-field",
    "no field is left out: null is written",
    lambda fields: dag_cbor.encode({name: value for name, value in fields.items() if name != "note"}),
)
_document(
    "with-neither-header-nor-note",
    "something must vouch for the state root",
    lambda fields: dag_cbor.encode({**fields, "header": None}),
)
_document(
    "with-trailing-byte", "nothing stands behind a document", lambda fields: dag_cbor.encode(fields) + b"\x00"
)
_document(
    "with-keys-out-of-order",
    "map keys have one order",
    lambda fields: cbor.joined(dict(reversed(cbor.pairs(fields).items()))),
)
_document(
    "with-a-key-twice",
    "a key stands once: which of two would count?",
    lambda fields: cbor.raw_map([*_items(fields), _items(fields)[-1]]),
)
_document(
    "with-indefinite-list",
    "lengths are definite",
    lambda fields: cbor.with_value(fields, "envelopes", b"\x9f\xff"),
)
_document(
    "with-65-hints",
    "hints are bounded: 64 at most",
    lambda fields: dag_cbor.encode({**fields, "envelopes": [*_hints(fields), *[bytes(36)] * 63]}),
    attack="endless data",
)


def _hints(fields: documents.Document) -> list[Encodable]:
    hints = fields["envelopes"]
    assert isinstance(hints, list)
    return hints


def _items(fields: documents.Document) -> list[tuple[bytes, bytes]]:
    return [(dag_cbor.encode(key), value) for key, value in cbor.pairs(fields).items()]


_document(
    "nested-17-deep",
    "depth is bounded: 16 levels at most",
    lambda fields: cbor.with_value(fields, "note", b"\x81" * 17 + b"\xf6"),
    attack="endless data",
)
