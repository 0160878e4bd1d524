"""Signatures of people: DSSE v1 over a document, m of n keys, Ed25519 or ECDSA P-256 with SHA-256.

Source: protocol.md §2; https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md. RSA is left out on
purpose: large signatures, many paddings, and nothing that a signer of 2020 or later cannot do without.
A key is identified by the SHA-256 of its SubjectPublicKeyInfo, and what is counted is keys, never
signatures and never the ids that a signature claims.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from ledger_protocol.errors import LimitError, QuorumError, SignatureError
from ledger_protocol.limits import MAX_KEYS, MAX_SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from ledger_protocol.content.dag_cbor import Encodable
    from ledger_protocol.fields import Fields

MANIFEST_TYPE: Final = "application/vnd.fwledger.manifest.v1+dag-cbor"
TRUST_ROOT_TYPE: Final = "application/vnd.fwledger.trust-root.v1+dag-cbor"
"""Payload types: one a kind of document, so that a signature over one kind never counts for another."""

PrivateKey: TypeAlias = "ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey"

SIGNATURE_BYTES: Final = 64  # both kinds
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ED25519_PRIME: Final = 2**255 - 19
_ED25519_ORDER_8_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# A canonical key is one of two fixed headers (RFC 8410, RFC 5480) and the point: no DER parser sees hostile
# bytes.
_ED25519_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
_P256_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_ED25519_SPKI_BYTES: Final = 44
_P256_SPKI_BYTES: Final = 91
# y of the points of order 1, 2, 4 and 8 (RFC 7748 §6.1 asks for care with them): such a "key" verifies
# signatures that nobody made.
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _ED25519_PRIME - 1,
        _ED25519_ORDER_8_Y,
        _ED25519_PRIME - _ED25519_ORDER_8_Y,
    }
)
_KINDS_BY_OID: Final = {
    "06092a864886f70d010101": "an RSA key",
    "06092a864886f70d01010a": "an RSA-PSS key",
    "06072a8648ce380401": "a DSA key",
    "06032b6571": "an Ed448 key",
    "06032b656e": "an X25519 key",
    "06052b8104000a": "an EC key on secp256k1",
    "06052b81040022": "an EC key on P-384",
    "06052b81040023": "an EC key on P-521",
    "06082a8648ce3d030107": "a P-256 key that is not an uncompressed point",
}
_ACCEPTED: Final = "Ed25519, or ECDSA P-256 with an uncompressed point"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as its canonical SubjectPublicKeyInfo, DER. Made only of a valid point of an accepted kind."""

    spki: bytes

    def __post_init__(self) -> None:
        _load(self.spki)

    @property
    def key_id(self) -> bytes:
        """The 32 bytes that name this key: SHA-256 of the SubjectPublicKeyInfo."""
        return hashlib.sha256(self.spki).digest()

    @property
    def kind(self) -> str:
        """`ed25519` or `ecdsa-p256`."""
        return "ed25519" if self.spki.startswith(_ED25519_HEAD) else "ecdsa-p256"

    @classmethod
    def from_der(cls, spki: bytes) -> PublicKey:
        """Read a canonical SubjectPublicKeyInfo; raise SignatureError for other kinds and other encodings."""
        return cls(bytes(spki))

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a PEM public key; a point may be compressed here, since the result is re-encoded."""
        try:
            key = serialization.load_pem_public_key(pem)
            return cls(_spki_of(key))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SignatureError("public key in PEM", expected=_ACCEPTED, got=str(error)) from None

    @classmethod
    def from_private(cls, private_key: PrivateKey) -> PublicKey:
        """Return the public half of `private_key`."""
        return cls(_spki_of(private_key.public_key()))

    def to_pem(self) -> bytes:
        """Return the PEM text of the key."""
        return _load(self.spki).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def verify(self, payload_type: str, payload: bytes, sig: bytes) -> None:
        """Raise SignatureError unless `sig` (64 bytes) is this key's over the payload, DSSE encoded."""
        if len(sig) != SIGNATURE_BYTES:
            raise SignatureError("signature", expected=f"{SIGNATURE_BYTES} bytes", got=f"{len(sig)} bytes")
        message = pae(payload_type, payload)
        key = _load(self.spki)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(bytes(sig), message)
            else:
                r, s = int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big")
                _check_scalars(r, s)
                key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise SignatureError(
                f"signature of key {self.key_id.hex()[:16]}", expected="valid", got="invalid"
            ) from None


@dataclass(frozen=True, slots=True)
class Signature:
    """A claim that the key `key_id` (32 bytes) made `sig` (64 bytes): unverified until a key says so."""

    key_id: bytes
    sig: bytes

    def __post_init__(self) -> None:
        if len(self.key_id) != 32 or len(self.sig) != SIGNATURE_BYTES:
            sizes = f"{len(self.key_id)} and {len(self.sig)} bytes"
            raise SignatureError(
                "key id and signature", expected=f"32 and {SIGNATURE_BYTES} bytes", got=sizes
            )


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the DSSE v1 pre-authentication encoding: what is signed in place of the payload."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(private_key: PrivateKey, payload_type: str, payload: bytes) -> Signature:
    """Sign the payload; ECDSA signatures come out as 64 bytes r‖s with low s."""
    public = PublicKey.from_private(private_key)
    message = pae(payload_type, payload)
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return Signature(public.key_id, private_key.sign(message))
    return signature_from_raw(public, private_key.sign(message, ec.ECDSA(hashes.SHA256())))


