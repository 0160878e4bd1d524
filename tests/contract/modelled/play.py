"""A game: acts drawn at random on both contracts and on the model. After each the refusal, the logs and every word
are the same, and in the end the roots of both storage tries are: nothing else was written.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis.stateful import initialize

from tests.contract.actors import (
    DAY,
    DELAY_S,
    PROPOSALS,
    Curve,
    Device,
    Event,
    World,
    address,
    digest,
    fresh,
    queue_args,
)
from tests.contract.evm import MACHINES, private_key
from tests.contract.modelled.history import history, lost
from tests.contract.modelled.journal import SKIPS, Pair
from tests.contract.modelled.state import (
    ENROLLER,
    GATEWAY,
    GOVERNOR,
    GUARDIAN,
    OPERATOR,
    PUBLISHER,
    ZERO,
    Approval,
    Member,
)
from tests.contract.modelled.words import journal_words, ledger_words, storage_root

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = [digest("stable"), digest("beta")]
RELEASES = [digest(f"release {i}") for i in range(3)]
GROUPS = [1, 2, 3]
FLEET = 5
NEWCOMERS = [private_key(0x90 + i) for i in range(2)]
GATEWAY_KEY, OPERATOR_KEY = private_key(0x60), private_key(0x50)
CURVE = Curve(initial_bps=7_500, hold_hours=1, ramp_hours=1, halt_bps=5_000, min_reports=2)


@dataclass(frozen=True)
class Spent:
    """An act that went through, to be tried again: `again` is what the model says of it."""

    function: str
    args: tuple[Any, ...]
    signers: tuple[bytes, ...]
    deadline: int
    again: Callable[[Approval], str]


@functools.cache
def _opened(machines: str) -> tuple[World, Pair, list[Device]]:
    """Two channels with a release, a group on each and one on none, four of five devices enrolled, an operator and a
    gateway; whatever changes it is played on both sides.
    """
    world = fresh(threshold=2)
    roles = [(key, GOVERNOR) for key in world.governors] + [(key, PUBLISHER) for key in world.publishers]
    seated = [*roles, (world.guardian, GUARDIAN)]
    members = {address(key): Member(role, seat) for seat, (key, role) in enumerate(seated, 1)}
    members[address(world.enroller)] = Member(ENROLLER)
    model = Pair(
        world.ledger.address,
        world.journal.address,
        publish_threshold=2,
        govern_threshold=2,
        next_seat=len(seated) + 1,
        members=members,
    )
    game = Play()
    game.take(world, model, [Device(i, world.journal.address) for i in range(FLEET)])
    game.agree()
    for key, roles_ in ((GATEWAY_KEY, GATEWAY), (OPERATOR_KEY, OPERATOR)):
        game.propose("SetMember", (address(key), roles_), how="quorum")
        game.wait(DELAY_S)
        game.execute(0)
    for number, channel in enumerate(CHANNELS):
        game.wait(12)
        game.publish(channel, RELEASES[number], 1, 0, CURVE, "quorum")
        game.assign_group(GROUPS[number], channel, "quorum")
    for number in range(FLEET - 1):
        game.enrol([number], GROUPS[number % 3 // 2], "right", alone=True)
    assert (model.era, len(model.devices), len(model.groups)) == (2, FLEET - 1, 2)
    return world, model, game.devices


class Play:
    """The acts. State machines add the rules that draw them."""

    @initialize()
    def open(self) -> None:
        world, model, devices = _opened(MACHINES.name)
        self.take(world.twin(), copy.deepcopy(model), [copy.copy(device) for device in devices])

    def take(self, world: World, model: Pair, devices: list[Device]) -> None:
        self.world, self.model, self.devices = world, model, devices
        self.spent: list[Spent] = []
        self.proposed: list[tuple[str, tuple[Any, ...], bytes]] = []
        keys = [*world.publishers, *world.governors, world.guardian, world.enroller, *NEWCOMERS]
        self.keys = {address(key): key for key in (*keys, GATEWAY_KEY, OPERATOR_KEY, world.anyone)}
        self.model.now = world.machine.time
        self.recorded = history(model)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        held = self.world.machine.storage_roots(self.model.ledger, self.model.journal)
        words = ledger_words(self.model), journal_words(self.model)
        assert held == tuple(map(storage_root, words))

    # -- helpers

    def agree(self) -> None:
        """Hold every word of the model against the contracts' storage."""
        for contract, words in (
            (self.model.ledger, ledger_words(self.model)),
            (self.model.journal, journal_words(self.model)),
        ):
            held = {slot: self.world.machine.storage(contract, slot) for slot in words}
            assert held == words

    def check(self, key: Any, function: str, args: tuple[Any, ...], expected: str) -> None:
        """Send what the model has just said `expected` of."""
        contract = self.world.ledger if function in self.world.ledger.functions else self.world.journal
        receipt = self.world.send(key, contract, function, *args)
        # The words below are those of the contracts: `agree` holds each against their storage.
        assert lost(self.recorded, history(self.model), by_devices=function.startswith("submit_")) == []
        self.recorded = history(self.model)
        assert receipt.reason == (f"fwledger: {expected}" if expected else "")
        assert receipt.ok == (not expected)
        logs = [] if expected else self.model.logs
        assert [(log.name, log.args) for log in self.world.logs(receipt)] == logs
        self.model.logs = []
        self.agree()

    def signers(self, how: str, role: int) -> tuple[list[Any], Approval]:
        """Keys of those who sign, and what the model makes of them."""
        right = self.model.holders(role)
        wrong = self.model.holders(GOVERNOR if role == PUBLISHER else PUBLISHER)
        needed = self.model.govern_threshold if role == GOVERNOR else self.model.publish_threshold
        accounts = {
            "all": right,
            "one": right[:1],
            "none": [],
            "twice": [right[0]] * needed,
            "reversed": right[:needed][::-1],
            "others": wrong[:needed],
            "stranger": [*right[: needed - 1], address(self.world.anyone)],
        }.get(how, right[:needed])
        approval = Approval(tuple(accounts), faithful=how != "stale", expired=how == "late")
        return [self.keys[account] for account in accounts], approval

    def approved(
        self,
        how: str,
        role: int,
        function: str,
        make: Callable[[list[Any]], tuple[Any, ...]],
        act: Callable[..., str],
    ) -> None:
        """Do an act that approvals carry: `make` gives its arguments, signed by some keys."""
        keys, approval = self.signers(how, role)
        self.world.valid_s = -1 if how == "late" else DAY
        deadline, args = self.world.deadline(), make(keys)
        expected = act(approval)
        self.check(self.world.anyone, function, args, expected)
        if not expected:
            self.spent.append(Spent(function, args, approval.signers, deadline, act))

    def epoch(self, how: str, channel: bytes) -> int:
        return self.model.channel(channel).epoch + (how == "stale")

    def caller(self, how: str, role: int) -> Any:
        """Somebody with the role, or somebody without."""
        if how == "right":
            holders = self.model.holders(role)
            return self.keys[holders[0]] if holders else self.world.anyone
        return {"publisher": self.world.publishers[0], "governor": self.world.governors[0]}.get(
            how, self.world.anyone
        )

    # -- acts

    def wait(self, seconds: int) -> None:
        if seconds:
            self.world.machine.advance(seconds)
        self.model.now = self.world.machine.time

    def publish(self, channel, release, step, rise, curve, how, pause=0) -> None:
        self.wait(pause)
        held = self.model.channel(channel)
        sequence, security = max(0, held.sequence + step), max(0, held.security_version + rise)
        envelope = digest("envelope of " + release.hex())
        self.approved(
            how,
            PUBLISHER,
            "publish",
            lambda keys: self.world.publish_args(
                channel,
                release,
                sequence=sequence,
                security_version=security,
                curve=curve,
                keys=keys,
                epoch=self.epoch(how, channel),
            ),
            functools.partial(self.model.publish, channel, release, envelope, sequence, security, curve),
        )

    def roll(self, channel, curve, how, fitting) -> None:
        """Resume a halted channel, or give another a rollout; the wrong one of both unless `fitting`."""
        resuming = self.model.channel(channel).halted == fitting
        act, function = ("Resume", "resume") if resuming else ("SetRollout", "set_rollout")
        epoch, sequence = self.epoch(how, channel), self.model.channel(channel).sequence
        self.approved(
            how,
            PUBLISHER,
            function,
            lambda keys: self.world.rollout_args(
                act, channel, curve, keys=keys, epoch=epoch, sequence=sequence
            ),
            functools.partial(self.model.roll, channel, curve, resuming=resuming),
        )

    def halt(self, channel, how) -> None:
        key = self.caller(how, GUARDIAN)
        self.check(key, "halt", (channel,), self.model.halt(channel, address(key)))

    def revoke(self, release, code, how) -> None:
        key = self.caller(how, GUARDIAN)
        self.check(key, "revoke", (release, code), self.model.revoke(release, code, address(key)))

    def revoke_approved(self, release, code, mandatory, how) -> None:
        def make(keys: list[Any]) -> tuple[Any, ...]:
            args = self.world.revoke_args(release, reason=code, mandatory=mandatory, keys=keys)
            return (*args[:3], args[3] + (how == "stale"), args[4])

        act = functools.partial(self.model.revoke_approved, release, code, mandatory)
        self.approved(how, PUBLISHER, "revoke_approved", make, act)

    def assign_group(self, group, channel, how) -> None:
        epoch = self.epoch(how, self.model.groups.get(group, channel))
        self.approved(
            how,
            PUBLISHER,
            "assign_group",
            lambda keys: self.world.group_args(group, channel, keys=keys, epoch=epoch),
            functools.partial(self.model.assign_group, group, channel),
        )

    def place(self, chosen, group, retired, how) -> None:
        devices = [self.devices[i].address for i in chosen]
        epoch = self.epoch(how, self.model.groups.get(group, ZERO))
        self.approved(
            how,
            PUBLISHER,
            "place_devices",
            lambda keys: self.world.place_args(devices, group, retired=retired, keys=keys, epoch=epoch),
            functools.partial(self.model.place, devices, group, retired),
        )

    def operate(self, release, how) -> None:
        key = self.caller(how, OPERATOR)
        self.check(key, "approve", (release,), self.model.approve(release, address(key)))

    def set_root(self, version, how) -> None:
        root, envelope = digest(f"root {version}"), digest("envelope")

        def make(keys: list[Any]) -> tuple[Any, ...]:
            args = self.world.root_args(root, version, envelope=envelope, keys=keys)
            return (*args[:3], args[3] + (how == "stale"), args[4])

        act = functools.partial(self.model.set_root, root, version, envelope)
        self.approved(how, GOVERNOR, "set_trust_root", make, act)

    def propose(self, act: str, fields: tuple[Any, ...], how: str) -> None:
        epoch = self.model.govern_epoch
        made: list[tuple[Any, ...]] = []

        def make(keys: list[Any]) -> tuple[Any, ...]:
            args, executed = self.world.proposal(act, *fields, keys=keys, epoch=epoch + (how == "stale"))
            made.append((*fields, epoch, executed[-1]))
            return args

        def proposed(approval: Approval) -> str:
            # Again, it would be another change: the id binds the epoch.
            return self.model.propose(act, fields, self.model.govern_epoch, made[0][-1], approval)

        before = len(self.spent)
        self.approved(how, GOVERNOR, "propose_" + PROPOSALS[act], make, proposed)
        if len(self.spent) > before:
            self.proposed.append((act, made[0], list(self.model.queue)[-1]))

    def decide(self, act: str, fields: tuple[Any, ...], how: str) -> None:
        """Propose a change and execute it as soon as it can be."""
        before = len(self.proposed)
        self.propose(act, fields, how)
        if len(self.proposed) > before:
            self.wait(DELAY_S)
            self.execute(0)

    def next_root(self, step: int, how: str) -> None:
        version = self.model.root[1] + step
        self.decide("AnnounceTrustRoot", (digest(f"root {version}"), version, digest("envelope")), how)

    def execute(self, back: int, bent: bool = False) -> None:
        """Execute one of the last proposals, or, bent, one of the next epoch, which nobody made."""
        if self.proposed:
            act, args, _ = self.proposed[-1 - back % len(self.proposed)]
            args = (*args[:-2], args[-2] + 1_000 * bent, args[-1])
            expected = self.model.execute(act, args[:-2], *args[-2:])
            self.check(self.world.anyone, "execute_" + PROPOSALS[act], args, expected)

    def cancel(self, back: int, how: str) -> None:
        key = self.caller(how, GUARDIAN)
        id_ = self.proposed[-1 - back % len(self.proposed)][-1] if self.proposed else ZERO
        self.check(key, "cancel", (id_,), self.model.cancel(id_, address(key)))

    def replay(self, back: int) -> None:
        """Send an act's approvals again, to the letter: they never serve twice."""
        if self.spent:
            spent = self.spent[-1 - back % len(self.spent)]
            late = self.model.now > spent.deadline
            expected = spent.again(Approval(spent.signers, faithful=False, expired=late))
            assert expected
            self.check(self.world.anyone, spent.function, spent.args, expected)

    def enrol(self, chosen, group, how, alone) -> None:
        key = self.caller(how, ENROLLER)
        entries = [(self.devices[place].address, group, digest("serial")) for place in chosen]
        expected = self.model.enrol(entries[:1] if alone else entries, address(key), alone=alone)
        function, args = ("enrol", entries[0]) if alone else ("enrol_many", (entries,))
        self.check(key, function, args, expected)

    def anchor(self, count, how) -> None:
        key = self.caller(how, GATEWAY)
        args = (digest("root"), digest("content"), count)
        self.check(key, "anchor", args, self.model.anchor(*args, address(key)))

    def report(self, chosen, said, of_the_head, queued, skip, forget) -> None:
        """Devices say the same, one after the other: as a queue, or its first event alone."""
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
            device.head = ZERO
        events: list[Event] = [device.event(release, kind) for release, kind in said]
        if queued:
            expected = self.model.submit_queue(device.address, events, device.head)
            args = queue_args(device, events)
        else:
            expected = self.model.submit_event(device.address, events[0], device.head)
            args = (device.report(events[0]),)
        if expected:
            device.sequence, device.head = before
        self.check(self.world.anyone, "submit_queue" if queued else "submit_event", args, expected)

    def batch(self, chosen, release, of, bound, skip) -> None:
        """Each chosen device says one thing about one release; one device may speak twice."""
        if of:
            release = self.model.channel(of).head
        items = []
        for place, kind in chosen:
            device = self.devices[place]
            before = device.sequence, device.head
            device.sequence += skip
            event = device.event(release, kind)
            items.append(device.item(event))
            if self.model.batched(device.address, event, device.head) in SKIPS:
                device.sequence, device.head = before
        self.check(self.world.anyone, f"submit_batch_{bound}", (release, items), "")
