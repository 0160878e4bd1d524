"""Events of many devices in one transaction: each judged alone, none stops the others."""

from __future__ import annotations

import re

import pytest

from contracts import compile as compiler
from ledger_protocol.ledger.contract_state import DeviceWord
from tests.contract.actors import (
    ALL_AT_ONCE,
    BASELINE,
    CHECKED,
    CONFIRMED,
    FAILED,
    GAP,
    INSTALLED,
    MALFORMED,
    NOT_ENROLLED,
    PREVIOUS,
    RECORDED,
    REJECTED,
    RETIRED,
    REVERTED,
    UNREACHABLE,
    Curve,
    Device,
    World,
    digest,
    fresh,
    refused,
)
from tests.contract.evm import CHAIN_ID, private_key

STABLE, BETA = digest("stable"), digest("beta")
OLD, NEW = digest("old release"), digest("new release")
BOUNDS = (16, 128, 512)
U32 = 2**32 - 1
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@pytest.fixture(params=BOUNDS)
def bound(request) -> int:
    return request.param


def ready(count: int, *, curve: Curve = ALL_AT_ONCE, groups: int = 1) -> tuple[World, list[Device]]:
    """Channels with a head, groups that follow them in turn, and devices in the groups in turn."""
    world = fresh()
    for channel in (STABLE, BETA)[:groups]:
        world.publish(channel, NEW, sequence=1, curve=curve)
    for group in range(groups):
        world.act("assign_group", world.group_args(group, (STABLE, BETA)[group]))
    fleet = [Device(i, world.journal.address) for i in range(count)]
    entries = [(d.address, i % groups, digest("serial")) for i, d in enumerate(fleet)]
    for start in range(0, count, 128):
        world.act("enrol_many", (entries[start : start + 128],), key=world.enroller)
    return world, fleet


def word(world: World, device: Device) -> DeviceWord:
    return DeviceWord.decode(world.view(world.journal, "device", device.address))


def tally(world: World, release: bytes, channel: bytes = STABLE) -> tuple[int, int, int]:
    at = (world.word(channel) >> 88) & U32
    held = world.view(world.journal, "tally", release, at)
    return held & U32, held >> 32 & U32, held >> 64 & U32


def submit(world: World, items: list, *, release: bytes = NEW, bound: int = 16):
    return world.act(f"submit_batch_{bound}", (release, items))


def say(world: World, fleet: list[Device], kind: int, *, release: bytes = NEW, bound: int = 16):
    return submit(world, [d.item(d.event(release, kind)) for d in fleet], release=release, bound=bound)


def reasons(world: World, receipt) -> list[int]:
    """Why each item was skipped; 0 for a recorded one."""
    return [log.args.get("reason", 0) for log in world.logs(receipt)]


def test_the_three_bodies_are_one_text():
    bodies = []
    for stem in ("batches", "bulk"):
        text = (compiler.ROOT / "contracts" / "modules" / f"{stem}.vy").read_text(encoding="utf-8")
        for found in re.findall(r"def submit_batch_\d+\(.*?(?=\n\n\n|\Z)", text, flags=re.DOTALL):
            body = found[found.index('"""', found.index('"""') + 3) :]
            bodies.append(re.sub(r"\bbatches\.|\bself\.", "", body).strip())
    assert len(bodies) == len(BOUNDS)
    assert len(set(bodies)) == 1


def test_an_empty_batch_is_refused(bound):
    world, _ = ready(1)
    refused(world.send(world.anyone, world.journal, f"submit_batch_{bound}", NEW, []), "empty list")


def test_a_batch_above_its_bound_is_malformed():
    world, (device,) = ready(1)
    item = device.item(device.event(NEW, BASELINE))
    for bound in BOUNDS:
        receipt = world.send(world.anyone, world.journal, f"submit_batch_{bound}", NEW, [item] * (bound + 1))
        assert (receipt.ok, receipt.reason, receipt.logs) == (False, "", ())


def test_a_full_batch_of_512_fits_a_transaction():
    """EIP-7825 caps a transaction at 2**24 gas."""
    world, fleet = ready(512)
    receipt = say(world, fleet, INSTALLED, bound=512)
    assert tally(world, NEW) == (512, 0, 0)
    assert receipt.gas < 2**24


