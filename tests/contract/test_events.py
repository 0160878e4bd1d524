"""One signed event, and one device's queue under a single signature."""

from __future__ import annotations

import pytest

from ledger_protocol.ledger.contract_state import DeviceWord
from tests.contract.actors import (
    BASELINE,
    CHECKED,
    CONFIRMED,
    HEAD_MASK,
    INSTALLED,
    REJECTED,
    UNREACHABLE,
    Device,
    Event,
    World,
    digest,
    queue_args,
    refused,
)
from tests.contract.evm import CHAIN_ID, GENESIS_TIME, private_key

STABLE = digest("stable")
RELEASE, OTHER = digest("release"), digest("another release")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
U32_MAX = 2**32 - 1
ZERO = b"\0" * 32


def word(world: World, device: Device) -> DeviceWord:
    return DeviceWord.decode(world.view(world.journal, "device", device.address))


def send(world: World, device: Device, event: Event):
    return world.send(world.anyone, world.journal, "submit_event", device.report(event))


def send_queue(world: World, args: tuple):
    return world.send(world.anyone, world.journal, "submit_queue", *args)


@pytest.fixture
def device(world) -> Device:
    device = Device(1, world.journal.address)
    world.publish(STABLE, RELEASE, sequence=1)
    world.act("assign_group", world.group_args(1, STABLE))
    world.enrol(device)
    return device


# ---------------------------------------------------------------- one event


def test_an_event_of_an_unknown_device_is_refused(world, device):
    stranger = Device(2, world.journal.address)
    refused(send(world, stranger, stranger.event(RELEASE, BASELINE)), "device is not enrolled")


def test_an_event_of_a_retired_device_is_refused_until_it_is_called_back(world, device):
    event = device.event(RELEASE, BASELINE)
    world.act("place_devices", world.place_args([device.address], 1, retired=True))
    refused(send(world, device, event), "device is retired")
    refused(send_queue(world, queue_args(device, [event])), "device is retired")
    world.act("place_devices", world.place_args([device.address], 1, retired=False))
    assert send(world, device, event).ok


def test_an_event_signed_by_another_key_is_not_the_devices(world, device):
    event = device.event(RELEASE, BASELINE)
    device.key = private_key(12345)
    refused(send(world, device, event), "device is not enrolled")


@pytest.mark.parametrize(
    "domain",
    [{"chain_id": CHAIN_ID + 1}, {"contract": b"\x11" * 20}],
    ids=["another chain", "another journal"],
)
def test_an_event_signed_for_elsewhere_is_refused(world, device, domain):
    event = device.event(RELEASE, BASELINE)
    signature, _ = device.sign(event, **domain)
    report = (event.release, event.stamp, event.detail, event.previous, *signature)
    refused(world.send(world.anyone, world.journal, "submit_event", report), "device is not enrolled")


