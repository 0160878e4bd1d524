"""What this device says about itself: signed events, each chained to the one before, kept until proven
included.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from device_verifier.errors import NotTrusted, SourceUnreachable, UsageError
from device_verifier.identity import Identity
from device_verifier.records import EventChain, QueuedEvent
from device_verifier.sources.http import HttpClient
from device_verifier.store import Change, Store
from ledger_protocol.ledger.contract_state import DeviceWord
from ledger_protocol.release.trust_root import LedgerRef
from ledger_protocol.report.document import SALT_BYTES, Report, Stage, detail_of, log_tail_text, value_text
from ledger_protocol.report.event import (
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.reasons import Reason
from ledger_protocol.report.receipts import MAX_ITEMS, ReceiptItem, Receipts

__all__ = ["EVENTS_PER_POST", "RECEIPTS_TYPE", "Reporter", "Statement", "send_receipts"]

RECEIPTS_TYPE: Final = "application/vnd.fwledger.receipts+dag-cbor"
RECEIPTS_PATH: Final = "/fwledger/v1/receipts"
# Bytes of a relay's answer that are read: a line about what it did.
MAX_ANSWER_BYTES: Final = 64 * 1024
# The release of a baseline where the device does not know what the factory wrote.
UNKNOWN_RELEASE: Final = bytes(32)
# Events of one POST: a relay takes a limited number from one device at a time, and half of a long queue that
# arrives is better than all of it refused.
EVENTS_PER_POST: Final = 64
# Links of events that anchors hold, kept until the journal's word is past them: far more than one queue has.
MAX_KEPT_LINKS: Final = 4_096
# A sequence number (4) and a link.
_KEPT_BYTES: Final = 36
# Lines of the device's own history that travel with a report.
LOG_TAIL_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Statement:
    """What an event says: `kind` about `release`, with the parts of its report (protocol.md §6)."""

    kind: EventKind
    release: bytes
    stage: Stage
    reason: Reason
    expected: str = ""
    found: str = ""
    version_before: str = ""
    version_after: str = ""
    downtime_s: int | None = None


class Reporter:
    """The queue of one device for the journal that `ledger` pins."""

    def __init__(self, store: Store, identity: Identity, *, ledger: LedgerRef) -> None:
        self._store = store
        self._identity = identity
        self._ledger = ledger
        # A new key begins a chain of its own, and so does a new journal.
        self._journal = f"{ledger.chain_id}:0x{ledger.journal.hex()}:0x{identity.address.hex()}"

    def pending(self) -> int:
        """Return how many events the journal is not proven to hold."""
        return len(self._store.events(self._journal))

    def begun(self) -> bool:
        """Whether this device has said anything to this journal yet."""
        return self._store.event_chain(self._journal) != EventChain(0, bytes(32))

    def say(self, change: Change, statement: Statement, *, at_s: int) -> None:
        """Queue a signed event inside `change`: it is on the disk together with what it tells of."""
        chain = self._store.event_chain(self._journal)
        report = self._report(statement).encode()
        event = UpdateEvent(
            release=statement.release,
            sequence=chain.sequence + 1,
            kind=statement.kind,
            time=at_s,
            detail=detail_of(report),
            previous=chain.link,
        )
        chain_id, journal = self._ledger.chain_id, self._ledger.journal
        signed = sign_event(self._identity.private_key, event, chain_id=chain_id, journal=journal)
        link = chain_link(event_digest(event, chain_id=chain_id, journal=journal))
        receipts = self._document((ReceiptItem(signed, report),))
        change.queue_event(self._journal, QueuedEvent(event.sequence, receipts.encode(), link))

    def adopt(self, change: Change, word: DeviceWord) -> None:
        """Go on from the journal's proven `word`: the state file is new, the key is not."""
        if self.begun():
            raise RuntimeError("only a device that has said nothing goes on from the journal's word")
        change.set_event_chain(self._journal, EventChain(word.sequence, word.previous))

    def receipts(self, *, limit: int = MAX_ITEMS) -> Receipts:
        """Return the oldest `limit` queued events as one document; UsageError if there is none."""
        events = self._store.events(self._journal, limit=limit)
        if not events:
            raise UsageError(
                "there are no receipts",
                reason=Reason.USAGE,
                expected="events that the ledger is not proven to hold",
                got="none",
                hint="nothing to do: all that this device had to say is recorded",
            )
        return self._document(tuple(Receipts.decode(event.receipts).items[0] for event in events))

    def settle(self, word: DeviceWord) -> int:
        """Delete the events that the journal's proven `word` includes; return how many.

        Raises NotTrusted (foreign-head) where the word ends in an event that this device did not sign:
        someone else holds its key, and nothing is deleted.
        """
        kept = self._kept_links()
        chain = self._store.event_chain(self._journal)
        included = _included(self._store.events(self._journal), chain, kept, word)
        if included is None:
            raise NotTrusted(
                "the journal's word of this device",
                reason=Reason.FOREIGN_HEAD,
                expected="an event that this device signed",
                got=f"event {word.sequence}, 0x{word.head.hex()}",
                hint="another holds the key, or the state file was lost: make a new key and enrol it",
            )
        with self._store.change() as change:
            if kept:
                still = {link: sequence for link, sequence in kept.items() if sequence >= included}
                self._keep_links(change, still)
            return change.drop_events(self._journal, included)

    def settle_anchored(self, anchored: Sequence[SignedEvent]) -> int:
        """Delete the queued events that a proven anchor includes; return how many.

        `anchored` comes from `anchors.anchored_events`. Leaves that are not in the queue, byte for byte, are
        passed over: they are other devices', or recorded by now. The journal's word may still come to name
        an event that was deleted here, so its link is kept.
        """
        wanted = set(anchored)
        kept = self._kept_links()
        found: list[int] = []
        for event in self._store.events(self._journal):
            signed = Receipts.decode(event.receipts).items[0].signed
            if signed not in wanted:
                continue
            links = {signed.event.previous: event.sequence - 1, event.link: event.sequence}
            if len(kept | links) > MAX_KEPT_LINKS:
                break
            kept |= links
            found.append(event.sequence)
        if found:
            with self._store.change() as change:
                self._keep_links(change, kept)
                change.drop_these_events(self._journal, found)
        return len(found)

    def _kept_links(self) -> dict[bytes, int]:
        raw = self._store.note(f"anchored:{self._journal}") or b""
        pieces = [raw[at : at + _KEPT_BYTES] for at in range(0, len(raw), _KEPT_BYTES)]
        return {piece[4:]: int.from_bytes(piece[:4], "big") for piece in pieces}

    def _keep_links(self, change: Change, links: Mapping[bytes, int]) -> None:
        raw = b"".join(sequence.to_bytes(4, "big") + link for link, sequence in links.items())
        change.set_note(f"anchored:{self._journal}", raw)

    def _document(self, items: tuple[ReceiptItem, ...]) -> Receipts:
        return Receipts(
            chain_id=self._ledger.chain_id,
            journal=self._ledger.journal,
            device=self._identity.address,
            public_key=self._identity.public_key,
            items=items,
        )

    def _report(self, statement: Statement) -> Report:
        lines = "\n".join(
            f"{line.at_s} {line.what} {line.detail}" for line in self._store.log(LOG_TAIL_LINES)
        )
        return Report(
            stage=statement.stage,
            reason=statement.reason,
            salt=os.urandom(SALT_BYTES),
            expected=value_text(statement.expected),
            found=value_text(statement.found),
            version_before=statement.version_before,
            version_after=statement.version_after,
            downtime_s=statement.downtime_s,
            log_tail=log_tail_text(lines),
        )


