"""Events that stay off the chain: gathered from devices' receipts, put on IPFS, committed to by an anchor,
and proved to devices and auditors.

An anchor costs what one event costs, for up to 4,096 of them; what it anchors counts for no rollout.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_keys.datatypes import Signature as EthSignature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.config import checksum_address
from ledger_client.errors import NodeRefusedError, NotTrustedError, UsageError
from ledger_client.proofs import receipt_proof
from ledger_client.receipts import verify_receipts
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProofError, ProtocolError
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import verify_receipt
from ledger_protocol.report.anchor import (
    MAX_PROVEN,
    AnchorBatch,
    Anchored,
    AnchorProof,
    read_anchored,
)
from ledger_protocol.report.event import event_digest
from ledger_protocol.report.merkle_tree import MAX_LEAVES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.journal import Journal
    from ledger_client.network import Call, Network, Receipt
    from ledger_protocol.ledger.receipt_proof import ReceiptProof
    from ledger_protocol.report.event import EventKind, SignedEvent


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one receipts document gives to anchors: its device's events of the wanted kinds, and the reports
    of those that came with one.
    """

    device: bytes
    events: tuple[SignedEvent, ...]
    reports: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """An anchor on the ledger. `already` says that somebody had anchored this very batch before."""

    batch: AnchorBatch
    content: Cid
    transaction: bytes
    block: int
    already: bool


def gather(journal: Journal, raw: bytes, *, kinds: Collection[EventKind]) -> Gathered:
    """Take the events of some kinds from a receipts document, every signature, link and report checked.

    Raises NotTrustedError where it does not hold, UsageError for a device that is unknown or retired.
    """
    receipts, _ = verify_receipts(raw, chain_id=journal.network.chain_id, journal=journal.address)
    word, name = journal.device(receipts.device), checksum_address(receipts.device)
    if not word.enrolled:
        raise UsageError(
            f"device {name} is not enrolled here", hint="`fwledger device enrol` takes its request file"
        )
    if word.retired:
        raise UsageError(f"device {name} is retired, and its events are refused")
    items = [item for item in receipts.items if item.signed.event.kind in kinds]
    return Gathered(
        device=receipts.device,
        events=tuple(item.signed for item in items),
        reports=tuple(item.report for item in items if item.report is not None),
    )


def batches(journal: Journal, gathered: Iterable[Gathered]) -> list[AnchorBatch]:
    """Cut events into batches of at most 4,096, each once, by device and sequence: the same events make the
    same batches, whatever order their files came in.
    """
    placed = {(one.device, signed.event.sequence, signed) for one in gathered for signed in one.events}
    ordered = [signed for _, _, signed in sorted(placed, key=lambda p: (p[0], p[1], p[2].signature))]
    return [
        AnchorBatch(
            chain_id=journal.network.chain_id,
            journal=journal.address,
            events=tuple(ordered[start : start + MAX_LEAVES]),
        )
        for start in range(0, len(ordered), MAX_LEAVES)
    ]


def anchor(
    journal: Journal,
    batch: AnchorBatch,
    *,
    send: Callable[[Call], Receipt],
    ipfs: IpfsClient,
    from_block: int,
) -> Made:
    """Put a batch on IPFS, pinned, and its root into the journal's log; one that is there already is found.

    The block goes first: a root whose leaves nobody holds would prove nothing. For the same reason a log of
    this root that names another block or count is somebody's nonsense, and no anchor of the batch. Raises
    NotGatewayError and what `ipfs` and `send` raise.
    """
    content = ipfs.put_block(batch.encode(), DAG_CBOR, pin=True)
    root = batch.root
    newest = journal.network.block_number()
    for found in journal.anchors(from_block=from_block, to_block=newest, root=root):
        if (found.anchored.content, found.anchored.count) == (content.digest, len(batch.events)):
            return Made(batch, content, found.log.transaction, found.log.block_number, already=True)
    receipt = send(journal.anchor(root, content.digest, len(batch.events)))
    return Made(batch, content, receipt.transaction, receipt.block_number, already=False)


def find_anchor(
    network: Network, transaction: bytes, *, journal: bytes
) -> tuple[ReceiptProof, int, Anchored]:
    """The proof of a transaction's receipt, the place of its `Anchored` log in it, and what that says.

    It is read from what the proof shows, not from what the node says. Raises UsageError where there is none.
    """
    proof = receipt_proof(network, transaction)
    try:
        receipt = verify_receipt(proof, header=parse_header(proof.header))
    except ProtocolError as error:
        raise NodeRefusedError(f"the node's receipts make no proof: {error}") from error
    for place, log in enumerate(receipt.logs):
        with contextlib.suppress(ProofError):
            return proof, place, read_anchored(log, journal=journal)
    raise UsageError(f"transaction 0x{transaction.hex()} anchors nothing in this journal")


def fetch_batch(ipfs: IpfsClient, anchored: Anchored, *, chain_id: int, journal: bytes) -> AnchorBatch:
    """The batch of an anchor, from an IPFS node. Raises NotTrustedError where it is not the anchor's, and
    what `ipfs` raises.
    """
    block = ipfs.get_block(Cid(DAG_CBOR, anchored.content))
    try:
        batch = AnchorBatch.decode(block)
        batch.verify(anchored, chain_id=chain_id, journal=journal)
    except ProtocolError as error:
        raise NotTrustedError(f"the anchor's block is not its batch: {error}") from error
    return batch


def prove(
    batch: AnchorBatch, indexes: Sequence[int], *, receipt: ReceiptProof, log: int
) -> list[AnchorProof]:
    """Prove leaves of an anchored batch, in as many documents as it takes."""
    return [
        AnchorProof.of(batch, tuple(indexes[at : at + MAX_PROVEN]), receipt=receipt, log=log)
        for at in range(0, len(indexes), MAX_PROVEN)
    ]


def places_of(batch: AnchorBatch, device: bytes) -> list[int]:
    """Where the leaves of a device (20 bytes) stand in a batch."""
    return [
        place
        for place, signed in enumerate(batch.events)
        if device in signers_of(signed, chain_id=batch.chain_id, journal=batch.journal)
    ]


def signers_of(signed: SignedEvent, *, chain_id: int, journal: bytes) -> Iterator[bytes]:
    """The addresses (at most two) that an event's signature may be of: a leaf names no device."""
    digest = event_digest(signed.event, chain_id=chain_id, journal=journal)
    for recovery in (0, 1):
        with contextlib.suppress(BadSignature, ValidationError):
            public = EthSignature(signed.signature + bytes([recovery])).recover_public_key_from_msg_hash(
                digest
            )
            yield bytes(public.to_canonical_address())
