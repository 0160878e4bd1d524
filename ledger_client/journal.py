"""UpdateJournal as typed calls: what did run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.approvals import compact
from ledger_client.contract import Contract, Log, artifact
from ledger_client.errors import UsageError
from ledger_protocol.ledger.contract_state import DeviceWord, Tally
from ledger_protocol.report.anchor import Anchored
from ledger_protocol.report.merkle_tree import MAX_LEAVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger_client.network import Call, Network, Receipt
    from ledger_protocol.report.event import SignedEvent, UpdateEvent

ARTIFACT = "UpdateJournal"

_U32 = 2**32 - 1

# The contract's bounds of one call; longer lists are refused without a reason, so they are named here first.
MAX_ENROLMENTS = 128
MAX_QUEUE = 16
MAX_QUEUE_RELEASES = 4
# A batch's frame is as large as its bound, so there are three; the smallest that fits is the cheapest.
BATCH_SIZES = (16, 128, 512)
MAX_BATCH = BATCH_SIZES[-1]

# Why an item of a batch was skipped (contracts: batches).
_SKIP_REASONS = {
    1: "malformed",
    2: "device is not enrolled",
    3: "device is retired",
    4: "recorded already",
    5: "events before it are missing",
    6: "it does not follow the device's recorded history",
}
SKIPPED_RECORDED, SKIPPED_GAP = 4, 5


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device to be added: address (20 bytes), group, and the salted commitment to its serial (32 bytes)."""

    device: bytes
    group: int
    commitment: bytes


@dataclass(frozen=True, slots=True)
class EnrolledDevice:
    """One `Enrolled` log."""

    device: bytes
    group: int
    commitment: bytes
    log: Log


