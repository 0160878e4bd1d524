"""Valid documents of the protocol, each made from keys of the test's own; what a test changes it names."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.keccak import keccak256
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Component, Delta, Manifest, MinFrom
from ledger_protocol.release.signing import MANIFEST_TYPE, TRUST_ROOT_TYPE, PrivateKey, PublicKey, sign
from ledger_protocol.release.trust_root import (
    HeaderTrust,
    KeySet,
    LedgerRef,
    QbftTrust,
    SignedTrustRoot,
    TrustRoot,
    Validator,
    WitnessTrust,
)

NOW_S = 1_900_000_000


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@functools.cache
def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(digest(name))


@functools.cache
def ec_key(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(digest(name)[:31], "big"), curve())


def public(*keys: PrivateKey) -> tuple[PublicKey, ...]:
    return tuple(PublicKey.from_private(key) for key in keys)


@functools.cache
def validator(name: str) -> Validator:
    numbers = ec_key(name, ec.SECP256K1).public_key().public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return Validator(keccak256(point[1:])[12:], point)


def vkey(name: str, *, point: bytes | None = None, kind: bytes = b"\xffevm-checkpoint/v1") -> str:
    data = kind + (point or digest(f"witness {name}"))
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4].hex()
    return f"{name}+{key_id}+{base64.b64encode(data).decode()}"


def component(name: str = "rootfs", **changes: object) -> Component:
    image = b"image of " + name.encode()
    made = Component(
        name=name,
        slot_class="rootfs",
        handler="raw",
        arch="arm64",
        size=len(image),
        sha256=hashlib.sha256(image).digest(),
        image=Cid.of(RAW, image),
    )
    return replace(made, **changes)


def manifest(**changes: object) -> Manifest:
    made = Manifest(
        compatible="acme,gateway-2",
        hw_revisions=("B1", "B2"),
        version="2.4.1",
        channels=("beta", "stable"),
        sequence=7,
        security_version=3,
        previous=digest("previous release"),
        min_from=MinFrom(2, digest("via")),
        kind="both",
        advisories=("CVE-2031-1234",),
        support_until=NOW_S + 10_000,
        created=NOW_S,
        notes="Fixes the modem.\nKeeps settings.",
        identifiers={"rxswin": "R155 SW 12"},
        sbom=Cid.of(RAW, b"sbom"),
        components=(
            component(
                deltas=(Delta(digest("base"), "zstd-runs", Cid.of(DAG_CBOR, b"patch"), 99),),
                hooks=("migrate",),
            ),
            component("kernel", read_only=True, verity_root=digest("verity")),
        ),
    )
    return replace(made, **changes)


def signed_release(made: Manifest, *keys: PrivateKey) -> tuple[bytes, bytes]:
    """Return the envelope block and the manifest block of a release signed by `keys`."""
    block = made.encode()
    envelope = Envelope(Cid.of(DAG_CBOR, block))
    for key in keys:
        envelope = envelope.with_signature(sign(key, MANIFEST_TYPE, block))
    return envelope.encode(), block


def trust_root(**changes: object) -> TrustRoot:
    made = TrustRoot(
        version=1,
        issued_at=NOW_S - 1000,
        expires=NOW_S + 1000,
        previous=None,
        root_keys=KeySet(2, public(*ROOT_SIGNERS)),
        release_keys=KeySet(2, public(ed25519_key("release 0"), ec_key("release 1"), ec_key("release 2"))),
        ledger=LedgerRef(
            chain_id=1337,
            address=digest("ledger")[:20],
            code_hash=digest("code"),
            journal=digest("journal")[:20],
            from_block=5,
            from_time=NOW_S - 5000,
        ),
        headers=HeaderTrust(
            QbftTrust(tuple(validator(f"validator {n}") for n in range(4)), 4),
            WitnessTrust(
                threshold=2,
                keys=tuple(vkey(f"witness{n}.example") for n in range(3)),
                origin="acme.example/evm/1337",
                final="depth:12",
            ),
            "any",
        ),
        max_checkpoint_age=86_400,
        operator=digest("operator")[:20],
    )
    return replace(made, **changes)


def signed_root(root: TrustRoot, *keys: PrivateKey) -> bytes:
    document = root.encode()
    signed = SignedTrustRoot(document)
    for key in keys:
        signed = signed.with_signature(sign(key, TRUST_ROOT_TYPE, document))
    return signed.encode()


def root_chain(count: int) -> list[bytes]:
    """Return `count` signed trust roots, each following from the one before, all by the same keys."""
    chain = [signed_root(trust_root(), *ROOT_SIGNERS[:2])]
    while len(chain) < count:
        nxt = trust_root(version=len(chain) + 1, previous=Cid.of(DAG_CBOR, chain[-1]))
        chain.append(signed_root(nxt, *ROOT_SIGNERS[:2]))
    return chain


ROOT_SIGNERS: tuple[PrivateKey, ...] = (ed25519_key("root 0"), ec_key("root 1"), ed25519_key("root 2"))
