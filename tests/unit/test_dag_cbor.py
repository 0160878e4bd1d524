import math
import re
from collections import OrderedDict

import pytest

from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.content.dag_cbor import decode, encode
from ledger_protocol.errors import LimitError, MalformedError

CID = Cid.of(RAW, b"x")
LINK = "d82a5825" + "00" + CID.to_bytes().hex()

REFUSED = {
    "nothing": "",
    "trailing byte": "0000",
    "truncated head": "18",
    "truncated bytes": "4201",
    "truncated text": "6261",
    "truncated array": "8201",
    "truncated map": "a16161",
    "huge array": "9bffffffffffffffff",
    "huge map": "bbffffffffffffffff",
    "map of half the items": "a2616101",
    "huge bytes": "5bffffffffffffffff",
    "one-byte integer under 24": "1817",
    "two-byte integer under 256": "1900ff",
    "four-byte integer under 65536": "1a0000ffff",
    "eight-byte integer under 2^32": "1b00000000ffffffff",
    "long length of bytes": "580100",
    "long length of text": "780161",
    "reserved additional 28": "1c",
    "reserved additional 30": "1e",
    "reserved additional 28 and its 16 bytes": "1c01" + "00" * 15,
    "indefinite integer": "1f",
    "indefinite bytes": "5f4100ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f01ff",
    "indefinite map": "bf616101ff",
    "break": "ff",
    "half float": "f93c00",
    "float": "fa3f800000",
    "double": "fb3ff0000000000000",
    "nan": "fb7ff8000000000000",
    "undefined": "f7",
    "simple 16": "f0",
    "long false": "f814",
    "simple 255": "f8ff",
    "bytes that are not UTF-8": "61ff",
    "overlong UTF-8": "62c0af",
    "a surrogate in UTF-8": "63eda080",
    "integer key": "a10101",
    "bytes key": "a1416101",
    "keys not sorted": "a261620161610 2".replace(" ", ""),
    "long key first": "a262616101616202",
    "key twice": "a2616101616102",
    "bignum": "c24101",
    "negative bignum": "c34101",
    "date": "c07818323031332d30332d32315432303a30343a30305a",
    "self-described": "d9d9f701",
    "set": "d9010281 01".replace(" ", ""),
    "link under a long tag": "d9002a5825" + "00" + CID.to_bytes().hex(),
    "a link's bytes under tag 43": "d82b582500" + CID.to_bytes().hex(),
    "a link's bytes under tag 0": "c0582500" + CID.to_bytes().hex(),
    "a link's bytes as text": "d82a782500" + CID.to_bytes().hex(),
    "link of text": "d82a6161",
    "link without its zero": "d82a5824" + CID.to_bytes().hex(),
    "link with another first byte": "d82a582501" + CID.to_bytes().hex(),
    "link one byte longer": "d82a582600" + CID.to_bytes().hex() + "00",
    "link with another codec": "d82a5825000172" + CID.to_bytes().hex()[4:],
    "link with a version-0 CID": "d82a582300" + CID.to_bytes().hex()[4:],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_strict_is_refused(name):
    with pytest.raises(MalformedError):
        decode(bytes.fromhex(REFUSED[name]), max_bytes=100)


@pytest.mark.parametrize("data", ["8201", "9bffffffffffffffff", "a2616101", "bbffffffffffffffff"])
def test_a_count_that_the_bytes_left_cannot_hold_is_refused_before_any_item(data):
    with pytest.raises(MalformedError, match="items at"):
        decode(bytes.fromhex(data), max_bytes=100)


@pytest.mark.parametrize("opening", ["81", "a16161"])
def test_depth_ends_at_sixteen_levels(opening):
    assert decode(bytes.fromhex(opening * 16 + "00"), max_bytes=100)
    with pytest.raises(LimitError, match="depth"):
        decode(bytes.fromhex(opening * 17 + "00"), max_bytes=100)


def test_two_thousand_levels_do_not_exhaust_the_stack():
    with pytest.raises(LimitError, match="depth"):
        decode(b"\x81" * 2000 + b"\x00", max_bytes=3000)


def test_length_ends_at_the_limit():
    assert decode(b"\x42ab", max_bytes=3) == b"ab"
    with pytest.raises(LimitError, match="length"):
        decode(b"\x42ab", max_bytes=2)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        math.nan,
        2**64,
        -(2**64) - 1,
        {1: 2},
        {b"a": 2},
        {"a": {2: 1}},
        {1, 2},
        object(),
        "\ud800",
        {"\ud800": 1},
        range(3),
        [[1.5]],
    ],
    ids=lambda value: re.sub(" at 0x.*>", ">", repr(value)),
)
def test_what_decode_would_refuse_is_not_encoded(value):
    with pytest.raises(MalformedError):
        encode(value)


def test_encode_ends_at_sixteen_levels_too():
    value: object = 0
    for _ in range(16):
        value = [value]
    assert decode(encode(value), max_bytes=100) == value
    with pytest.raises(LimitError, match="depth"):
        encode([value])
    with pytest.raises(LimitError, match="depth"):
        encode({"a": value})


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65535, "19ffff"),
        (65536, "1a00010000"),
        (2**32 - 1, "1affffffff"),
        (2**32, "1b0000000100000000"),
        (2**64 - 1, "1bffffffffffffffff"),
        (-1, "20"),
        (-24, "37"),
        (-25, "3818"),
        (-(2**64), "3bffffffffffffffff"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"", "40"),
        ("ü", "62c3bc"),
        ([], "80"),
        ({}, "a0"),
        ({"b": 1, "aa": 2, "a": 3}, "a36161036162016261 6102".replace(" ", "")),
        (CID, LINK),
    ],
)
def test_a_value_has_this_encoding(value, encoded):
    assert encode(value).hex() == encoded
    decoded = decode(bytes.fromhex(encoded), max_bytes=100)
    assert decoded == value
    assert type(decoded) is type(value)


def test_tuples_and_other_maps_encode_like_lists_and_dicts():
    assert encode((1, (2,))) == encode([1, [2]])
    assert encode(OrderedDict(b=1, a=2)) == encode({"a": 2, "b": 1})
    assert encode(bytearray(b"ab")) == encode(memoryview(b"ab")) == encode(b"ab")


def test_bytes_that_look_like_a_link_stay_bytes():
    for data in (CID.to_bytes(), b"\0" + CID.to_bytes()):
        assert decode(encode(data), max_bytes=100) == data


@pytest.mark.parametrize("item", [b"\x80", b"\x00", b"\xa0"])
def test_more_values_than_any_document_has_are_refused_before_they_fill_memory(item):
    count = 65_535
    most = b"\x99" + count.to_bytes(2, "big") + item * count
    assert encode(decode(most, max_bytes=2**20)) == most
    more = b"\x9a" + (count + 1).to_bytes(4, "big") + item * (count + 1)
    with pytest.raises(LimitError):
        decode(more, max_bytes=2**20)
    with pytest.raises(LimitError):
        encode([0] * (count + 1))
