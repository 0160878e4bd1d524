"""Receipts carried to the journal, those of many devices together.

Recording is idempotent: the device's word in the journal says what is there already, and only the rest is
sent. Events of several devices about one release share a batch, each with its own signature; what a batch
cannot take (gaps, long histories of one device) goes through a device's own queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger_client.config import checksum_address
from ledger_client.errors import ClientError, NotTrustedError, RevertedError, UsageError
from ledger_client.journal import MAX_BATCH, SKIPPED_GAP, SKIPPED_RECORDED, runs, skip_reason
from ledger_client.receipts import Outcome, Skipped, recovery_of, verify_receipts
from ledger_client.refusals.devices import AlreadyRecordedError
from ledger_protocol.content.cid import DAG_CBOR
from ledger_protocol.report.event import EventKind, event_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.journal import BatchResult, Journal
    from ledger_client.network import Call, Receipt
    from ledger_protocol.ledger.contract_state import DeviceWord
    from ledger_protocol.report.event import SignedEvent
    from ledger_protocol.report.receipts import Receipts

# From here on a device's own queue, under one signature, costs less than its events in batches
# (docs/costs.md: a queue is 51k and 2k an event, a batch 13.7k an event).
_QUEUE_EVENTS = 5
# Fewer devices than this share nothing.
_BATCH_DEVICES = 2


@dataclass(slots=True)
class _Load:
    """One document on its way: `pending` are the events that the journal lacks, oldest first."""

    receipts: Receipts
    word: DeviceWord
    pending: list[SignedEvent]
    already: int
    anchored_only: int
    reports: int
    alone: bool
    recorded: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, bytes]:
        """Batches are cheapest sorted by group."""
        return self.word.group, self.receipts.device

    def leading(self) -> list[SignedEvent]:
        """The pending events up to the first about another release."""
        release = self.pending[0].event.release
        found = []
        for one in self.pending:
            if one.event.release != release:
                break
            found.append(one)
        return found

    def recovery(self, one: SignedEvent) -> int:
        receipts = self.receipts
        digest = event_digest(one.event, chain_id=receipts.chain_id, journal=receipts.journal)
        return recovery_of(digest, one.signature, device=receipts.device)

    def outcome(self) -> Outcome:
        return Outcome(
            device=self.receipts.device,
            recorded=self.recorded,
            already=self.already,
            anchored_only=self.anchored_only,
            reports=self.reports,
            skipped=tuple(self.skipped),
        )


def submit(
    journal: Journal,
    raw: bytes,
    *,
    send: Callable[[Call], Receipt],
    ipfs: IpfsClient | None,
    known_reports: bool = True,
) -> Outcome:
    """Record what is new of one receipts document; as `submit_many`, but what is wrong with it is raised."""
    (found,) = submit_many(journal, [raw], send=send, ipfs=ipfs, known_reports=known_reports)
    if isinstance(found, ClientError):
        raise found
    return found


def submit_many(
    journal: Journal,
    raws: Sequence[bytes],
    *,
    send: Callable[[Call], Receipt],
    ipfs: IpfsClient | None,
    known_reports: bool = True,
) -> list[Outcome | ClientError]:
    """Record what is new of receipts documents, reports first; `send` signs, sends and waits (and may ask).

    Gives an outcome for each document in order, or what is wrong with it: NotTrustedError where it does not
    hold, UsageError for a device that is unknown or retired, the contract's refusal. One bad document stops
    no other. Without `ipfs` the reports stay where they are, and an auditor sees "body missing".
    `known_reports` keeps those of events that the journal is past already, too: they may have been left out
    before, but the ledger does not say that it ever recorded these, so whoever serves strangers leaves them.
    Raises what `ipfs` raises, and what `send` raises but for refusals.
    """
    found: dict[int, Outcome | ClientError] = {}
    waiting: dict[int, tuple[Receipts, tuple[SignedEvent, ...]]] = {}
    for index, raw in enumerate(raws):
        try:
            waiting[index] = verify_receipts(raw, chain_id=journal.network.chain_id, journal=journal.address)
        except NotTrustedError as error:
            found[index] = error
    while waiting:
        # A device's second document waits until its first is recorded: it starts where that ended.
        first: dict[bytes, int] = {}
        for index, (receipts, _) in waiting.items():
            first.setdefault(receipts.device, index)
        loads: dict[int, _Load] = {}
        for index in first.values():
            try:
                loads[index] = _load(journal, *waiting.pop(index), ipfs=ipfs, known_reports=known_reports)
            except UsageError as error:
                found[index] = error
        _in_batches(journal, list(loads.values()), send)
        for index, load in loads.items():
            found[index] = _alone(journal, load, send)
    return [found[index] for index in range(len(raws))]


def _load(
    journal: Journal,
    receipts: Receipts,
    events: tuple[SignedEvent, ...],
    *,
    ipfs: IpfsClient | None,
    known_reports: bool,
) -> _Load:
    """What of a verified document the journal lacks; its reports are kept on the way."""
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
    return _Load(
        receipts=receipts,
        word=word,
        pending=new,
        already=len(events) - len(fresh),
        anchored_only=len(fresh) - len(new),
        reports=_keep_reports(receipts, ipfs, after=after) if ipfs is not None else 0,
        alone=not _fits_batches(new, word),
    )


def _fits_batches(new: Sequence[SignedEvent], word: DeviceWord) -> bool:
    """Whether events follow the device's recorded history without a gap, and are few."""
    if not 0 < len(new) < _QUEUE_EVENTS or new[0].event.previous != word.previous:
        return False
    return [one.event.sequence for one in new] == [word.sequence + 1 + i for i in range(len(new))]


