"""Reads the links of any block and walks the DAG below it, bounded, in depth-first order.

The blocks may come from anybody: dag-pb as Kubo and others write it (directories, HAMT shards, CIDv0
links), dag-cbor, and raw leaves. dag-pb: https://ipld.io/specs/codecs/dag-pb/spec/; UnixFS:
https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from ledger_client.content.address import Address
from ledger_protocol.content import dag_cbor, varint
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger_protocol.content.dag_cbor import Value

MAX_DAG_DEPTH: Final = 64  # levels; a release needs 8: envelope, manifest, component, five of a tree
MAX_DAG_BLOCKS: Final = 1 << 22  # 128 GiB at 32 KiB a block; 32 bytes of memory each
_VARINT, _BYTES = 0, 2  # protobuf wire types


class FileType(IntEnum):
    """Types of UnixFS nodes."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


@dataclass(frozen=True, slots=True)
class PbLink:
    """A link of a dag-pb node: `tsize` is a hint, in bytes, of all that is below it."""

    address: Address
    name: str
    tsize: int


@dataclass(frozen=True, slots=True)
class PbNode:
    """A dag-pb node: links in order, and the data field, empty where there is none."""

    links: tuple[PbLink, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class UnixFs:
    """The data field of a UnixFS node: `sizes` are the file bytes below each link; `fanout` is a HAMT's."""

    type: FileType
    data: bytes
    size_bytes: int
    sizes: tuple[int, ...]
    fanout: int


def links_of(address: Address, block: bytes) -> tuple[Address, ...]:
    """What `block`, verified already, links to in order; ProtocolError where it is malformed."""
    if address.codec == DAG_PB:
        return tuple(link.address for link in decode_pb(block).links)
    if address.codec == DAG_CBOR:
        return tuple(map(Address.of, _cbor_links(dag_cbor.decode(block, max_bytes=MAX_BLOCK_BYTES))))
    return ()


def walk(
    root: Address, get: Callable[[Cid], bytes], *, repeat: bool = False, max_depth: int = MAX_DAG_DEPTH
) -> Iterator[tuple[Address, bytes]]:
    """All blocks of the DAG at `root`, parents first, depth first; each once, unless `repeat`.

    `get` returns verified bytes. Raises LimitError where the DAG is deeper than `max_depth` levels or
    larger than MAX_DAG_BLOCKS, ProtocolError for a malformed block, and whatever `get` raises for a missing
    one.
    """
    seen: set[bytes] = set()
    count = 0
    pending = [iter((root,))]
    while pending:
        address = next(pending[-1], None)
        if address is None:
            pending.pop()
            continue
        if not repeat:
            if address.digest in seen:
                continue
            seen.add(address.digest)
        count += 1
        if count > MAX_DAG_BLOCKS:
            raise LimitError("size of DAG", expected=f"at most {MAX_DAG_BLOCKS} blocks", got="more")
        block = address.digest if address.inline else get(address.cid)
        yield address, block
        if links := links_of(address, block):
            if len(pending) >= max_depth:
                raise LimitError("depth of DAG", expected=f"at most {max_depth} levels", got="more")
            pending.append(iter(links))


def decode_pb(block: bytes) -> PbNode:
    """Read a dag-pb node of any writer; MalformedError for what is not one."""
    links: list[PbLink] = []
    data = b""
    for field, value in _fields(block):
        if field == 1 and isinstance(value, bytes):
            data = value
        elif field == 2 and isinstance(value, bytes):
            links.append(_decode_link(value))
        else:
            raise MalformedError("field of dag-pb node", expected="1 or 2, of bytes", got=field)
    return PbNode(tuple(links), data)


def decode_unixfs(node: PbNode) -> UnixFs:
    """Read the data field of a node as UnixFS; MalformedError for what is not."""
    file_type, size, fanout, data = -1, 0, 0, b""
    sizes: list[int] = []
    for field, value in _fields(node.data):
        if field == 4:
            sizes += _packed(value) if isinstance(value, bytes) else [value]
        elif field == 2 and isinstance(value, bytes):
            data = value
        elif field in (1, 3, 6) and isinstance(value, int):
            file_type = value if field == 1 else file_type
            size = value if field == 3 else size
            fanout = value if field == 6 else fanout
    if file_type not in FileType.__members__.values():
        raise MalformedError("type of UnixFS node", expected="0 to 5", got=file_type)
    if file_type == FileType.FILE and len(sizes) != len(node.links):
        raise MalformedError("block sizes of UnixFS file", expected=len(node.links), got=len(sizes))
    return UnixFs(FileType(file_type), data, size, tuple(sizes), fanout)


def _decode_link(entry: bytes) -> PbLink:
    address: Address | None = None
    name, tsize = "", 0
    for field, value in _fields(entry):
        if field == 1 and isinstance(value, bytes):
            address = Address.from_bytes(value)
        elif field == 2 and isinstance(value, bytes):
            # Names are text; what is not UTF-8 cannot be asked for by a path, and need not stop a walk.
            name = value.decode("utf-8", "replace")
        elif field == 3 and isinstance(value, int):
            tsize = value
        else:
            raise MalformedError("field of dag-pb link", expected="1 to 3", got=field)
    if address is None:
        raise MalformedError("dag-pb link", expected="a hash", got="none")
    return PbLink(address, name, tsize)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = varint.decode(data, at)
        if tag & 7 == _VARINT:
            number, at = varint.decode(data, at)
            yield tag >> 3, number
        elif tag & 7 == _BYTES:
            size, at = varint.decode(data, at)
            if size > len(data) - at:
                raise MalformedError(
                    "truncated dag-pb", expected=f"{size} bytes at {at}", got=f"{len(data) - at} bytes"
                )
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise MalformedError("wire type of dag-pb", expected="0 or 2", got=tag & 7)


def _packed(data: bytes) -> list[int]:
    numbers = []
    at = 0
    while at < len(data):
        number, at = varint.decode(data, at)
        numbers.append(number)
    return numbers


def _cbor_links(value: Value) -> Iterator[Cid]:
    """Links in the order of the encoding; depth is bounded by the decoder."""
    if isinstance(value, Cid):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _cbor_links(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _cbor_links(item)
