"""Evidence: what shows a third party that the contracts logged a statement, without asking anybody.

A header with its seals or a note, the proof of one receipt under it, and the transaction's input. The input
is not proved: it only carries devices' signatures, which prove themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import ReceiptProof, verify_receipt

if TYPE_CHECKING:
    from ledger_client.audit.trust import TrustHistory
    from ledger_protocol.ledger.receipt_proof import Log


@dataclass(frozen=True, slots=True)
class Evidence:
    """Unverified: the proof of one receipt, and its transaction's input (calldata)."""

    proof: ReceiptProof
    calldata: bytes

    @property
    def place(self) -> str:
        """Where it claims to be, for messages."""
        return f"block {parse_header(self.proof.header).number}, transaction {self.proof.index}"


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """What evidence proved: these logs, at this place. `time` is the ledger's (Unix s); `calldata` stays
    unproved.
    """

    block: int
    index: int
    time: int
    logs: tuple[Log, ...]
    calldata: bytes


def prove(evidence: Evidence, *, trust: TrustHistory) -> ProvenReceipt:
    """Check seals or note, receipt proof and success of a piece of evidence.

    Raises ProtocolError or NotTrustedError where it does not hold.
    """
    number = parse_header(evidence.proof.header).number
    header = trust.verify_header(evidence.proof.header, number=number, note=evidence.proof.note)
    receipt = verify_receipt(evidence.proof, header=header)
    return ProvenReceipt(number, evidence.proof.index, header.timestamp, receipt.logs, evidence.calldata)
