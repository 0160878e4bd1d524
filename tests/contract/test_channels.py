"""Publications, halts, rollouts and their curve."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.ledger import rollout as protocol
from ledger_protocol.ledger.contract_state import ChannelWord
from tests.contract.actors import (
    ALL_AT_ONCE,
    BASELINE,
    INSTALLED,
    Curve,
    Device,
    World,
    digest,
    fresh,
    refused,
    terms,
)

STABLE, BETA = digest("stable"), digest("beta")
FIRST, SECOND, THIRD = (digest(f"release {i}") for i in range(3))
HOUR = 3_600
U32_MAX = 2**32 - 1
LAST_EPOCH = 2**24 - 1
EPOCH_AT = 56


def word(world: World, channel: bytes = STABLE) -> ChannelWord:
    return ChannelWord.decode(world.word(channel))


def set_word(world: World, channel: bytes, value: int) -> None:
    """Write a channel's word behind the contract's back, for what no test could reach by calls (16 million acts)."""
    from eth_hash.auto import keccak

    slot = int.from_bytes(keccak((2).to_bytes(32, "big") + channel), "big")
    assert world.machine.storage(world.ledger.address, slot) == world.word(channel)
    world.machine.set_storage(world.ledger.address, slot, value)


def try_publish(world: World, release: bytes, **options):
    return world.send(world.anyone, world.ledger, "publish", *world.publish_args(STABLE, release, **options))


# ---------------------------------------------------------------- publish


@pytest.mark.parametrize("sequence", [4, 5, 0])
def test_a_sequence_not_above_the_channels_is_refused(world, sequence):
    world.publish(STABLE, FIRST, sequence=5)
    world.machine.advance(12)
    refused(try_publish(world, SECOND, sequence=sequence), "sequence not above the channel's")


def test_a_first_sequence_of_zero_is_refused(world):
    refused(try_publish(world, FIRST, sequence=0), "sequence not above the channel's")


def test_a_jump_of_more_than_65536_is_refused_and_of_65536_is_not(world):
    world.publish(STABLE, FIRST, sequence=5)
    world.machine.advance(12)
    refused(try_publish(world, SECOND, sequence=5 + 65_537), "sequence jumps too far")
    assert try_publish(world, SECOND, sequence=5 + 65_536).ok


def test_the_first_sequence_may_be_any(world):
    assert try_publish(world, FIRST, sequence=U32_MAX).ok
    world.machine.advance(12)
    refused(try_publish(world, SECOND, sequence=U32_MAX), "sequence not above the channel's")


def test_a_lower_security_version_is_refused(world):
    world.publish(STABLE, FIRST, sequence=1, security_version=3)
    world.machine.advance(12)
    refused(try_publish(world, SECOND, sequence=2, security_version=2), "security version falls")
    assert try_publish(world, SECOND, sequence=2, security_version=3).ok


def test_a_revoked_release_is_refused(world):
    world.act("revoke", (FIRST, 1), key=world.guardian)
    refused(try_publish(world, FIRST, sequence=1), "release is revoked")


def test_a_second_publication_in_one_block_time_is_refused(world):
    world.publish(STABLE, FIRST, sequence=1)
    refused(try_publish(world, SECOND, sequence=2), "published in this block already")
    assert world.send(
        world.anyone, world.ledger, "publish", *world.publish_args(BETA, SECOND, sequence=2)
    ).ok, "another channel may"


@pytest.mark.parametrize("place", [0, 1], ids=["channel", "release"])
def test_zero_ids_are_refused(world, place):
    args = list(world.publish_args(STABLE, FIRST, sequence=1))
    args[place] = b"\0" * 32
    refused(world.send(world.anyone, world.ledger, "publish", *args), "zero channel or release")


BAD_TERMS = {
    "an epoch": 1 << 56,
    "a halted flag": 1 << 80,
    "an unknown flag": 1 << 82,
    "the flag above": 1 << 87,
    "a rollout_from": 1 << 128,
    "its last bit": 1 << 151,
    "more than min_reports": 1 << 240,
    "the top bit": 1 << 255,
}


@pytest.mark.parametrize("bits", BAD_TERMS.values(), ids=BAD_TERMS)
@pytest.mark.parametrize("act", ["publish", "set_rollout"])
def test_terms_with_bits_of_no_meaning_are_refused(world, act, bits):
    world.publish(STABLE, FIRST, sequence=1)
    world.machine.advance(12)
    if act == "publish":
        channel, release, envelope, packed, approvals = world.publish_args(STABLE, SECOND, sequence=2)
        args = (channel, release, envelope, packed | bits, approvals)
    else:
        channel, packed, approvals = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
        args = (channel, packed | bits, approvals)
    refused(world.send(world.anyone, world.ledger, act, *args), "terms out of range")


@pytest.mark.parametrize("bits", [1, 1 << 32], ids=["sequence", "security version"])
def test_a_rollout_sets_no_sequence_and_no_security_version(world, bits):
    world.publish(STABLE, FIRST, sequence=1)
    channel, packed, approvals = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    sent = world.send(world.anyone, world.ledger, "set_rollout", channel, packed | bits, approvals)
    refused(sent, "terms out of range")


@pytest.mark.parametrize(
    "curve",
    [Curve(initial_bps=10_001), Curve(halt_bps=10_001), Curve(halt_bps=1, min_reports=0)],
    ids=["more than all", "a limit above all", "a breaker without reports"],
)
def test_an_impossible_rollout_is_refused(world, curve):
    refused(try_publish(world, FIRST, sequence=1, curve=curve), "terms out of range")


def test_a_breaker_may_be_off(world):
    assert try_publish(world, FIRST, sequence=1, curve=Curve(halt_bps=0, min_reports=0)).ok


def test_a_publication_sets_head_and_word_and_says_so(world):
    curve = Curve(initial_bps=100, hold_hours=24, ramp_hours=48, halt_bps=300, min_reports=250)
    receipt = world.publish(STABLE, FIRST, sequence=7, security_version=3, curve=curve)
    now = world.machine.time
    assert world.view(world.ledger, "head", STABLE) == FIRST
    assert word(world) == ChannelWord(
        sequence=7,
        security_version=3,
        epoch=1,
        halted=False,
        immediate=False,
        published_at=now,
        rollout_from=now,
        initial_bps=100,
        hold_hours=24,
        ramp_hours=48,
        halt_bps=300,
        min_reports=250,
    )
    (log,) = world.logs(receipt)
    assert (log.name, log.args["channel"], log.args["release"]) == ("Published", STABLE, FIRST)
    assert log.args["word"] == world.word(STABLE)
    assert log.args["envelope"] == digest("envelope of " + FIRST.hex())


def test_a_publication_lifts_a_halt(world):
    world.publish(STABLE, FIRST, sequence=1)
    world.act("halt", (STABLE,), key=world.guardian)
    world.publish(STABLE, SECOND, sequence=2)
    assert not word(world).halted


def test_channels_do_not_touch_each_other(world):
    world.publish(STABLE, FIRST, sequence=5, security_version=9)
    held = world.word(STABLE)
    world.publish(BETA, SECOND, sequence=1)
    assert world.word(STABLE) == held
    assert world.view(world.ledger, "head", STABLE) == FIRST


def test_an_old_release_may_be_published_again_with_a_higher_sequence(world):
    """Undo is a newly signed manifest, so another id; the ledger only sees that the sequence rises."""
    world.publish(STABLE, FIRST, sequence=1)
    world.publish(STABLE, SECOND, sequence=2)
    world.publish(STABLE, digest("release 1, signed anew"), sequence=3)
    assert word(world).sequence == 3


# ---------------------------------------------------------------- halt and resume


def test_only_a_guardian_halts(world):
    world.publish(STABLE, FIRST, sequence=1)
    for key in (world.anyone, world.publishers[0], world.governors[0], world.enroller):
        refused(world.send(key, world.ledger, "halt", STABLE), "caller is no guardian")
    assert not word(world).halted


def test_a_channel_without_a_release_has_nothing_to_halt(world):
    refused(world.send(world.guardian, world.ledger, "halt", STABLE), "channel has no release")


def test_a_halted_channel_is_not_halted_again(world):
    world.publish(STABLE, FIRST, sequence=1)
    world.act("halt", (STABLE,), key=world.guardian)
    refused(world.send(world.guardian, world.ledger, "halt", STABLE), "channel is halted")


def test_a_halt_freezes_the_share_reached_and_spends_an_epoch(world):
    world.publish(STABLE, FIRST, sequence=1, curve=Curve(initial_bps=1_000, hold_hours=10, ramp_hours=90))
    world.machine.advance(10 * HOUR + 45 * HOUR - 12)
    receipt = world.act("halt", (STABLE,), key=world.guardian)
    assert word(world).halted
    assert word(world).initial_bps == 1_000 + 9_000 // 2
    assert word(world).epoch == 2
    (log,) = world.logs(receipt)
    assert (log.name, log.args["channel"], log.args["word"]) == ("Halted", STABLE, world.word(STABLE))
    assert log.args["by"] == "0x" + world.guardian.public_key.to_canonical_address().hex()


def test_a_halt_of_an_immediate_rollout_keeps_all_as_the_share(world):
    world.publish(STABLE, FIRST, sequence=1, curve=ALL_AT_ONCE)
    world.act("halt", (STABLE,), key=world.guardian)
    assert not word(world).immediate
    assert word(world).initial_bps == 10_000


def test_the_last_epoch_is_kept_for_a_halt(world):
    world.publish(STABLE, FIRST, sequence=1)
    set_word(world, STABLE, world.word(STABLE) & ~(LAST_EPOCH << EPOCH_AT) | (LAST_EPOCH - 2) << EPOCH_AT)
    world.publish(STABLE, SECOND, sequence=2)
    assert word(world).epoch == LAST_EPOCH - 1
    world.machine.advance(12)
    refused(try_publish(world, THIRD, sequence=3), "epochs used up")
    for act, args in (
        ("set_rollout", world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)),
        ("assign_group", world.group_args(1, STABLE)),
    ):
        refused(world.send(world.anyone, world.ledger, act, *args), "epochs used up")
    world.act("halt", (STABLE,), key=world.guardian)
    assert word(world).epoch == LAST_EPOCH
    assert word(world).halted
    assert word(world).sequence == 2


def test_a_channel_that_is_not_halted_is_not_resumed(world):
    world.publish(STABLE, FIRST, sequence=1)
    args = world.rollout_args("Resume", STABLE, ALL_AT_ONCE)
    refused(world.send(world.anyone, world.ledger, "resume", *args), "channel is not halted")


def test_a_resume_goes_on_from_the_frozen_share(world):
    world.publish(STABLE, FIRST, sequence=1, curve=Curve(initial_bps=1_000, hold_hours=0, ramp_hours=90))
    published_at = world.machine.time
    world.machine.advance(45 * HOUR - 12)
    world.act("halt", (STABLE,), key=world.guardian)
    world.machine.advance(1_000 * HOUR)
    below = world.rollout_args("Resume", STABLE, Curve(initial_bps=5_499))
    refused(world.send(world.anyone, world.ledger, "resume", *below), "share below the one reached")
    receipt = world.act("resume", world.rollout_args("Resume", STABLE, Curve(initial_bps=5_500)))
    assert not word(world).halted
    assert word(world).initial_bps == 5_500
    assert word(world).published_at == published_at
    assert word(world).rollout_from == world.machine.time
    (log,) = world.logs(receipt)
    assert (log.name, log.args["word"]) == ("Resumed", world.word(STABLE))


# ---------------------------------------------------------------- set_rollout


def test_a_halted_channel_takes_no_rollout(world):
    world.publish(STABLE, FIRST, sequence=1)
    world.act("halt", (STABLE,), key=world.guardian)
    args = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    refused(world.send(world.anyone, world.ledger, "set_rollout", *args), "channel is halted")


def test_a_channel_without_a_release_takes_no_rollout(world):
    args = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    refused(world.send(world.anyone, world.ledger, "set_rollout", *args), "channel has no release")


def test_a_share_may_only_rise(world):
    world.publish(STABLE, FIRST, sequence=1, curve=Curve(initial_bps=5_000, hold_hours=100))
    below = world.rollout_args("SetRollout", STABLE, Curve(initial_bps=4_999))
    refused(world.send(world.anyone, world.ledger, "set_rollout", *below), "share below the one reached")
    world.act("set_rollout", world.rollout_args("SetRollout", STABLE, Curve(initial_bps=5_000, hold_hours=7)))
    assert (word(world).initial_bps, word(world).hold_hours) == (5_000, 7)
    assert word(world).rollout_from == world.machine.time


def test_after_all_at_once_only_all_is_left(world):
    world.publish(STABLE, FIRST, sequence=1, curve=ALL_AT_ONCE)
    below = world.rollout_args("SetRollout", STABLE, Curve(initial_bps=9_999))
    refused(world.send(world.anyone, world.ledger, "set_rollout", *below), "share below the one reached")
    world.act("set_rollout", world.rollout_args("SetRollout", STABLE, Curve(initial_bps=10_000)))
    assert not word(world).immediate


def test_a_rollout_keeps_what_only_a_publication_sets(world):
    world.publish(STABLE, FIRST, sequence=9, security_version=4, curve=Curve(initial_bps=0))
    before = word(world)
    receipt = world.act("set_rollout", world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE))
    after = word(world)
    kept = ("sequence", "security_version", "published_at", "halted")
    assert [getattr(after, n) for n in kept] == [getattr(before, n) for n in kept]
    assert after.immediate
    assert after.epoch == before.epoch + 1
    assert world.view(world.ledger, "head", STABLE) == FIRST
    (log,) = world.logs(receipt)
    assert (log.name, log.args["word"]) == ("RolloutSet", world.word(STABLE))


# ---------------------------------------------------------------- the curve and the cohort, against the protocol's


@settings(max_examples=60, deadline=None)
@given(
    initial=st.sampled_from([0, 1, 100, 5_000, 9_999, 10_000]),
    hold=st.integers(0, 300),
    ramp=st.integers(0, 300),
    immediate=st.booleans(),
    after=st.integers(0, 700 * HOUR),
)
def test_the_contract_and_the_protocol_agree_on_the_share(initial, hold, ramp, immediate, after):
    """A halt writes down the share that the contract computed: the protocol must compute the same."""
    world = fresh()
    curve = Curve(immediate=immediate, initial_bps=initial, hold_hours=hold, ramp_hours=ramp)
    world.publish(STABLE, FIRST, sequence=1, curve=curve)
    published = word(world)
    world.machine.advance(after)
    receipt = world.send(world.guardian, world.ledger, "halt", STABLE)
    assert receipt.ok
    assert word(world).initial_bps == protocol.share_bps(published, world.machine.time)
    assert protocol.share_bps(word(world), world.machine.time) == word(world).initial_bps


@pytest.mark.parametrize("seed", range(12))
def test_the_contract_and_the_protocol_agree_on_the_cohort(world, seed):
    """A vote opens only in the cohort, so the edge of the share shows the device's place."""
    device = Device(seed, world.journal.address)
    place = protocol.cohort(FIRST, device.address)
    text = hashlib.sha256(b"fwledger/cohort/1" + FIRST + device.address).digest()[:8]
    assert place == int.from_bytes(text, "big") % 10_000
    world.publish(STABLE, FIRST, sequence=1, curve=Curve(initial_bps=place or 1, hold_hours=100))
    world.act("assign_group", world.group_args(1, STABLE))
    world.enrol(device)
    published_at = word(world).published_at
    world.submit(device.event(FIRST, INSTALLED), device)
    assert world.view(world.journal, "tally", FIRST, published_at) == 0
    world.act("set_rollout", world.rollout_args("SetRollout", STABLE, Curve(initial_bps=place + 1)))
    world.submit(device.event(FIRST, INSTALLED), device)
    assert world.view(world.journal, "tally", FIRST, published_at) & 0xFFFFFFFF == 1


def test_a_baseline_says_nothing_about_a_rollout(world):
    device = Device(1, world.journal.address)
    world.publish(STABLE, FIRST, sequence=1)
    world.act("assign_group", world.group_args(1, STABLE))
    world.enrol(device)
    world.submit(device.event(FIRST, BASELINE), device)
    assert world.view(world.journal, "tally", FIRST, word(world).published_at) == 0


def test_terms_are_packed_as_the_channels_word():
    curve = Curve(immediate=True, initial_bps=1, hold_hours=2, ramp_hours=3, halt_bps=4, min_reports=5)
    packed = ChannelWord.decode(terms(curve, 0, sequence=6, security_version=7))
    assert packed == ChannelWord(
        sequence=6,
        security_version=7,
        epoch=0,
        halted=False,
        immediate=True,
        published_at=0,
        rollout_from=0,
        initial_bps=1,
        hold_hours=2,
        ramp_hours=3,
        halt_bps=4,
        min_reports=5,
    )
