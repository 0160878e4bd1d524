"""After any sequence of calls, the contracts' state and the plain model's agree, and so does every refusal."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from tests.contract.actors import (
    CONFIRMED,
    FAILED,
    GAP,
    INSTALLED,
    MALFORMED,
    NOT_ENROLLED,
    PREVIOUS,
    RECORDED,
    RETIRED,
    Curve,
    Device,
    address,
    digest,
    fresh,
    queue_args,
)
from tests.contract.model import Approval, Model

# Forty games of 25 acts, each followed by a look at the whole state: 20 s where nothing else runs.
pytestmark = pytest.mark.timeout(600)

CHANNELS = [digest("stable"), digest("beta")]
RELEASES = [digest(f"release {i}") for i in range(3)]
GROUPS = [1, 2, 3]
FLEET = 5
U32 = 2**32 - 1

SKIPS = {
    "stamp out of range": MALFORMED,
    "device is not enrolled": NOT_ENROLLED,
    "device is retired": RETIRED,
    "event is recorded already": RECORDED,
    "gap": GAP,
    "previous event differs": PREVIOUS,
}

channels = st.sampled_from(CHANNELS)
releases = st.sampled_from(RELEASES)
groups = st.sampled_from(GROUPS)
places = st.integers(0, FLEET - 1)
kinds = st.sampled_from([*[INSTALLED, CONFIRMED, FAILED] * 4, *range(10)])
curves = st.builds(
    Curve,
    immediate=st.booleans(),
    initial_bps=st.sampled_from([0, 2_500, 7_500, 10_000]),
    hold_hours=st.integers(0, 3),
    ramp_hours=st.integers(0, 3),
    halt_bps=st.sampled_from([0, 1, 5_000]),
    min_reports=st.integers(1, 3),
)
# Most calls are by whom they should be, so that sequences get somewhere.
signers = st.sampled_from(
    ["quorum"] * 24 + ["one", "none", "twice", "reversed", "others", "stranger", "all", "stale"]
)
callers = st.sampled_from(["right"] * 9 + ["publisher", "governor", "anyone"])


class Pair(RuleBasedStateMachine):
    @initialize()
    def deploy(self) -> None:
        self.world = fresh(threshold=2)
        self.devices = [Device(i, self.world.journal.address) for i in range(FLEET)]
        self.model = Model(
            publishers=map(address, self.world.publishers),
            governors=map(address, self.world.governors),
            guardians=[address(self.world.guardian)],
            enrollers=[address(self.world.enroller)],
            threshold=2,
        )
        self.published: set[tuple[bytes, int]] = set()
        # Two channels with a release, a group on each and one group on none; all devices but the last are enrolled.
        curve = Curve(initial_bps=7_500, hold_hours=1, ramp_hours=1, halt_bps=5_000, min_reports=2)
        for number, channel in enumerate(CHANNELS):
            self.world.machine.advance(12)
            self._publish(channel, RELEASES[number], 1, 0, curve, "quorum")
            self._assign_group(GROUPS[number], channel, "quorum")
        for number in range(FLEET - 1):
            self._enrol(number, GROUPS[number % 3 // 2], "right")

    # -- helpers

    def keys(self, how: str, *, governors: bool = False) -> tuple[list, Approval]:
        right, wrong = self.world.publishers, self.world.governors
        if governors:
            right, wrong = wrong, right
        keys = {
            "quorum": right[:2],
            "all": right,
            "one": right[:1],
            "none": [],
            "twice": [right[0]] * 2,
            "reversed": right[1::-1],
            "others": wrong[:2],
            "stranger": [right[0], self.world.anyone],
            "stale": right[:2],
        }[how]
        return keys, Approval(tuple(map(address, keys)), faithful=how != "stale")

    def epoch(self, how: str, channel: bytes) -> int:
        return self.world.epoch(channel) + (how == "stale")

    def caller(self, how: str, right):
        return {
            "right": right,
            "publisher": self.world.publishers[0],
            "governor": self.world.governors[0],
        }.get(how, self.world.anyone)

    def check(self, key, contract, function: str, args: tuple, expected: str) -> None:
        receipt = self.world.send(key, contract, function, *args)
        assert receipt.reason == (f"fwledger: {expected}" if expected else "")
        assert receipt.ok == (not expected)

    @property
    def now(self) -> int:
        return self.world.machine.time

    # -- rules

    @rule(seconds=st.sampled_from([1, 12, 3_600, 7_200]))
    def wait(self, seconds: int) -> None:
        self.world.machine.advance(seconds)

    @rule(
        channel=channels,
        release=releases,
        step=st.sampled_from([-1, 0, 1, 1, 1, 65_536, 65_537]),
        rise=st.sampled_from([-1, 0, 0, 1]),
        curve=curves,
        how=signers,
    )
    def publish(self, channel, release, step, rise, curve, how) -> None:
        self._publish(channel, release, step, rise, curve, how)

    def _publish(self, channel, release, step, rise, curve, how) -> None:
        held = self.model.channel(channel)
        sequence = max(0, held.sequence + step)
        security = max(0, held.security_version + rise)
        keys, approval = self.keys(how)
        args = self.world.publish_args(
            channel,
            release,
            sequence=sequence,
            security_version=security,
            curve=curve,
            keys=keys,
            epoch=self.epoch(how, channel),
        )
        expected = self.model.publish(self.now, channel, release, sequence, security, curve, approval)
        self.check(self.world.anyone, self.world.ledger, "publish", args, expected)
        if not expected:
            self.published.add((release, self.now))

    @rule(channel=channels, curve=curves, how=signers, resuming=st.booleans())
    def roll(self, channel, curve, how, resuming) -> None:
        keys, approval = self.keys(how)
        act, function = ("Resume", "resume") if resuming else ("SetRollout", "set_rollout")
        args = self.world.rollout_args(act, channel, curve, keys=keys, epoch=self.epoch(how, channel))
        expected = self.model.roll(self.now, channel, curve, approval, resuming=resuming)
        self.check(self.world.anyone, self.world.ledger, function, args, expected)

    @rule(channel=channels, how=callers)
    def halt(self, channel, how) -> None:
        key = self.caller(how, self.world.guardian)
        expected = self.model.halt(self.now, channel, address(key))
        self.check(key, self.world.ledger, "halt", (channel,), expected)

    @rule(
        act=st.sampled_from(["revoke", "revoke", "revoke_approved", "trust root", "enrol"]),
        release=releases,
        code=st.integers(0, 2**16 - 1),
        mandatory=st.booleans(),
        step=st.sampled_from([0, 1, 1, 2]),
        place=places,
        group=groups,
        how=signers,
        caller=callers,
    )
    def rarely(self, act, release, code, mandatory, step, place, group, how, caller) -> None:
        match act:
            case "revoke":
                self._revoke(release, code, caller)
            case "revoke_approved":
                self._revoke_approved(release, code, mandatory, how)
            case "trust root":
                self._set_trust_root(step, how)
            case _:
                self._enrol(place, group, caller)

    def _revoke(self, release, code, how) -> None:
        key = self.caller(how, self.world.guardian)
        expected = self.model.revoke(self.now, release, code, address(key))
        self.check(key, self.world.ledger, "revoke", (release, code), expected)

    def _revoke_approved(self, release, code, mandatory, how) -> None:
        how = "quorum" if how == "stale" else how
        keys, approval = self.keys(how)
        args = self.world.revoke_args(release, reason=code, mandatory=mandatory, keys=keys)
        expected = self.model.revoke_approved(self.now, release, code, mandatory, approval)
        self.check(self.world.anyone, self.world.ledger, "revoke_approved", args, expected)

    def _set_trust_root(self, step, how) -> None:
        how = "quorum" if how == "stale" else how
        keys, approval = self.keys(how, governors=True)
        version = self.model.root[1] + step
        root = digest(f"root {version}")
        args = self.world.root_args(root, version, keys=keys)
        expected = self.model.set_root(root, version, approval)
        self.check(self.world.anyone, self.world.ledger, "set_trust_root", args, expected)

    def _enrol(self, place, group, how) -> None:
        key = self.caller(how, self.world.enroller)
        device = self.devices[place].address
        expected = self.model.enrol(device, group, address(key))
        self.check(key, self.world.journal, "enrol", (device, group, digest("serial")), expected)

    @rule(group=groups, channel=channels, how=signers)
    def assign_group(self, group, channel, how) -> None:
        self._assign_group(group, channel, how)

    def _assign_group(self, group, channel, how) -> None:
        keys, approval = self.keys(how)
        spending = self.model.groups.get(group, channel)
        args = self.world.group_args(group, channel, keys=keys, epoch=self.epoch(how, spending))
        expected = self.model.assign_group(group, channel, approval)
        self.check(self.world.anyone, self.world.ledger, "assign_group", args, expected)

    @rule(chosen=st.lists(places, max_size=3, unique=True), group=groups, retired=st.booleans(), how=signers)
    def place(self, chosen, group, retired, how) -> None:
        keys, approval = self.keys(how)
        devices = [self.devices[i].address for i in chosen]
        channel = self.model.groups.get(group, b"\0" * 32)
        args = self.world.place_args(
            devices, group, retired=retired, keys=keys, epoch=self.epoch(how, channel)
        )
        expected = self.model.place(devices, group, retired, approval)
        self.check(self.world.anyone, self.world.ledger, "place_devices", args, expected)

    @rule(
        chosen=st.lists(places, min_size=1, max_size=FLEET, unique=True),
        said=st.lists(st.tuples(releases, kinds), min_size=1, max_size=4),
        of_the_head=st.sampled_from([True, True, True, False]),
        queued=st.booleans(),
        skip=st.sampled_from([0] * 9 + [2]),
        forget=st.sampled_from([False] * 9 + [True]),
    )
    def report(self, chosen, said, of_the_head, queued, skip, forget) -> None:
        """Devices say the same thing, one after the other: as a queue, or its first event alone."""
        for place in chosen:
            device = self.devices[place]
            events = said if queued else said[:1]
            held = self.model.devices.get(device.address)
            if of_the_head and held and held.group in self.model.groups:
                head = self.model.channel(self.model.groups[held.group]).head
                events = [(head, kind) for _, kind in events]
            self._report(device, events, queued=queued, skip=skip, forget=forget)

    def _report(self, device, said, *, queued, skip, forget) -> None:
        before = device.sequence, device.head
        device.sequence += skip
        if forget:
            device.head = b"\0" * 32
        events = [device.event(release, kind) for release, kind in said]
        args = queue_args(device, events) if queued else (device.report(events[0]),)
        function = "submit_queue" if queued else "submit_event"
        plain = [(e.release, e.sequence, e.kind, e.previous) for e in events]
        expected = self.model.submit(self.now, device.address, plain, device.head)
        self.check(self.world.anyone, self.world.journal, function, args, expected)
        if expected:
            device.sequence, device.head = before

    @rule(
        chosen=st.lists(st.tuples(places, kinds), min_size=1, max_size=8),
        release=releases,
        of=st.sampled_from([None, *CHANNELS]),
        bound=st.sampled_from([16, 128, 512]),
        skip=st.sampled_from([0] * 9 + [2]),
    )
    def batch(self, chosen, release, of, bound, skip) -> None:
        """Each chosen device says one thing about one release; the same device may speak twice."""
        if of:
            release = self.model.channel(of).head
        items, expected = [], []
        for place, kind in chosen:
            device = self.devices[place]
            before = device.sequence, device.head
            device.sequence += skip
            event = device.event(release, kind)
            items.append(device.item(event))
            reason = self.model.batched(
                self.now, device.address, release, event.sequence, kind, event.previous, device.head
            )
            expected.append(SKIPS[reason] if reason else 0)
            if reason:
                device.sequence, device.head = before
        receipt = self.world.send(
            self.world.anyone, self.world.journal, f"submit_batch_{bound}", release, items
        )
        assert receipt.ok
        logs = [log for log in self.world.logs(receipt) if log.name in ("Recorded", "Skipped")]
        assert [log.args.get("reason", 0) for log in logs] == expected

    # -- the same state

    @invariant()
    def channels_agree(self) -> None:
        for name in CHANNELS:
            held = self.model.channel(name)
            assert self.world.view(self.world.ledger, "head", name) == held.head
            curve = held.curve
            assert ChannelWord.decode(self.world.word(name)) == ChannelWord(
                sequence=held.sequence,
                security_version=held.security_version,
                epoch=held.epoch,
                halted=held.halted,
                immediate=curve.immediate,
                published_at=held.published_at,
                rollout_from=held.rollout_from,
                initial_bps=curve.initial_bps,
                hold_hours=curve.hold_hours,
                ramp_hours=curve.ramp_hours,
                halt_bps=curve.halt_bps,
                min_reports=curve.min_reports,
            )

    @invariant()
    def the_rest_of_the_ledger_agrees(self) -> None:
        for group in GROUPS:
            assert self.world.view(self.world.ledger, "channel_of", group) == self.model.groups.get(
                group, b"\0" * 32
            )
        for release in RELEASES:
            word = self.world.view(self.world.ledger, "revoked", release)
            held = self.model.revoked.get(release)
            assert bool(word) == bool(held)
            if held:
                expected = Revocation(time=held.time, reason=held.reason, mandatory=held.mandatory)
                assert Revocation.decode(word) == expected
        root = (
            self.world.view(self.world.ledger, "trust_root"),
            self.world.view(self.world.ledger, "trust_root_version"),
        )
        assert root == self.model.root

    @invariant()
    def the_journal_agrees(self) -> None:
        for device in self.devices:
            word = self.world.view(self.world.journal, "device", device.address)
            held = self.model.devices.get(device.address)
            if held is None:
                assert word == 0
                continue
            assert DeviceWord.decode(word) == DeviceWord(
                sequence=held.sequence,
                enrolled=True,
                retired=held.retired,
                open_vote=held.open_vote,
                group=held.group,
                counted=held.counted,
                head=held.head[:20],
            )
        for release, at in self.published:
            word = self.world.view(self.world.journal, "tally", release, at)
            held_tally = self.model.tallies.get((release, at))
            if held_tally is None:
                assert word == 0
                continue
            assert (word & U32, word >> 32 & U32, word >> 64 & U32) == (
                held_tally.installed,
                held_tally.confirmed,
                held_tally.failed,
            )
            assert word >> 96 == int.from_bytes(held_tally.channel[:20], "big")
            # Publications of one second share open votes: a known limit, with its own test.
            if sum(other == at for _, other in self.published) == 1:
                assert held_tally.confirmed + held_tally.failed <= held_tally.installed


TestPair = Pair.TestCase
TestPair.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
