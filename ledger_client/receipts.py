"""Devices' receipts: signed events with their reports, recorded in the journal by whoever carries them.

Recording is idempotent: the device's word in the journal says what is there already, and only the rest is
sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_keys.datatypes import Signature as EthSignature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.config import checksum_address
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.journal import runs
from ledger_client.refusals.devices import AlreadyRecordedError
from ledger_protocol.content.cid import DAG_CBOR
from ledger_protocol.errors import ProtocolError
from ledger_protocol.report.event import EventKind, event_digest
from ledger_protocol.report.receipts import MAX_RECEIPTS_BYTES, Receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.journal import Journal
    from ledger_client.network import Call, Receipt
    from ledger_protocol.report.event import SignedEvent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one receipts document: numbers of events, reports put on IPFS, and the device."""

    device: bytes
    recorded: int
    already: int
    anchored_only: int
    reports: int

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "device": checksum_address(self.device),
            "recorded": self.recorded,
            "already": self.already,
            "anchored_only": self.anchored_only,
            "reports": self.reports,
        }

    def line(self) -> str:
        """For people."""
        told = [f"{self.recorded} recorded", f"{self.already} there already"]
        if self.anchored_only:
            told.append(f"{self.anchored_only} kept for an anchor")
        return f"{checksum_address(self.device)}: {', '.join(told)}, {self.reports} reports on IPFS"


def read_receipts(path: Path) -> bytes:
    """The bytes of a receipts file."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_RECEIPTS_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read receipts {path}", got=error.strerror or error) from error
    if len(raw) > MAX_RECEIPTS_BYTES:
        raise UsageError(f"receipts {path}", expected=f"at most {MAX_RECEIPTS_BYTES} bytes", got="more")
    return raw


def verify_receipts(raw: bytes, *, chain_id: int, journal: bytes) -> tuple[Receipts, tuple[SignedEvent, ...]]:
    """Read a receipts document and check every signature, link and report. Raises NotTrustedError."""
    try:
        receipts = Receipts.decode(raw)
        return receipts, receipts.verify(chain_id=chain_id, journal=journal)
    except ProtocolError as error:
        raise NotTrustedError(f"these are not receipts that hold: {error}", hint=error.hint) from error


def submit(
    journal: Journal,
    raw: bytes,
    *,
    send: Callable[[Call], Receipt],
    ipfs: IpfsClient | None,
    known_reports: bool = True,
) -> Outcome:
    """Record what is new of a receipts document, reports first; `send` signs, sends and waits (and may ask).

    Without `ipfs` the reports stay where they are, and an auditor sees "body missing". `known_reports` keeps
    those of events that the journal is past already, too: they may have been left out before, but the ledger
    does not say that it ever recorded these, so whoever serves strangers leaves them. Raises NotTrustedError
    for a document that does not hold, the contract's refusals, and what `send` and `ipfs` raise.
    """
    chain_id = journal.network.chain_id
    receipts, events = verify_receipts(raw, chain_id=chain_id, journal=journal.address)
    word = journal.device(receipts.device)
    if not word.enrolled:
        raise UsageError(
            f"device {checksum_address(receipts.device)} is not enrolled here",
            hint="`fwledger device enrol` takes its request file",
        )
    if word.retired:
        raise UsageError(f"device {checksum_address(receipts.device)} is retired, and its events are refused")
    fresh = [one for one in events if one.event.sequence > word.sequence]
    new = [one for one in fresh if one.event.kind != EventKind.CHECKED]
    after = 0 if known_reports else word.sequence
    reports = _keep_reports(receipts, ipfs, after=after) if ipfs is not None else 0
    recorded = 0
    for run in runs(new):
        recorded += _send_run(journal, run, receipts, send)
    return Outcome(
        device=receipts.device,
        recorded=recorded,
        already=len(events) - len(fresh) + len(new) - recorded,
        anchored_only=len(fresh) - len(new),
        reports=reports,
    )


def recovery_of(digest: bytes, signature: bytes, *, device: bytes) -> int:
    """The recovery id (27 or 28) under which a 64-byte signature is the device's: old OpenSSL gives none."""
    for recovery in (0, 1):
        try:
            public = EthSignature(signature + bytes([recovery])).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            continue
        if public.to_canonical_address() == device:
            return 27 + recovery
    raise NotTrustedError(f"a signature is not of device {checksum_address(device)}")


def _send_run(
    journal: Journal, run: Sequence[SignedEvent], receipts: Receipts, send: Callable[[Call], Receipt]
) -> int:
    """Record one run of consecutive events; how many of them were new.

    Somebody else may carry the same receipts at the same time: what they recorded first is left out, once.
    """
    pending = list(run)
    last = pending[-1]
    digest = event_digest(last.event, chain_id=receipts.chain_id, journal=receipts.journal)
    recovery = recovery_of(digest, last.signature, device=receipts.device)
    try:
        send(journal.submit_queue([one.event for one in pending], last.signature, recovery=recovery))
    except AlreadyRecordedError:
        known = journal.device(receipts.device).sequence
        pending = [one for one in pending if one.event.sequence > known]
        if pending:
            send(journal.submit_queue([one.event for one in pending], last.signature, recovery=recovery))
    return len(pending)


def _keep_reports(receipts: Receipts, ipfs: IpfsClient, *, after: int) -> int:
    kept = 0
    for item in receipts.items:
        if item.report is not None and item.signed.event.sequence > after:
            ipfs.put_block(item.report, DAG_CBOR, pin=True)
            kept += 1
    return kept
