"""Checks V1 and V2: that a header is authentic, and that it is not old, forked or from the future. Pure."""

from typing import Final

from device_verifier.errors import NotTrusted
from device_verifier.ledger_view import LedgerFloor, VerifiedHeader
from device_verifier.refusals import refused
from ledger_protocol.errors import ProtocolError, QuorumError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.limits import MAX_TIME_S
from ledger_protocol.release.trust_root import HeaderTrust, QbftTrust, TrustRoot
from ledger_protocol.report.reasons import Reason

__all__ = ["MAX_CLOCK_LEAD_S", "authentic_header", "refuse_old", "usable_clock"]

# A header may be this far ahead of the device's clock (seconds): a day covers any drift and a wrong time
# zone, and still stops a quorum of stolen validator keys from pushing the floor years ahead, where it would
# refuse the truth.
MAX_CLOCK_LEAD_S: Final = 86_400
# The largest block number that the state file's 64-bit integers hold.
MAX_NUMBER: Final = 2**63 - 1


def usable_clock(now_s: int | None, root: TrustRoot, floor: LedgerFloor | None) -> int | None:
    """Return the clock, unless it is provably wrong: behind what this device has already seen proven."""
    seen = max(root.issued_at, root.ledger.from_time, 0 if floor is None else floor.time)
    return None if now_s is None or now_s < seen - MAX_CLOCK_LEAD_S else now_s


def authentic_header(proof: LedgerProof, root: TrustRoot, *, clock_s: int | None) -> VerifiedHeader:
    """V1: return the header that a quorum of the pinned validators sealed, at or above the root's first
    block.

    Raises NotTrusted (header-quorum, wrong-chain, note-unsupported, ledger-rollback).
    """
    raw_header, trust = proof.header, _seal_trust(root.headers)
    if raw_header is None or trust is None:
        raise NotTrusted(
            "the proof's header comes by a path that this device cannot check",
            reason=Reason.NOTE_UNSUPPORTED,
            expected="a header whose seals are enough for the trust root",
            got="a witness note" if raw_header is None else "a root that demands witnesses",
            hint="ask a source that carries sealed headers, or update this device's software",
        )
    try:
        header = qbft.verify_seals(raw_header, trust)
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
    if header.number > MAX_NUMBER or header.timestamp > MAX_TIME_S:
        raise NotTrusted(
            "the header's number or time is beyond what any chain of the ledger has",
            reason=Reason.WRONG_CHAIN,
            expected=f"block {MAX_NUMBER} and time {MAX_TIME_S}, or earlier",
            got=f"block {header.number} at time {header.timestamp}",
            hint="the validators' keys may be stolen; tell the manufacturer",
        )
    first = root.ledger
    if header.number < first.from_block or header.timestamp < first.from_time:
        raise NotTrusted(
            "the header is from before the trust root's ledger began",
            reason=Reason.LEDGER_ROLLBACK,
            check="V1",
            expected=f"block {first.from_block} and time {first.from_time}, or later",
            got=f"block {header.number} at time {header.timestamp}",
            hint="the source replays an old header; ask another",
        )
    return VerifiedHeader(
        number=header.number,
        hash=qbft.block_hash(header),
        state_root=header.state_root,
        receipts_root=header.receipts_root,
        time=header.timestamp,
        age_s=None if clock_s is None else max(0, clock_s - header.timestamp),
    )


def refuse_old(
    header: VerifiedHeader, root: TrustRoot, *, floor: LedgerFloor | None, clock_s: int | None
) -> None:
    """V2: stop at a header behind the floor, another one at its height, one too old, or one from the future.

    `floor` is the newest accepted for this ledger and header trust, or None. Raises NotTrusted (split-view,
    ledger-rollback, header-from-future, stale-ledger).
    """
    if floor is not None:
        if header.number == floor.number and floor.hash is not None and header.hash != floor.hash:
            raise NotTrusted(
                "two different blocks at one height are both sealed",
                reason=Reason.SPLIT_VIEW,
                expected=floor.hash,
                got=header.hash,
                hint="keep both proofs: they show that validators signed twice; tell the manufacturer",
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
    if clock_s is not None and header.time > clock_s + MAX_CLOCK_LEAD_S:
        raise NotTrusted(
            "the header is from the future",
            reason=Reason.HEADER_FROM_FUTURE,
            expected=f"a time of at most {clock_s + MAX_CLOCK_LEAD_S}",
            got=header.time,
            hint="set the device's clock; if it is right, the validators' keys may be stolen",
        )
    if limit is not None and header.age_s is not None and header.age_s > limit:
        raise NotTrusted(
            "the newest header on offer is too old",
            reason=Reason.STALE_LEDGER,
            expected=f"an age of at most {limit} s",
            got=f"{header.age_s} s",
            hint="the sources may be frozen or cut off; ask another, or check the device's clock",
        )


def _seal_trust(headers: HeaderTrust) -> QbftTrust | None:
    """Return the validators whose seals alone are enough; None where witnesses must agree as well."""
    return None if headers.witnesses is not None and headers.require == "all" else headers.qbft
