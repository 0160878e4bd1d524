"""The release envelope: a link to the manifest and who signed it.

Source: protocol.md §2. Pinning its CID on IPFS pins the whole release; its CID is a hint, never a fact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.fields import Fields
from ledger_protocol.limits import MAX_ENVELOPE_BYTES
from ledger_protocol.release.signing import Signature, decode_signatures, encode_signatures

SCHEMA: Final = "fwledger/envelope/1"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A manifest's CID and the claimed signatures over its block, sorted by key id: nothing verified yet."""

    manifest: Cid
    signatures: tuple[Signature, ...] = ()

    def encode(self) -> bytes:
        """Return the block; raise ProtocolError for an envelope that `decode` would refuse."""
        signatures = encode_signatures(self.signatures)
        block = dag_cbor.encode({"schema": SCHEMA, "manifest": self.manifest, "signatures": signatures})
        Envelope.decode(block)
        return block

    @classmethod
    def decode(cls, block: bytes) -> Envelope:
        """Read an envelope block of at most 8 KiB."""
        fields = Fields.document(block, schema=SCHEMA, max_bytes=MAX_ENVELOPE_BYTES)
        envelope = cls(fields.link("manifest", codecs=(DAG_CBOR,)), decode_signatures(fields))
        fields.end()
        return envelope

    @property
    def cid(self) -> Cid:
        """The CID of the block."""
        return Cid.of(DAG_CBOR, self.encode())

    def with_signature(self, signature: Signature) -> Envelope:
        """Return the envelope with this signature; it takes the place of an older one by the same key."""
        others = [held for held in self.signatures if held.key_id != signature.key_id]
        ordered = sorted([*others, signature], key=lambda held: held.key_id)
        return replace(self, signatures=tuple(ordered))