def send_receipts(url: str, receipts: Receipts) -> None:
    """Hand the queue to a relay. Its "ok" proves nothing: only the journal's proven word does.

    Raises SourceUnreachable where it cannot be reached or does not take them.
    """
    client = HttpClient(url)
    try:
        answer = client.post(
            RECEIPTS_PATH, receipts.encode(), max_bytes=MAX_ANSWER_BYTES, content_type=RECEIPTS_TYPE
        )
    finally:
        client.close()
    if not 200 <= answer.status < 300:
        said = "".join(c if c.isprintable() else "?" for c in answer.body[:200].decode("utf-8", "replace"))
        raise SourceUnreachable(
            f"relay {client.name} did not take the receipts",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="status 200",
            got=f"status {answer.status} {said}".rstrip(),
            hint="they stay queued; try again later, or export them to a file",
        )


def _included(
    events: Sequence[QueuedEvent], chain: EventChain, kept: Mapping[bytes, int], word: DeviceWord
) -> int | None:
    """Return the sequence of the event that `word` ends in, None if it is none of our chain.

    Known are the queue's events and the one before them, those that anchors hold, and the newest.
    """
    known = {**kept, chain.link: chain.sequence}
    if events:
        first = Receipts.decode(events[0].receipts).items[0].signed.event
        known[first.previous] = first.sequence - 1
    known.update((event.link, event.sequence) for event in events)
    return known.get(word.previous)
