"""Tallies and the breaker: who votes, once, on what, and when a rollout stops by itself."""

from __future__ import annotations

import pytest

from ledger_protocol.ledger import rollout as protocol
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord
from tests.contract.actors import (
    ALL_AT_ONCE,
    BASELINE,
    CONFIRMED,
    FAILED,
    INSTALLED,
    REJECTED,
    REVERTED,
    UNREACHABLE,
    Curve,
    Device,
    World,
    digest,
    fresh,
)

STABLE, BETA = digest("stable"), digest("beta")
OLD, NEW = digest("old release"), digest("new release")
U32 = 2**32 - 1


def published_at(world: World, channel: bytes = STABLE) -> int:
    return (world.word(channel) >> 88) & U32


def tally(world: World, release: bytes, at: int) -> tuple[int, int, int]:
    word = world.view(world.journal, "tally", release, at)
    return word & U32, word >> 32 & U32, word >> 64 & U32


def open_vote(world: World, device: Device) -> bool:
    return DeviceWord.decode(world.view(world.journal, "device", device.address)).open_vote


def halted(world: World) -> bool:
    return ChannelWord.decode(world.word(STABLE)).halted


def ready(devices: int = 1, **options) -> tuple[World, list[Device]]:
    """A channel with a head, a group that follows it, and enrolled devices in it."""
    world = fresh()
    world.publish(STABLE, NEW, sequence=1, **options)
    world.act("assign_group", world.group_args(1, STABLE))
    fleet = [Device(i, world.journal.address) for i in range(devices)]
    entries = [(d.address, 1, digest("serial")) for d in fleet]
    world.act("enrol_many", (entries,), key=world.enroller)
    return world, fleet


def say(world: World, device: Device, *kinds: int, release: bytes = NEW) -> None:
    for kind in kinds:
        world.submit(device.event(release, kind), device)


# ---------------------------------------------------------------- what does not vote


@pytest.mark.parametrize("kind", [BASELINE, UNREACHABLE, REJECTED])
def test_kinds_that_never_vote(kind):
    world, (device,) = ready()
    say(world, device, kind)
    assert tally(world, NEW, published_at(world)) == (0, 0, 0)
    say(world, device, INSTALLED, kind)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)
    assert open_vote(world, device), "and they close nothing"


def test_a_release_that_is_not_the_head_opens_no_vote():
    world, (device,) = ready()
    say(world, device, INSTALLED, CONFIRMED, FAILED, release=OLD)
    assert tally(world, OLD, published_at(world)) == (0, 0, 0)
    assert not open_vote(world, device)


def test_the_head_of_another_channel_opens_no_vote():
    world, (device,) = ready()
    world.publish(BETA, OLD, sequence=1)
    say(world, device, INSTALLED, release=OLD)
    assert tally(world, OLD, published_at(world, BETA)) == (0, 0, 0)


def test_a_device_of_a_group_without_a_channel_opens_no_vote():
    world, _ = ready()
    loner = Device(99, world.journal.address)
    world.enrol(loner, group=9)
    say(world, loner, INSTALLED)
    assert tally(world, NEW, published_at(world)) == (0, 0, 0)


def test_a_device_outside_the_cohort_opens_no_vote_until_the_rollout_reaches_it():
    world, fleet = ready(8, curve=Curve(initial_bps=1, hold_hours=1, ramp_hours=10))
    device = max(fleet, key=lambda d: protocol.cohort(NEW, d.address))
    say(world, device, FAILED)
    assert tally(world, NEW, published_at(world)) == (0, 0, 0)
    world.machine.advance(12 * 3_600)
    say(world, device, INSTALLED)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)


def test_a_share_of_zero_is_nobody():
    world, (device,) = ready(curve=Curve(initial_bps=0, hold_hours=0, ramp_hours=0))
    world.machine.advance(10**6)
    say(world, device, INSTALLED)
    assert tally(world, NEW, published_at(world)) == (0, 0, 0)


# ---------------------------------------------------------------- one vote a publication


def test_installed_opens_and_confirmed_closes():
    world, (device,) = ready()
    say(world, device, INSTALLED)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)
    assert open_vote(world, device)
    say(world, device, CONFIRMED)
    assert tally(world, NEW, published_at(world)) == (1, 1, 0)
    assert not open_vote(world, device)


@pytest.mark.parametrize("kind", [REVERTED, FAILED])
def test_reverted_and_failed_close_as_failures(kind):
    world, (device,) = ready()
    say(world, device, INSTALLED, kind)
    assert tally(world, NEW, published_at(world)) == (1, 0, 1)


@pytest.mark.parametrize("kind", [CONFIRMED, REVERTED, FAILED])
def test_a_final_event_opens_and_closes_when_installed_was_lost(kind):
    world, (device,) = ready()
    say(world, device, kind)
    assert tally(world, NEW, published_at(world)) == (1, *((1, 0) if kind == CONFIRMED else (0, 1)))
    assert not open_vote(world, device)


