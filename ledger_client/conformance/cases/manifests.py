"""Manifests: signed and named by the ledger, and still not readable in more than one way (§1, §2, V6)."""

from collections.abc import Callable
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, GONE, MANIFEST, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import cbor
from ledger_client.conformance.world.documents import Document
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid

SECTION: Final = "§1"
ARBITRARY: Final = "arbitrary software"
ENDLESS: Final = "endless data"
NOT_READ: Final = refuse(*MANIFEST)


def _manifest(
    name: str,
    why: str,
    make: Callable[[Document], bytes],
    expected: Expected = NOT_READ,
    attack: str = ARBITRARY,
) -> None:
    """Register a case whose head is this manifest block: rightly signed, and named by the ledger."""

    @case(f"manifest.{name}", attack, SECTION, expected, why)
    def _(s: Scenario) -> None:
        block = make(s.world.fields(11))
        s.publish(s.world.sign(block, s.world.build(11).images), 11)
        s.check(s.stick())


def _valued(name: str, why: str, field: str, encoded: bytes) -> None:
    _manifest(name, why, lambda fields: cbor.with_value(fields, field, encoded))


def _with(name: str, why: str, expected: Expected = NOT_READ, **changes: Any) -> None:
    _manifest(name, why, lambda fields: dag_cbor.encode({**fields, **changes}), expected)


_manifest("ordinary", "the canonical encoding is read", dag_cbor.encode, ACCEPT)

# --- dag-cbor: one encoding for each value

for width in (1, 2, 4, 8):
    _valued(
        f"integer-in-{width}-bytes",
        "an integer is written in as few bytes as it needs",
        "sequence",
        cbor.head(cbor.UINT, 11, width=width),
    )
_valued(
    "text-length-in-2-bytes",
    "a length is written in as few bytes as it needs",
    "version",
    cbor.head(cbor.TEXT, 4, width=1) + b"1.11",
)
_valued("indefinite-text", "lengths are definite", "version", b"\x7f\x641.11\xff")
_valued("indefinite-list", "lengths are definite", "advisories", b"\x9f\xff")
_valued("indefinite-map", "lengths are definite", "identifiers", b"\xbf\xff")
_valued("float", "there are no floats", "created", b"\xfb" + bytes(8))
_valued(
    "half-float-for-an-integer", "eleven and eleven point zero are two values", "sequence", b"\xf9\x49\x80"
)
_valued("nan", "there are no floats", "created", b"\xf9\x7e\x00")
_valued("undefined", "null is the only nothing", "previous", b"\xf7")
_valued("simple-value", "true, false and null are the only simple values", "previous", b"\xe0")
_valued("simple-value-in-two-bytes", "true has one form", "previous", b"\xf8\x15")
_valued(
    "bignum", "integers have 64 bits: a tag that makes larger ones is refused", "sequence", b"\xc2\x41\x0b"
)
_valued("date-tag", "links are the only tag", "created", b"\xc1\x1a\x6b\x49\xd2\x00")
_valued("tag-without-value", "a tag has a value", "sbom", b"\xd8\x2a")
_valued("not-utf-8", "text is UTF-8", "notes", b"\x61\xff")
_valued("surrogates", "text is UTF-8, which has no surrogates", "notes", b"\x63\xed\xa0\x80")
_valued("overlong-utf-8", "a character has one encoding", "notes", b"\x62\xc1\x81")
_valued("reserved-additional-information", "28 to 30 mean nothing", "sequence", b"\x1c")
_valued(
    "link-without-zero-byte",
    "a link begins with a zero byte",
    "sbom",
    b"\xd8\x2a\x58\x24" + Cid.of(DAG_CBOR, b"").to_bytes(),
)
_valued("link-as-text", "a link is bytes", "sbom", b"\xd8\x2a\x78\x3b" + str(Cid.of(DAG_CBOR, b"")).encode())
_valued(
    "link-of-version-0", "a link is a CID of version 1", "sbom", b"\xd8\x2a\x58\x23\x00\x12\x20" + bytes(32)
)
_valued(
    "link-with-identity-hash",
    "a link hashes its content with SHA-256",
    "sbom",
    b"\xd8\x2a\x46\x00\x01\x71\x00\x01\x00",
)
_valued(
    "link-of-unknown-codec",
    "a link is raw, dag-pb or dag-cbor",
    "sbom",
    b"\xd8\x2a\x58\x25\x00\x01\x51\x12\x20" + bytes(32),
)
_valued(
    "list-longer-than-the-block",
    "a count is bounded by the bytes that are left",
    "advisories",
    cbor.head(cbor.ARRAY, 2**32),
)
_valued(
    "bytes-longer-than-the-block",
    "a length is bounded by the bytes that are left",
    "previous",
    cbor.head(cbor.BYTES, 2**63),
)
_valued("nested-17-deep", "depth is bounded: 16 levels at most", "advisories", b"\x81" * 17 + b"\xf6")


def _components_in_another_order(fields: Document) -> bytes:
    made = fields["components"]
    assert isinstance(made, list)
    first = made[0]
    assert isinstance(first, dict)
    backwards = cbor.joined(dict(reversed(cbor.pairs(first).items())))
    return cbor.with_value(fields, "components", b"\x81" + backwards)


_manifest(
    "keys-out-of-order",
    "map keys are sorted by length, then bytes",
    lambda fields: cbor.joined(dict(reversed(cbor.pairs(fields).items()))),
)
_manifest("keys-out-of-order-below", "the order holds in every map", _components_in_another_order)
_manifest(
    "keys-sorted-by-bytes-alone",
    "shorter keys come first",
    lambda fields: cbor.joined(dict(sorted(cbor.pairs(fields).items()))),
)


