"""Enrolment: by an enroller, once, all or none."""

from __future__ import annotations

import pytest

from ledger_protocol.ledger.contract_state import DeviceWord
from tests.contract.actors import BASELINE, Device, World, digest, refused

ZERO = b"\0" * 20
MALFORMED = "malformed calldata reverts without a reason"


def word(world: World, device: Device) -> DeviceWord:
    return DeviceWord.decode(world.view(world.journal, "device", device.address))


@pytest.fixture
def device(world) -> Device:
    return Device(1, world.journal.address)


def enrolments(devices: list[Device]) -> list[tuple[bytes, int, bytes]]:
    return [(d.address, 3, digest(f"serial of {d.address.hex()}")) for d in devices]


def test_only_an_enroller_enrols(world, device):
    entry = enrolments([device])
    for key in (world.anyone, world.publishers[0], world.governors[0], world.guardian):
        refused(world.send(key, world.journal, "enrol", *entry[0]), "caller is no enroller")
        refused(world.send(key, world.journal, "enrol_many", entry), "caller is no enroller")


def test_a_device_is_enrolled_into_its_group(world, device):
    receipt = world.act("enrol", (device.address, 7, digest("serial")), key=world.enroller)
    assert word(world, device) == DeviceWord(
        sequence=0, enrolled=True, retired=False, open_vote=False, group=7, counted=0, head=b"\0" * 20
    )
    (log,) = world.logs(receipt)
    assert (log.name, log.args) == (
        "Enrolled",
        {"device": "0x" + device.address.hex(), "group": 7, "commitment": digest("serial")},
    )


def test_a_device_is_not_enrolled_twice(world, device):
    world.enrol(device)
    world.submit(device.event(digest("r"), BASELINE), device)
    held = word(world, device)
    for group in (1, 2):
        sent = world.send(world.enroller, world.journal, "enrol", device.address, group, digest("x"))
        refused(sent, "device is enrolled already")
    assert word(world, device) == held


def test_a_retired_device_is_not_enrolled_anew(world, device):
    world.publish(digest("stable"), digest("r"), sequence=1)
    world.act("assign_group", world.group_args(1, digest("stable")))
    world.enrol(device)
    world.act("place_devices", world.place_args([device.address], 1, retired=True))
    sent = world.send(world.enroller, world.journal, "enrol", device.address, 1, digest("x"))
    refused(sent, "device is enrolled already")
    assert word(world, device).retired


def test_the_zero_address_is_no_device(world):
    """Else every broken signature would speak for it."""
    refused(world.send(world.enroller, world.journal, "enrol", ZERO, 1, digest("x")), "zero address")
    sent = world.send(world.enroller, world.journal, "enrol_many", [(ZERO, 1, digest("x"))])
    refused(sent, "zero address")


def test_128_devices_are_enrolled_at_once(world):
    devices = [Device(i, world.journal.address) for i in range(128)]
    receipt = world.act("enrol_many", (enrolments(devices),), key=world.enroller)
    assert all(word(world, d).enrolled and word(world, d).group == 3 for d in devices)
    assert [log.name for log in world.logs(receipt)] == ["Enrolled"] * 128


def test_one_known_device_stops_the_whole_list(world, device):
    world.enrol(device)
    others = [Device(i, world.journal.address) for i in (2, 3)]
    sent = world.send(world.enroller, world.journal, "enrol_many", enrolments([others[0], device, others[1]]))
    refused(sent, "device is enrolled already")
    assert not any(world.view(world.journal, "device", d.address) for d in others)


def test_one_device_twice_in_a_list_stops_it(world, device):
    sent = world.send(world.enroller, world.journal, "enrol_many", enrolments([device, device]))
    refused(sent, "device is enrolled already")


def test_an_empty_list_is_refused(world):
    refused(world.send(world.enroller, world.journal, "enrol_many", []), "empty list")


def test_a_list_of_129_is_malformed(world):
    devices = [Device(i, world.journal.address) for i in range(129)]
    receipt = world.send(world.enroller, world.journal, "enrol_many", enrolments(devices))
    assert (receipt.ok, receipt.reason, receipt.logs) == (False, "", ()), MALFORMED


def test_a_group_above_24_bits_is_malformed(world, device):
    data = bytearray(world.journal.data("enrol", device.address, 2**24 - 1, digest("x")))
    data[4 + 32 + 28] = 1
    receipt = world.machine.send(world.enroller, world.journal.address, bytes(data))
    assert (receipt.ok, receipt.reason) == (False, ""), MALFORMED


@pytest.mark.parametrize("length", [0, 3, 4, 35, 67, 99])
def test_calldata_cut_short_is_refused(world, device, length):
    data = world.journal.data("enrol", device.address, 1, digest("x"))[:length]
    receipt = world.machine.send(world.enroller, world.journal.address, data)
    assert (receipt.ok, receipt.reason) == (False, ""), MALFORMED
    assert world.view(world.journal, "device", device.address) == 0
