"""Reads files and finds paths in DAGs of any writer: what `cat` and the gateway's CAR answers are made of.

UnixFS files and directories (HAMT shards too) and dag-cbor documents: https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger_client.content import dag, hamt
from ledger_client.content.address import Address
from ledger_client.content.errors import BlockMissingError
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Get = Callable[[Cid], bytes]

MAX_SEGMENTS: Final = 64  # of a path; each costs a block or more


@dataclass(frozen=True, slots=True)
class Placed:
    """A block of a file, and the file bytes that it holds itself: `data`, which start at `offset`."""

    address: Address
    block: bytes
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a path leads: the blocks read on the way, the block at its end, and one address a segment."""

    passed: tuple[tuple[Address, bytes], ...]
    address: Address
    roots: tuple[Address, ...]


class PathNotFoundError(BlockMissingError):
    """A segment of a path names nothing in the directory or document before it."""


def fetch(address: Address, get: Get) -> bytes:
    """The verified block at any address: from itself where it is inline, else by `get`."""
    return address.digest if address.inline else get(address.cid)


def file_size(address: Address, block: bytes) -> int:
    """The length in bytes of the file whose root is `block`; MalformedError where it is not a file."""
    if address.codec == RAW:
        return len(block)
    if not is_file(address, block):
        raise MalformedError("root of file", expected="raw or a UnixFS file", got=address)
    unixfs = dag.decode_unixfs(dag.decode_pb(block))
    return len(unixfs.data) + sum(unixfs.sizes)


def is_file(address: Address, block: bytes) -> bool:
    """Whether `block` is the root of a file: raw, or a UnixFS node of type file or raw."""
    if address.codec != DAG_PB:
        return address.codec == RAW
    return dag.decode_unixfs(dag.decode_pb(block)).type in (dag.FileType.FILE, dag.FileType.RAW)


def blocks_of_range(address: Address, get: Get, first: int = 0, last: int | None = None) -> Iterator[Placed]:
    """The blocks that hold bytes `first` to `last` (inclusive, None: to the end) of a file, depth first.

    Blocks outside of the range are not asked for, so they may be missing. The sizes that parents claim
    decide where a child starts; a child that does not keep to them raises MalformedError.
    """
    pending: list[tuple[Address, int, int | None]] = [(address, 0, None)]
    depths = [0]
    while pending:
        here, offset, claimed = pending.pop()
        depth = depths.pop()
        if depth >= dag.MAX_DAG_DEPTH:
            raise LimitError("depth of file", expected=f"at most {dag.MAX_DAG_DEPTH} levels", got="more")
        block = fetch(here, get)
        size = file_size(here, block)
        if claimed is not None and size != claimed:
            raise MalformedError("size of file part", expected=f"{claimed} bytes", got=f"{size} bytes")
        if here.codec == RAW:
            yield Placed(here, block, offset, block)
            continue
        node = dag.decode_pb(block)
        unixfs = dag.decode_unixfs(node)
        yield Placed(here, block, offset, unixfs.data)
        children = []
        at = offset + len(unixfs.data)
        for link, part in zip(node.links, unixfs.sizes, strict=True):
            if at + part > first and (last is None or at <= last):
                children.append((link.address, at, part))
            at += part
        pending += reversed(children)
        depths += [depth + 1] * len(children)


def read_range(address: Address, get: Get, first: int = 0, last: int | None = None) -> Iterator[bytes]:
    """The bytes `first` to `last` (inclusive, None: to the end) of a file, in pieces."""
    for placed in blocks_of_range(address, get, first, last):
        end = len(placed.data) if last is None else last + 1 - placed.offset
        piece = placed.data[max(first - placed.offset, 0) : max(end, 0)]
        if piece:
            yield piece


def resolve(root: Address, segments: Sequence[str], get: Get) -> Resolved:
    """Follow `segments` down from `root` through directories, shards and dag-cbor documents.

    `passed` holds what proves the way, without the block at the end. Raises PathNotFoundError, LimitError
    for more than MAX_SEGMENTS segments, and what `get` raises.
    """
    if len(segments) > MAX_SEGMENTS:
        raise LimitError("path", expected=f"at most {MAX_SEGMENTS} segments", got=len(segments))
    passed: list[tuple[Address, bytes]] = []
    roots = [root]
    here = root
    rest = list(segments)
    while rest:
        block = fetch(here, get)
        if here.codec == DAG_CBOR:
            target, left = _follow_document(here, block, rest)
            inside = len(rest) - len(left) - (target is not None)
            roots += [here] * inside  # as Kubo: segments inside a document are in that document
            rest = left
            if target is None:  # the path ends inside this document
                break
            passed.append((here, block))
        elif here.codec == DAG_PB:
            name = rest.pop(0)
            way, target = _follow_directory(here, block, name, get)
            passed += way
        else:
            raise PathNotFoundError(f"no {rest[0]!r} in {here}: a raw block has no entries")
        here = target
        roots.append(here)
    return Resolved(tuple(passed), here, tuple(roots))


def entity_blocks(
    address: Address, get: Get, first: int, last: int | None
) -> Iterator[tuple[Address, bytes]]:
    """The blocks of one thing: of a file (in the range), of a directory (its shards), or a document."""
    block = fetch(address, get)
    if is_file(address, block):
        for placed in blocks_of_range(address, get, first, last):
            yield placed.address, placed.block
        return
    yield address, block
    if address.codec == DAG_PB:
        node = dag.decode_pb(block)
        if dag.decode_unixfs(node).type == dag.FileType.HAMT_SHARD:
            yield from hamt.shards(node, lambda child: fetch(child, get))


def _follow_directory(
    here: Address, block: bytes, name: str, get: Get
) -> tuple[list[tuple[Address, bytes]], Address]:
    node = dag.decode_pb(block)
    unixfs = dag.decode_unixfs(node)
    way = [(here, block)]
    if unixfs.type == dag.FileType.DIRECTORY:
        for link in node.links:
            if link.name == name:
                return way, link.address
    elif unixfs.type == dag.FileType.HAMT_SHARD:
        shards, target = hamt.find(node, name, lambda child: fetch(child, get))
        if target is not None:
            return way + shards, target
    raise PathNotFoundError(f"no {name!r} in {here}")


def _follow_document(here: Address, block: bytes, rest: list[str]) -> tuple[Address | None, list[str]]:
    value = dag_cbor.decode(block, max_bytes=MAX_BLOCK_BYTES)
    for index, segment in enumerate(rest):
        if isinstance(value, dict) and segment in value:
            value = value[segment]
        elif isinstance(value, list) and _index(segment) < len(value):
            value = value[_index(segment)]
        else:
            raise PathNotFoundError(f"no {segment!r} in {here}")
        if isinstance(value, Cid):
            return Address.of(value), rest[index + 1 :]
    return None, []


def _index(segment: str) -> int:
    """The place in a list that a segment names; one that no list has where it is not a number."""
    return int(segment) if segment.isascii() and segment.isdecimal() and len(segment) < 8 else MAX_BLOCK_BYTES
