import random

import pytest
import rlp as reference

from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.ledger import rlp


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "nothing"),
        ("8100", "a single byte below 80 with a prefix"),
        ("817f", "a single byte below 80 with a prefix"),
        ("b800", "a long length of zero"),
        ("b837" + "00" * 55, "a long form for 55 bytes"),
        ("f837" + "00" * 55, "a long form for a list of 55 bytes"),
        ("b90038" + "00" * 56, "a length with a leading zero"),
        ("b838" + "00" * 55, "a payload that ends early"),
        ("83aabb", "a short payload that ends early"),
        ("b9", "a length that ends early"),
        ("c281", "an item that passes the end of its list"),
        ("c3820102ff", "bytes after the item"),
        ("0102", "two items"),
        ("c20102c0", "a list and something after it"),
        ("c182", "an item inside a list without its payload"),
        ("bf" + "ff" * 8, "a length of 2^64 - 1"),
        ("ff" + "ff" * 8, "a list length of 2^64 - 1"),
        ("c383aabbcc", "an inner item longer than its list"),
    ],
)
def test_what_is_not_canonical_is_refused(data, why):
    with pytest.raises(MalformedError):
        rlp.decode(bytes.fromhex(data))


def test_a_million_nested_lists_are_refused_without_a_recursion_error():
    # Each prefix claims everything behind it, 2^20 lists deep: built inside out with four-byte lengths.
    depth, tail = 2**20, b""
    size, prefixes = 0, []
    for _ in range(depth):
        prefix = bytes([0xC0 + size]) if size < 56 else _long(size)
        prefixes.append(prefix)
        size += len(prefix)
    data = b"".join(reversed(prefixes)) + tail
    with pytest.raises(LimitError, match="deep"):
        rlp.decode(data)


def _long(size: int) -> bytes:
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(length)]) + length


def test_depth_is_bounded_exactly():
    assert rlp.decode(bytes.fromhex("c2c1c0"), max_depth=3) == [[[]]]
    with pytest.raises(LimitError):
        rlp.decode(bytes.fromhex("c2c1c0"), max_depth=2)


def test_items_are_bounded_exactly():
    assert rlp.decode(bytes.fromhex("c3010203"), max_items=4) == [b"\1", b"\2", b"\3"]
    with pytest.raises(LimitError):
        rlp.decode(bytes.fromhex("c3010203"), max_items=3)


def test_a_list_that_must_be_one_is_not_a_string():
    with pytest.raises(MalformedError, match="list"):
        rlp.decode_list(b"\x80")


@pytest.mark.parametrize("item", [b"\0\1", b"\0", [b"\1"], bytes(33)])
def test_a_scalar_is_short_and_without_leading_zeros(item):
    with pytest.raises(MalformedError):
        rlp.scalar(item, max_bytes=32, what="x")


def test_scalars_round_trip():
    for number in (0, 1, 127, 128, 255, 256, 2**64 - 1, 2**256 - 1):
        assert rlp.scalar(rlp.encode_scalar(number), max_bytes=32, what="x") == number


@pytest.mark.parametrize("size", [0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536])
def test_edges_of_the_length_forms_agree_with_the_reference(size):
    for item in (b"\xaa" * size, [b"\1"] * size):
        assert rlp.encode(item) == reference.encode(item)
        assert rlp.decode(reference.encode(item), max_items=70_000) == item


def test_ten_thousand_mutations_are_accepted_only_as_the_reference_accepts_them():
    rng = random.Random(7)
    seed = reference.encode([b"dog", [b"", b"\1", [b"x" * 60]], b"y" * 300, []])
    accepted = 0
    for _ in range(10_000):
        data = bytearray(seed[: rng.randrange(1, len(seed) + 1)] if rng.random() < 0.3 else seed)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(min(len(data), 90))] = rng.randrange(256)
        try:
            ours = rlp.decode(bytes(data))
        except MalformedError:
            ours = None
        try:
            theirs = reference.decode(bytes(data), strict=True)
        except (reference.DecodingError, RecursionError):
            theirs = None
        assert ours == theirs
        accepted += ours is not None
    assert accepted > 1_000


def test_the_byte_80_has_a_prefix_and_7f_has_none():
    assert rlp.encode(b"\x80") == b"\x81\x80"
    assert rlp.encode(b"\x7f") == b"\x7f"
    assert rlp.decode(b"\x81\x80") == b"\x80"


def test_a_length_of_four_bytes_is_read_and_one_of_five_is_not():
    with pytest.raises(MalformedError, match="ends early") as ended:
        rlp.decode(b"\xbb\1\0\0\0")
    assert not isinstance(ended.value, LimitError)
    with pytest.raises(LimitError, match="length too long"):
        rlp.decode(b"\xbc\1\0\0\0\0")


def test_a_length_that_ends_with_the_input_is_read():
    with pytest.raises(MalformedError, match="expected 56 bytes of payload"):
        rlp.decode(b"\xb8\x38")
    with pytest.raises(MalformedError, match="expected the length of an item"):
        rlp.decode(b"\xb9\x38")


def test_the_bounds_of_a_list_are_handed_on():
    with pytest.raises(LimitError):
        rlp.decode_list(b"\xc1\xc0", max_depth=1)
    with pytest.raises(LimitError):
        rlp.decode_list(b"\xc2\1\2", max_items=2)
    assert rlp.decode_list(b"\xc2\1\2", max_items=3, max_depth=1) == [b"\1", b"\2"]
