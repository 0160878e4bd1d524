"""The chunkers cut where Kubo cuts; tests/engines compares whole trees with the real one."""

from __future__ import annotations

import io
import random
import tracemalloc

import pytest

from ledger_client.content.chunker import POLYNOMIAL, Fixed, Rabin, parse_chunker
from ledger_client.errors import UsageError


def rabin_lengths(data: bytes, low: int, average: int, high: int) -> list[int]:
    """The definition of content.md §1, one position at a time."""
    mask = (1 << average.bit_length() - 1) - 1

    def fingerprint(window: bytes) -> int:
        value = int.from_bytes(window, "big")
        while value.bit_length() >= POLYNOMIAL.bit_length():
            value ^= POLYNOMIAL << value.bit_length() - POLYNOMIAL.bit_length()
        return value

    lengths = []
    start = 0
    while start < len(data):
        longest = min(high, len(data) - start)
        length = min(low, longest)
        while length < longest and fingerprint(data[start + length - 16 : start + length]) & mask:
            length += 1
        lengths.append(length)
        start += length
    return lengths


class Dribble:
    """A stream that gives a few bytes at a time, as a socket may."""

    def __init__(self, data: bytes, step: int) -> None:
        self.stream = io.BytesIO(data)
        self.step = step

    def read(self, size: int) -> bytes:
        return self.stream.read(min(size, self.step))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rabin",
        "rabin-32768",
        "rabin-1-2",
        "size-0",
        "size-01",
        "size--1",
        "size-9999999999",
        "size-2097153",
        "default",
        "rabin-15-64-256",
        "rabin-64-64-256",
        "rabin-64-256-256",
        "rabin-64-256-2097153",
        "buzhash",
        "size-٣",
        "size-1\n",
    ],
)
def test_a_chunker_that_kubo_versions_read_differently_is_refused(text):
    with pytest.raises(UsageError):
        parse_chunker(text)


@pytest.mark.parametrize(
    "text", ["size-1", "size-1048576", "size-262144", "rabin-16384-32768-65536", "rabin-16-17-18"]
)
def test_a_chunker_reads_and_writes_as_the_same_text(text):
    assert str(parse_chunker(text)) == text


@pytest.mark.parametrize("chunker", [Fixed(10), Rabin(16, 32, 64)])
def test_an_empty_stream_has_no_chunk(chunker):
    assert list(chunker.chunks(io.BytesIO(b""))) == []


@pytest.mark.parametrize("size", [1, 9, 10, 11, 100, 101])
def test_fixed_chunks_are_full_but_for_the_last(size):
    data = random.Random(size).randbytes(size)
    chunks = list(Fixed(10).chunks(io.BytesIO(data)))
    assert b"".join(chunks) == data
    assert {len(chunk) for chunk in chunks[:-1]} <= {10}


@pytest.mark.parametrize("sizes", [(16, 64, 256), (100, 200, 5000), (16, 17, 18), (4000, 4097, 9000)])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 256, 257, 20_000])
def test_rabin_cuts_where_its_definition_says(sizes, size):
    data = random.Random(size).randbytes(size)
    assert [len(chunk) for chunk in Rabin(*sizes).chunks(io.BytesIO(data))] == rabin_lengths(data, *sizes)


def test_the_image_chunker_cuts_where_its_definition_says():
    data = random.Random(2).randbytes(150_000)
    sizes = (16384, 32768, 65536)
    assert [len(chunk) for chunk in Rabin(*sizes).chunks(io.BytesIO(data))] == rabin_lengths(data, *sizes)


@pytest.mark.parametrize("pattern", [b"\0", b"\xff", b"abc", bytes(range(256))])
def test_uniform_data_is_cut_at_the_bounds(pattern):
    data = pattern * (300_000 // len(pattern))
    chunks = list(Rabin(16384, 32768, 65536).chunks(io.BytesIO(data)))
    assert b"".join(chunks) == data
    assert all(16384 <= len(chunk) <= 65536 for chunk in chunks[:-1])


def test_a_change_in_the_middle_leaves_the_chunks_around_it():
    data = random.Random(3).randbytes(2_000_000)
    changed = data[:1_000_000] + b"inserted" + data[1_000_000:]
    chunker = Rabin(16384, 32768, 65536)
    before = set(chunker.chunks(io.BytesIO(data)))
    after = set(chunker.chunks(io.BytesIO(changed)))
    assert len(after - before) <= 3


@pytest.mark.parametrize("step", [1000, 4096, 70_001])
def test_short_reads_change_nothing(step):
    data = random.Random(step).randbytes(500_000)
    chunker = Rabin(16384, 32768, 65536)
    assert list(chunker.chunks(Dribble(data, step))) == list(chunker.chunks(io.BytesIO(data)))


def test_memory_does_not_grow_with_the_stream():
    class Endless:
        left = 48 * 1024 * 1024

        def read(self, size: int) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    chunker = Rabin(16384, 32768, 65536)
    list(chunker.chunks(io.BytesIO(bytes(100_000))))  # the tables are made once
    tracemalloc.start()
    count = sum(1 for _ in chunker.chunks(Endless()))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 0
    assert peak_bytes < 8 * 1024 * 1024
