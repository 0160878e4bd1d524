"""What the journal's functions do, the votes among them, and what both contracts do together."""

from __future__ import annotations

from dataclasses import replace

from ledger_protocol.ledger.rollout import cohort
from tests.contract.actors import (
    BASELINE,
    CONFIRMED,
    FAILED,
    INSTALLED,
    REJECTED,
    REVERTED,
    UNREACHABLE,
    Event,
)
from tests.contract.modelled.council import Council
from tests.contract.modelled.ledger import Ledger
from tests.contract.modelled.state import ENROLLER, GATEWAY, PUBLISHER, Approval, DeviceState, State, Tally
from tests.contract.modelled.words import device_state, number

VOTING = (INSTALLED, CONFIRMED, REVERTED, FAILED)
RECORDED = (BASELINE, *VOTING, UNREACHABLE, REJECTED)

SKIPS = {
    "stamp out of range": 1,
    "device is not enrolled": 2,
    "device is retired": 3,
    "event is recorded already": 4,
    "gap": 5,
    "previous event differs": 6,
}


class Pair(Ledger, Council, State):
    """Both contracts."""

    def place(self, devices: list[bytes], group: int, retired: bool, approval: Approval) -> str:
        if not devices:
            return "empty list"
        if group not in self.groups:
            return "group follows no channel"
        if reason := self.unapproved(approval, PUBLISHER):
            return reason
        if any(device not in self.devices for device in devices):
            return "device is not enrolled"
        self.spend_epoch(self.groups[group])
        seats = self.seats(approval.signers)
        self.log("DevicesPlaced", group=group, retired=retired, count=len(devices), approvers=seats)
        for device in devices:
            self.devices[device] = replace(self.devices[device], group=group, retired=retired)
            self.log("Placed", device=device, group=group, retired=retired)
        return ""

    def enrol(self, entries: list[tuple[bytes, int, bytes]], caller: bytes, *, alone: bool) -> str:
        if not entries and not alone:
            return "empty list"
        if not self.holds(caller, ENROLLER):
            return "caller is no enroller"
        named = [device for device, _, _ in entries]
        if len(set(named)) != len(named) or any(device in self.devices for device in named):
            return "device is enrolled already"
        for device, group, commitment in entries:
            self.devices[device] = DeviceState(group)
            self.log("Enrolled", device=device, group=group, commitment=commitment)
        return ""

    def anchor(self, root: bytes, content: bytes, count: int, caller: bytes) -> str:
        if not 1 <= count <= 4_096:
            return "an anchor has 1 to 4096 leaves"
        if not self.holds(caller, GATEWAY):
            return "caller is no gateway"
        self.log("Anchored", gateway=caller, root=root, content=content, count=count)
        return ""

    def submit_event(self, device: bytes, event: Event, head: bytes) -> str:
        """One event; `head` is the device's chain after it."""
        if reason := self._unfit(device, [event]):
            return reason
        self._log_gap(device, event)
        self._record(device, event, head)
        return ""

    def submit_queue(self, device: bytes, events: list[Event], head: bytes) -> str:
        """Consecutive events; `head` is the device's chain after the last."""
        if not events:
            return "empty list"
        if reason := self._unfit(device, events):
            return reason
        self._log_gap(device, events[0])
        voted = [self._voted(device, event) for event in events]
        held = self.devices[device] = replace(self.devices[device], sequence=events[-1].sequence, head=head)
        releases = tuple(dict.fromkeys(event.release for event in events))
        reports = tuple((e.stamp | releases.index(e.release) << 80, e.detail) for e in events)
        votes = sum(vote << 144 + place for place, vote in enumerate(voted))
        state = device_state(held) << 80 | votes
        self.log("QueueRecorded", device=device, state=state, releases=releases, reports=reports)
        return ""

    def batched(self, device: bytes, event: Event, head: bytes) -> str:
        """One item of a batch; a reason means that it was skipped."""
        held = self.devices.get(device)
        reason = self._unfit(device, [event])
        if not reason and held and event.sequence > held.sequence + 1:
            reason = "gap"
        if reason:
            malformed = reason == "stamp out of range"
            link = event.stamp | number(event.previous)
            named = b"\0" * 20 if malformed else device
            self.log("Skipped", device=named, release=event.release, link=link, reason=SKIPS[reason])
        else:
            self._record(device, event, head)
        return reason

    def _unfit(self, device: bytes, events: list[Event]) -> str:
        if any(event.kind not in RECORDED for event in events):
            return "stamp out of range"
        held = self.devices.get(device)
        if held is None:
            return "device is not enrolled"
        if held.retired:
            return "device is retired"
        if events[0].sequence <= held.sequence:
            return "event is recorded already"
        if events[0].sequence == held.sequence + 1 and events[0].previous != held.head:
            return "previous event differs"
        return ""

    def _log_gap(self, device: bytes, event: Event) -> None:
        last = self.devices[device].sequence
        if event.sequence != last + 1:
            self.log("Gap", device=device, last=last, previous=event.previous)

    def _record(self, device: bytes, event: Event, head: bytes) -> None:
        voted = self._voted(device, event)
        held = self.devices[device] = replace(self.devices[device], sequence=event.sequence, head=head)
        stamp = event.stamp | device_state(held) << 80 | voted << 144
        self.log("Recorded", device=device, release=event.release, stamp=stamp, detail=event.detail)

    def _voted(self, device: bytes, event: Event) -> bool:
        """Count an event where it counts."""
        release, kind = event.release, event.kind
        if kind not in VOTING:
            return False
        held = self.devices[device]
        if kind != INSTALLED and held.open_vote and (release, held.counted) in self.tallies:
            self.devices[device] = replace(held, open_vote=False)
            self._close(release, held.counted, kind, self.groups.get(held.group))
            return True
        name = self.groups.get(held.group)
        if name is None:
            return False
        channel = self.channel(name)
        at = channel.published_at
        if at <= held.counted or channel.head != release:
            return False
        if cohort(release, device) >= channel.share(self.now):
            return False
        tally = self.tallies.setdefault((release, at), Tally(name))
        if tally.channel != name:
            return False
        tally.installed += 1
        self.devices[device] = replace(held, counted=at, open_vote=kind == INSTALLED)
        if kind != INSTALLED:
            self._close(release, at, kind, name)
        return True

    def _close(self, release: bytes, at: int, kind: int, name: bytes | None) -> None:
        tally = self.tallies[release, at]
        if kind == CONFIRMED:
            tally.confirmed += 1
            return
        tally.failed += 1
        if name is None:
            return
        channel = self.channel(name)
        closed = tally.confirmed + tally.failed
        if (
            tally.channel == name
            and channel.published_at == at
            and not channel.halted
            and channel.curve.halt_bps
            and closed >= channel.curve.min_reports
            and tally.failed * 10_000 > channel.curve.halt_bps * closed
        ):
            self.stop(name, self.journal)