def signature_from_raw(key: PublicKey, raw: bytes) -> Signature:
    """Wrap what a signing device or library returned: 64 bytes for Ed25519, DER for ECDSA (s is made low)."""
    if key.kind == "ed25519":
        return Signature(key.key_id, raw)
    try:
        r, s = utils.decode_dss_signature(raw)
    except ValueError:
        raise SignatureError("ECDSA signature", expected="DER", got=f"{len(raw)} bytes") from None
    s = min(s, _P256_ORDER - s)
    _check_scalars(r, s)
    return Signature(key.key_id, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def verify_threshold(
    payload_type: str,
    payload: bytes,
    signatures: Sequence[Signature],
    *,
    keys: Sequence[PublicKey],
    threshold: int,
) -> frozenset[bytes]:
    """Return the ids of the distinct `keys` that signed; raise QuorumError where they are under `threshold`.

    Signatures of other keys, invalid ones and repeated ones add nothing. A threshold under 1, or more than
    there are distinct keys, is refused: it would accept anything or nothing.
    """
    if len(signatures) > MAX_SIGNATURES:
        raise LimitError("signatures", expected=f"at most {MAX_SIGNATURES}", got=len(signatures))
    by_id: Mapping[bytes, PublicKey] = {key.key_id: key for key in keys}
    check_threshold(keys, threshold, what="keys to verify with")
    signers: set[bytes] = set()
    invalid = 0
    for signature in signatures:
        key = by_id.get(signature.key_id)
        if key is None or signature.key_id in signers:
            continue
        try:
            key.verify(payload_type, payload, signature.sig)
        except SignatureError:
            invalid += 1
        else:
            signers.add(signature.key_id)
    if len(signers) < threshold:
        raise QuorumError(
            f"signatures over {payload_type}",
            expected=f"{threshold} of {len(by_id)} trusted keys",
            got=f"{len(signers)} ({invalid} invalid, {len(signatures)} offered)",
            hint="collect more signatures, or look for a newer trust root",
        )
    return frozenset(signers)


def check_threshold(keys: Sequence[PublicKey], threshold: int, *, what: str) -> None:
    """Refuse a key listed twice, too many keys, and a threshold outside 1 to the number of keys."""
    if len(keys) > MAX_KEYS:
        raise LimitError(what, expected=f"at most {MAX_KEYS} keys", got=len(keys))
    if len({key.spki for key in keys}) != len(keys):
        raise SignatureError(what, expected="distinct keys", got="one twice")
    if not 1 <= threshold <= len(keys):
        raise SignatureError(what, expected=f"threshold 1 to {len(keys)}", got=threshold)


def check_ed25519_point(point: bytes) -> None:
    """Refuse a public key (32 bytes) that is not canonical, or for which anyone can make signatures."""
    y = int.from_bytes(point, "little") & ~(1 << 255)
    if y >= _ED25519_PRIME or y in _SMALL_ORDER_Y:
        raise SignatureError("Ed25519 key", expected="a point of large order", got=point)


def encode_signatures(signatures: Sequence[Signature]) -> list[Encodable]:
    """Return the list form of signatures, sorted by key id."""
    ordered = sorted(signatures, key=lambda signature: signature.key_id)
    return [{"keyid": signature.key_id, "sig": signature.sig} for signature in ordered]


def decode_signatures(fields: Fields) -> tuple[Signature, ...]:
    """Read the field `signatures`: at most 32, sorted by key id, each key id once."""
    found = []
    for item in fields.groups("signatures", max_count=MAX_SIGNATURES):
        found.append(Signature(item.octets("keyid", size=32), item.octets("sig", size=SIGNATURE_BYTES)))
        item.end()
    ids = [signature.key_id for signature in found]
    if any(one >= other for one, other in itertools.pairwise(ids)):
        raise SignatureError(
            "order of signatures", expected="ascending key ids, each once", got="another order"
        )
    return tuple(found)


def _load(spki: bytes) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    if len(spki) == _ED25519_SPKI_BYTES and spki.startswith(_ED25519_HEAD):
        point = spki[len(_ED25519_HEAD) :]
        check_ed25519_point(point)
        return ed25519.Ed25519PublicKey.from_public_bytes(point)
    if len(spki) == _P256_SPKI_BYTES and spki.startswith(_P256_HEAD):
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), spki[len(_P256_HEAD) - 1 :])
        except ValueError:
            raise SignatureError("P-256 key", expected="a point on the curve", got="another") from None
    named = [name for oid, name in _KINDS_BY_OID.items() if bytes.fromhex(oid) in spki[:48]]
    raise SignatureError(
        "public key", expected=_ACCEPTED, got=named[0] if named else f"{len(spki)} bytes of another kind"
    )


def _spki_of(key: PublicKeyTypes) -> bytes:
    """Return the canonical DER of a key object; `PublicKey` refuses other kinds by name."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        # Older versions of cryptography keep a compressed point compressed when they write the key.
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return _P256_HEAD[:-1] + point
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _check_scalars(r: int, s: int) -> None:
    if not 1 <= r < _P256_ORDER or not 1 <= s <= _P256_ORDER // 2:
        raise SignatureError("ECDSA signature", expected="r and s in range, s low", got="outside")
