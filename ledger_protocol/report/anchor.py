"""Anchors: events that stay off the chain, committed to by the root of a tree in a log of the journal
(protocol.md §6).

The batch is one block on IPFS; a leaf is the canonical dag-cbor of `[event fields, signature]`. An anchor
proof shows some leaves of one anchor to whoever trusts the header of its block: the receipt's proof, and a
path for each leaf. A leaf names no device: whoever checks its signature knows whose it has to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, ProofError
from ledger_protocol.fields import Fields, octets
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.receipt_proof import MAX_LOGS, Log, ReceiptProof, verify_receipt
from ledger_protocol.limits import MAX_RECEIPT_PROOF_BYTES, MAX_U64, MIB
from ledger_protocol.report.device_key import SIGNATURE_BYTES
from ledger_protocol.report.event import SignedEvent
from ledger_protocol.report.event_fields import event_values, read_event
from ledger_protocol.report.merkle_tree import (
    HASH_BYTES,
    MAX_LEAVES,
    MAX_PATH,
    inclusion_paths,
    root_from,
    tree_root,
)

if TYPE_CHECKING:
    from ledger_protocol.ledger.header import Header

BATCH_SCHEMA = "fwledger/anchor/1"
PROOF_SCHEMA = "fwledger/anchor-proof/1"
MAX_BATCH_BYTES = MIB  # 4,096 leaves take 0.75 MiB, and nodes take no larger block without being told to
MAX_PROVEN = 512  # leaves of one proof: a device's queue, and far under the bound of dag-cbor values
MAX_ANCHOR_PROOF_BYTES = MAX_RECEIPT_PROOF_BYTES + MIB

ANCHORED_TOPIC = keccak256(b"Anchored(address,bytes32,bytes32,uint256)")
_ANCHORED_TOPICS, _ANCHORED_DATA_BYTES = 3, 64
_LEAF_ITEMS = 2


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an `Anchored` log says: who anchored (20 bytes), the tree's root, the digest of the batch's block
    (a hint), and how many leaves the tree has.
    """

    gateway: bytes
    root: bytes
    content: bytes
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorBatch:
    """An unverified batch for the journal at a 20-byte address: 1 to 4,096 signed events, each once."""

    chain_id: int
    journal: bytes
    events: tuple[SignedEvent, ...]

    @property
    def leaves(self) -> list[bytes]:
        """The leaves' bytes, in order."""
        return [leaf_bytes(one) for one in self.events]

    @property
    def root(self) -> bytes:
        """The root of the tree over them."""
        return tree_root(self.leaves)

    def encode(self) -> bytes:
        """Give the block. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": BATCH_SCHEMA,
                "chain_id": self.chain_id,
                "journal": self.journal,
                "leaves": [[event_values(one.event), one.signature] for one in self.events],
            }
        )
        AnchorBatch.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> AnchorBatch:
        """Read a block of at most 1 MiB. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=BATCH_SCHEMA, max_bytes=MAX_BATCH_BYTES)
        batch = cls(
            chain_id=fields.integer("chain_id", low=1, high=MAX_U64),
            journal=fields.octets("journal", size=20),
            events=tuple(map(_leaf, fields.items("leaves", min_count=1, max_count=MAX_LEAVES))),
        )
        fields.end()
        if len(set(batch.events)) != len(batch.events):
            raise MalformedError("anchor: leaves", expected="each once", got="one twice")
        return batch

    def verify(self, anchored: Anchored, *, chain_id: int, journal: bytes) -> tuple[SignedEvent, ...]:
        """Give the events if they are all that this anchor of this journal commits to; signatures stay to be
        checked. Raises MismatchError.
        """
        if (self.chain_id, self.journal) != (chain_id, journal):
            raise MismatchError(
                "anchor: journal",
                expected=f"{journal.hex()} on chain {chain_id}",
                got=f"{self.journal.hex()} on chain {self.chain_id}",
            )
        if len(self.events) != anchored.count:
            raise MismatchError("anchor: leaves", expected=anchored.count, got=len(self.events))
        if (root := self.root) != anchored.root:
            raise MismatchError("anchor: root", expected=anchored.root, got=root)
        return self.events


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """An unverified leaf of an anchor: its place in the tree, and the siblings on its way to the root."""

    index: int
    path: tuple[bytes, ...]
    signed: SignedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorProof:
    """An unverified proof of leaves of one anchor. `log` is the `Anchored` log's place in the receipt."""

    receipt: ReceiptProof
    log: int
    leaves: tuple[ProvenLeaf, ...]

    @classmethod
    def of(
        cls, batch: AnchorBatch, indexes: tuple[int, ...], *, receipt: ReceiptProof, log: int
    ) -> AnchorProof:
        """Prove the leaves at these places of a batch."""
        paths = inclusion_paths(batch.leaves, indexes)
        leaves = [ProvenLeaf(at, path, batch.events[at]) for at, path in zip(indexes, paths, strict=True)]
        return cls(receipt=receipt, log=log, leaves=tuple(leaves))

    def encode(self) -> bytes:
        """Give the document. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": PROOF_SCHEMA,
                "receipt": self.receipt.encode(),
                "log": self.log,
                "leaves": [
                    {
                        "index": one.index,
                        "path": one.path,
                        "leaf": [event_values(one.signed.event), one.signed.signature],
                    }
                    for one in self.leaves
                ],
            }
        )
        AnchorProof.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> AnchorProof:
        """Read a document. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=PROOF_SCHEMA, max_bytes=MAX_ANCHOR_PROOF_BYTES)
        receipt = fields.octets_up_to("receipt", max_bytes=MAX_RECEIPT_PROOF_BYTES)
        proof = cls(
            receipt=ReceiptProof.decode(receipt),
            log=fields.integer("log", high=MAX_LOGS - 1),
            leaves=tuple(map(_proven, fields.groups("leaves", min_count=1, max_count=MAX_PROVEN))),
        )
        fields.end()
        return proof


