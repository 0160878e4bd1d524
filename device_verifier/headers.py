"""Checks V1 and V2: that a header is authentic, and that it is not old, forked or from the future. Pure."""

from dataclasses import replace
from typing import Final

from device_verifier.errors import NotTrusted
from device_verifier.freshness import MAX_CLOCK_LEAD_S, age_text, duration_text, is_over, newest_known
from device_verifier.ledger_view import LedgerFloor, VerifiedHeader
from device_verifier.refusals import refused
from ledger_protocol.errors import MismatchError, ProtocolError, QuorumError, SignatureError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import verify_note
from ledger_protocol.limits import MAX_TIME_S
from ledger_protocol.release.trust_root import HeaderTrust, QbftTrust, TrustRoot, WitnessTrust
from ledger_protocol.report.reasons import Reason

__all__ = ["authentic_header", "dated", "refuse_old"]

# The largest block number that the state file's 64-bit integers hold.
MAX_NUMBER: Final = 2**63 - 1


def authentic_header(proof: LedgerProof, root: TrustRoot) -> VerifiedHeader:
    """V1: return the block that the pinned validators sealed or the pinned witnesses noted, as the root
    requires, at or above its first block.

    Raises NotTrusted (header-quorum, note-quorum, wrong-chain, note-unsupported, split-view, bad-proof,
    ledger-rollback).
    """
    header = _vouched(proof, root.headers)
    if header.number > MAX_NUMBER or header.time > MAX_TIME_S:
        raise NotTrusted(
            "the header's number or time is beyond what any chain of the ledger has",
            reason=Reason.WRONG_CHAIN,
            expected=f"block {MAX_NUMBER} and time {MAX_TIME_S}, or earlier",
            got=f"block {header.number} at time {header.time}",
            hint="keys of validators or witnesses may be stolen; tell the manufacturer",
        )
    first = root.ledger
    if header.number < first.from_block or header.time < first.from_time:
        raise NotTrusted(
            "the header is from before the trust root's ledger began",
            reason=Reason.LEDGER_ROLLBACK,
            check="V1",
            expected=f"block {first.from_block} and time {first.from_time}, or later",
            got=f"block {header.number} at time {header.time}",
            hint="the source replays an old header; ask another",
        )
    return header


def dated(
    header: VerifiedHeader, root: TrustRoot, *, floor: LedgerFloor | None, clock_s: int | None
) -> VerifiedHeader:
    """Return the header with its age, by the clock where there is a usable one.

    What witnesses called the newest at some time is part of every later block, so what they said before
    still holds: an older note that is replayed takes nothing back.
    """
    if floor is not None and header.number >= floor.number and floor.seen_at > header.seen_at:
        header = replace(header, witnessed_at=floor.seen_at)
    return replace(
        header,
        age_s=None if clock_s is None else max(0, clock_s - header.seen_at),
        least_age_s=max(0, newest_known(root, floor) - header.seen_at),
    )


def refuse_old(
    header: VerifiedHeader, root: TrustRoot, *, floor: LedgerFloor | None, clock_s: int | None
) -> None:
    """V2: stop at a header behind the floor, another one at its height, one too old, or one from the future.

    `floor` is the newest accepted for this ledger and header trust, or None; `header` comes from `dated`.
    Raises NotTrusted (split-view, ledger-rollback, header-from-future, stale-ledger), with the header as what
    was seen.
    """
    try:
        _refuse_old(header, root, floor=floor, clock_s=clock_s)
    except NotTrusted as refusal:
        refusal.header = header
        raise


def _refuse_old(
    header: VerifiedHeader, root: TrustRoot, *, floor: LedgerFloor | None, clock_s: int | None
) -> None:
    if floor is not None:
        if header.number == floor.number and floor.hash is not None and header.hash != floor.hash:
            raise NotTrusted(
                "two different blocks at one height are both vouched for",
                reason=Reason.SPLIT_VIEW,
                expected=floor.hash,
                got=header.hash,
                hint="keep both proofs: they show who signed twice; tell the manufacturer",
            )
        if header.number < floor.number or header.time < floor.time:
            raise NotTrusted(
                "the header is older than one accepted before",
                reason=Reason.LEDGER_ROLLBACK,
                expected=f"block {floor.number} at time {floor.time}, or newer",
                got=f"block {header.number} at time {header.time}",
                hint="the source is behind or replays an old proof; ask another",
            )
    limit = root.max_checkpoint_age
    if clock_s is not None and header.seen_at > clock_s + MAX_CLOCK_LEAD_S:
        raise NotTrusted(
            "the header is from the future",
            reason=Reason.HEADER_FROM_FUTURE,
            expected=f"a time of at most {clock_s + MAX_CLOCK_LEAD_S}",
            got=header.seen_at,
            hint="set the device's clock; if it is right, keys of validators or witnesses may be stolen",
        )
    if limit is not None and is_over(limit, age_s=header.age_s, least_s=header.least_age_s):
        raise NotTrusted(
            "the newest header on offer is too old",
            reason=Reason.STALE_LEDGER,
            expected=f"at most {duration_text(limit)} old",
            got=age_text(header.age_s, header.least_age_s),
            hint="the sources may be frozen or cut off; ask another, or check the device's clock",
        )


