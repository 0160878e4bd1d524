"""Releases: the manifest that the ledger names, and the keys that signed it (§2, V6 to V8)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, GONE, RELEASE, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import cbor, documents
from ledger_client.conformance.world.keys import (
    MANIFEST_TYPE,
    TRUST_ROOT_TYPE,
    Signature,
    SigningKey,
    dsse,
    ed25519_key,
    high_s,
    key_id,
    p256_key,
)
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, Cid

SECTION: Final = "§2"
ARBITRARY: Final = "arbitrary software"
DUPLICATE: Final = "duplicate signatures or keys"
STOLEN: Final = "threshold - 1 keys stolen"
# An envelope that cannot be read is passed over as if it were not there.
NOT_SIGNED: Final = refuse(*RELEASE, *GONE)
KEYS: Final[Sequence[SigningKey]] = [ed25519_key("release 0"), ed25519_key("release 1"), p256_key("r")]
THIEVES: Final[Sequence[SigningKey]] = [ed25519_key(f"thief {place}") for place in range(3)]

Make = Callable[[bytes], bytes]


def _envelope(name: str, expected: Expected, why: str, make: Make, attack: str = ARBITRARY) -> None:
    """Register a case whose head has this envelope."""

    @case(f"envelope.{name}", attack, SECTION, expected, why)
    def _(s: Scenario) -> None:
        manifest = dag_cbor.encode(s.world.fields(11))
        s.publish(s.world.enclose(manifest, s.world.build(11).images, make(manifest)), 11)
        s.world.releases = [s.head, *[each for each in s.world.releases if each.id != s.head.id]]
        s.check(s.stick())


def _signed(*keys: SigningKey) -> Make:
    return lambda manifest: documents.envelope(manifest, [dsse(key, MANIFEST_TYPE, manifest) for key in keys])


def _made(change: Callable[[bytes, list[Signature]], list[Signature]], *keys: SigningKey) -> Make:
    """An envelope whose signatures are these, in the order in which they come."""

    def make(manifest: bytes) -> bytes:
        honest = sorted(dsse(key, MANIFEST_TYPE, manifest) for key in keys or KEYS[:2])
        return _raw(manifest, change(manifest, honest))

    return make


def _raw(block: bytes, signatures: Sequence[Signature], **fields: Any) -> bytes:
    whole: documents.Document = {
        "schema": "fwledger/envelope/1",
        "manifest": Cid.of(DAG_CBOR, block),
        "signatures": documents.listed(signatures),
    }
    return dag_cbor.encode({**whole, **fields})


_envelope("two-of-three", ACCEPT, "the threshold of release keys is two of three", _signed(*KEYS[:2]))
_envelope("p256-counts", ACCEPT, "ECDSA P-256 and Ed25519 count alike", _signed(KEYS[1], KEYS[2]))
_envelope("three-of-three", ACCEPT, "more than enough is enough", _signed(*KEYS))
_envelope("unsigned", NOT_SIGNED, "a release that nobody signed is anybody's", _signed())
for number, key in enumerate(KEYS):
    _envelope(f"key-{number}-alone", NOT_SIGNED, "one stolen key must not be enough", _signed(key), STOLEN)
_envelope(
    "strangers", NOT_SIGNED, "keys that the trust root does not name count for nothing", _signed(*THIEVES)
)
_envelope(
    "one-key-and-a-stranger",
    NOT_SIGNED,
    "a stranger does not fill up the threshold",
    _signed(KEYS[0], THIEVES[0]),
    STOLEN,
)
_envelope(
    "strangers-beside-two", ACCEPT, "signatures of unknown keys are ignored", _signed(*KEYS[:2], *THIEVES)
)
_envelope(
    "one-signature-twice",
    NOT_SIGNED,
    "what is counted is distinct keys, never signatures",
    _made(lambda _manifest, signed: [signed[0], signed[0]]),
    DUPLICATE,
)
_envelope(
    "one-key-signing-twice",
    NOT_SIGNED,
    "a P-256 key makes another signature each time: two signatures, one key",
    _made(
        lambda manifest, _signed: sorted(
            [dsse(KEYS[2], MANIFEST_TYPE, manifest), dsse(KEYS[2], MANIFEST_TYPE, manifest)]
        )
    ),
    DUPLICATE,
)
_envelope(
    "one-key-under-two-ids",
    NOT_SIGNED,
    "a key id is a claim: the same key under another's id is still one key",
    _made(lambda _manifest, signed: sorted([signed[0], (key_id(THIEVES[0]), signed[0][1])])),
    DUPLICATE,
)
_envelope(
    "signature-under-another-pinned-id",
    NOT_SIGNED,
    "a signature is checked with the key that its id names",
    _made(lambda _manifest, signed: sorted([signed[0], (signed[1][0], signed[0][1])])),
    DUPLICATE,
)
_envelope(
    "signatures-out-of-order",
    NOT_SIGNED,
    "signatures stand in the order of their key ids: one form",
    _made(lambda _manifest, signed: signed[::-1]),
)
_envelope(
    "p256-with-high-s",
    NOT_SIGNED,
    "an ECDSA signature has one form, with low s: the other is refused",
    _made(lambda _manifest, signed: sorted([_high(each) for each in signed]), KEYS[0], KEYS[2]),
)


def _high(signature: Signature) -> Signature:
    return high_s(signature) if signature[0] == key_id(KEYS[2]) else signature


def _altered(change: Callable[[bytes], bytes]) -> Make:
    return _made(lambda _manifest, signed: [signed[0], (signed[1][0], change(signed[1][1]))])


_envelope(
    "signature-altered",
    NOT_SIGNED,
    "an altered signature is none",
    _altered(lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
)
_envelope(
    "signature-of-zeros", NOT_SIGNED, "64 zero bytes are nobody's signature", _altered(lambda _raw: bytes(64))
)
_envelope("signature-of-63-bytes", NOT_SIGNED, "a signature has 64 bytes", _altered(lambda raw: raw[:63]))
_envelope(
    "signature-of-65-bytes", NOT_SIGNED, "a signature has 64 bytes", _altered(lambda raw: raw + b"\x00")
)
_envelope(
    "key-id-of-31-bytes",
    NOT_SIGNED,
    "a key id has 32 bytes",
    _made(lambda _manifest, signed: [signed[0], (signed[1][0][:31], signed[1][1])]),
)
_envelope(
    "signed-as-a-trust-root",
    NOT_SIGNED,
    "each kind of document has its own payload type",
    _made(lambda manifest, _signed: sorted(dsse(key, TRUST_ROOT_TYPE, manifest) for key in KEYS[:2])),
)
_envelope(
    "signed-without-dsse",
    NOT_SIGNED,
    "what is signed is the DSSE encoding: a signature over the bare block could come from anywhere",
    _made(
        lambda manifest, _signed: sorted(
            (key_id(key), key.sign(manifest)) for key in (ed25519_key("release 0"), ed25519_key("release 1"))
        )
    ),
)
_envelope(
    "signatures-of-the-release-before",
    NOT_SIGNED,
    "a signature belongs to the bytes that it was made over",
    _made(
        lambda _manifest, _signed: sorted(dsse(key, MANIFEST_TYPE, b"another manifest") for key in KEYS[:2])
    ),
    "mix-and-match",
)
_envelope(
    "33-signatures",
    NOT_SIGNED,
    "signatures are counted before one is checked: 32 at most",
    _made(
        lambda _manifest, signed: sorted(
            [*signed, *((bytes([place]) * 32, bytes(64)) for place in range(31))]
        )
    ),
    "endless data",
)
_envelope(
    "32-signatures",
    ACCEPT,
    "32 signatures are within the bound",
    _made(
        lambda _manifest, signed: sorted(
            [*signed, *((bytes([place]) * 32, bytes(64)) for place in range(30))]
        )
    ),
)

# --- the envelope's own form


def _form(
    name: str, why: str, make: Callable[[bytes, list[Signature]], bytes], attack: str = ARBITRARY
) -> None:
    _envelope(
        name,
        NOT_SIGNED,
        why,
        lambda manifest: make(manifest, sorted(dsse(key, MANIFEST_TYPE, manifest) for key in KEYS[:2])),
        attack,
    )


_form(
    "other-schema",
    "another schema is another document",
    lambda manifest, signed: _raw(manifest, signed, schema="fwledger/envelope/2"),
)
_form(
    "unknown-field",
    "an unknown field may change what a known one means",
    lambda manifest, signed: _raw(manifest, signed, urgent=True),
)
_form(
    "of-another-manifest",
    "the envelope links the manifest that it is about",
    lambda manifest, signed: _raw(manifest, signed, manifest=Cid.of(DAG_CBOR, b"another")),
    "mix-and-match",
)
_form(
    "manifest-as-dag-pb",
    "a manifest is dag-cbor",
    lambda manifest, signed: _raw(manifest, signed, manifest=Cid.of(DAG_PB, manifest)),
)
_form(
    "trailing-byte",
    "nothing stands behind a document",
    lambda manifest, signed: _raw(manifest, signed) + b"\x00",
)
_form(
    "longer-than-8-kib",
    "an envelope has 8,192 bytes at most",
    lambda manifest, signed: _raw(manifest, signed) + bytes(8_192),
    "endless data",
)


def _disordered(manifest: bytes, signed: list[Signature]) -> bytes:
    fields: documents.Document = {
        "schema": "fwledger/envelope/1",
        "manifest": Cid.of(DAG_CBOR, manifest),
        "signatures": documents.listed(signed),
    }
    return cbor.joined(dict(reversed(cbor.pairs(fields).items())))


_form("keys-out-of-order", "map keys have one order", _disordered)
