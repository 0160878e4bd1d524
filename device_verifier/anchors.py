"""What an anchor holds of this device: leaves proved under a header that the trust root vouches for."""

from pathlib import Path

from device_verifier.errors import UsageError
from device_verifier.headers import authentic_header
from device_verifier.refusals import as_not_trusted, refused
from ledger_protocol.errors import MismatchError
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import noted_hash
from ledger_protocol.release.trust_root import TrustRoot
from ledger_protocol.report.anchor import MAX_ANCHOR_PROOF_BYTES, AnchorProof, verify_anchor_proof
from ledger_protocol.report.event import SignedEvent
from ledger_protocol.report.reasons import Reason

__all__ = ["anchored_events", "read_anchor_proof"]


def anchored_events(raw: bytes, *, root: TrustRoot) -> tuple[SignedEvent, ...]:
    """Return the events that an anchor of the pinned journal is proved to hold; signatures are unchecked.

    Any age will do, but not another trust: a header that only an older root vouches for may be made with
    keys that were given up, so such events are anchored again. Raises NotTrusted (bad-proof, or what V1
    says of a header).
    """
    with as_not_trusted(Reason.BAD_PROOF, "the anchor proof"):
        proof = AnchorProof.decode(raw)
        header = parse_header(proof.receipt.header)
    vouched = authentic_header(LedgerProof(header=proof.receipt.header, note=proof.receipt.note), root)
    if noted_hash(header) != vouched.hash:
        other = MismatchError("its note is of another block", expected=vouched.hash, got=noted_hash(header))
        raise refused(other, Reason.BAD_PROOF, "the anchor proof")
    with as_not_trusted(Reason.BAD_PROOF, "the anchor proof"):
        return verify_anchor_proof(proof, header=header, journal=root.ledger.journal)[1]


def read_anchor_proof(path: Path) -> bytes:
    """Return the bytes of an anchor proof file, one more than a proof may have at most. Raises UsageError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_ANCHOR_PROOF_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"anchor proof {path}",
            reason=Reason.USAGE,
            expected="a file of `fwledger receipts anchor`",
            got=error.strerror or str(error),
            hint="name the file that the manufacturer gave back",
        ) from error
