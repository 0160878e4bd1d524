from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import layout
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation, Tally

U16, U24, U32, U40 = (st.integers(0, 2**bits - 1) for bits in (16, 24, 32, 40))
CHANNELS = st.builds(
    ChannelWord,
    sequence=U32,
    security_version=U24,
    epoch=U24,
    halted=st.booleans(),
    immediate=st.booleans(),
    published_at=U32,
    rollout_from=U32,
    initial_bps=U16,
    hold_hours=U16,
    ramp_hours=U16,
    halt_bps=U16,
    min_reports=U24,
)
DEVICES = st.builds(
    DeviceWord,
    sequence=U32,
    enrolled=st.booleans(),
    retired=st.booleans(),
    open_vote=st.booleans(),
    group=U24,
    counted=U32,
    head=st.binary(min_size=20, max_size=20),
)
REVOCATIONS = st.builds(Revocation, time=st.integers(1, 2**40 - 1), reason=U16, mandatory=st.booleans())
TALLIES = st.builds(
    Tally, installed=U32, confirmed=U32, failed=U32, channel=st.binary(min_size=20, max_size=20)
)


@pytest.mark.parametrize("bit", [*range(82, 88), *range(240, 256), 256, 300])
def test_a_channel_word_with_a_bit_outside_the_layout_is_refused(bit):
    with pytest.raises(MalformedError):
        ChannelWord.decode(1 << bit)


@pytest.mark.parametrize("bit", [*range(57, 256, 11), 57, 255, 256])
def test_a_revocation_with_a_bit_outside_the_layout_is_refused(bit):
    with pytest.raises(MalformedError):
        Revocation.decode(1 << bit | 1)


@pytest.mark.parametrize("bit", [*range(35, 40), 256])
def test_a_device_word_with_an_unknown_flag_is_refused(bit):
    with pytest.raises(MalformedError):
        DeviceWord.decode(1 << bit)


def test_a_tally_of_more_than_256_bits_is_refused():
    with pytest.raises(MalformedError):
        Tally.decode(1 << 256)


@pytest.mark.parametrize("kind", [ChannelWord, Revocation, DeviceWord, Tally])
def test_a_negative_word_is_refused(kind):
    with pytest.raises(MalformedError):
        kind.decode(-1)


def test_a_revocation_without_a_time_is_refused():
    with pytest.raises(MalformedError):
        Revocation.decode(1 << 56)


def test_an_absent_revocation_is_none():
    assert Revocation.decode(0) is None


@pytest.mark.parametrize(
    "field", ["sequence", "security_version", "published_at", "initial_bps", "min_reports"]
)
def test_a_field_that_does_not_fit_is_not_written_over_its_neighbour(field):
    values = dict.fromkeys(ChannelWord.__slots__, 0)
    values[field] = 2**32
    with pytest.raises(MalformedError):
        ChannelWord(**values).encode()


def test_fields_lie_where_the_design_puts_them():
    word = ChannelWord(
        sequence=1,
        security_version=2,
        epoch=3,
        halted=True,
        immediate=True,
        published_at=4,
        rollout_from=5,
        initial_bps=6,
        hold_hours=7,
        ramp_hours=8,
        halt_bps=9,
        min_reports=10,
    )
    expected = (
        1
        | 2 << 32
        | 3 << 56
        | 3 << 80
        | 4 << 88
        | 5 << 120
        | 6 << 152
        | 7 << 168
        | 8 << 184
        | 9 << 200
        | 10 << 216
    )
    assert word.encode() == expected
    device = DeviceWord(
        sequence=1, enrolled=True, retired=False, open_vote=True, group=2, counted=3, head=b"\xab" * 20
    )
    assert device.encode() == 1 | 5 << 32 | 2 << 40 | 3 << 64 | int("ab" * 20, 16) << 96
    assert Revocation(time=1, reason=2, mandatory=True).encode() == 1 | 2 << 40 | 1 << 56
    tally = Tally(installed=1, confirmed=2, failed=3, channel=b"\xcd" * 20)
    assert tally.encode() == 1 | 2 << 32 | 3 << 64 | int("cd" * 20, 16) << 96


def test_previous_is_what_the_word_keeps_of_the_last_digest():
    digest = bytes(range(32))
    word = DeviceWord.decode(int.from_bytes(digest, "big") & state.HEAD_MASK)
    assert word.previous == digest[:20] + bytes(12)


@given(CHANNELS)
@settings(max_examples=200)
def test_channel_words_round_trip(word):
    assert ChannelWord.decode(word.encode()) == word


@given(DEVICES)
@settings(max_examples=200)
def test_device_words_round_trip(word):
    assert DeviceWord.decode(word.encode()) == word


@given(REVOCATIONS)
@settings(max_examples=100)
def test_revocations_round_trip(word):
    assert Revocation.decode(word.encode()) == word


