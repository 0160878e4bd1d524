"""CAR v1 archives: a header with roots, then sections of CID and block (https://ipld.io/specs/transport/car/carv1/).

Reading verifies every block against its CID before it is handed out, and never holds more than one.
Errors of the streams themselves (OSError) pass through: they say nothing about the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ledger_protocol.content import dag_cbor, varint
from ledger_protocol.content.cid import CID_BYTES, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.fields import Fields
from ledger_protocol.limits import MAX_BLOCK_BYTES, MAX_CAR_HEADER_BYTES, MAX_CAR_ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Readable(Protocol):
    """Anything with `read(n)` that returns at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or none at the end."""
        ...


def encode_header(roots: Sequence[Cid]) -> bytes:
    """Return the header with its length in front."""
    if not 1 <= len(roots) <= MAX_CAR_ROOTS:
        raise LimitError("roots of CAR", expected=f"1 to {MAX_CAR_ROOTS}", got=len(roots))
    header = dag_cbor.encode({"roots": list(roots), "version": 1})
    return varint.encode(len(header)) + header


def section_head(cid: Cid, size_bytes: int) -> bytes:
    """Return what stands before a block of `size_bytes`: the length of the section and the CID."""
    return varint.encode(CID_BYTES + size_bytes) + cid.to_bytes()


def encode_section(cid: Cid, block: bytes) -> bytes:
    """Return one section; raise MismatchError unless the CID is that of the block."""
    if len(block) > MAX_BLOCK_BYTES:
        raise LimitError("block of CAR", expected=f"at most {MAX_BLOCK_BYTES} bytes", got=len(block))
    cid.verify(block)
    return section_head(cid, len(block)) + block


def read_header(stream: Readable) -> tuple[Cid, ...]:
    """Read the header at the start of a CAR v1; return its roots."""
    size = read_varint(stream)
    if size is None:
        raise MalformedError("CAR", expected="a header", got="no bytes")
    if size > MAX_CAR_HEADER_BYTES:
        raise LimitError(
            "header of CAR",
            expected=f"at most {MAX_CAR_HEADER_BYTES} bytes",
            got=f"{size} bytes",
            hint="this may not be a CAR file",
        )
    header = read_exactly(stream, size, "header of CAR")
    fields = Fields(dag_cbor.decode(header, max_bytes=MAX_CAR_HEADER_BYTES), where="header of CAR")
    fields.integer("version", low=1, high=1)
    roots = fields.items("roots", max_count=MAX_CAR_ROOTS, min_count=1)
    fields.end()
    if not all(isinstance(root, Cid) for root in roots):
        raise MalformedError("roots of CAR", expected="links", got="other values")
    return tuple(root for root in roots if isinstance(root, Cid))


def iter_blocks(stream: Readable, *, max_block_bytes: int = MAX_BLOCK_BYTES) -> Iterator[tuple[Cid, bytes]]:
    """Yield each section after the header as CID and block, verified; stop at a clean end."""
    while True:
        head = read_section_head(stream, max_block_bytes=max_block_bytes)
        if head is None:
            return
        cid, size = head
        block = read_exactly(stream, size, f"block {cid}")
        cid.verify(block)
        yield cid, block


def read_section_head(stream: Readable, *, max_block_bytes: int) -> tuple[Cid, int] | None:
    """Read up to a block: return its CID and length in bytes, or None at a clean end."""
    size = read_varint(stream)
    if size is None:
        return None
    if size > CID_BYTES + max_block_bytes:
        limit = f"at most {max_block_bytes} bytes"
        raise LimitError("block of CAR", expected=limit, got=f"{size - CID_BYTES} bytes")
    if size < CID_BYTES:
        raise MalformedError("section of CAR", expected=f"at least {CID_BYTES} bytes", got=f"{size} bytes")
    return Cid.from_bytes(read_exactly(stream, CID_BYTES, "CID of section")), size - CID_BYTES


def read_varint(stream: Readable) -> int | None:
    """Read one varint, or None at the end of the stream."""
    data = b""
    while len(data) < varint.MAX_VARINT_BYTES:
        byte = stream.read(1)
        if not byte and not data:
            return None
        data += byte
        if not byte or byte[0] < 0x80:
            break
    return varint.decode(data, 0)[0]


def read_exactly(stream: Readable, size: int, what: str) -> bytes:
    """Read `size` bytes, however the stream splits them; raise MalformedError where it ends early."""
    data = stream.read(size)
    if len(data) == size:
        return data
    parts, left = [data], size - len(data)
    while left and parts[-1]:
        parts.append(stream.read(left))
        left -= len(parts[-1])
    if left:
        raise MalformedError(f"truncated {what}", expected=f"{size} bytes", got=f"{size - left} bytes")
    return b"".join(parts)