def _in_batches(journal: Journal, loads: Sequence[_Load], send: Callable[[Call], Receipt]) -> None:
    """Record what several devices say about one release together, until nothing is left to share."""
    while True:
        by_release: dict[bytes, list[_Load]] = {}
        for load in sorted(loads, key=lambda one: one.place):
            if load.pending and not load.alone:
                by_release.setdefault(load.pending[0].event.release, []).append(load)
        sharing = max(by_release.values(), key=len, default=[])
        if len(sharing) < _BATCH_DEVICES:
            return
        items = [(load, one) for load in sharing for one in load.leading()][:MAX_BATCH]
        call = journal.submit_batch([(one.event, one.signature, load.recovery(one)) for load, one in items])
        try:
            result = journal.batch_result(send(call))
        except RevertedError:
            # No item can make a batch fail, so this one is more than the chain takes: one by one, then.
            for load, _ in items:
                load.alone = True
            continue
        for load, one in items:
            _settle(load, one, result)


def _settle(load: _Load, one: SignedEvent, result: BatchResult) -> None:
    """Book what a batch did with one event."""
    if not load.pending or load.pending[0] is not one:
        return  # an event before it was skipped
    name = (load.receipts.device, one.event.sequence)
    # The contract names no device for an item whose form it refuses.
    reason = None if name in result.recorded else result.skipped.get(name, 0)
    if reason is None:
        load.recorded += 1
        load.pending.pop(0)
    elif reason == SKIPPED_RECORDED:
        load.already += 1
        load.pending.pop(0)
    elif reason == SKIPPED_GAP:
        load.alone = True
    else:
        load.skipped.append(Skipped(one.event.sequence, skip_reason(reason)))
        load.pending.clear()


def _alone(journal: Journal, load: _Load, send: Callable[[Call], Receipt]) -> Outcome | ClientError:
    """Record what is left of a document through the device's own queue."""
    try:
        for run in runs(load.pending):
            recorded = _send_run(journal, run, load, send)
            load.recorded += recorded
            load.already += len(run) - recorded
    except RevertedError as error:
        return error
    return load.outcome()


def _send_run(
    journal: Journal, run: Sequence[SignedEvent], load: _Load, send: Callable[[Call], Receipt]
) -> int:
    """Record one run of consecutive events; how many of them were new.

    Somebody else may carry the same receipts at the same time: what they recorded first is left out, once.
    """
    pending = list(run)
    recovery = load.recovery(pending[-1])
    try:
        send(_call(journal, pending, recovery))
    except AlreadyRecordedError:
        known = journal.device(load.receipts.device).sequence
        pending = [one for one in pending if one.event.sequence > known]
        if pending:
            send(_call(journal, pending, recovery))
    return len(pending)


def _call(journal: Journal, events: Sequence[SignedEvent], recovery: int) -> Call:
    last = events[-1]
    if len(events) == 1:
        return journal.submit_event(last.event, last.signature, recovery=recovery)
    return journal.submit_queue([one.event for one in events], last.signature, recovery=recovery)


def _keep_reports(receipts: Receipts, ipfs: IpfsClient, *, after: int) -> int:
    kept = 0
    for item in receipts.items:
        if item.report is not None and item.signed.event.sequence > after:
            ipfs.put_block(item.report, DAG_CBOR, pin=True)
            kept += 1
    return kept