@pytest.mark.parametrize("kind", [BASELINE, INSTALLED, CONFIRMED, REVERTED, FAILED, UNREACHABLE, REJECTED])
def test_a_batch_says_what_single_events_say(bound, kind):
    """The same words in a twin world, one by one: same state, same logs."""
    for before in ([], [INSTALLED], [INSTALLED, CONFIRMED]):
        world, fleet = ready(3, curve=Curve(initial_bps=7_000, hold_hours=9, halt_bps=6_000, min_reports=3))
        twin, others = ready(3, curve=Curve(initial_bps=7_000, hold_hours=9, halt_bps=6_000, min_reports=3))
        for earlier in before:
            say(world, fleet, earlier, bound=bound)
            for device in others:
                twin.machine.time = world.machine.time - 12
                twin.submit(device.event(NEW, earlier), device)
        logs = world.logs(say(world, fleet, kind, bound=bound))
        expected = []
        for device in others:
            twin.machine.time = world.machine.time - 12
            expected += twin.logs(twin.submit(device.event(NEW, kind), device))
        assert logs == expected
        assert [word(world, d) for d in fleet] == [word(twin, d) for d in others]
        assert world.word(STABLE) == twin.word(STABLE)
        assert tally(world, NEW) == tally(twin, NEW)


def test_each_bad_item_is_skipped_with_its_reason_and_the_rest_recorded(bound):
    world, fleet = ready(8)
    good, other, retired, replayer, gapped, forked, malleable, elsewhere = fleet
    stranger = Device(99, world.journal.address)
    world.act("place_devices", world.place_args([retired.address], 0, retired=True))
    replayed = replayer.item(replayer.event(NEW, BASELINE))
    submit(world, [replayed])
    gapped.sequence += 1
    forked.head = (1 << 96).to_bytes(32, "big")
    link, detail, r, vs = malleable.item(malleable.event(NEW, BASELINE))
    event = elsewhere.event(NEW, BASELINE)
    foreign, _ = elsewhere.sign(event, chain_id=CHAIN_ID + 1)
    items = [
        good.item(good.event(NEW, INSTALLED)),
        stranger.item(stranger.event(NEW, INSTALLED)),
        retired.item(retired.event(NEW, INSTALLED)),
        replayed,
        gapped.item(gapped.event(NEW, INSTALLED)),
        forked.item(forked.event(NEW, INSTALLED)),
        (link, detail, r, vs >> 255 << 255 | HALF_ORDER + 1),
        (event.stamp, event.detail, *foreign),
        (link | 1 << 80, detail, r, vs),
        (link, detail, 0, 0),
        other.item(other.event(NEW, INSTALLED)),
    ]
    expected = [
        0,
        NOT_ENROLLED,
        RETIRED,
        RECORDED,
        GAP,
        PREVIOUS,
        MALFORMED,
        NOT_ENROLLED,
        MALFORMED,
        NOT_ENROLLED,
        0,
    ]
    receipt = submit(world, items, bound=bound)
    assert reasons(world, receipt) == expected
    skipped = [log.args["link"] for log in world.logs(receipt) if log.name == "Skipped"]
    assert skipped == [item[0] for item, reason in zip(items, expected, strict=True) if reason]
    assert [word(world, d).sequence for d in fleet] == [1, 1, 0, 1, 0, 0, 0, 0]
    assert tally(world, NEW) == (2, 0, 0)


@pytest.mark.parametrize("kind", [0, CHECKED, 9, 255])
def test_a_kind_that_is_not_recorded_is_skipped(bound, kind):
    world, (device,) = ready(1)
    item = device.item(device.event(NEW, kind))
    assert reasons(world, submit(world, [item], bound=bound)) == [MALFORMED]
    assert word(world, device).sequence == 0


def test_an_item_of_another_release_is_another_event(bound):
    world, (device,) = ready(1)
    item = device.item(device.event(OLD, BASELINE))
    assert reasons(world, submit(world, [item], release=NEW, bound=bound)) == [NOT_ENROLLED]


def test_the_last_sequence_overflows_into_nothing(bound):
    world, (device,) = ready(1)
    world.submit(device.event(NEW, BASELINE, sequence=U32), device)
    device.sequence = -1
    item = device.item(device.event(NEW, BASELINE, sequence=0))
    assert reasons(world, submit(world, [item], bound=bound)) == [RECORDED]
    assert word(world, device).sequence == U32