@pytest.mark.parametrize("first", [CONFIRMED, FAILED])
@pytest.mark.parametrize("again", [INSTALLED, CONFIRMED, REVERTED, FAILED])
def test_a_device_votes_once_a_publication(first, again):
    world, (device,) = ready()
    say(world, device, INSTALLED, first)
    held = tally(world, NEW, published_at(world))
    say(world, device, again, again)
    assert tally(world, NEW, published_at(world)) == held


def test_installed_twice_opens_once():
    world, (device,) = ready()
    say(world, device, INSTALLED, INSTALLED)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)
    say(world, device, CONFIRMED)
    assert tally(world, NEW, published_at(world)) == (1, 1, 0)


def test_the_same_release_published_again_is_a_new_vote():
    world, (device,) = ready()
    say(world, device, INSTALLED, CONFIRMED)
    first = published_at(world)
    world.publish(STABLE, NEW, sequence=2)
    say(world, device, INSTALLED)
    assert tally(world, NEW, first) == (1, 1, 0)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)


# ---------------------------------------------------------------- late words


def test_a_late_confirmation_counts_for_the_publication_that_it_was_opened_for():
    world, (device,) = ready()
    first = published_at(world)
    say(world, device, INSTALLED)
    world.publish(STABLE, OLD, sequence=2)
    say(world, device, CONFIRMED)
    assert tally(world, NEW, first) == (1, 1, 0)
    assert tally(world, OLD, published_at(world)) == (0, 0, 0)


def test_a_late_failure_counts_but_does_not_stop_the_next_publication():
    curve = Curve(immediate=True, halt_bps=1, min_reports=1)
    world, (device,) = ready(curve=curve)
    first = published_at(world)
    say(world, device, INSTALLED)
    world.publish(STABLE, OLD, sequence=2, curve=curve)
    say(world, device, FAILED)
    assert tally(world, NEW, first) == (1, 0, 1)
    assert not halted(world)


def test_a_final_event_of_another_release_does_not_close():
    world, (device,) = ready()
    say(world, device, INSTALLED)
    say(world, device, CONFIRMED, release=OLD)
    assert open_vote(world, device)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)


def test_a_vote_that_was_never_closed_stays_visible_as_silent():
    world, (device,) = ready()
    first = published_at(world)
    say(world, device, INSTALLED)
    world.publish(STABLE, OLD, sequence=2)
    say(world, device, INSTALLED, CONFIRMED, release=OLD)
    assert tally(world, NEW, first) == (1, 0, 0)
    assert tally(world, OLD, published_at(world)) == (1, 1, 0)


def test_a_device_that_moved_groups_still_closes_its_vote():
    world, (device,) = ready()
    at = published_at(world)
    say(world, device, INSTALLED)
    world.publish(BETA, OLD, sequence=1)
    world.act("assign_group", world.group_args(2, BETA))
    world.act("place_devices", world.place_args([device.address], 2, retired=False))
    say(world, device, CONFIRMED)
    assert tally(world, NEW, at) == (1, 1, 0)


def test_votes_still_count_while_the_channel_is_halted():
    world, (device,) = ready()
    world.act("halt", (STABLE,), key=world.guardian)
    say(world, device, INSTALLED, CONFIRMED)
    assert tally(world, NEW, published_at(world)) == (1, 1, 0)


def test_one_release_on_two_channels_in_one_block_keeps_one_tally_a_publication():
    """The tally notes the channel of its first vote; the other channel's votes are not mixed in."""
    world = fresh()
    world.machine.advance(12)
    for channel in (STABLE, BETA):
        args = world.publish_args(channel, NEW, sequence=1)
        assert world.send(world.anyone, world.ledger, "publish", *args).ok
    world.act("assign_group", world.group_args(1, STABLE))
    world.act("assign_group", world.group_args(2, BETA))
    here, there = Device(1, world.journal.address), Device(2, world.journal.address)
    world.enrol(here, group=1)
    world.enrol(there, group=2)
    say(world, here, INSTALLED)
    say(world, there, INSTALLED, FAILED)
    assert tally(world, NEW, published_at(world)) == (1, 0, 0)
    noted = world.view(world.journal, "tally", NEW, published_at(world)) >> 96
    assert noted == int.from_bytes(STABLE[:20], "big")


def test_known_limit_publications_of_one_second_share_the_votes_that_are_open():
    """A device's word keeps the second of its open vote, not the release: there is no room, and asking costs 7,400 gas.

    One device still closes once. Clients publish one channel after the other, in different blocks.
    """
    world = fresh()
    world.machine.advance(12)
    for channel, release in ((STABLE, NEW), (BETA, OLD)):
        args = world.publish_args(channel, release, sequence=1)
        assert world.send(world.anyone, world.ledger, "publish", *args).ok
    at = published_at(world)
    world.act("assign_group", world.group_args(1, STABLE))
    world.act("assign_group", world.group_args(2, BETA))
    here, there = Device(1, world.journal.address), Device(2, world.journal.address)
    world.enrol(here, group=1)
    world.enrol(there, group=2)
    say(world, here, INSTALLED)
    say(world, there, INSTALLED, release=OLD)
    say(world, here, FAILED, FAILED, release=OLD)
    assert tally(world, NEW, at) == (1, 0, 0)
    assert tally(world, OLD, at) == (1, 0, 1)
    assert not open_vote(world, here)


