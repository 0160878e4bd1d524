"""What each act and event costs, to the unit of gas, and the bar that it must stay under.

A figure is what a receipt says: intrinsic gas and calldata included. The inputs are fixed, so the figures are exact;
a changed one is an explicit act. First calls (which write fresh slots) and steady ones stand apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.actors import (
    BASELINE,
    CONFIRMED,
    FAILED,
    INSTALLED,
    REJECTED,
    Curve,
    Device,
    World,
    address,
    digest,
    fresh,
    queue_args,
)

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.contract.evm import private_key

STABLE, BETA = digest("stable"), digest("beta")
RELEASES = [digest(f"release {i}") for i in range(4)]
# In the ramp when a vote comes: share and cohort are both computed.
CURVE = Curve(initial_bps=9_999, hold_hours=24, ramp_hours=48, halt_bps=300, min_reports=300)


def publish(world: World, number: int, **options) -> int:
    receipt = world.publish(
        STABLE, RELEASES[number], sequence=1_000 + number, security_version=3, **({"curve": CURVE} | options)
    )
    return receipt.gas


def fleet(world: World, count: int) -> list[Device]:
    """Devices with a past, in a group whose channel has a release that is already being tallied."""
    publish(world, 0)
    world.act("assign_group", world.group_args(1, STABLE))
    devices = [Device(i, world.journal.address) for i in range(count + 1)]
    for device in devices:
        world.enrol(device)
        world.submit(device.event(RELEASES[1], BASELINE), device)
    publish(world, 1)
    world.machine.advance(3_600)
    world.submit(devices[-1].event(RELEASES[1], INSTALLED), devices[-1])
    return devices[:-1]


def say(world: World, device: Device, kind: int, release: bytes = RELEASES[1]) -> int:
    return world.submit(device.event(release, kind), device).gas


def first_publish(world: World) -> int:
    return publish(world, 0)


def steady_publish(world: World) -> int:
    publish(world, 0)
    return publish(world, 1)


def set_rollout(world: World) -> int:
    publish(world, 0)
    return world.act("set_rollout", world.rollout_args("SetRollout", STABLE, CURVE)).gas


def halt(world: World) -> int:
    publish(world, 0)
    return world.act("halt", (STABLE,), key=world.guardian).gas


def resume(world: World) -> int:
    halt(world)
    return world.act("resume", world.rollout_args("Resume", STABLE, CURVE)).gas


def revoke(world: World) -> int:
    return world.act("revoke", (RELEASES[0], 7), key=world.guardian).gas


def revoke_mandatory(world: World) -> int:
    return world.act("revoke_approved", world.revoke_args(RELEASES[0], mandatory=True)).gas


def new_group(world: World) -> int:
    publish(world, 0)
    return world.act("assign_group", world.group_args(1, STABLE)).gas


def moved_group(world: World) -> int:
    new_group(world)
    world.publish(BETA, RELEASES[0], sequence=1)
    return world.act("assign_group", world.group_args(1, BETA)).gas


def first_trust_root(world: World) -> int:
    return world.act("set_trust_root", world.root_args(digest("root 1"), 1)).gas


def propose_trust_root(world: World) -> int:
    first_trust_root(world)
    world.decide("AnnounceTrustRoot", digest("root 2"), 2, digest("envelope"))
    proposed, _ = world.proposal("AnnounceTrustRoot", digest("root 3"), 3, digest("envelope"))
    return world.act("propose_trust_root", proposed).gas


def execute_trust_root(world: World) -> int:
    first_trust_root(world)
    return world.decide("AnnounceTrustRoot", digest("root 2"), 2, digest("envelope")).gas


def operator_approve(world: World) -> int:
    operator = private_key(0x50)
    world.decide("SetMember", address(operator), 32)
    return world.act("approve", (RELEASES[0],), key=operator).gas


def retire_one(world: World) -> int:
    (device,) = fleet(world, 1)
    return world.act("place_devices", world.place_args([device.address], 1, retired=True)).gas


def enrol_one(world: World) -> int:
    return world.enrol(Device(0, world.journal.address)).gas


def enrol_128(world: World) -> int:
    entries = [(Device(i, world.journal.address).address, 1, digest(f"serial {i}")) for i in range(128)]
    return world.act("enrol_many", (entries,), key=world.enroller).gas // 128


def event_uncounted(world: World) -> int:
    (device,) = fleet(world, 1)
    return say(world, device, REJECTED)


def event_voting_uncounted(world: World) -> int:
    (device,) = fleet(world, 1)
    say(world, device, INSTALLED)
    return say(world, device, INSTALLED)


def event_first_vote(world: World) -> int:
    (device,) = fleet(world, 1)
    publish(world, 2)
    return say(world, device, INSTALLED, RELEASES[2])


def event_installed(world: World) -> int:
    (device,) = fleet(world, 1)
    return say(world, device, INSTALLED)


def event_confirmed(world: World) -> int:
    (device,) = fleet(world, 1)
    say(world, device, INSTALLED)
    return say(world, device, CONFIRMED)


def event_failed(world: World) -> int:
    (device,) = fleet(world, 1)
    say(world, device, INSTALLED)
    return say(world, device, FAILED)


def event_trips(world: World) -> int:
    (device,) = fleet(world, 1)
    curve = Curve(initial_bps=9_999, hold_hours=24, ramp_hours=48, halt_bps=300, min_reports=1)
    world.act("set_rollout", world.rollout_args("SetRollout", STABLE, curve))
    say(world, device, INSTALLED)
    gas = say(world, device, FAILED)
    assert (world.word(STABLE) >> 80) & 1
    return gas


def queue(world: World, device: Device, said: list[tuple[bytes, int]]) -> int:
    events = [device.event(release, kind) for release, kind in said]
    return world.act("submit_queue", queue_args(device, events)).gas


def queue_of_2(world: World) -> int:
    (device,) = fleet(world, 1)
    return queue(world, device, [(RELEASES[1], INSTALLED), (RELEASES[1], CONFIRMED)])


def queue_of_10(world: World) -> int:
    (device,) = fleet(world, 1)
    return queue(world, device, [(RELEASES[1], k) for k in (INSTALLED, CONFIRMED, *[REJECTED] * 8)])


def queue_of_10_three_releases(world: World) -> int:
    """Home after a long journey: it closes an old vote, skipped a release, and runs the head."""
    device, other = fleet(world, 2)
    say(world, device, INSTALLED)
    publish(world, 2)
    publish(world, 3)
    world.submit(other.event(RELEASES[3], INSTALLED), other)
    old, skipped, head = RELEASES[1:4]
    said = [(old, CONFIRMED), (skipped, REJECTED), (skipped, REJECTED), (head, INSTALLED), (head, CONFIRMED)]
    return queue(world, device, said + [(head, REJECTED)] * 5)


def batch(count: int, *kinds: int, curve: Curve) -> Callable[[World], int]:
    """What an item of a batch costs, rounded down: devices of one group, a release that is being tallied."""

    def measure(world: World) -> int:
        publish(world, 0)
        world.act("assign_group", world.group_args(1, STABLE))
        devices = [Device(i, world.journal.address) for i in range(count + 1)]
        for start in range(0, count + 1, 128):
            some = devices[start : start + 128]
            world.act("enrol_many", ([(d.address, 1, digest("serial")) for d in some],), key=world.enroller)
            items = [d.item(d.event(RELEASES[0], BASELINE)) for d in some]
            world.act("submit_batch_128", (RELEASES[0], items))
        publish(world, 1, curve=curve)
        last = devices.pop()
        world.submit(last.event(RELEASES[1], INSTALLED), last)
        bound = 128 if count <= 128 else 512
        for kind in kinds:
            items = [d.item(d.event(RELEASES[1], kind)) for d in devices]
            gas = world.act(f"submit_batch_{bound}", (RELEASES[1], items)).gas
        return gas // count

    return measure


def anchor(world: World) -> int:
    gateway = private_key(0x60)
    world.decide("SetMember", address(gateway), 16)
    return world.act("anchor", (digest("root"), digest("content"), 4_096), key=gateway).gas


REACHED = Curve(immediate=True)

# name, act, approvals, gas, bar (None: the design names none)
GOLDEN: list[tuple[str, Callable[[World], int], int, int, int | None]] = [
    ("first publish", first_publish, 1, 83_046, 83_800),
    ("first publish, 2 of 3", first_publish, 2, 89_851, 91_100),
    ("publish", steady_publish, 1, 48_877, 49_000),
    ("publish, 2 of 3", steady_publish, 2, 55_670, 56_300),
    ("set rollout, 2 of 3", set_rollout, 2, 46_986, None),
    ("halt", halt, 1, 31_418, 32_300),
    ("resume, 2 of 3", resume, 2, 46_902, 47_700),
    ("revoke", revoke, 1, 48_743, 49_900),
    ("revoke mandatory, 2 of 3", revoke_mandatory, 2, 63_818, None),
    ("group new, 2 of 3", new_group, 2, 68_383, 69_300),
    ("group moved", moved_group, 1, 44_490, 49_000),
    ("group moved, 2 of 3", moved_group, 2, 51_295, None),
    ("trust root, first, 2 of 3", first_trust_root, 2, 85_768, None),
    ("trust root, propose, 2 of 3", propose_trust_root, 2, 68_798, 70_500),
    ("trust root, execute", execute_trust_root, 2, 42_360, 42_400),
    ("operator approve", operator_approve, 1, 47_811, 48_900),
    ("retire one, 2 of 3", retire_one, 2, 61_412, 63_000),
    ("enrol one", enrol_one, 1, 51_456, 52_600),
    ("enrol 128, each", enrol_128, 1, 25_540, 26_000),
    ("event, uncounted", event_uncounted, 1, 35_361, 35_600),
    ("event, voting kind but not counted", event_voting_uncounted, 1, 42_966, 43_100),
    ("event, first vote", event_first_vote, 1, 68_969, 69_400),
    ("event, installed", event_installed, 1, 49_330, 49_800),
    ("event, confirmed", event_confirmed, 1, 41_047, 41_200),
    ("event, failed", event_failed, 1, 48_620, 48_900),
    ("event, failed that trips", event_trips, 1, 54_601, 55_400),
    ("queue of 2", queue_of_2, 1, 55_623, 55_700),
    ("queue of 10, one release", queue_of_10, 1, 71_554, 71_600),
    ("queue of 10, three releases", queue_of_10_three_releases, 1, 79_579, 81_900),
    ("batch of 100, each: installed", batch(100, INSTALLED, curve=REACHED), 1, 14_032, 14_300),
    ("batch of 100, each: installed, cohort computed", batch(100, INSTALLED, curve=CURVE), 1, 14_515, None),
    ("batch of 100, each: confirmed", batch(100, INSTALLED, CONFIRMED, curve=REACHED), 1, 13_735, 13_850),
    ("batch of 500, each: installed", batch(500, INSTALLED, curve=REACHED), 1, 13_759, 14_000),
    ("batch of 500, each: confirmed", batch(500, INSTALLED, CONFIRMED, curve=REACHED), 1, 13_522, 13_550),
    ("anchor", anchor, 1, 29_517, 30_000),
]


@pytest.mark.parametrize(
    ("act", "threshold", "gas", "bar"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN]
)
def test_gas_is_exact_and_under_its_bar(act, threshold, gas, bar):
    assert act(fresh(threshold=threshold)) == gas
    assert bar is None or gas <= bar