def _vouched(proof: LedgerProof, trust: HeaderTrust) -> VerifiedHeader:
    """Take the paths that the root requires; where both hold they must speak of the same block."""
    if trust.qbft is None:
        return _noted(proof, trust.witnesses)
    if trust.witnesses is None:
        return _sealed(proof, trust.qbft)
    if trust.require == "all":
        return _agreed(_sealed(proof, trust.qbft), _noted(proof, trust.witnesses))
    # Any: one path is enough, and what the other one lacks does not matter.
    if proof.note is None:
        return _sealed(proof, trust.qbft)
    if proof.header is None:
        return _noted(proof, trust.witnesses)
    try:
        sealed = _sealed(proof, trust.qbft)
    except NotTrusted as refusal:
        try:
            return _noted(proof, trust.witnesses)
        except NotTrusted as second:
            refusal.add_note(str(second))
        raise
    try:
        noted = _noted(proof, trust.witnesses)
    except NotTrusted:
        return sealed
    return _agreed(sealed, noted)


def _sealed(proof: LedgerProof, trust: QbftTrust) -> VerifiedHeader:
    if proof.header is None:
        raise NotTrusted(
            "the proof rests on a witness note, which is not enough for this trust root",
            reason=Reason.NOTE_UNSUPPORTED,
            expected="a header that pinned validators sealed",
            got="a witness note",
            hint="ask a source that carries sealed headers",
        )
    try:
        header = qbft.verify_seals(proof.header, trust)
    except QuorumError as error:
        raise NotTrusted(
            "the header is not sealed by enough pinned validators",
            reason=Reason.HEADER_QUORUM,
            expected=error.expected,
            got=error.got,
            hint="the source may be lying or on another chain; ask another, or fetch newer trust roots",
        ) from error
    except ProtocolError as error:
        # Not sealed the way of the pinned network at all: most often the URL of another one.
        raise refused(error, Reason.WRONG_CHAIN, "the header") from error
    return VerifiedHeader(
        number=header.number,
        hash=qbft.block_hash(header),
        state_root=header.state_root,
        receipts_root=header.receipts_root,
        time=header.timestamp,
        witnessed_at=None,
        age_s=None,
    )


def _noted(proof: LedgerProof, trust: WitnessTrust | None) -> VerifiedHeader:
    if proof.note is None or trust is None:
        raise NotTrusted(
            "the proof carries no witness note, which this trust root demands",
            reason=Reason.NOTE_QUORUM,
            expected="a note of pinned witnesses",
            got="a header alone",
            hint="ask a source that carries witness notes",
        )
    try:
        note = verify_note(proof.note, trust)
    except MismatchError as error:
        raise refused(error, Reason.WRONG_CHAIN, "the witness note") from error
    except SignatureError as error:
        raise NotTrusted(
            "the note is not signed by enough pinned witnesses",
            reason=Reason.NOTE_QUORUM,
            expected=error.expected,
            got=error.got,
            hint="the source may be lying or behind; ask another, or fetch newer trust roots",
        ) from error
    except ProtocolError as error:
        raise refused(error, Reason.BAD_PROOF, "the witness note", check="V1") from error
    block = note.checkpoint
    return VerifiedHeader(
        number=block.number,
        hash=block.hash,
        state_root=block.state_root,
        receipts_root=None,
        time=block.time,
        witnessed_at=note.witnessed_at,
        age_s=None,
    )


def _agreed(sealed: VerifiedHeader, noted: VerifiedHeader) -> VerifiedHeader:
    """Return the block that both paths vouch for: number, hash, state root and time are the same."""
    both = [(one.number, one.hash, one.state_root, one.time) for one in (sealed, noted)]
    if both[0] == both[1]:
        return replace(sealed, witnessed_at=noted.witnessed_at)
    if sealed.number != noted.number:
        raise NotTrusted(
            "the witness note is of another block than the header",
            reason=Reason.NOTE_QUORUM,
            expected=f"a note of block {sealed.number}",
            got=f"one of block {noted.number}",
            hint="the source put two proofs together; ask another",
        )
    raise NotTrusted(
        "validators and witnesses vouch for different blocks at one height",
        reason=Reason.SPLIT_VIEW,
        check="V1",
        expected=sealed.hash,
        got=noted.hash,
        hint="keep this proof: it shows that validators or witnesses lie; tell the manufacturer",
    )