def verify_anchor_proof(
    proof: AnchorProof, *, header: Header, journal: bytes
) -> tuple[Anchored, tuple[SignedEvent, ...]]:
    """Give the anchor and the events that it is proved to commit to, under a header that the caller has
    verified; signatures stay to be checked.

    Raises ProofError where the receipt, the log or a path does not hold, MalformedError for what is none.
    """
    receipt = verify_receipt(proof.receipt, header=header)
    if not receipt.succeeded or proof.log >= len(receipt.logs):
        raise ProofError(f"log {proof.log} of the receipt", expected="an anchor", got="no such log")
    anchored = read_anchored(receipt.logs[proof.log], journal=journal)
    for one in proof.leaves:
        root = root_from(leaf_bytes(one.signed), one.path, index=one.index, count=anchored.count)
        if root != anchored.root:
            raise ProofError(f"leaf {one.index} of the anchor", expected=anchored.root, got=root)
    return anchored, tuple(one.signed for one in proof.leaves)


def read_anchored(log: Log, *, journal: bytes) -> Anchored:
    """Read an `Anchored` log of this journal. Raises ProofError where it is another log."""
    shape = (log.address, log.topics[:1], len(log.topics), len(log.data))
    if shape != (journal, (ANCHORED_TOPIC,), _ANCHORED_TOPICS, _ANCHORED_DATA_BYTES):
        raise ProofError("log", expected=f"an anchor of journal {journal.hex()}", got="another")
    count = int.from_bytes(log.data[32:], "big")
    if not 1 <= count <= MAX_LEAVES:
        raise LimitError("anchor: leaves", expected=f"1 to {MAX_LEAVES}", got=count)
    return Anchored(log.topics[1][12:], log.topics[2], log.data[:32], count)


def leaf_bytes(signed: SignedEvent) -> bytes:
    """Give the leaf of an event: canonical dag-cbor of its fields and its 64-byte signature."""
    return dag_cbor.encode([event_values(signed.event), signed.signature])


def _leaf(value: dag_cbor.Value) -> SignedEvent:
    if not isinstance(value, list) or len(value) != _LEAF_ITEMS or not isinstance(value[0], list):
        raise MalformedError("anchor: leaf", expected="a list of event fields and signature")
    return SignedEvent(
        read_event(value[0]), octets(value[1], size=SIGNATURE_BYTES, where="anchor: signature")
    )


def _proven(fields: Fields) -> ProvenLeaf:
    path = fields.items("path", max_count=MAX_PATH)
    leaf = ProvenLeaf(
        index=fields.integer("index", high=MAX_LEAVES - 1),
        path=tuple(octets(one, size=HASH_BYTES, where="anchor proof: path") for one in path),
        signed=_leaf(fields.take("leaf")),
    )
    fields.end()
    return leaf