# ---------------------------------------------------------------- the breaker


def breaker(halt_bps: int, min_reports: int) -> Curve:
    return Curve(immediate=True, halt_bps=halt_bps, min_reports=min_reports)


def test_the_breaker_waits_for_its_reports():
    world, fleet = ready(5, curve=breaker(5_000, 4))
    for device in fleet[:3]:
        say(world, device, INSTALLED, FAILED)
    assert not halted(world)
    say(world, fleet[3], FAILED)
    assert halted(world)


def test_the_breaker_trips_above_its_limit_not_at_it():
    world, fleet = ready(7, curve=breaker(5_000, 4))
    for device in fleet[:2]:
        say(world, device, CONFIRMED)
    for device in fleet[2:4]:
        say(world, device, FAILED)
    assert tally(world, NEW, published_at(world)) == (4, 2, 2)
    assert not halted(world), "2 of 4 is exactly half"
    say(world, fleet[4], REVERTED)
    assert halted(world)


def test_a_confirmation_never_trips():
    world, fleet = ready(6, curve=breaker(1, 3))
    for device in fleet[:2]:
        say(world, device, FAILED)
    say(world, fleet[2], CONFIRMED)
    assert not halted(world), "the rule is looked at on a failure"
    say(world, fleet[3], FAILED)
    assert halted(world)


def test_a_limit_of_zero_switches_it_off():
    world, fleet = ready(3, curve=breaker(0, 0))
    for device in fleet:
        say(world, device, FAILED)
    assert not halted(world)


def test_silence_is_no_failure():
    world, fleet = ready(4, curve=breaker(1, 1))
    for device in fleet:
        say(world, device, INSTALLED)
    assert not halted(world)


def test_a_tripped_channel_is_halted_as_by_a_guardian_and_says_who():
    curve = Curve(initial_bps=9_999, hold_hours=100, halt_bps=100, min_reports=1)
    world, (device,) = ready(curve=curve)
    before = ChannelWord.decode(world.word(STABLE))
    receipt = world.submit(device.event(NEW, FAILED), device)
    after = ChannelWord.decode(world.word(STABLE))
    assert (after.halted, after.initial_bps, after.epoch) == (True, 9_999, before.epoch + 1)
    halt, recorded = world.logs(receipt)
    assert (halt.name, halt.args["channel"]) == ("Halted", STABLE)
    assert halt.args["by"] == "0x" + world.journal.address.hex()
    assert recorded.name == "Recorded"


def test_failures_after_the_halt_are_still_counted():
    world, fleet = ready(2, curve=breaker(1, 1))
    say(world, fleet[0], FAILED)
    assert halted(world)
    say(world, fleet[1], FAILED)
    assert tally(world, NEW, published_at(world)) == (2, 0, 2)


def test_publishers_resume_and_the_next_failure_trips_again():
    world, fleet = ready(3, curve=breaker(1, 1))
    say(world, fleet[0], FAILED)
    world.act("resume", world.rollout_args("Resume", STABLE, ALL_AT_ONCE))
    say(world, fleet[1], FAILED)
    assert not halted(world), "2 of the 300 that the new rollout asks for"
    world.act("set_rollout", world.rollout_args("SetRollout", STABLE, breaker(1, 3)))
    say(world, fleet[2], FAILED)
    assert halted(world)


def test_one_rooted_device_cannot_stuff_the_breaker():
    """It votes as often as it can; one vote counts."""
    world, (rooted, *_) = ready(3, curve=breaker(5_000, 2))
    say(world, rooted, *[INSTALLED, FAILED, REVERTED] * 5)
    assert tally(world, NEW, published_at(world)) == (1, 0, 1)
    assert not halted(world)


def test_a_device_that_moved_away_cannot_trip_its_new_channel():
    world, (device,) = ready(curve=breaker(1, 1))
    say(world, device, INSTALLED)
    world.publish(BETA, OLD, sequence=1, curve=breaker(1, 1))
    world.act("assign_group", world.group_args(2, BETA))
    world.act("place_devices", world.place_args([device.address], 2, retired=False))
    say(world, device, FAILED)
    assert tally(world, NEW, published_at(world)) == (1, 0, 1)
    assert not halted(world)
    assert not ChannelWord.decode(world.word(BETA)).halted


def test_a_queue_can_trip_too():
    from tests.contract.actors import queue_args

    world, (device,) = ready(curve=breaker(1, 1))
    events = [device.event(NEW, kind) for kind in (BASELINE, INSTALLED, FAILED, REJECTED)]
    names = [log.name for log in world.logs(world.act("submit_queue", queue_args(device, events)))]
    assert names == ["Halted", "QueueRecorded"]
    assert halted(world)