def test_a_high_s_is_refused(world, device):
    report = device.report(device.event(RELEASE, BASELINE))
    high = (report[5] >> 255) << 255 | (ORDER // 2 + 1)
    sent = world.send(world.anyone, world.journal, "submit_event", (*report[:5], high))
    refused(sent, "high s in a signature")


@pytest.mark.parametrize("signature", [(0, 0), (ORDER, 1), (1, 0)])
def test_a_broken_signature_is_nobodys(world, device, signature):
    report = device.report(device.event(RELEASE, BASELINE))
    sent = world.send(world.anyone, world.journal, "submit_event", (*report[:4], *signature))
    refused(sent, "device is not enrolled")


@pytest.mark.parametrize("place", range(4), ids=["release", "stamp", "detail", "previous"])
def test_the_signature_binds_every_field(world, device, place):
    report = list(device.report(device.event(RELEASE, BASELINE)))
    report[place] = report[place] ^ 1 << 40 if place == 1 else digest("forged")
    refused(world.send(world.anyone, world.journal, "submit_event", tuple(report)), "device is not enrolled")


@pytest.mark.parametrize("kind", [0, CHECKED, 9, 255])
def test_a_kind_that_is_not_recorded_is_refused(world, device, kind):
    refused(send(world, device, device.event(RELEASE, kind)), "stamp out of range")


@pytest.mark.parametrize("bit", [80, 88, 255])
def test_a_stamp_with_more_than_sequence_kind_and_time_is_refused(world, device, bit):
    report = list(device.report(device.event(RELEASE, BASELINE)))
    report[1] |= 1 << bit
    sent = world.send(world.anyone, world.journal, "submit_event", tuple(report))
    refused(sent, "stamp out of range")


def test_an_event_is_recorded_once(world, device):
    event = device.event(RELEASE, BASELINE)
    assert send(world, device, event).ok
    refused(send(world, device, event), "event is recorded already")


def test_an_older_event_is_refused(world, device):
    first, second = device.event(RELEASE, BASELINE), device.event(RELEASE, REJECTED)
    world.submit(first, device)
    world.submit(second, device)
    refused(send(world, device, first), "event is recorded already")


def test_a_sequence_of_zero_is_refused(world, device):
    event = Event(RELEASE, 0, BASELINE, GENESIS_TIME, digest("d"), ZERO)
    refused(send(world, device, event), "event is recorded already")


def test_the_next_event_must_carry_the_head(world, device):
    world.submit(device.event(RELEASE, BASELINE), device)
    forged = (int.from_bytes(digest("elsewhere"), "big") & HEAD_MASK).to_bytes(32, "big")
    refused(send(world, device, device.event(RELEASE, REJECTED, previous=forged)), "previous event differs")


def test_the_first_event_must_carry_zero(world, device):
    event = device.event(RELEASE, BASELINE, previous=(1 << 96).to_bytes(32, "big"))
    refused(send(world, device, event), "previous event differs")


def test_the_low_bits_of_previous_must_be_zero(world, device):
    world.submit(device.event(RELEASE, BASELINE), device)
    bent = (int.from_bytes(device.head, "big") | 1).to_bytes(32, "big")
    refused(send(world, device, device.event(RELEASE, REJECTED, previous=bent)), "previous event differs")


def test_the_low_bits_of_previous_must_be_zero_after_a_gap_too(world, device):
    """Nobody can express such an event but its device: it would end the audit of everybody's."""
    event = device.event(RELEASE, BASELINE, sequence=5, previous=ZERO[:-1] + b"\1")
    refused(send(world, device, event), "previous event differs")
    refused(send_queue(world, queue_args(device, [event])), "previous event differs")


def test_an_event_moves_the_devices_word_and_says_so(world, device):
    event = device.event(OTHER, REJECTED, time=2**40 - 1)
    receipt = world.submit(event, device)
    now = word(world, device)
    assert now == DeviceWord(
        sequence=1,
        enrolled=True,
        retired=False,
        open_vote=False,
        group=1,
        counted=0,
        head=device.head[:20],
    )
    (log,) = world.logs(receipt)
    assert (log.name, log.args["release"], log.args["detail"]) == ("Recorded", OTHER, event.detail)
    assert log.args["device"] == "0x" + device.address.hex()
    stamp = log.args["stamp"]
    assert stamp & (1 << 80) - 1 == event.stamp
    assert stamp >> 80 & 0xFF == 1, "enrolled, no open vote"
    assert stamp >> 88 & 0xFFFFFF == 1, "group"
    assert stamp >> 112 == 0, "never counted, no vote"


def test_a_vote_is_marked_in_the_log(world, device):
    published_at = (world.word(STABLE) >> 88) & U32_MAX
    (log,) = world.logs(world.submit(device.event(RELEASE, INSTALLED), device))
    stamp = log.args["stamp"]
    assert (stamp >> 80 & 0xFF, stamp >> 112 & U32_MAX, stamp >> 144) == (0b101, published_at, 1)
    (log,) = world.logs(world.submit(device.event(RELEASE, INSTALLED), device))
    assert log.args["stamp"] >> 144 == 0, "the second one did not count"


def test_anyone_may_carry_an_event(world, device):
    for key in (world.anyone, world.publishers[0], world.deployer):
        receipt = world.act("submit_event", (device.report(device.event(RELEASE, REJECTED)),), key=key)
        assert len(receipt.logs) == 1


def test_a_larger_step_is_recorded_with_its_gap(world, device):
    world.submit(device.event(RELEASE, BASELINE), device)
    lost = [device.event(RELEASE, REJECTED) for _ in range(3)]
    event = device.event(RELEASE, REJECTED)
    gap, recorded = world.logs(world.submit(event, device))
    assert (gap.name, gap.args["last"], gap.args["previous"]) == ("Gap", 1, event.previous)
    assert (recorded.name, recorded.args["stamp"] & U32_MAX) == ("Recorded", 5)
    assert (word(world, device).sequence, word(world, device).head) == (5, device.head[:20])
    refused(send(world, device, lost[-1]), "event is recorded already")


def test_the_last_sequence_can_be_used_and_none_after_it(world, device):
    event = device.event(RELEASE, BASELINE, sequence=U32_MAX)
    assert send(world, device, event).ok
    assert word(world, device).sequence == U32_MAX
    follower = Event(RELEASE, 0, BASELINE, GENESIS_TIME, digest("d"), device.head)
    refused(send(world, device, follower), "event is recorded already")
    wrapped = list(device.report(follower))
    wrapped[1] = (U32_MAX + 1) | BASELINE << 32
    assert not world.send(world.anyone, world.journal, "submit_event", tuple(wrapped)).ok


@pytest.mark.parametrize("length", [4, 36, 4 + 32 * 5, 4 + 32 * 6 - 1])
def test_calldata_cut_short_is_refused(world, device, length):
    data = world.journal.data("submit_event", device.report(device.event(RELEASE, BASELINE)))[:length]
    receipt = world.machine.send(world.anyone, world.journal.address, data)
    assert (receipt.ok, receipt.reason) == (False, "")
    assert word(world, device).sequence == 0


# ---------------------------------------------------------------- a queue


def test_a_queue_gives_the_same_word_and_tally_as_its_events_one_by_one(world, device):
    twin = Device(2, world.journal.address)
    world.enrol(twin)
    kinds = [BASELINE, INSTALLED, CONFIRMED, REJECTED, UNREACHABLE]
    for kind in kinds:
        world.submit(twin.event(RELEASE, kind), twin)
    events = [device.event(RELEASE, kind) for kind in kinds]
    world.act("submit_queue", queue_args(device, events))
    one, other = word(world, device), word(world, twin)
    assert (one.sequence, one.open_vote, one.counted) == (other.sequence, other.open_vote, other.counted)
    assert one.head == device.head[:20]
    published_at = (world.word(STABLE) >> 88) & U32_MAX
    tally = world.view(world.journal, "tally", RELEASE, published_at)
    assert (tally & U32_MAX, tally >> 32 & U32_MAX, tally >> 64 & U32_MAX) == (2, 2, 0)


@pytest.mark.parametrize("count", [1, 2, 15, 16])
def test_a_queue_of_up_to_16_is_recorded_in_one_log(world, device, count):
    events = [device.event((RELEASE, OTHER)[i % 2], REJECTED) for i in range(count)]
    args = queue_args(device, events)
    (log,) = world.logs(world.act("submit_queue", args))
    assert log.name == "QueueRecorded"
    assert log.args["device"] == "0x" + device.address.hex()
    assert log.args["releases"] == tuple(args[0])
    assert log.args["reports"] == tuple(args[1])
    assert (word(world, device).sequence, word(world, device).head) == (count, device.head[:20])


def test_a_queue_says_which_of_its_events_voted(world, device):
    kinds = [BASELINE, INSTALLED, INSTALLED, CONFIRMED, CONFIRMED]
    events = [device.event(RELEASE, kind) for kind in kinds]
    (log,) = world.logs(world.act("submit_queue", queue_args(device, events)))
    state = log.args["state"]
    assert state >> 144 == 0b01010
    assert state >> 80 & 0xFF == 1
    assert state >> 112 & U32_MAX == (world.word(STABLE) >> 88) & U32_MAX
    assert state & (1 << 80) - 1 == 0


def test_the_last_of_16_events_may_vote(world, device):
    kinds = [REJECTED] * 14 + [INSTALLED, CONFIRMED]
    events = [device.event(RELEASE, kind) for kind in kinds]
    (log,) = world.logs(world.act("submit_queue", queue_args(device, events)))
    assert log.args["state"] >> 144 == 0b11 << 14


def test_a_queue_after_a_gap_is_recorded_with_the_gap(world, device):
    world.submit(device.event(RELEASE, BASELINE), device)
    device.event(RELEASE, REJECTED)
    events = [device.event(RELEASE, REJECTED) for _ in range(2)]
    gap, recorded = world.logs(world.act("submit_queue", queue_args(device, events)))
    assert (gap.name, gap.args["last"], gap.args["previous"]) == ("Gap", 1, events[0].previous)
    assert recorded.name == "QueueRecorded"
    assert word(world, device).sequence == 4


def test_a_queue_with_a_gap_inside_is_refused(world, device):
    first = device.event(RELEASE, BASELINE)
    device.event(RELEASE, REJECTED)
    last = device.event(RELEASE, REJECTED)
    refused(send_queue(world, queue_args(device, [first, last])), "queue has a gap")


def test_a_queue_in_the_wrong_order_is_refused(world, device):
    events = [device.event(RELEASE, REJECTED) for _ in range(2)]
    refused(send_queue(world, queue_args(device, events[::-1])), "queue has a gap")


def test_an_empty_queue_is_refused(world, device):
    args = queue_args(device, [device.event(RELEASE, BASELINE)])
    refused(send_queue(world, (args[0], [], *args[2:])), "empty list")


def test_a_queue_with_another_first_event_is_not_the_devices(world, device):
    """`previous` commits to the events before, though only the last is signed."""
    events = [device.event(RELEASE, REJECTED) for _ in range(3)]
    releases, reports, *rest = queue_args(device, events)
    forged = [(reports[0][0], digest("another report")), *reports[1:]]
    refused(send_queue(world, (releases, forged, *rest)), "device is not enrolled")
    shortened = (releases, reports[1:], *rest)
    refused(send_queue(world, shortened), "device is not enrolled")


def test_a_queue_with_another_previous_is_refused(world, device):
    world.submit(device.event(RELEASE, BASELINE), device)
    forged = (int.from_bytes(digest("elsewhere"), "big") & HEAD_MASK).to_bytes(32, "big")
    event = device.event(RELEASE, REJECTED, previous=forged)
    refused(send_queue(world, queue_args(device, [event])), "previous event differs")


def test_a_queue_is_recorded_once(world, device):
    args = queue_args(device, [device.event(RELEASE, REJECTED) for _ in range(2)])
    assert send_queue(world, args).ok
    refused(send_queue(world, args), "event is recorded already")


def test_a_queue_that_begins_with_a_recorded_event_is_refused(world, device):
    events = [device.event(RELEASE, REJECTED) for _ in range(3)]
    world.submit(events[0], device)
    refused(send_queue(world, queue_args(device, events)), "event is recorded already")
    assert send_queue(world, queue_args(device, events[1:])).ok


@pytest.mark.parametrize("kind", [0, CHECKED, 255])
def test_a_kind_that_is_not_recorded_stops_the_queue(world, device, kind):
    events = [device.event(RELEASE, REJECTED), device.event(RELEASE, kind)]
    refused(send_queue(world, queue_args(device, events)), "stamp out of range")


def test_a_high_s_stops_the_queue(world, device):
    args = queue_args(device, [device.event(RELEASE, REJECTED)])
    high = (args[4] >> 255) << 255 | (ORDER // 2 + 1)
    refused(send_queue(world, (*args[:4], high)), "high s in a signature")


@pytest.mark.parametrize("index", [1, 2, 255, 256, 2**176 - 1])
def test_a_release_that_the_queue_does_not_list_is_refused(world, device, index):
    releases, reports, *rest = queue_args(device, [device.event(RELEASE, REJECTED)])
    bent = [(reports[0][0] | index << 80, reports[0][1])]
    receipt = send_queue(world, (releases, bent, *rest))
    assert (receipt.ok, receipt.reason) == (False, ""), "the compiler's own bounds check"


def test_a_queue_of_17_or_of_five_releases_is_malformed(world, device):
    events = [device.event(RELEASE, REJECTED) for _ in range(17)]
    receipt = send_queue(world, queue_args(device, events))
    assert (receipt.ok, receipt.reason) == (False, "")
    device.sequence, device.head = 0, ZERO
    events = [device.event(digest(f"release {i}"), REJECTED) for i in range(5)]
    receipt = send_queue(world, queue_args(device, events))
    assert (receipt.ok, receipt.reason) == (False, "")
    assert word(world, device).sequence == 0


def test_a_queue_wraps_no_sequence(world, device):
    device.sequence = U32_MAX - 1
    events = [device.event(RELEASE, REJECTED)]
    follower = Event(RELEASE, 0, REJECTED, GENESIS_TIME, digest("d"), device.head)
    releases, reports, *rest = queue_args(device, [events[0], follower])
    refused(send_queue(world, (releases, reports, *rest)), "queue has a gap")
