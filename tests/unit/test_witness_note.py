"""Notes of witnesses: what is refused, what is counted, and how old a note may claim to be."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.errors import (
    LimitError,
    MalformedError,
    MismatchError,
    ProtocolError,
    QuorumError,
    SignatureError,
    TrustRootError,
)
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp, witness_note
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.witness_note import (
    Checkpoint,
    NoteSignature,
    WitnessNote,
    join_notes,
    noted_hash,
    sign_note,
    signer_times,
    verify_note,
    witness_key,
)
from ledger_protocol.limits import MAX_LABEL_BYTES, MAX_TIME_S, MAX_U64
from ledger_protocol.release import witness_key as witness_key_module
from ledger_protocol.release.witness_key import WitnessKey
from tests.protocol_makers import vkey as made_vkey
from tests.sim.validators import Validators, header_fields
from tests.sim.witnesses import Witnesses

FIVE = Witnesses(5)
TRUST = FIVE.trust(3)
NOW_S = 1_900_000_000
POINT = Checkpoint(
    origin=FIVE.origin, number=123_456, hash=b"\x0a" * 32, state_root=b"\x0b" * 32, time=NOW_S - 7
)
GOOD = FIVE.note(POINT, range(3), time_s=NOW_S)


def lines_of(data):
    head, tail = data.split(b"\n\n")
    return head.split(b"\n"), tail.rstrip(b"\n").split(b"\n")


def note_of(text_lines, signature_lines):
    return b"\n".join(text_lines) + b"\n\n" + b"".join(line + b"\n" for line in signature_lines)


# -- bytes


def test_a_note_is_laid_out_as_the_signed_note_format_says():
    signed = sign_note(POINT, FIVE.keys[0], name="w0.example", time_s=NOW_S).encode()
    text = (
        b"acme.example/evm/1337\n123456\n"
        + base64.b64encode(b"\x0a" * 32)
        + b"\n"
        + base64.b64encode(b"\x0b" * 32)
        + b"\n1899999993\n"
    )
    assert signed.startswith(text + b"\n\xe2\x80\x94 w0.example ")
    blob = base64.b64decode(signed.rstrip(b"\n").rsplit(b" ", 1)[1])
    point = FIVE.keys[0].public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"w0.example\n\xffevm-checkpoint/v1" + point).digest()[:4]
    assert blob[:12] == key_id + NOW_S.to_bytes(8, "big")
    Ed25519PublicKey.from_public_bytes(point).verify(
        blob[12:], b"evm-checkpoint/v1\ntime 1900000000\n" + text
    )


def test_three_of_five_signatures_take_about_half_a_kilobyte():
    assert 450 < len(GOOD) < 560


def test_a_vkey_survives_reading():
    for vkey in FIVE.vkeys:
        assert WitnessKey.parse(vkey).vkey == vkey


@given(
    number=st.integers(0, MAX_U64),
    block_hash=st.binary(min_size=32, max_size=32),
    time=st.integers(0, MAX_TIME_S),
    signed_at=st.integers(0, MAX_TIME_S),
)
@settings(max_examples=50, deadline=None)
def test_any_checkpoint_survives_and_verifies(number, block_hash, time, signed_at):
    point = Checkpoint(origin=FIVE.origin, number=number, hash=block_hash, state_root=block_hash, time=time)
    data = FIVE.note(point, range(3), time_s=signed_at)
    assert WitnessNote.decode(data).encode() == data
    found = verify_note(data, TRUST)
    assert (found.checkpoint, found.witnessed_at) == (point, signed_at)


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_noise_raises_only_protocol_errors(data):
    with pytest.raises(ProtocolError):
        verify_note(data, TRUST)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_bent_note_verifies_only_as_the_very_same_checkpoint(data):
    bent = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(bent) - 1))
        if data.draw(st.booleans()):
            bent[place] = data.draw(st.integers(0, 255))
        else:
            bent[place : place + 1] = data.draw(st.binary(max_size=5))
    try:
        found = verify_note(bytes(bent), TRUST)
    except ProtocolError:
        return
    assert (bytes(bent), found.checkpoint) == (GOOD, POINT)  # three of three: no line can be spared


TEXT, SIGNED = lines_of(GOOD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n\n", b"\n"),
        GOOD.replace(b"\n\n", b"\n\n\n"),
        note_of(TEXT, []),
        note_of([*TEXT, b"extension"], SIGNED),
        note_of(TEXT[:4], SIGNED),
        note_of([TEXT[0], b"0123456", *TEXT[2:]], SIGNED),
        note_of([TEXT[0], b"-1", *TEXT[2:]], SIGNED),
        note_of([TEXT[0], b"18446744073709551616", *TEXT[2:]], SIGNED),
        note_of([TEXT[0], b"9" * 5000, *TEXT[2:]], SIGNED),
        note_of([TEXT[0], "\u0663".encode(), *TEXT[2:]], SIGNED),
        note_of([*TEXT[:4], b"1099511627776"], SIGNED),
        note_of([*TEXT[:2], TEXT[2][:-1], *TEXT[3:]], SIGNED),
        note_of([*TEXT[:2], TEXT[2][:-2] + b"p=", *TEXT[3:]], SIGNED),  # unused bits of base64
        note_of([*TEXT[:2], b"0x" + b"0a" * 32, *TEXT[3:]], SIGNED),
        note_of([b"acme.example", *TEXT[1:]], SIGNED),
        note_of([b"acme.example/evm/01337", *TEXT[1:]], SIGNED),
        note_of([b"a" * 300 + b"/evm/1337", *TEXT[1:]], SIGNED),
        note_of(TEXT, [*SIGNED, b"- w9.example " + SIGNED[0].split(b" ")[2]]),
        note_of(TEXT, [*SIGNED, SIGNED[0] + b" "]),
        note_of(TEXT, [*SIGNED, SIGNED[0] + b"A"]),
        note_of(TEXT, [*SIGNED, b"\xe2\x80\x94 \xff " + SIGNED[0].split(b" ")[2]]),
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(MalformedError):
        WitnessNote.decode(data)


def test_a_hundred_signatures_are_too_many():
    lines = [b"\xe2\x80\x94 %d %s" % (n, SIGNED[0].split(b" ")[2]) for n in range(100)]
    with pytest.raises(LimitError, match="bytes"):
        WitnessNote.decode(note_of(TEXT, lines))
    with pytest.raises(LimitError, match="at most 32"):
        WitnessNote.decode(note_of(TEXT, lines[:33]))
    assert len(WitnessNote.decode(note_of(TEXT, lines[:32])).signatures) == 32


def test_a_line_repeated_is_refused():
    with pytest.raises(MalformedError, match="one of each key"):
        WitnessNote.decode(note_of(TEXT, [*SIGNED, SIGNED[0]]))
    again = lines_of(FIVE.note(POINT, [0], time_s=NOW_S + 1))[1]
    with pytest.raises(MalformedError, match="one of each key"):
        WitnessNote.decode(note_of(TEXT, SIGNED + again))


def test_a_signature_of_another_type_is_refused():
    plain = FIVE.keys[3].sign(POINT.text)  # an ordinary signed note's: no time, type 01
    point = FIVE.keys[3].public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"w3.example\n\x01" + point).digest()[:4]
    line = b"\xe2\x80\x94 w3.example " + base64.b64encode(key_id + plain)
    with pytest.raises(MalformedError, match="76 bytes"):
        WitnessNote.decode(note_of(TEXT, [*SIGNED[:2], line]))


def test_a_signature_over_another_type_under_our_key_id_is_refused():
    key = FIVE.keys[2]
    message = b"cosignature/v1\ntime %d\n" % NOW_S + POINT.text
    line = NoteSignature("w2.example", witness_key(key, "w2.example").key_id, NOW_S, key.sign(message))
    two = WitnessNote.decode(FIVE.note(POINT, range(2), time_s=NOW_S))
    with pytest.raises(SignatureError):
        verify_note(replace(two, signatures=(*two.signatures, line)).encode(), TRUST)


# -- who signed


@pytest.mark.parametrize("places", [[0], [0, 1], [3, 4]])
def test_fewer_than_the_threshold_are_refused(places):
    with pytest.raises(QuorumError, match="pinned witnesses"):
        verify_note(FIVE.note(POINT, places, time_s=NOW_S), TRUST)


@pytest.mark.parametrize("places", [[0, 1, 2], [4, 2, 0], range(4), range(5)])
def test_the_threshold_or_more_are_enough_in_any_order(places):
    assert verify_note(FIVE.note(POINT, places, time_s=NOW_S), TRUST).checkpoint == POINT


def test_strangers_are_ignored_and_count_for_nothing():
    others = Witnesses(5, seed=666)
    others.names = [f"x{n}.example" for n in range(5)]
    two = lines_of(FIVE.note(POINT, range(2), time_s=NOW_S))[1]
    strange = lines_of(others.note(POINT, range(5), time_s=NOW_S))[1]
    with pytest.raises(QuorumError):
        verify_note(note_of(TEXT, two + strange), TRUST)
    assert verify_note(note_of(TEXT, strange + SIGNED), TRUST).checkpoint == POINT


def test_a_stranger_with_a_witness_name_is_ignored_by_its_key_id():
    others = Witnesses(5, seed=666)
    strange = lines_of(others.note(POINT, range(5), time_s=NOW_S))[1]
    with pytest.raises(QuorumError):
        verify_note(note_of(TEXT, strange), TRUST)


def test_one_key_under_two_names_is_one_witness():
    twins = Witnesses(3)
    twins.keys[1] = twins.keys[0]
    with pytest.raises(QuorumError, match="distinct public keys"):
        verify_note(twins.note(POINT, [0, 1], time_s=NOW_S), twins.trust(2))
    # Where it is pinned once only, its other name is a stranger's.
    alone = replace(FIVE.trust(3), keys=FIVE.vkeys)
    renamed = Witnesses(5)
    renamed.names[0] = "other.example"
    lines = lines_of(FIVE.note(POINT, [0, 1], time_s=NOW_S))[1]
    lines += lines_of(renamed.note(POINT, [0], time_s=NOW_S))[1]
    with pytest.raises(QuorumError):
        verify_note(note_of(TEXT, lines), alone)


def test_half_of_the_witnesses_are_never_enough():
    four = Witnesses(4)
    with pytest.raises(QuorumError, match="more than half"):
        verify_note(four.note(POINT, [0, 1], time_s=NOW_S), four.trust(2))


def test_another_origin_is_refused_although_the_same_witnesses_signed_it():
    other = replace(POINT, origin="acme.example/evm/1338")
    with pytest.raises(MismatchError, match="origin"):
        verify_note(FIVE.note(other, range(5), time_s=NOW_S), TRUST)


@pytest.mark.parametrize(
    "change", [{"number": 1}, {"hash": bytes(32)}, {"state_root": bytes(32)}, {"time": NOW_S}]
)
def test_a_text_that_was_changed_after_signing_is_refused(change):
    note = WitnessNote.decode(GOOD)
    with pytest.raises(SignatureError):
        verify_note(replace(note, checkpoint=replace(POINT, **change)).encode(), TRUST)


def test_a_time_that_was_changed_after_signing_is_refused():
    note = WitnessNote.decode(GOOD)
    later = replace(note.signatures[0], time=NOW_S + 1)
    with pytest.raises(SignatureError):
        verify_note(replace(note, signatures=(later, *note.signatures[1:])).encode(), TRUST)


# -- how old it is


def test_the_newest_time_of_a_stolen_key_refreshes_nothing():
    old = NOW_S - 31_536_000
    assert verify_note(FIVE.note(POINT, {0: old, 1: old, 2: NOW_S}), TRUST).witnessed_at == old
    two_stolen = {0: old, 1: old, 2: old, 3: NOW_S, 4: NOW_S}
    assert verify_note(FIVE.note(POINT, two_stolen), TRUST).witnessed_at == old


def test_the_time_is_the_threshold_th_newest():
    times = {0: 50, 1: 10, 2: 40, 3: 20, 4: 30}
    assert verify_note(FIVE.note(POINT, times), TRUST).witnessed_at == 30


def test_a_clock_of_1970_holds_back_only_where_it_is_needed():
    assert verify_note(FIVE.note(POINT, {0: 0, 1: NOW_S, 2: NOW_S}), TRUST).witnessed_at == 0
    assert verify_note(FIVE.note(POINT, {0: 0, 1: NOW_S, 2: NOW_S, 3: NOW_S}), TRUST).witnessed_at == NOW_S


def test_a_clock_of_2106_and_the_last_time_that_a_contract_knows_are_read():
    assert verify_note(FIVE.note(POINT, range(3), time_s=2**32), TRUST).witnessed_at == 2**32
    assert verify_note(FIVE.note(POINT, range(3), time_s=MAX_TIME_S), TRUST).witnessed_at == MAX_TIME_S
    with pytest.raises(LimitError):
        FIVE.note(POINT, [0], time_s=MAX_TIME_S + 1)
    blob = witness_key(FIVE.keys[0], "w0.example").key_id + (2**64 - 1).to_bytes(8, "big") + bytes(64)
    with pytest.raises(LimitError):
        WitnessNote.decode(note_of(TEXT, [b"\xe2\x80\x94 w0.example " + base64.b64encode(blob)]))


# -- joining


def single(place, point=POINT, time_s=NOW_S):
    return FIVE.sign(place, point, time_s).encode()


def test_notes_of_single_witnesses_are_joined():
    joined = join_notes([single(4), single(0), single(2)], TRUST)
    assert verify_note(joined, TRUST).checkpoint == POINT
    assert joined == join_notes([single(2), single(4), single(0)], TRUST)


def test_the_newest_block_that_enough_signed_is_joined():
    older, newest = replace(POINT, number=POINT.number - 1), replace(POINT, number=POINT.number + 1)
    notes = [single(n, older) for n in range(5)] + [single(n) for n in range(3)] + [single(0, newest)]
    assert verify_note(join_notes(notes, TRUST), TRUST).checkpoint == POINT


def test_too_few_notes_are_not_joined_and_bad_ones_are_passed_over():
    forged = single(2).replace(b"123456", b"123457")
    with pytest.raises(QuorumError, match="on one block"):
        join_notes([single(0), single(0), single(1), forged, b"rubbish"], TRUST)


def test_of_several_notes_of_one_witness_the_newest_is_joined():
    notes = [single(0), single(0, time_s=NOW_S + 9), single(0, time_s=NOW_S + 5), single(1), single(2)]
    times = {line.name: line.time for line in WitnessNote.decode(join_notes(notes, TRUST)).signatures}
    assert times == {"w0.example": NOW_S + 9, "w1.example": NOW_S, "w2.example": NOW_S}


def long_named(name_chars):
    many = Witnesses(32)
    many.names = [f"{place:02}" + "w" * (name_chars - 2) for place in range(32)]
    return many, [many.note(POINT, [place], time_s=NOW_S + place) for place in range(32)]


def test_of_more_signatures_than_a_note_holds_the_newest_are_joined():
    many, notes = long_named(200)
    trust = many.trust(17)
    joined = WitnessNote.decode(join_notes(notes, trust))
    times = {line.time for line in joined.signatures}
    assert 17 <= len(times) < 32
    assert times == set(range(NOW_S + 32 - len(times), NOW_S + 32))
    assert verify_note(joined.encode(), trust).witnessed_at == NOW_S + 15


def test_witnesses_whose_names_leave_no_room_for_a_quorum_are_not_joined():
    many, notes = long_named(255)
    with pytest.raises(QuorumError, match="room for 31"):
        join_notes(notes, many.trust(31))


def test_two_blocks_of_one_height_are_not_joined_into_one():
    fork = replace(POINT, hash=b"\x0c" * 32)
    notes = [single(n) for n in range(3)] + [single(n, fork) for n in (2, 3, 4)]
    with pytest.raises(QuorumError, match="one block of height"):
        join_notes(notes, TRUST)


def test_a_name_that_no_note_can_carry_is_refused():
    for name in ("", "a b", "a+b", "a\nb", "x" * 300):
        with pytest.raises(MalformedError):
            sign_note(POINT, FIVE.keys[0], name=name, time_s=0)


# --- what mutation testing found unheld


def test_a_line_of_a_signature_begins_with_a_dash():
    text, lines = lines_of(GOOD)
    bare = [line.removeprefix("\N{EM DASH} ".encode()) for line in lines]
    with pytest.raises(MalformedError, match="line of a signature"):
        WitnessNote.decode(note_of(text, bare))


def test_a_threshold_above_the_number_of_keys_is_no_trust():
    for threshold in (2, 6):
        with pytest.raises(QuorumError, match="witnesses"):
            verify_note(GOOD, replace(TRUST, threshold=threshold))


def test_notes_that_do_not_count_hide_none_behind_them():
    other = Witnesses(5, origin="other.example/evm/1")
    strange = other.sign(0, replace(POINT, origin=other.origin), NOW_S).encode()
    single = [FIVE.sign(place, POINT, NOW_S).encode() for place in range(3)]
    assert verify_note(join_notes([strange, b"no note", *single], TRUST), TRUST).checkpoint == POINT
    with pytest.raises(QuorumError) as few:
        join_notes(single[:2], TRUST)
    assert few.value.got == 2
    with pytest.raises(QuorumError) as none:
        join_notes([], TRUST)
    assert none.value.got == 0


def test_a_witness_that_signed_twice_counts_with_its_newest_time():
    older = [FIVE.sign(place, POINT, NOW_S - 50).encode() for place in range(3)]
    newer = [FIVE.sign(place, POINT, NOW_S).encode() for place in range(3)]
    for notes in ([*older, *newer], [*newer, *older]):
        assert verify_note(join_notes(notes, TRUST), TRUST).witnessed_at == NOW_S


def test_a_note_names_a_sealed_header_without_seals_and_every_other_as_it_stands():
    sealed = parse_header(Validators(4).seal(header_fields()))
    assert noted_hash(sealed) == qbft.block_hash(sealed) != keccak256(sealed.encode())
    fields = header_fields()
    fields[13] = bytes(32)
    plain = parse_header(rlp.encode(list(fields)))
    assert noted_hash(plain) == keccak256(plain.encode())
    odd = parse_header(rlp.encode(list(header_fields())))  # the mix hash of QBFT, and no QBFT data
    assert noted_hash(odd) == keccak256(odd.encode())


def test_a_note_and_a_name_of_exactly_the_limit_are_read(monkeypatch):
    monkeypatch.setattr(witness_note, "MAX_NOTE_BYTES", len(GOOD))
    assert WitnessNote.decode(GOOD).checkpoint == POINT
    with pytest.raises(LimitError):
        WitnessNote.decode(GOOD.replace(b"123456", b"1234567"))
    ending = "/evm/1337"
    origin = "a" * (MAX_LABEL_BYTES - len(ending)) + ending
    for longest, read in ((origin, True), ("a" + origin, False)):
        data = note_of([longest.encode(), *TEXT[1:]], SIGNED)
        monkeypatch.setattr(witness_note, "MAX_NOTE_BYTES", len(data))
        if read:
            assert WitnessNote.decode(data).checkpoint.origin == origin
        else:
            with pytest.raises(MalformedError, match="origin"):
                WitnessNote.decode(data)


@pytest.mark.parametrize(
    ("place", "line", "what"),
    [
        (1, b"-1", "note: block number"),
        (2, b"x", "note: block hash"),
        (3, b"x", "note: state root"),
        (4, b"x", "note: block time"),
        (5, b"\xe2\x80\x94 w0.example x", "note: signature"),
    ],
)
def test_the_line_that_cannot_be_read_is_named(place, line, what):
    lines = [*TEXT, SIGNED[0]]
    lines[place] = line
    with pytest.raises(MalformedError) as refused:
        WitnessNote.decode(note_of(lines[:5], lines[5:]))
    assert refused.value.what == what


@pytest.mark.parametrize(("place", "greatest"), [(1, 2**64 - 1), (4, 2**40 - 1)])
def test_the_greatest_numbers_of_a_note_are_read_and_not_one_more(place, greatest):
    lines = list(TEXT)
    lines[place] = b"%d" % greatest
    assert WitnessNote.decode(note_of(lines, SIGNED)).encode() == note_of(lines, SIGNED)
    lines[place] = b"%d" % (greatest + 1)
    with pytest.raises(MalformedError):
        WitnessNote.decode(note_of(lines, SIGNED))


def test_all_witnesses_may_be_the_threshold():
    assert verify_note(FIVE.note(POINT, range(5), time_s=NOW_S), FIVE.trust(5)).checkpoint == POINT


def test_lines_of_a_text_end_with_a_newline_and_nothing_else():
    for between in (b" ", b"\r", b"\t"):
        with pytest.raises(MalformedError, match="five lines"):
            WitnessNote.decode(GOOD.replace(b"\n", between, 1))


def test_as_many_signatures_are_joined_as_there_is_room_for_and_not_one_fewer():
    many, notes = long_named(200)
    held = len(WitnessNote.decode(join_notes(notes, many.trust(17))).signatures)
    one_more = held + 1
    assert len(WitnessNote.decode(join_notes(notes, many.trust(held))).signatures) == held
    # Down from an odd number and from an even one: no count is stepped over.
    assert len(WitnessNote.decode(join_notes(notes[1:], many.trust(17))).signatures) == held
    with pytest.raises(QuorumError, match=f"room for {one_more} signatures"):
        join_notes(notes, many.trust(one_more))


def test_a_threshold_that_no_note_could_reach_is_a_fault_of_the_trust_root():
    with pytest.raises(QuorumError) as refused:
        verify_note(GOOD, replace(TRUST, threshold=6))
    assert refused.value.what == "trust root: witnesses"


def test_a_key_under_two_names_counts_with_the_newest_time_of_both():
    point = WitnessKey.parse(FIVE.vkeys[0]).point
    newer = sign_note(POINT, FIVE.keys[0], name="a.example", time_s=NOW_S).signatures
    older = sign_note(POINT, FIVE.keys[0], name="b.example", time_s=NOW_S - 50).signatures
    keys = [WitnessKey("a.example", point), WitnessKey("b.example", point)]
    assert signer_times(WitnessNote(POINT, newer + older), keys) == {point: NOW_S}
    assert signer_times(WitnessNote(POINT, older + newer), keys) == {point: NOW_S}


def test_a_vkey_is_read_up_to_a_limit_and_not_one_character_more(monkeypatch):
    good = FIVE.vkeys[0]
    monkeypatch.setattr(witness_key_module, "MAX_VKEY_BYTES", len(good))
    assert WitnessKey.parse(good).vkey == good
    monkeypatch.setattr(witness_key_module, "MAX_VKEY_BYTES", len(good) - 1)
    with pytest.raises(TrustRootError, match="base64"):
        WitnessKey.parse(good)


def test_a_vkey_of_another_type_is_refused_by_its_type():
    with pytest.raises(TrustRootError, match="type ff evm-checkpoint/v1"):
        WitnessKey.parse(made_vkey("w.example", kind=b"\x01evm-checkpoint/v1"))
