"""Streams a DAG out of a block store as a CAR: what one call of `dag/import` needs to hold a whole
release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ledger_client.content import dag
from ledger_client.content.address import Address
from ledger_protocol.content import varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger_protocol.content.cid import Cid

PIECE_BYTES: Final = 1024 * 1024  # what is sent at once: small writes cost more than the bytes in them


class BlockSource(Protocol):
    """Where blocks come from: a BlockStore, or anything that finds verified blocks by address."""

    def get(self, cid: Cid, /) -> bytes:
        """The block at `cid`, verified."""
        ...


def release_car(source: BlockSource, root: Cid) -> Iterator[bytes]:
    """The CAR of the DAG at `root` (of an envelope: manifest, signatures and images), in pieces of about 1
    MiB.

    Every block once, parents first. Raises BlockMissingError and ProtocolError on the way, from `source` or
    for a DAG that is malformed, too deep or too large (`dag.walk`).
    """
    yield from in_pieces(car_sections(Address.of(root), dag.walk(Address.of(root), source.get)))


def car_sections(root: Address, blocks: Iterable[tuple[Address, bytes]]) -> Iterator[bytes]:
    """The header and the sections of a CAR of verified blocks. Inline ones are left out: they are in their
    link.
    """
    yield _header(root.to_bytes())
    for address, block in blocks:
        if not address.inline:
            name = address.to_bytes()
            yield varint.encode(len(name) + len(block)) + name + block


def in_pieces(parts: Iterable[bytes], piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of at least `piece_bytes`, but for the last."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= piece_bytes:
            yield b"".join(held)
            held.clear()
            size = 0
    if held:
        yield b"".join(held)


class PieceReader:
    """A binary stream over pieces, for libraries that want `read`. It has no name: no path leaks into a
    request.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = memoryview(b"")

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """At most `size` bytes; empty at the end only."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = memoryview(piece)
        taken, self._held = bytes(self._held[:size]), self._held[size:]
        return taken


def _header(root: bytes) -> bytes:
    """As `car.encode_header`, for a root of any form: CIDv0 and inline ones are not `Cid`s."""
    size = len(root) + 1
    head = bytes((0x40 | size,)) if size < 24 else bytes((0x58, size))
    header = b"\xa2\x65roots\x81\xd8\x2a" + head + b"\0" + root + b"\x67version\x01"
    return varint.encode(len(header)) + header