@given(TALLIES)
@settings(max_examples=100)
def test_tallies_round_trip(word):
    assert Tally.decode(word.encode()) == word


@given(st.integers(0, 2**256 - 1))
@settings(max_examples=300)
def test_any_word_decodes_to_itself_or_is_refused(word):
    for kind in (ChannelWord, Revocation, DeviceWord, Tally):
        try:
            decoded = kind.decode(word)
        except MalformedError:
            continue
        assert (0 if decoded is None else decoded.encode()) == word


def test_maps_hash_the_slot_before_the_key_as_vyper_does():
    assert state.map_slot(7, b"k" * 32) == keccak256((7).to_bytes(32, "big") + b"k" * 32)
    assert state.head_key(b"c" * 32) == keccak256(layout.LEDGER_HEAD.to_bytes(32, "big") + b"c" * 32)
    assert state.word_key(b"c" * 32) == keccak256(layout.LEDGER_WORD.to_bytes(32, "big") + b"c" * 32)
    assert state.channel_of_key(5) == state.map_slot(layout.LEDGER_CHANNEL_OF, (5).to_bytes(32, "big"))
    assert state.device_key(b"d" * 20) == state.map_slot(layout.JOURNAL_DEVICE, bytes(12) + b"d" * 20)
    assert state.trust_root_key() == layout.LEDGER_TRUST_ROOT.to_bytes(32, "big")
    assert state.trust_root_version_key() == layout.LEDGER_TRUST_ROOT_VERSION.to_bytes(32, "big")


def test_maps_of_maps_hash_twice():
    outer = keccak256(layout.LEDGER_APPROVAL.to_bytes(32, "big") + bytes(12) + b"o" * 20)
    assert state.approval_key(b"o" * 20, b"r" * 32) == keccak256(outer + b"r" * 32)
    outer = keccak256(layout.JOURNAL_TALLY.to_bytes(32, "big") + b"r" * 32)
    assert state.tally_key(b"r" * 32, 9) == keccak256(outer + (9).to_bytes(32, "big"))


@pytest.mark.parametrize(
    "call",
    [
        lambda: state.head_key(b"short"),
        lambda: state.revoked_key(bytes(33)),
        lambda: state.channel_of_key(2**24),
        lambda: state.channel_of_key(-1),
        lambda: state.device_key(bytes(32)),
        lambda: state.approval_key(bytes(19), bytes(32)),
        lambda: state.tally_key(bytes(32), 2**32),
    ],
)
def test_a_key_of_another_length_is_refused(call):
    with pytest.raises(MalformedError):
        call()


def test_no_two_words_share_a_slot():
    slots = {name: value for name, value in vars(layout).items() if name.startswith("LEDGER_")}
    assert len(set(slots.values())) == len(slots)
    assert layout.JOURNAL_DEVICE != layout.JOURNAL_TALLY


# --- refusals name the word, keys lie where the layout says


@pytest.mark.parametrize(
    ("kind", "word", "what"),
    [
        (ChannelWord, 1 << 240, "channel word: bits outside the layout"),
        (ChannelWord, 1 << 82, "channel word: unknown flags"),
        (Revocation, 1 << 57, "revocation: bits outside the layout"),
        (Revocation, 1 << 40, "revocation: time"),
        (DeviceWord, 1 << 256, "device word: bits outside the layout"),
        (DeviceWord, 1 << 35, "device word: unknown flags"),
        (Tally, 1 << 256, "tally: bits outside the layout"),
    ],
)
def test_a_word_that_is_none_is_named(kind, word, what):
    with pytest.raises(MalformedError) as refused:
        kind.decode(word)
    assert refused.value.what == what


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (replace(ChannelWord.decode(1), sequence=2**32), "channel word: sequence"),
        (Revocation(time=2**40, reason=0, mandatory=False), "revocation: time"),
        (replace(DeviceWord.decode(1), group=-1), "device word: group"),
        (replace(Tally.decode(1), confirmed=2**32), "tally: confirmed"),
    ],
)
def test_a_field_that_does_not_fit_is_named(value, what):
    with pytest.raises(MalformedError) as refused:
        value.encode()
    assert refused.value.what == what


def test_a_key_of_a_group_or_a_time_is_bounded_and_named():
    assert state.channel_of_key(0) == state.map_slot(layout.LEDGER_CHANNEL_OF, bytes(32))
    assert state.tally_key(bytes(32), 2**32 - 1)
    with pytest.raises(MalformedError) as group:
        state.channel_of_key(2**24)
    with pytest.raises(MalformedError) as time:
        state.tally_key(bytes(32), -1)
    assert (group.value.what, time.value.what) == ("storage key: group", "storage key: published_at")


def test_revocations_lie_in_their_own_map():
    key = b"r" * 32
    assert state.revoked_key(key) == keccak256(layout.LEDGER_REVOKED.to_bytes(32, "big") + key)
