"""Cuts a stream into the chunks that Kubo would cut, for the chunkers that this project publishes with.

Rabin fingerprints (content.md §1): window of 16 bytes, polynomial 0x3DF305DFB2A805 of degree 53; a chunk
ends where its length is at least `min` and the fingerprint of its last 16 bytes has all of its low
floor(log2 avg) bits zero, or at `max`. The fingerprint depends on those 16 bytes only and is linear over
GF(2), so it is the XOR of eight table look-ups, one a pair of bytes: that is what lets numpy do it for
thousands of positions at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_CHUNK_BYTES = (
    2 * 1024 * 1024
)  # Kubo's largest chunk and block: larger ones are not exchanged between nodes
WINDOW_BYTES = 16
POLYNOMIAL = 0x3DF305DFB2A805
_DEGREE = POLYNOMIAL.bit_length() - 1
_READ_BYTES = 1024 * 1024  # what is asked of the stream at once
_SCAN_BYTES = 16 * 1024  # positions looked at in one pass: small enough that its arrays stay in the cache


@runtime_checkable
class Readable(Protocol):
    """What this package needs of a stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Chunks of one size (Kubo's `size-N`)."""

    size_bytes: int

    def __post_init__(self) -> None:
        if not 0 < self.size_bytes <= MAX_CHUNK_BYTES:
            raise UsageError(
                "chunk size out of range", expected=f"1 to {MAX_CHUNK_BYTES} bytes", got=self.size_bytes
            )

    def __str__(self) -> str:
        return f"size-{self.size_bytes}"

    def chunks(self, stream: Readable) -> Iterator[bytes]:
        """The chunks of `stream` in order, none empty: an empty stream has none."""
        while chunk := _read_exactly(stream, self.size_bytes):
            yield chunk


@dataclass(frozen=True, slots=True)
class Rabin:
    """Content-defined chunks (Kubo's `rabin-MIN-AVG-MAX`)."""

    min_bytes: int
    average_bytes: int
    max_bytes: int

    def __post_init__(self) -> None:
        ordered = WINDOW_BYTES <= self.min_bytes < self.average_bytes < self.max_bytes <= MAX_CHUNK_BYTES
        if not ordered:
            raise UsageError(
                "rabin chunk sizes out of order",
                expected=f"{WINDOW_BYTES} <= min < average < max <= {MAX_CHUNK_BYTES}",
                got=f"{self.min_bytes}, {self.average_bytes}, {self.max_bytes}",
            )

    def __str__(self) -> str:
        return f"rabin-{self.min_bytes}-{self.average_bytes}-{self.max_bytes}"

    def chunks(self, stream: Readable) -> Iterator[bytes]:
        """The chunks of `stream` in order, none empty: an empty stream has none.

        Memory stays below two reads and two chunks, whatever the stream's length.
        """
        mask = (1 << (self.average_bytes.bit_length() - 1)) - 1
        tables = _pair_tables(mask)
        pending = b""
        start = 0
        while True:
            more = _read_exactly(stream, max(_READ_BYTES, self.max_bytes))
            pending = pending[start:] + more
            start = 0
            # A cut is certain only where a chunk of the largest size fits, or where the stream has ended.
            reach = len(pending) - self.max_bytes if more else len(pending) - 1
            while start <= reach:
                length = self._cut(pending, start, tables, mask)
                yield pending[start : start + length]
                start += length
            if not more:
                return

    def _cut(self, data: bytes, start: int, tables: NDArray[np.uint32], mask: int) -> int:
        longest = min(self.max_bytes, len(data) - start)
        length = self.min_bytes
        while length <= longest:
            count = min(_SCAN_BYTES, longest - length + 1)
            hits = np.flatnonzero((_digests(data, start + length, count, tables) & mask) == 0)
            if hits.size:
                return length + int(hits[0])
            length += count
        return longest


def parse_chunker(text: str) -> Fixed | Rabin:
    """A chunker from Kubo's notation: `size-N` or `rabin-MIN-AVG-MAX`.

    Raises UsageError for any other text (`rabin`, `buzhash` and `default` differ between Kubo versions).
    """
    if match := re.fullmatch(r"size-([1-9]\d{0,8})", text, re.ASCII):
        return Fixed(int(match[1]))
    if match := re.fullmatch(r"rabin-([1-9]\d{0,8})-([1-9]\d{0,8})-([1-9]\d{0,8})", text, re.ASCII):
        return Rabin(*(int(group) for group in match.groups()))
    raise UsageError("chunker not supported", expected="size-N or rabin-MIN-AVG-MAX", got=repr(text[:64]))


def _read_exactly(stream: Readable, size: int) -> bytes:
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _digests(data: bytes, end: int, count: int, tables: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Low bits of the fingerprints of the windows that end before end, end + 1, ... end + count - 1."""
    first = end - WINDOW_BYTES
    # pairs[i] = the two bytes at first + i, as one little-endian number; windows overlap, so do the pairs
    pairs = np.empty(count + WINDOW_BYTES - 2, np.intp)
    pairs[0::2] = np.frombuffer(data, "<u2", count=(len(pairs) + 1) // 2, offset=first)
    pairs[1::2] = np.frombuffer(data, "<u2", count=len(pairs) // 2, offset=first + 1)
    total = np.take(tables[0], pairs[:count])
    part = np.empty_like(total)
    for index in range(1, WINDOW_BYTES // 2):
        # every index is in range by its width: "wrap" only spares numpy a checked copy
        np.take(tables[index], pairs[2 * index : 2 * index + count], out=part, mode="wrap")
        total ^= part
    return total


@lru_cache(maxsize=4)
def _pair_tables(mask: int) -> NDArray[np.uint32]:
    """tables[i][b0 | b1 << 8] = what bytes 2i and 2i + 1 of a window add to its fingerprint, under `mask`."""
    width = np.uint16 if mask <= 0xFFFF else np.uint32
    tables = np.empty((WINDOW_BYTES // 2, 65536), width)
    for index in range(WINDOW_BYTES // 2):
        early = [_reduce(byte << 8 * (WINDOW_BYTES - 1 - 2 * index)) & mask for byte in range(256)]
        late = [_reduce(byte << 8 * (WINDOW_BYTES - 2 - 2 * index)) & mask for byte in range(256)]
        pairs = np.bitwise_xor.outer(np.array(late, width), np.array(early, width))
        tables[index] = pairs.reshape(-1)
    return tables


def _reduce(value: int) -> int:
    while (excess := value.bit_length() - 1 - _DEGREE) >= 0:
        value ^= POLYNOMIAL << excess
    return value