def test_one_device_may_speak_several_times_in_a_batch(bound):
    world, (device,) = ready(1)
    items = [device.item(device.event(NEW, kind)) for kind in (BASELINE, INSTALLED, CONFIRMED, INSTALLED)]
    assert reasons(world, submit(world, items, bound=bound)) == [0, 0, 0, 0]
    assert tally(world, NEW) == (1, 1, 0)
    assert (word(world, device).sequence, word(world, device).head) == (4, device.head[:20])


def test_alternating_groups_keep_their_own_tallies(bound):
    world, fleet = ready(8, groups=2)
    say(world, fleet, INSTALLED, bound=bound)
    say(world, fleet[:5], CONFIRMED, bound=bound)
    assert tally(world, NEW, STABLE) == (4, 3, 0)
    assert tally(world, NEW, BETA) == (4, 2, 0)


def test_alternating_publications_keep_their_own_tallies(bound):
    world, fleet = ready(6)
    first = (world.word(STABLE) >> 88) & U32
    say(world, fleet[:3], INSTALLED, bound=bound)
    world.publish(STABLE, NEW, sequence=2)
    mixed = [d for pair in zip(fleet[:3], fleet[3:], strict=True) for d in pair]
    say(world, mixed, CONFIRMED, bound=bound)
    held = world.view(world.journal, "tally", NEW, first)
    assert (held & U32, held >> 32 & U32) == (3, 3)
    assert tally(world, NEW) == (3, 3, 0)


@pytest.mark.parametrize("opened", [True, False])
def test_a_batch_trips_the_breaker_once_and_records_the_rest(bound, opened):
    world, fleet = ready(8, curve=Curve(immediate=True, halt_bps=2_000, min_reports=4))
    if opened:
        say(world, fleet, INSTALLED, bound=bound)
    names = [log.name for log in world.logs(say(world, fleet, FAILED, bound=bound))]
    assert names == ["Recorded"] * 3 + ["Halted"] + ["Recorded"] * 5
    assert tally(world, NEW) == (8, 0, 8)
    assert (world.word(STABLE) >> 80) & 1


def test_a_release_that_is_not_the_head_opens_nothing(bound):
    world, fleet = ready(2)
    assert reasons(world, say(world, fleet, INSTALLED, release=OLD, bound=bound)) == [0, 0]
    assert tally(world, OLD) == (0, 0, 0)
    assert world.view(world.journal, "tally", OLD, (world.word(STABLE) >> 88) & U32) == 0


def test_a_final_event_of_another_release_closes_no_open_vote(bound):
    world, (device, other) = ready(2)
    say(world, [device], INSTALLED, bound=bound)
    say(world, [device], CONFIRMED, release=OLD, bound=bound)
    assert word(world, device).open_vote
    assert tally(world, NEW) == (1, 0, 0)
    say(world, [device, other], CONFIRMED, bound=bound)
    assert tally(world, NEW) == (2, 2, 0)


def test_who_is_outside_the_cohort_notes_no_tally(bound):
    world, fleet = ready(2, curve=Curve(initial_bps=0))
    say(world, fleet, INSTALLED, bound=bound)
    assert world.view(world.journal, "tally", NEW, (world.word(STABLE) >> 88) & U32) == 0


# ---------------------------------------------------------------- anchors


def test_only_a_gateway_anchors():
    world, _ = ready(1)
    for key in (world.anyone, world.publishers[0], world.enroller, world.guardian):
        sent = world.send(key, world.journal, "anchor", digest("root"), digest("content"), 1)
        refused(sent, "caller is no gateway")


@pytest.mark.parametrize("count", [0, 4_097, 2**256 - 1])
def test_an_anchor_has_1_to_4096_leaves(count):
    world, _ = ready(1)
    sent = world.send(world.anyone, world.journal, "anchor", digest("root"), digest("content"), count)
    refused(sent, "an anchor has 1 to 4096 leaves")


@pytest.mark.parametrize("count", [1, 4_096])
def test_an_anchor_is_a_log_and_nothing_else(count):
    world, _ = ready(1)
    gateway = private_key(0x60)
    world.decide("SetMember", gateway.public_key.to_canonical_address(), 16)
    before = world.machine.storage_roots(world.journal.address)
    receipt = world.act("anchor", (digest("root"), digest("content"), count), key=gateway)
    (log,) = world.logs(receipt)
    assert (log.name, log.args) == (
        "Anchored",
        {
            "gateway": "0x" + gateway.public_key.to_canonical_address().hex(),
            "root": digest("root"),
            "content": digest("content"),
            "count": count,
        },
    )
    assert world.machine.storage_roots(world.journal.address) == before
