"""What both contracts do with votes, in plain Python: no packing, no hashing, no gas; fast enough for seeds.

Each act gives the reason for which it is refused, or "" and changes the model. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ledger_protocol.ledger.rollout import cohort
from tests.contract.actors import (
    BASELINE,
    CONFIRMED,
    FAILED,
    INSTALLED,
    REJECTED,
    REVERTED,
    UNREACHABLE,
    Curve,
)

LAST_EPOCH = 2**24 - 1
VOTING = (INSTALLED, CONFIRMED, REVERTED, FAILED)
RECORDED = (BASELINE, *VOTING, UNREACHABLE, REJECTED)


@dataclass
class Channel:
    head: bytes = b"\0" * 32
    sequence: int = 0
    security_version: int = 0
    epoch: int = 0
    halted: bool = False
    published_at: int = 0
    rollout_from: int = 0
    curve: Curve = field(
        default_factory=lambda: Curve(initial_bps=0, hold_hours=0, ramp_hours=0, halt_bps=0, min_reports=0)
    )

    def share(self, now: int) -> int:
        if self.curve.immediate:
            return 10_000
        initial = self.curve.initial_bps
        if self.halted or initial == 0:
            return initial
        into_ramp = now - self.rollout_from - self.curve.hold_hours * 3_600
        if into_ramp < 0:
            return initial
        ramp = self.curve.ramp_hours * 3_600
        return 10_000 if into_ramp >= ramp else initial + (10_000 - initial) * into_ramp // ramp


@dataclass
class DeviceState:
    group: int
    sequence: int = 0
    retired: bool = False
    open_vote: bool = False
    counted: int = 0
    head: bytes = b"\0" * 32


@dataclass
class Tally:
    channel: bytes
    installed: int = 0
    confirmed: int = 0
    failed: int = 0


@dataclass
class Revoked:
    time: int
    reason: int
    mandatory: bool


@dataclass(frozen=True)
class Approval:
    """Who signed, in the order sent, and whether what they signed is what is sent (another epoch is not)."""

    signers: tuple[bytes, ...]
    faithful: bool = True


class Model:
    def __init__(self, *, publishers, governors, guardians, enrollers, threshold: int):
        self.publishers, self.governors = set(publishers), set(governors)
        self.guardians, self.enrollers = set(guardians), set(enrollers)
        self.threshold = threshold
        self.channels: dict[bytes, Channel] = {}
        self.groups: dict[int, bytes] = {}
        self.revoked: dict[bytes, Revoked] = {}
        self.root = (b"\0" * 32, 0)
        self.devices: dict[bytes, DeviceState] = {}
        self.tallies: dict[tuple[bytes, int], Tally] = {}

    # -- who

    def approved(self, approval: Approval, holders: set[bytes]) -> str:
        if len(approval.signers) < self.threshold:
            return "too few approvals"
        last = b""
        for signer in approval.signers:
            if not approval.faithful or signer not in holders:
                return "signer lacks the role"
            if signer <= last:
                return "signers not ascending"
            last = signer
        return ""

    def channel(self, name: bytes) -> Channel:
        return self.channels.get(name, Channel())

    # -- the ledger

    def publish(self, now, channel, release, sequence, security_version, curve, approval) -> str:
        held = self.channel(channel)
        if sequence <= held.sequence:
            return "sequence not above the channel's"
        if held.sequence and sequence - held.sequence > 65_536:
            return "sequence jumps too far"
        if security_version < held.security_version:
            return "security version falls"
        if held.published_at == now:
            return "published in this block already"
        if release in self.revoked:
            return "release is revoked"
        if held.epoch >= LAST_EPOCH - 1:
            return "epochs used up"
        if reason := self.approved(approval, self.publishers):
            return reason
        self.channels[channel] = Channel(
            release, sequence, security_version, held.epoch + 1, False, now, now, curve
        )
        return ""

    def halt(self, now, channel, caller) -> str:
        if caller not in self.guardians:
            return "caller is no guardian"
        held = self.channel(channel)
        if held.halted:
            return "channel is halted"
        if not held.sequence:
            return "channel has no release"
        self._halt(now, channel)
        return ""

    def _halt(self, now, channel) -> None:
        held = self.channels[channel]
        frozen = replace(held.curve, immediate=False, initial_bps=held.share(now))
        self.channels[channel] = replace(held, halted=True, epoch=held.epoch + 1, curve=frozen)

    def assign_group(self, group, channel, approval) -> str:
        spending = self.groups.get(group, channel)
        if reason := self.approved(approval, self.publishers):
            return reason
        held = self.channel(spending)
        self.channels[spending] = replace(held, epoch=held.epoch + 1)
        self.groups[group] = channel
        return ""

    # -- the journal

    def enrol(self, device, group, caller) -> str:
        if caller not in self.enrollers:
            return "caller is no enroller"
        if device in self.devices:
            return "device is enrolled already"
        self.devices[device] = DeviceState(group)
        return ""

    def submit(self, now, device, events, head: bytes) -> str:
        """Events of one device: (release, sequence, kind, previous) each; `head` = the chain's after them."""
        for _, _, kind, _ in events:
            if kind not in RECORDED:
                return "stamp out of range"
        held = self.devices.get(device)
        if held is None:
            return "device is not enrolled"
        if held.retired:
            return "device is retired"
        _, sequence, _, previous = events[0]
        if sequence <= held.sequence:
            return "event is recorded already"
        if sequence == held.sequence + 1 and previous != held.head:
            return "previous event differs"
        for release, _, kind, _ in events:
            if kind in VOTING:
                self._vote(now, device, release, kind)
        held = self.devices[device]
        self.devices[device] = replace(held, sequence=events[-1][1], head=head)
        return ""

    def batched(self, now, device, release, sequence, kind, previous, head: bytes) -> str:
        """One item of a batch: "gap" is refused here, which an event of its own is not."""
        held = self.devices.get(device)
        if kind in RECORDED and held and not held.retired and sequence > held.sequence + 1:
            return "gap"
        return self.submit(now, device, [(release, sequence, kind, previous)], head)

    def _vote(self, now, device, release, kind) -> None:
        held = self.devices[device]
        if kind != INSTALLED and held.open_vote and (release, held.counted) in self.tallies:
            self.devices[device] = replace(held, open_vote=False)
            self._close(now, release, held.counted, kind, self.groups.get(held.group))
            return
        name = self.groups.get(held.group)
        if name is None:
            return
        channel = self.channel(name)
        at = channel.published_at
        if at <= held.counted or channel.head != release:
            return
        if cohort(release, device) >= channel.share(now):
            return
        tally = self.tallies.setdefault((release, at), Tally(name))
        if tally.channel != name:
            return
        tally.installed += 1
        self.devices[device] = replace(held, counted=at, open_vote=kind == INSTALLED)
        if kind != INSTALLED:
            self._close(now, release, at, kind, name)

    def _close(self, now, release, at, kind, name) -> None:
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
            self._halt(now, name)
