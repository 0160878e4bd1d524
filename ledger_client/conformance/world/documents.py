"""The documents of the protocol as plain maps, encoded without asking whether they make sense."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_client.conformance.world.keys import Signature, SigningKey, address, point, spki
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.content.dag_cbor import Encodable
from ledger_protocol.content.unixfs import build_from_leaves

Document = dict[str, Encodable]


def envelope(manifest: bytes, signatures: Iterable[Signature]) -> bytes:
    """Give the envelope of a manifest block, signatures in the order of their key ids."""
    return dag_cbor.encode(
        {
            "schema": "fwledger/envelope/1",
            "manifest": Cid.of(DAG_CBOR, manifest),
            "signatures": listed(sorted(signatures)),
        }
    )


def signed_root(document: bytes, signatures: Iterable[Signature]) -> bytes:
    """Give the signed trust root over a document, signatures in the order of their key ids."""
    return dag_cbor.encode(
        {
            "schema": "fwledger/trust-root-envelope/1",
            "document": document,
            "signatures": listed(sorted(signatures)),
        }
    )


def listed(signatures: Iterable[Signature]) -> list[Encodable]:
    """Give signatures as a list of maps, in the order in which they stand."""
    return [{"keyid": named, "sig": raw} for named, raw in signatures]


def proof_map(
    header: bytes | None, note: bytes | None, nodes: Iterable[bytes], envelopes: Iterable[bytes]
) -> Document:
    """Give a ledger proof's fields."""
    return {
        "schema": "fwledger/ledger-proof/1",
        "header": header,
        "note": note,
        "nodes": list(dict.fromkeys(nodes)),
        "envelopes": list(dict.fromkeys(envelopes)),
    }


def key_set(keys: Sequence[SigningKey], threshold: int) -> Document:
    """Give `threshold` of these keys, as a trust root writes it."""
    return {"threshold": threshold, "keys": [spki(key) for key in keys]}


def qbft(validators: Sequence[ec.EllipticCurvePrivateKey], *, min_validators: int = 4) -> Document:
    """Give pinned validators, as a trust root writes them."""
    return {
        "validators": [{"address": address(key), "public_key": point(key)} for key in validators],
        "min_validators": min_validators,
    }


def component(name: str, image: bytes, tree: Cid) -> Document:
    """Give the component of a plain image for the slot class of its name."""
    return {
        "name": name,
        "slot_class": name,
        "handler": "raw",
        "arch": "aarch64",
        "size": len(image),
        "sha256": hashlib.sha256(image).digest(),
        "image": tree,
        "deltas": [],
        "encryption": None,
        "verity_root": None,
        "read_only": False,
        "hooks": [],
    }


def manifest(sequence: int, components: Sequence[Mapping[str, Encodable]], *, created: int) -> Document:
    """Give the fields of an ordinary manifest for the channel `stable`."""
    return {
        "schema": "fwledger/manifest/1",
        "compatible": "acme,gateway",
        "hw_revisions": [],
        "version": f"1.{sequence}",
        "channels": ["stable"],
        "sequence": sequence,
        "security_version": 1,
        "previous": None,
        "min_from": None,
        "kind": "feature",
        "advisories": [],
        "support_until": None,
        "created": created,
        "notes": "",
        "identifiers": {},
        "sbom": None,
        "provenance": None,
        "components": list(components),
    }


def image_tree(image: bytes, *, chunk_bytes: int = 1_024, width: int = 4) -> tuple[Cid, dict[Cid, bytes]]:
    """Cut an image into leaves of fixed size; give its root and blocks. Narrow, so that trees are deep."""
    leaves = [image[at : at + chunk_bytes] for at in range(0, len(image), chunk_bytes)] or [b""]
    root, nodes = build_from_leaves([(Cid.of(RAW, leaf), len(leaf)) for leaf in leaves], width)
    return root, {**{Cid.of(RAW, leaf): leaf for leaf in leaves}, **dict(nodes)}
