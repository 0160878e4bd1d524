"""ECDSA on secp256k1 over digests that are hashed already: what validators and devices sign with.

Plain verification against a known key, never recovery, so `cryptography` alone is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256

ORDER = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of the curve's group, SEC 2 §2.4.1
)
PUBLIC_KEY_BYTES = 65  # 04, x, y
SIGNATURE_BYTES = 64  # r, s
# The digests are Keccak's; `cryptography` only wants to know that they have 32 bytes.
_DIGEST = ec.ECDSA(Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: its 65 uncompressed SEC 1 bytes and the 20-byte address made of them."""

    raw: bytes
    address: bytes
    _key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> PublicKey:
        """Read an uncompressed point. Raises MalformedError for another length or form, or a point off the
        curve.
        """
        if len(raw) != PUBLIC_KEY_BYTES or raw[0] != 4:
            raise MalformedError(
                "public key: form",
                expected="65 bytes that begin with 04",
                got=f"{len(raw)} bytes, {raw[:1].hex()}",
            )
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw)
        except ValueError as error:
            raise MalformedError("public key: not a point of secp256k1", got=raw.hex()) from error
        return cls(raw=raw, address=keccak256(raw[1:])[12:], _key=key)

    @classmethod
    def of(cls, private_key: ec.EllipticCurvePrivateKey) -> PublicKey:
        """Give the public half of a private key."""
        point = private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return cls.from_bytes(point)

    def has_signed(self, digest: bytes, signature: bytes) -> bool:
        """Tell whether this key made the 64-byte signature (r, s) over the 32-byte digest; high s counts."""
        if len(digest) != 32 or len(signature) != SIGNATURE_BYTES:
            return False
        # r or s outside 1 to ORDER - 1 is the library's to refuse, and it does (tests feed it both).
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self._key.verify(encode_dss_signature(r, s), digest, _DIGEST)
        except InvalidSignature:
            return False
        return True


def sign(private_key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Sign a 32-byte digest: 64 bytes r, s with the lower of the two possible s."""
    r, s = decode_dss_signature(private_key.sign(digest, _DIGEST))
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def has_low_s(signature: bytes) -> bool:
    """Tell whether s of a 64-byte signature (r, s) is in the lower half."""
    return int.from_bytes(signature[32:], "big") <= ORDER // 2
