import json
from pathlib import Path

import pytest

from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import MAX_HEADER_BYTES, parse_header
from tests.sim.validators import header_fields

NETWORK = json.loads((Path(__file__).parents[1] / "vectors" / "qbft-network.json").read_text())

LATER_FORKS = [bytes(32), b"", b"", bytes(32), bytes(32), bytes(32), bytes(32), b"\1"]  # fields 17 to 24


def raw(fields) -> bytes:
    return rlp.encode(list(fields))


@pytest.mark.parametrize("count", [0, 1, 14, 25, 40])
def test_other_field_counts_are_refused(count):
    fields = (header_fields() + LATER_FORKS + [b""] * 30)[:count]
    with pytest.raises(MalformedError):
        parse_header(raw(fields))


@pytest.mark.parametrize("count", range(15, 25))
def test_fifteen_to_twenty_four_fields_are_read(count):
    fields = (header_fields() + LATER_FORKS)[:count]
    header = parse_header(raw(fields))
    assert len(header.fields) == count
    assert header.encode() == raw(fields)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6, 13, 14])
@pytest.mark.parametrize("wrong", [-1, 1])
def test_fields_of_fixed_length_have_it(place, wrong):
    fields = header_fields()
    fields[place] = bytes(len(fields[place]) + wrong)
    with pytest.raises(MalformedError):
        parse_header(raw(fields))


@pytest.mark.parametrize("place", [7, 8, 9, 10, 11, 15])
@pytest.mark.parametrize("wrong", [b"\0", b"\0\1", bytes([1]) * 33])
def test_numbers_are_short_and_minimal(place, wrong):
    fields = header_fields()
    fields[place] = wrong
    with pytest.raises(MalformedError):
        parse_header(raw(fields))


@pytest.mark.parametrize("place", [8, 9, 10, 11])
def test_heights_and_times_fit_64_bits(place):
    fields = header_fields()
    fields[place] = bytes([1]) * 9
    with pytest.raises(MalformedError):
        parse_header(raw(fields))


@pytest.mark.parametrize("place", range(16))
def test_no_field_is_a_list(place):
    fields = header_fields()
    fields[place] = []
    with pytest.raises((MalformedError, LimitError)):
        parse_header(raw(fields))


def test_a_field_of_an_unknown_fork_is_bounded():
    with pytest.raises(MalformedError):
        parse_header(raw([*header_fields(), *LATER_FORKS[:5], bytes(33)]))


def test_a_header_is_bounded():
    fields = header_fields()
    fields[12] = bytes(MAX_HEADER_BYTES)
    with pytest.raises(LimitError):
        parse_header(raw(fields))


def test_a_byte_after_the_header_is_refused():
    with pytest.raises(MalformedError):
        parse_header(raw(header_fields()) + b"\0")


def test_recorded_headers_say_what_their_network_said():
    for entry in NETWORK["headers"]:
        header = parse_header(bytes.fromhex(entry["raw"][2:]))
        assert header.number == entry["number"]
        assert header.state_root.hex() == entry["stateRoot"][2:]
        assert header.encode().hex() == entry["raw"][2:]


def test_every_field_is_read_from_its_place():
    fields = [bytes([n + 1]) * len(field) for n, field in enumerate(header_fields())]
    for place, number in {7: 0x0701, 8: 0x0801, 9: 1, 10: 2, 11: 0x0B01, 15: 3}.items():
        fields[place] = rlp.encode_scalar(number)
    fields[12] = b"extra"
    header = parse_header(raw(fields))
    assert header.fields == tuple(fields)
    assert (header.parent_hash, header.coinbase, header.state_root) == (fields[0], fields[2], fields[3])
    assert (header.transactions_root, header.receipts_root) == (fields[4], fields[5])
    assert (header.difficulty, header.number, header.timestamp) == (0x0701, 0x0801, 0x0B01)
    assert (header.extra_data, header.mix_hash, header.nonce) == (b"extra", fields[13], fields[14])
    other = [*fields[:12], b"other", *fields[13:]]
    assert header.encode_with_extra(b"other") == raw(other)
    assert header.encode() == raw(fields)


def test_a_header_of_exactly_the_limit_is_read():
    fields = header_fields()
    fields[12] = bytes(MAX_HEADER_BYTES - len(raw(fields)))
    fields[12] = fields[12][: len(fields[12]) - (len(raw(fields)) - MAX_HEADER_BYTES)]
    assert len(raw(fields)) == MAX_HEADER_BYTES
    assert parse_header(raw(fields)).extra_data == fields[12]
    with pytest.raises(LimitError):
        parse_header(raw([*fields[:12], fields[12] + b"\0", *fields[13:]]))


def test_items_and_levels_are_bounded_before_fields_are_looked_at():
    with pytest.raises(MalformedError, match="field count") as counted:
        parse_header(raw([b""] * 25))
    assert not isinstance(counted.value, LimitError)
    with pytest.raises(LimitError, match="too many items"):
        parse_header(raw([b""] * 26))
    with pytest.raises(MalformedError, match="a list") as read:
        parse_header(raw([[], *header_fields()[1:]]))
    assert not isinstance(read.value, LimitError)
    with pytest.raises(LimitError, match="too deep"):
        parse_header(raw([[[]], *header_fields()[1:]]))


def test_a_number_that_is_too_long_is_named():
    fields = header_fields()
    fields[8] = b"\1" * 9
    with pytest.raises(MalformedError, match="header: number"):
        parse_header(raw(fields))