@dataclass(frozen=True, slots=True)
class AnchorMade:
    """One `Anchored` log."""

    anchored: Anchored
    log: Log


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch, from its receipt: (device, sequence) of what was recorded, and of what was
    skipped the reason's number.
    """

    recorded: frozenset[tuple[bytes, int]]
    skipped: Mapping[tuple[bytes, int], int]


class Journal:
    """The journal contract at an address."""

    def __init__(self, network: Network, address: bytes) -> None:
        self.network = network
        self.address = address
        self.contract = Contract(network, address, artifact(ARTIFACT))

    def interface_version(self) -> int:
        """Which interface the contract speaks."""
        return int(self.contract.read("interface_version"))

    def ledger(self) -> bytes:
        """The address of the ledger that this journal was made with."""
        return bytes(self.contract.read("ledger"))

    def domain_separator(self) -> bytes:
        """What the signatures of this journal's events are bound to (EIP-712)."""
        return bytes(self.contract.read("domain_separator"))

    def device(self, address: bytes, *, block: int | str = "latest") -> DeviceWord:
        """A device's word; all zero where it was never enrolled."""
        return DeviceWord.decode(int(self.contract.read("device", address, block=block)))

    def tally(self, release: bytes, published_at: int) -> Tally:
        """The votes of one publication."""
        return Tally.decode(int(self.contract.read("tally", release, published_at)))

    def enrol(self, enrolments: Sequence[Enrolment]) -> Call:
        """Add devices never seen before: an enroller alone."""
        if not 0 < len(enrolments) <= MAX_ENROLMENTS:
            raise UsageError(
                "devices to enrol at once", expected=f"1 to {MAX_ENROLMENTS}", got=len(enrolments)
            )
        if len(enrolments) == 1:
            one = enrolments[0]
            return self.contract.call("enrol", one.device, one.group, one.commitment, what="enrol 1 device")
        values = [(e.device, e.group, e.commitment) for e in enrolments]
        return self.contract.call("enrol_many", values, what=f"enrol {len(values)} devices")

    def submit_event(self, event: UpdateEvent, signature: bytes, *, recovery: int) -> Call:
        """One event under its 64-byte signature; `recovery` is 27 or 28. Cheaper than a queue of one."""
        r, vs = compact(signature, recovery)
        report = (event.release, _stamp(event, 0), event.detail, event.previous, r, vs)
        return self.contract.call("submit_event", report, what="record 1 event")

    def submit_queue(self, events: Sequence[UpdateEvent], signature: bytes, *, recovery: int) -> Call:
        """One device's consecutive events under the 64-byte signature over the last; `recovery` is 27 or 28.

        Raises UsageError where they do not fit one call; `runs` cuts a history into calls that do.
        """
        releases = tuple(dict.fromkeys(event.release for event in events))
        if not 0 < len(events) <= MAX_QUEUE or len(releases) > MAX_QUEUE_RELEASES:
            raise UsageError(
                "events of one call",
                expected=f"1 to {MAX_QUEUE} of up to {MAX_QUEUE_RELEASES} releases",
                got=f"{len(events)} of {len(releases)}",
            )
        reports = [(_stamp(event, releases.index(event.release)), event.detail) for event in events]
        r, vs = compact(signature, recovery)
        what = f"record {len(events)} event{'s' if len(events) > 1 else ''}"
        return self.contract.call(
            "submit_queue", list(releases), reports, events[0].previous, r, vs, what=what
        )

    def submit_batch(self, items: Sequence[tuple[UpdateEvent, bytes, int]]) -> Call:
        """Events of many devices about one release, each with its 64-byte signature and recovery id (27, 28).

        A bad item is skipped with a log and stops no other; `batch_result` reads which. Cheapest when sorted
        by group. Raises UsageError for more than one release, none, or more than 512.
        """
        releases = {event.release for event, _, _ in items}
        if not 0 < len(items) <= MAX_BATCH or len(releases) != 1:
            raise UsageError(
                "events of one batch",
                expected=f"1 to {MAX_BATCH} of one release",
                got=f"{len(items)} of {len(releases)}",
            )
        values = [
            (int.from_bytes(event.previous, "big") | _stamp(event, 0), event.detail, *compact(made, recovery))
            for event, made, recovery in items
        ]
        size = next(size for size in BATCH_SIZES if len(items) <= size)
        what = f"record {len(items)} event{'s' if len(items) > 1 else ''} in a batch"
        return self.contract.call(f"submit_batch_{size}", releases.pop(), values, what=what)

    def batch_result(self, receipt: Receipt) -> BatchResult:
        """What a mined batch recorded and skipped."""
        recorded, skipped = (
            {
                (bytes(log.values["device"]), int(log.values[field]) & _U32): int(log.values.get("reason", 0))
                for log in self.contract.logs_of(receipt, event)
            }
            for event, field in (("Recorded", "stamp"), ("Skipped", "link"))
        )
        return BatchResult(frozenset(recorded), skipped)

    def anchor(self, root: bytes, content: bytes, count: int) -> Call:
        """Commit to `count` events that stay off the chain: a gateway alone. `content` is the SHA-256 of the
        batch's block, a hint. Raises UsageError for none, or more than 4,096.
        """
        if not 0 < count <= MAX_LEAVES:
            raise UsageError("events of one anchor", expected=f"1 to {MAX_LEAVES}", got=count)
        what = f"anchor {count} event{'s' if count > 1 else ''}"
        return self.contract.call("anchor", root, content, count, what=what)

    def anchors(self, *, from_block: int, to_block: int, root: bytes | None = None) -> Iterator[AnchorMade]:
        """`Anchored` logs, oldest first; those of one tree's `root` where it is given."""
        match = {} if root is None else {"root": root}
        for log in self.contract.logs("Anchored", from_block=from_block, to_block=to_block, match=match):
            v = log.values
            yield AnchorMade(Anchored(v["gateway"], v["root"], v["content"], v["count"]), log)

    def enrolled(self, *, from_block: int, to_block: int) -> Iterator[EnrolledDevice]:
        """`Enrolled` logs, oldest first."""
        for log in self.contract.logs("Enrolled", from_block=from_block, to_block=to_block):
            v = log.values
            yield EnrolledDevice(v["device"], v["group"], v["commitment"], log)


def skip_reason(number: int) -> str:
    """Why a batch skipped an item, in words."""
    return _SKIP_REASONS.get(number, f"reason {number}")


def runs(signed: Sequence[SignedEvent]) -> list[tuple[SignedEvent, ...]]:
    """Cut events, in order, into consecutive runs that each fit one `submit_queue`."""
    found: list[list[SignedEvent]] = []
    for one in signed:
        run = found[-1] if found else []
        follows = bool(run) and one.event.sequence == run[-1].event.sequence + 1
        releases = {other.event.release for other in run} | {one.event.release}
        if follows and len(run) < MAX_QUEUE and len(releases) <= MAX_QUEUE_RELEASES:
            run.append(one)
        else:
            found.append([one])
    return [tuple(run) for run in found]


def _stamp(event: UpdateEvent, release_index: int) -> int:
    return event.sequence | int(event.kind) << 32 | event.time << 40 | release_index << 80
