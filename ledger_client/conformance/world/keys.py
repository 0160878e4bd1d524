"""Keys that are the same in every run, and the three kinds of signatures that a world is made of."""

import base64
import hashlib
from functools import cache
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from ledger_protocol.keccak import keccak256

MANIFEST_TYPE: Final = "application/vnd.fwledger.manifest.v1+dag-cbor"
TRUST_ROOT_TYPE: Final = "application/vnd.fwledger.trust-root.v1+dag-cbor"
WITNESS_TYPE: Final = b"\xffevm-checkpoint/v1"

# Orders of the two groups, SEC 2 §2.4.1 and §2.4.2.
SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Signature = tuple[bytes, bytes]
"""Key id and signature, as an envelope lists them."""


@cache
def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    """Give the Ed25519 key of this name."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


@cache
def p256_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Give the ECDSA P-256 key of this name."""
    return ec.derive_private_key(_scalar(name.encode(), P256_ORDER), ec.SECP256R1())


@cache
def secp256k1_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Give the secp256k1 key of this name: a validator's or a device's."""
    return ec.derive_private_key(_scalar(name.encode(), SECP256K1_ORDER), ec.SECP256K1())


@cache
def spki(key: SigningKey) -> bytes:
    """Give the canonical SubjectPublicKeyInfo of a firmware or root key."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_id(key: SigningKey) -> bytes:
    """Give the 32 bytes that name a firmware or root key."""
    return hashlib.sha256(spki(key)).digest()


def dsse(key: SigningKey, payload_type: str, payload: bytes) -> Signature:
    """Sign a payload as DSSE v1 wants it; ECDSA comes as 64 bytes r, s with low s."""
    kind = payload_type.encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key_id(key), key.sign(message)
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return key_id(key), r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


def high_s(signature: Signature) -> Signature:
    """Give the other ECDSA P-256 signature that the same mathematics accepts."""
    named, raw = signature
    s = int.from_bytes(raw[32:], "big")
    return named, raw[:32] + (P256_ORDER - s).to_bytes(32, "big")


@cache
def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the 65 bytes of a secp256k1 public key, uncompressed."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def address(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give the 20-byte address of a secp256k1 key."""
    return keccak256(point(key)[1:])[12:]


def recoverable(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Sign a digest on secp256k1: 65 bytes r, s, v with low s, and the v from which the key can be found."""
    secret = key.private_numbers().private_value
    nonce = _scalar(secret.to_bytes(32, "big") + digest, SECP256K1_ORDER)
    shared = ec.derive_private_key(nonce, ec.SECP256K1()).public_key().public_numbers()
    r = shared.x % SECP256K1_ORDER
    s = pow(nonce, -1, SECP256K1_ORDER) * (int.from_bytes(digest, "big") + r * secret) % SECP256K1_ORDER
    v = shared.y & 1
    if s > SECP256K1_ORDER // 2:
        s, v = SECP256K1_ORDER - s, v ^ 1
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


def vkey(key: ed25519.Ed25519PrivateKey, name: str) -> str:
    """Give a witness's public key as a trust root pins it."""
    typed = WITNESS_TYPE + witness_point(key)
    return f"{name}+{witness_key_id(key, name).hex()}+{base64.b64encode(typed).decode()}"


def witness_key_id(key: ed25519.Ed25519PrivateKey, name: str) -> bytes:
    """Give the 4 bytes that name a witness's key in a note."""
    return hashlib.sha256(name.encode() + b"\n" + WITNESS_TYPE + witness_point(key)).digest()[:4]


@cache
def witness_point(key: ed25519.Ed25519PrivateKey) -> bytes:
    """Give the 32 bytes of a witness's public key."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give a device's private key as PEM: made for this suite alone, and known to everybody."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _scalar(seed: bytes, order: int) -> int:
    return 1 + int.from_bytes(hashlib.sha512(seed).digest(), "big") % (order - 1)