def _items(fields: Document) -> list[tuple[bytes, bytes]]:
    return [(dag_cbor.encode(key), value) for key, value in cbor.pairs(fields).items()]


def _twice(fields: Document, name: str, other: bytes) -> bytes:
    """Write one key twice, one after the other, with two values."""
    items = _items(fields)
    place = next(at for at, (key, _) in enumerate(items) if key == dag_cbor.encode(name))
    return cbor.raw_map([*items[: place + 1], (items[place][0], other), *items[place + 1 :]])


_manifest(
    "a-key-twice",
    "a key stands once: which of two would count?",
    lambda fields: _twice(fields, "sequence", dag_cbor.encode(12)),
)
_manifest(
    "a-key-as-bytes", "keys are text", lambda fields: cbor.raw_map([(b"\x41a", b"\x00"), *_items(fields)])
)
_manifest(
    "a-key-as-integer", "keys are text", lambda fields: cbor.raw_map([(b"\x01", b"\x00"), *_items(fields)])
)
_manifest(
    "trailing-byte", "nothing stands behind a document", lambda fields: dag_cbor.encode(fields) + b"\x00"
)
_manifest("truncated", "a document ends where it says", lambda fields: dag_cbor.encode(fields)[:-1])
_manifest("empty-block", "no bytes are no document", lambda _fields: b"")
_manifest("a-list", "a manifest is a map", lambda fields: dag_cbor.encode(list(fields.values())))


def _sized(fields: Document, size_bytes: int) -> bytes:
    """Give a manifest of exactly this size, by 500 long advisories and its notes."""
    names = [f"A{number:05}" + "x" * 58 for number in range(500)]
    bare = len(dag_cbor.encode({**fields, "advisories": names, "notes": "n" * 30_000}))
    return dag_cbor.encode({**fields, "advisories": names, "notes": "n" * (30_000 + size_bytes - bare)})


_manifest("of-65536-bytes", "a manifest may have 65,536 bytes", lambda fields: _sized(fields, 2**16), ACCEPT)
_manifest(
    "of-65537-bytes",
    "a manifest has 65,536 bytes at most",
    lambda fields: _sized(fields, 2**16 + 1),
    refuse(*MANIFEST, *GONE),
    ENDLESS,
)

# --- fields

_with("other-schema", "another schema is another document", schema="fwledger/manifest/2")
_with("unknown-field", "an unknown field may change what a known one means", critical=True)
_manifest(
    "field-left-out",
    "no field is left out: null is written",
    lambda fields: dag_cbor.encode({name: value for name, value in fields.items() if name != "min_from"}),
)
_with("sequence-zero", "sequences begin at 1", sequence=0)
_with("sequence-above-32-bits", "a sequence has 32 bits", sequence=2**32 + 11)
_with("sequence-negative", "a sequence is not negative", sequence=-11)
_with("sequence-as-text", "a number is a number", sequence="11")
_with("sequence-true", "true is not 1", sequence=True)
_with("security-version-above-24-bits", "a security version has 24 bits", security_version=2**24)
_with("no-channels", "a release names its channels", channels=[])
_with("a-channel-twice", "a list of names has each once", channels=["stable", "stable"])
_with("a-channel-with-a-path", "a name is safe in a path", channels=["stable", "../etc"])
_with("a-channel-in-capitals", "names have one spelling", channels=["stable", "Stable"])
_with("no-components", "a release has a component", components=[])
_with("unknown-kind", "a kind is security, feature or both", kind="urgent")
_with("previous-of-31-bytes", "a release id has 32 bytes", previous=bytes(31))
_with("created-in-41-bits", "a time has 40 bits", created=2**40)
_with("created-in-2106", "a time beyond 32 bits is a time", ACCEPT, created=2**32)
_with("notes-with-controls", "text for people holds no control characters", notes="a\x1b[2Jb")
_with("sbom-of-raw-codec", "a bill of materials may be a raw block", ACCEPT, sbom=Cid.of(RAW, b"sbom"))
_with("largest-numbers", "the largest number of each width is read", ACCEPT, support_until=2**40 - 1)


def _component(title: str, why: str, **changes: Any) -> None:
    def make(fields: Document) -> bytes:
        made = fields["components"]
        assert isinstance(made, list)
        first = made[0]
        assert isinstance(first, dict)
        return dag_cbor.encode({**fields, "components": [{**first, **changes}]})

    _manifest(f"component-{title}", why, make)


_component("of-no-bytes", "an image has a byte at least", size=0)
_component("of-more-than-1-tib", "a size is bounded before it is used", size=2**40 + 1)
_component("digest-of-31-bytes", "a SHA-256 has 32 bytes", sha256=bytes(31))
_component(
    "image-as-bytes",
    "a plain image is linked, so that pinning the release pins it",
    image=Cid.of(RAW, b"").to_bytes(),
)
_component("image-of-dag-cbor", "an image is a file", image=Cid.of(DAG_CBOR, b""))
_component("unknown-field", "an unknown field may change what a known one means", run_as_root=True)
_component("name-with-a-path", "a name is safe in a path", name="../rootfs")


def _two_of_one_name(fields: Document) -> bytes:
    made = fields["components"]
    assert isinstance(made, list)
    return dag_cbor.encode({**fields, "components": [*made, *made]})


_manifest("two-components-of-one-name", "a component is named once", _two_of_one_name)
