"""UnixFS file trees with the very CIDs that Kubo's balanced importer gives (content.md §1).

A file is a sequence of raw leaves. One leaf is the file; more are held by dag-pb nodes of at most `width`
links, all leaves at the same depth, every node but the last of its level full. How a file is cut into
leaves is the chunker's business and not part of this module.

Source: https://github.com/ipfs/specs/blob/main/UNIXFS.md and ipld.io/specs/codecs/dag-pb/spec. A file node is
Links, then Data = `08 02 | 18 filesize | 20 blocksize`... , each varint minimal, the empty link name present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger_protocol.content import varint
from ledger_protocol.content.cid import CID_BYTES, DAG_PB, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import (
    MAX_BLOCK_BYTES,
    MAX_FILE_BYTES,
    MAX_NODE_BYTES,
    MAX_TREE_DEPTH,
    MAX_TREE_WIDTH,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY: Final = Cid.of(RAW, b"")
"""The CID of the empty file: one empty leaf."""

_FILE_TYPE: Final = b"\x08\x02"
_LINK_HASH: Final = bytes((0x0A, CID_BYTES))
_LINK_NO_NAME: Final = b"\x12\x00"
_MAX_TREE_BYTES: Final = 2 * MAX_FILE_BYTES  # file and nodes together: nodes are far smaller than leaves


@dataclass(frozen=True, slots=True)
class Link:
    """A child: its CID, `file_size` bytes of the file below it, `tsize` bytes of all blocks below it."""

    cid: Cid
    tsize: int
    file_size: int


@dataclass(frozen=True, slots=True)
class FileNode:
    """A decoded interior node: links in file order, and the sum of their file sizes in bytes."""

    links: tuple[Link, ...]
    file_size: int


def leaf(block: bytes) -> Link:
    """Return the link to a raw leaf that holds `block`."""
    return Link(Cid.of(RAW, block), len(block), len(block))


def encode_node(links: Iterable[Link]) -> bytes:
    """Return the dag-pb block of a file node with these children, in file order."""
    children = tuple(links)
    if not 1 <= len(children) <= MAX_TREE_WIDTH:
        raise LimitError("links of node", expected=f"1 to {MAX_TREE_WIDTH}", got=len(children))
    out = bytearray()
    data = bytearray(_FILE_TYPE + b"\x18" + varint.encode(sum(child.file_size for child in children)))
    for child in children:
        entry = _LINK_HASH + child.cid.to_bytes() + _LINK_NO_NAME + b"\x18" + varint.encode(child.tsize)
        out += b"\x12" + varint.encode(len(entry)) + entry
        data += b"\x20" + varint.encode(child.file_size)
    return bytes(out + b"\x0a" + varint.encode(len(data)) + data)


def decode_node(block: bytes) -> FileNode:
    """Read a file node as `encode_node` writes it: `encode_node(decode_node(b).links) == b`.

    Directories, symbolic links, inline data, named links and other dialects of UnixFS raise MalformedError.
    A file of one leaf has no node; who holds a root looks at its codec first.
    """
    if len(block) > MAX_NODE_BYTES:
        raise LimitError("length of file node", expected=f"at most {MAX_NODE_BYTES} bytes", got=len(block))
    at = 0
    children: list[tuple[Cid, int]] = []
    while block[at : at + 1] == b"\x12":
        if len(children) == MAX_TREE_WIDTH:
            raise LimitError("links of node", expected=f"at most {MAX_TREE_WIDTH}", got="more")
        size, at = varint.decode(block, at + 1)
        children.append(_read_link(_slice(block, at, size, "link")))
        at += size
    if not children:
        raise MalformedError("file node", expected="one link at least", got="none")
    at = _expect(block, at, b"\x0a", "data of file node")
    size, at = varint.decode(block, at)
    data = _slice(block, at, size, "data of file node")
    if at + size != len(block):
        raise MalformedError("file node", expected="its data last", got="bytes after it")
    total, sizes = _read_data(data, len(children))
    links = tuple(Link(cid, tsize, part) for (cid, tsize), part in zip(children, sizes, strict=True))
    return FileNode(links, total)


class TreeBuilder:
    """Build a balanced tree from leaves in file order, with at most one open node a level in memory.

    `add_leaf` and `finish` return the interior blocks that became final, children before parents; the caller
    stores them. Leaves are the caller's own.
    """

    def __init__(self, width: int = MAX_TREE_WIDTH) -> None:
        if not 2 <= width <= MAX_TREE_WIDTH:
            raise LimitError("width of tree", expected=f"2 to {MAX_TREE_WIDTH}", got=width)
        self._width = width
        self._levels: list[list[Link]] = [[]]
        self._finished = False

    def add_leaf(self, cid: Cid, size: int) -> list[tuple[Cid, bytes]]:
        """Append a raw leaf of `size` bytes; return the nodes that it fills up."""
        self._check_open()
        if cid.codec != RAW or not 1 <= size <= MAX_BLOCK_BYTES:
            raise MalformedError(
                "leaf", expected=f"raw, 1 to {MAX_BLOCK_BYTES} bytes", got=f"{cid}, {size} bytes"
            )
        self._levels[0].append(Link(cid, size, size))
        blocks: list[tuple[Cid, bytes]] = []
        level = 0
        while len(self._levels[level]) == self._width:
            self._close(level, blocks)
            level += 1
        return blocks

    def finish(self) -> tuple[Link, list[tuple[Cid, bytes]]]:
        """Return the link to the root and the last blocks. No leaf gives the empty file and its one block."""
        self._check_open()
        self._finished = True
        if self._levels == [[]]:
            return Link(EMPTY, 0, 0), [(EMPTY, b"")]
        blocks: list[tuple[Cid, bytes]] = []
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level]) > 1:
            # Even a single child gets its node here: all leaves stay at the same depth, as in Kubo.
            if self._levels[level]:
                self._close(level, blocks)
            level += 1
        return self._levels[level][0], blocks

    def _close(self, level: int, blocks: list[tuple[Cid, bytes]]) -> None:
        links = self._levels[level]
        block = encode_node(links)
        cid = Cid.of(DAG_PB, block)
        blocks.append((cid, block))
        if level + 1 == len(self._levels):
            self._levels.append([])
        if level + 1 > MAX_TREE_DEPTH:
            raise LimitError("depth of tree", expected=f"at most {MAX_TREE_DEPTH} levels", got="more")
        size = sum(link.file_size for link in links)
        if size > MAX_FILE_BYTES:
            raise LimitError("size of file", expected=f"at most {MAX_FILE_BYTES} bytes", got=size)
        tsize = len(block) + sum(link.tsize for link in links)
        self._levels[level + 1].append(Link(cid, tsize, size))
        self._levels[level] = []

    def _check_open(self) -> None:
        if self._finished:
            raise RuntimeError("this tree is finished; build another")


def build_from_leaves(
    leaves: Iterable[tuple[Cid, int]], width: int = MAX_TREE_WIDTH
) -> tuple[Cid, list[tuple[Cid, bytes]]]:
    """Return the root CID of a file whose leaves are `(cid, size in bytes)`, and all its interior nodes."""
    builder = TreeBuilder(width)
    nodes: list[tuple[Cid, bytes]] = []
    for cid, size in leaves:
        nodes += builder.add_leaf(cid, size)
    root, last = builder.finish()
    return root.cid, nodes + last


def _read_link(entry: bytes) -> tuple[Cid, int]:
    at = _expect(entry, 0, _LINK_HASH, "hash of link")
    cid = Cid.from_bytes(_slice(entry, at, CID_BYTES, "hash of link"))
    if cid.codec not in (RAW, DAG_PB):
        raise MalformedError("link of file node", expected="raw or dag-pb", got=cid)
    at = _expect(entry, at + CID_BYTES, _LINK_NO_NAME, "name of link")
    tsize, end = varint.decode(entry, _expect(entry, at, b"\x18", "size of link"))
    if end != len(entry) or tsize > _MAX_TREE_BYTES:
        raise MalformedError("size of link", expected=f"at most {_MAX_TREE_BYTES}, then the end", got=tsize)
    return cid, tsize


def _read_data(data: bytes, count: int) -> tuple[int, list[int]]:
    at = _expect(data, 0, _FILE_TYPE, "type of node")
    total, at = varint.decode(data, _expect(data, at, b"\x18", "file size"))
    sizes = []
    for _ in range(count):
        size, at = varint.decode(data, _expect(data, at, b"\x20", "block sizes, one a link"))
        if not 1 <= size <= MAX_FILE_BYTES:
            raise LimitError("block size", expected=f"1 to {MAX_FILE_BYTES} bytes", got=size)
        sizes.append(size)
    if at != len(data) or total != sum(sizes) or total > MAX_FILE_BYTES:
        raise MalformedError("file size", expected=f"{sum(sizes)} bytes, then the end", got=total)
    return total, sizes


def _expect(data: bytes, at: int, wanted: bytes, what: str) -> int:
    found = data[at : at + len(wanted)]
    if found != wanted:
        raise MalformedError(what, expected=wanted, got=found or "the end")
    return at + len(wanted)


def _slice(data: bytes, at: int, size: int, what: str) -> bytes:
    if size > len(data) - at:
        raise MalformedError(f"truncated {what}", expected=f"{size} bytes", got=f"{len(data) - at} bytes")
    return data[at : at + size]
