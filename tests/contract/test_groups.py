"""Groups, channels and the placing of devices."""

from __future__ import annotations

import pytest

from ledger_protocol.ledger.contract_state import DeviceWord
from tests.contract.actors import ALL_AT_ONCE, BASELINE, Device, World, digest, refused

STABLE, BETA = digest("stable"), digest("beta")
RELEASE = digest("release")
LAST_GROUP = 2**24 - 1


def device_word(world: World, device: Device) -> DeviceWord:
    return DeviceWord.decode(world.view(world.journal, "device", device.address))


@pytest.fixture
def ready(world) -> World:
    world.publish(STABLE, RELEASE, sequence=1)
    world.publish(BETA, RELEASE, sequence=1)
    world.act("assign_group", world.group_args(1, STABLE))
    return world


def test_a_group_follows_no_channel_until_it_is_assigned(world):
    assert world.view(world.ledger, "channel_of", 1) == b"\0" * 32


@pytest.mark.parametrize("group", [0, LAST_GROUP])
def test_the_first_and_last_group_can_be_assigned(ready, group):
    ready.act("assign_group", ready.group_args(group, BETA))
    assert ready.view(ready.ledger, "channel_of", group) == BETA


def test_a_new_group_spends_the_epoch_of_the_channel_that_it_joins(ready):
    before = ready.epoch(BETA)
    receipt = ready.act("assign_group", ready.group_args(2, BETA))
    assert ready.epoch(BETA) == before + 1
    (log,) = ready.logs(receipt)
    assert (log.name, log.args["group"], log.args["channel"]) == ("GroupAssigned", 2, BETA)


def test_a_moved_group_spends_the_epoch_of_the_channel_that_it_leaves(ready):
    before = ready.epoch(STABLE), ready.epoch(BETA)
    ready.act("assign_group", ready.group_args(1, BETA))
    assert (ready.epoch(STABLE), ready.epoch(BETA)) == (before[0] + 1, before[1])
    assert ready.view(ready.ledger, "channel_of", 1) == BETA


def test_an_approval_to_move_a_group_dies_when_the_group_moves_elsewhere(ready):
    """Two channels may stand at the same epoch: the approval names the one that the group leaves."""
    third = digest("third")
    ready.publish(third, RELEASE, sequence=1)
    while ready.epoch(BETA) < ready.epoch(STABLE):
        ready.act("set_rollout", ready.rollout_args("SetRollout", BETA, ALL_AT_ONCE))
    held = ready.group_args(1, third)
    ready.act("assign_group", ready.group_args(1, BETA))
    assert ready.epoch(BETA) == ready.epoch(STABLE) - 1, "what the held approval binds"
    refused(ready.send(ready.anyone, ready.ledger, "assign_group", *held), "signer lacks the role")


def test_a_used_approval_to_place_devices_dies_though_the_group_moves_to_a_channel_at_its_epoch(ready):
    device = Device(1, ready.journal.address)
    ready.enrol(device)
    while ready.epoch(BETA) < ready.epoch(STABLE):
        ready.act("set_rollout", ready.rollout_args("SetRollout", BETA, ALL_AT_ONCE))
    used = ready.place_args([device.address], 1, retired=True)
    ready.act("place_devices", used)
    ready.act("place_devices", ready.place_args([device.address], 1, retired=False))
    ready.act("assign_group", ready.group_args(1, BETA))
    assert ready.epoch(BETA) == ready.epoch(STABLE) - 3, "what the used approval bound"
    refused(ready.send(ready.anyone, ready.ledger, "place_devices", *used), "signer lacks the role")


def test_a_group_can_join_a_channel_before_its_first_release(world):
    world.act("assign_group", world.group_args(1, STABLE))
    world.publish(STABLE, RELEASE, sequence=900)
    assert world.view(world.ledger, "head", STABLE) == RELEASE


def test_a_group_is_not_assigned_to_nothing(ready):
    args = list(ready.group_args(1, STABLE))
    args[1] = b"\0" * 32
    refused(ready.send(ready.anyone, ready.ledger, "assign_group", *args), "zero channel or release")


def test_devices_are_placed_in_a_group_that_follows_a_channel(ready):
    device = Device(1, ready.journal.address)
    ready.enrol(device)
    args = ready.place_args([device.address], 5, retired=False)
    refused(ready.send(ready.anyone, ready.ledger, "place_devices", *args), "group follows no channel")


def test_nobody_is_placed_by_an_empty_list(ready):
    args = ready.place_args([], 1, retired=True)
    refused(ready.send(ready.anyone, ready.ledger, "place_devices", *args), "empty list")


def test_an_unknown_device_stops_the_whole_placing(ready):
    known, unknown = Device(1, ready.journal.address), Device(2, ready.journal.address)
    ready.enrol(known)
    args = ready.place_args([known.address, unknown.address], 1, retired=True)
    epoch = ready.epoch(STABLE)
    sent = ready.send(ready.anyone, ready.ledger, "place_devices", *args)
    refused(sent, "device is not enrolled")
    assert not device_word(ready, known).retired
    assert ready.epoch(STABLE) == epoch


@pytest.mark.parametrize("count", [1, 2, 64])
def test_devices_are_moved_retired_and_called_back(ready, count):
    devices = [Device(i, ready.journal.address) for i in range(count)]
    for device in devices:
        ready.enrol(device)
        ready.submit(device.event(RELEASE, BASELINE), device)
    before = [device_word(ready, d) for d in devices]
    ready.act("assign_group", ready.group_args(2, BETA))
    addresses = [d.address for d in devices]
    receipt = ready.act("place_devices", ready.place_args(addresses, 2, retired=True))
    assert receipt.gas < 16_000_000
    for device, held in zip(devices, before, strict=True):
        now = device_word(ready, device)
        assert (now.group, now.retired, now.enrolled) == (2, True, True)
        assert (now.sequence, now.head, now.counted) == (held.sequence, held.head, held.counted)
    logs = ready.logs(receipt)
    assert [log.name for log in logs] == ["DevicesPlaced"] + ["Placed"] * count
    assert (logs[0].args["count"], logs[0].args["retired"]) == (count, True)
    ready.act("place_devices", ready.place_args(addresses, 1, retired=False))
    assert all(device_word(ready, d) == held for d, held in zip(devices, before, strict=True))


def test_only_the_ledger_places_in_the_journal(ready):
    device = Device(1, ready.journal.address)
    ready.enrol(device)
    for key in (ready.anyone, ready.publishers[0], ready.enroller, ready.guardian):
        sent = ready.send(key, ready.journal, "place", [device.address], 1, True)
        refused(sent, "caller is not the ledger")


def test_only_the_journal_trips_the_ledger(ready):
    published_at = (ready.word(STABLE) >> 88) & 0xFFFFFFFF
    for key in (ready.anyone, ready.publishers[0], ready.guardian):
        sent = ready.send(key, ready.ledger, "trip", STABLE, published_at)
        refused(sent, "caller is not the journal")
