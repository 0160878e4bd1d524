"""A device's identity: a secp256k1 key, and the address that the journal knows it by (protocol.md §6)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_protocol.errors import SignatureError
from ledger_protocol.ledger import secp256k1
from ledger_protocol.ledger.secp256k1 import PublicKey

SIGNATURE_BYTES = secp256k1.SIGNATURE_BYTES
PUBLIC_KEY_BYTES = secp256k1.PUBLIC_KEY_BYTES


def new_private_key() -> ec.EllipticCurvePrivateKey:
    """Make a device key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256K1())


def public_key_bytes(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the 65 uncompressed bytes of the public key. Raises MalformedError for a key of another curve."""
    return PublicKey.of(private_key).raw


def address_of(public_key: bytes) -> bytes:
    """Give the 20-byte address of a 65-byte public key. Raises MalformedError where it is not a point of
    the curve.
    """
    return PublicKey.from_bytes(public_key).address


def sign_digest(private_key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Sign a 32-byte digest: 64 bytes r, s, low s."""
    return secp256k1.sign(private_key, digest)


def verify_digest(digest: bytes, signature: bytes, public_key: bytes) -> None:
    """Check a signature as the journal does, high s refused. Raises SignatureError, MalformedError for a
    bad key.
    """
    key = PublicKey.from_bytes(public_key)
    if not key.has_signed(digest, signature):
        raise SignatureError("device signature", expected=f"one of device {key.address.hex()}", got=signature)
    if not secp256k1.has_low_s(signature):
        raise SignatureError("device signature", expected="the lower s", got="the higher")
