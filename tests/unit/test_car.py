import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content import car, dag_cbor, varint
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, ProtocolError
from tests.fuzzing import mutated

BLOCKS = [b"one", b"", b"three" * 100]
CIDS = [Cid.of(RAW, block) for block in BLOCKS]
HEADER = car.encode_header(CIDS[:1])
ARCHIVE = HEADER + b"".join(car.encode_section(cid, block) for cid, block in zip(CIDS, BLOCKS, strict=True))


class Trickle:
    """A stream that gives one byte at a time, as a slow network does."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, size):
        return self._stream.read(min(size, 1))


def read_all(stream, **options):
    return car.read_header(stream), list(car.iter_blocks(stream, **options))


def header_of(value) -> bytes:
    data = dag_cbor.encode(value)
    return varint.encode(len(data)) + data


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x80",
        b"\x00",
        HEADER[:-1],
        header_of({"roots": CIDS[:1], "version": 2}),
        header_of({"roots": CIDS[:1], "version": True}),
        header_of({"roots": CIDS[:1]}),
        header_of({"version": 1}),
        header_of({"roots": [], "version": 1}),
        header_of({"roots": CIDS[:1] * 17, "version": 1}),
        header_of({"roots": [CIDS[0].to_bytes()], "version": 1}),
        header_of({"roots": [CIDS[0], 1], "version": 1}),
        header_of({"roots": CIDS[:1], "version": 1, "more": 1}),
        header_of([1]),
        b"\xff" * 20,
        b"\xa9" + HEADER[1:],
        bytes((HEADER[0] | 0x80, 0)) + HEADER[1:],
        # the pragma of a CAR v2
        bytes.fromhex("0aa16776657273696f6e02"),
    ],
)
def test_other_headers_are_refused(header):
    with pytest.raises(MalformedError):
        car.read_header(io.BytesIO(header))


def test_an_oversize_header_is_refused_unread():
    stream = io.BytesIO(varint.encode(4097) + bytes(5000))
    with pytest.raises(LimitError, match="header"):
        car.read_header(stream)
    assert stream.tell() == 2


@pytest.mark.parametrize("cut", range(1, 540))
def test_an_archive_cut_inside_a_section_is_refused(cut):
    ends = {len(HEADER)}
    for cid, block in zip(CIDS, BLOCKS, strict=True):
        ends.add(max(ends) + len(car.encode_section(cid, block)))
    stream = io.BytesIO(ARCHIVE[: len(ARCHIVE) - cut])
    if len(ARCHIVE) - cut in ends:
        read_all(stream)
        return
    with pytest.raises(MalformedError):
        read_all(stream)


def test_a_block_that_is_not_its_cid_is_refused_before_it_is_handed_out():
    at = ARCHIVE.index(b"three")
    stream = io.BytesIO(ARCHIVE[:at] + b"T" + ARCHIVE[at + 1 :])
    car.read_header(stream)
    blocks = car.iter_blocks(stream)
    assert next(blocks) == (CIDS[0], BLOCKS[0])
    assert next(blocks) == (CIDS[1], BLOCKS[1])
    with pytest.raises(MismatchError):
        next(blocks)


def test_an_oversize_block_is_refused_unread():
    section = varint.encode(36 + 501) + CIDS[0].to_bytes() + bytes(501)
    stream = io.BytesIO(HEADER + section)
    with pytest.raises(LimitError, match="501"):
        read_all(stream, max_block_bytes=500)
    assert stream.tell() == len(HEADER) + 2


def test_a_block_of_exactly_the_limit_is_read():
    assert len(read_all(io.BytesIO(ARCHIVE), max_block_bytes=500)[1]) == 3
    with pytest.raises(LimitError):
        read_all(io.BytesIO(ARCHIVE), max_block_bytes=499)


@pytest.mark.parametrize("section", [b"\x00", b"\x23" + bytes(35), b"\x24" + b"\x12\x20" + bytes(34)])
def test_a_section_without_a_whole_cid_is_refused(section):
    with pytest.raises(MalformedError):
        read_all(io.BytesIO(HEADER + section))


@pytest.mark.parametrize("count", [0, 17])
def test_a_header_is_not_written_with_too_few_or_many_roots(count):
    with pytest.raises(LimitError):
        car.encode_header(CIDS[:1] * count)


def test_a_section_is_not_written_with_another_block():
    with pytest.raises(MismatchError):
        car.encode_section(CIDS[0], BLOCKS[1])
    with pytest.raises(LimitError):
        car.encode_section(CIDS[0], bytes(2**21 + 1))


@pytest.mark.parametrize("stream", [io.BytesIO, Trickle])
def test_reading_gives_roots_and_blocks_however_the_stream_splits(stream):
    roots, blocks = read_all(stream(ARCHIVE))
    assert roots == (CIDS[0],)
    assert blocks == list(zip(CIDS, BLOCKS, strict=True))


def test_a_header_has_the_published_form():
    cid = Cid.of(DAG_CBOR, b"\xf6")
    assert (
        car.encode_header([cid])[:19].hex() == "3aa265726f6f747381d82a58250001711220" + cid.digest[:1].hex()
    )


@settings(max_examples=300)
@given(mutated(ARCHIVE) | st.binary(max_size=100))
def test_only_protocol_errors_leave_and_blocks_match_their_cids(data):
    try:
        roots, blocks = read_all(io.BytesIO(data))
    except ProtocolError:
        return
    again = car.encode_header(roots) + b"".join(car.encode_section(cid, block) for cid, block in blocks)
    assert again == data
