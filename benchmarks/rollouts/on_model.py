"""The plain Python model of both contracts as a side of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.rollouts.engine import Seen
from benchmarks.rollouts.model import Approval, Model
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.report.event import NO_PREVIOUS, EventKind
from tests.contract.actors import Curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rollouts.engine import Said
    from benchmarks.rollouts.pens import Pens
    from benchmarks.rollouts.plan import Plan

CHANNEL = channel_id("stable")
GROUP = 1
SEQUENCE = 2  # the factory's image has 1
_BOSS = b"\1" * 20
_YES = Approval((_BOSS,))
# The numbers by which a batch's log gives a reason.
_REASONS = {
    "": 0,
    "stamp out of range": 1,
    "device is not enrolled": 2,
    "device is retired": 3,
    "event is recorded already": 4,
    "gap": 5,
    "previous event differs": 6,
}


class ModelSide:
    """See `Side`. `published_at` is when the release is published; `pens` write real events, or None for
    events whose digests nobody needs.
    """

    def __init__(self, plan: Plan, *, published_at: int, pens: Pens | None = None) -> None:
        self.log: list[object] = []
        self.plan, self._published_at, self._pens = plan, published_at, pens
        self._addresses = plan.fleet.addresses
        self._now = published_at
        self._share = 0
        self._last: dict[int, tuple[int, EventKind, bytes, bytes]] = {}
        roles = {"publishers": [_BOSS], "governors": [_BOSS], "guardians": [_BOSS], "enrollers": [_BOSS]}
        self.model = Model(**roles, threshold=1)
        for address in self._addresses:
            self.model.enrol(address, GROUP, _BOSS)
        self.model.assign_group(GROUP, CHANNEL, _YES)

    def publish(self) -> int:
        r = self.plan.scenario.rollout
        curve = Curve(r.immediate, r.initial_bps, r.hold_hours, r.ramp_hours, r.halt_bps, r.min_reports)
        _done(self.model.publish(self._published_at, CHANNEL, self.plan.release, SEQUENCE, 0, curve, _YES))
        return self._published_at

    def batch(self, at_s: int, said: Sequence[Said]) -> None:
        self._now = at_s
        for device, kind in said:
            self._item(device, *self._event(device, kind, at_s))

    def replay(self, at_s: int, device: int) -> None:
        self._now = at_s
        self._item(device, *self._last[device])

    def queue(self, at_s: int, device: int, kinds: Sequence[EventKind]) -> None:
        self._now = at_s
        address, release = self._addresses[device], self.plan.release
        events = [self._event(device, kind, at_s) for kind in kinds]
        told = [(release, sequence, int(kind), previous) for sequence, kind, previous, _ in events]
        before = self._votes()
        _done(self.model.submit(at_s, address, told, events[-1][3]))
        self.log.append(("queue", address, events[-1][0], before != self._votes()))

    def look(self, at_s: int) -> Seen:
        self._now = max(self._now, at_s)
        channel = self.model.channels[CHANNEL]
        self._share = -1 if channel.halted else channel.share(self._now)
        return Seen(self._now, channel.epoch, channel.halted, channel.share(self._now), self._votes())

    def installs(self, device: int) -> bool:
        return self.plan.cohorts[device] < self._share

    def missing(self) -> tuple[int, int]:
        installed, confirmed, failed = self._votes()
        return installed, installed - confirmed - failed

    def halt(self, at_s: int) -> None:
        self._now = at_s
        _done(self.model.halt(at_s, CHANNEL, _BOSS))

    def words(self) -> dict[bytes, tuple[int, bool, int, int, bytes]]:
        """Every device's word: sequence, open vote, group, counted, head."""
        return {
            address: (d.sequence, d.open_vote, d.group, d.counted, d.head[:20])
            for address, d in self.model.devices.items()
        }

    def _votes(self) -> tuple[int, int, int]:
        tally = self.model.tallies.get((self.plan.release, self._published_at))
        return (0, 0, 0) if tally is None else (tally.installed, tally.confirmed, tally.failed)

    def _event(self, device: int, kind: EventKind, at_s: int) -> tuple[int, EventKind, bytes, bytes]:
        """Sequence, kind, previous, and the chain's head after it."""
        if self._pens is None:
            sequence = self._last[device][0] + 1 if device in self._last else 1
            event = (sequence, kind, NO_PREVIOUS, NO_PREVIOUS)
        else:
            written = self._pens.write(device, kind, at_s)
            event = (written.event.sequence, kind, written.event.previous, written.link)
        self._last[device] = event
        return event

    def _item(self, device: int, sequence: int, kind: EventKind, previous: bytes, head: bytes) -> None:
        model, address = self.model, self._addresses[device]
        held, halted = model.devices[address], model.channels[CHANNEL].halted
        reason = model.batched(self._now, address, self.plan.release, sequence, kind, previous, head)
        now = model.devices[address]
        if model.channels[CHANNEL].halted != halted:
            self.log.append(("halted", self._now))
        counted = (held.counted, held.open_vote) != (now.counted, now.open_vote)
        self.log.append((address, sequence, _REASONS[reason], counted))


def _done(reason: str) -> None:
    if reason:
        raise AssertionError(f"the model refused: {reason}")
