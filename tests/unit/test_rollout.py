import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.errors import MalformedError
from ledger_protocol.ledger.contract_state import ChannelWord
from ledger_protocol.ledger.rollout import cohort, in_cohort, share_bps

HOUR = 3_600
START = 1_700_000_000
SLOW = ChannelWord(
    sequence=1,
    security_version=0,
    epoch=1,
    halted=False,
    immediate=False,
    published_at=START,
    rollout_from=START,
    initial_bps=100,
    hold_hours=24,
    ramp_hours=99,
    halt_bps=300,
    min_reports=300,
)


def test_zero_is_nobody_at_any_time():
    nobody = replace(SLOW, initial_bps=0)
    assert {share_bps(nobody, START + hours * HOUR) for hours in (0, 23, 24, 100, 10_000)} == {0}


def test_a_halt_freezes_the_share():
    assert share_bps(replace(SLOW, halted=True, initial_bps=1_234), START + 10_000 * HOUR) == 1_234


def test_immediate_is_all_before_anything_else():
    assert share_bps(replace(SLOW, immediate=True, initial_bps=0), START - 1) == 10_000


@pytest.mark.parametrize(
    ("at_s", "share"),
    [
        (START - 1, 100),
        (START, 100),
        (START + 24 * HOUR - 1, 100),
        (START + 24 * HOUR, 100),
        (START + 24 * HOUR + 35, 100),
        (START + 24 * HOUR + 36, 101),
        (START + 25 * HOUR, 200),
        (START + (24 + 50) * HOUR, 5_100),
        (START + (24 + 99) * HOUR - 1, 9_999),
        (START + (24 + 99) * HOUR, 10_000),
        (START + 10**9, 10_000),
    ],
)
def test_the_share_holds_then_rises_evenly(at_s, share):
    assert share_bps(SLOW, at_s) == share


def test_without_a_ramp_all_are_in_when_the_hold_ends():
    step = replace(SLOW, ramp_hours=0)
    assert share_bps(step, START + 24 * HOUR - 1) == 100
    assert share_bps(step, START + 24 * HOUR) == 10_000


@given(
    st.integers(0, 10_000),
    st.integers(0, 65_535),
    st.integers(0, 65_535),
    st.integers(0, 2**34),
    st.integers(0, 2**34),
)
@settings(max_examples=300)
def test_the_share_never_falls_with_time(initial, hold, ramp, first_s, second_s):
    word = replace(SLOW, initial_bps=initial, hold_hours=hold, ramp_hours=ramp)
    early, late = sorted((first_s, second_s))
    assert initial <= share_bps(word, early) <= share_bps(word, late) <= 10_000


def test_the_cohort_is_the_designs_hash():
    release, address = b"r" * 32, b"a" * 20
    digest = hashlib.sha256(b"fwledger/cohort/1" + release + address).digest()
    assert cohort(release, address) == int.from_bytes(digest[:8], "big") % 10_000


def test_a_device_at_the_share_itself_is_not_in():
    release, address = b"r" * 32, b"a" * 20
    place = cohort(release, address)
    assert 0 < place < 10_000
    for share, reached in ((place, False), (place + 1, True)):
        word = replace(SLOW, initial_bps=share)
        assert in_cohort(word, release=release, address=address, at_s=START) is reached


def test_each_release_draws_its_own_order():
    devices = [index.to_bytes(20, "big") for index in range(100)]
    first, second = ([cohort(release * 32, device) for device in devices] for release in (b"1", b"2"))
    assert first != second


def test_a_share_reaches_about_its_part_of_the_fleet():
    word = replace(SLOW, initial_bps=2_500)
    devices = [index.to_bytes(20, "big") for index in range(4_000)]
    reached = sum(in_cohort(word, release=b"r" * 32, address=device, at_s=START) for device in devices)
    assert 900 < reached < 1_100


@pytest.mark.parametrize(("release", "address"), [(bytes(31), bytes(20)), (bytes(32), bytes(32))])
def test_a_cohort_of_other_lengths_is_refused(release, address):
    with pytest.raises(MalformedError):
        cohort(release, address)
