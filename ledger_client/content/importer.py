"""Turns an image file into the UnixFS DAG that Kubo would make of it, in one pass and with bounded memory.

    ipfs add --cid-version=1 --raw-leaves --chunker=CHUNKER --max-file-links=WIDTH FILE

gives the same root for the same profile (content.md §1), so anybody can reproduce an image's address
without fwledger.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ledger_client.content.chunker import Fixed, Rabin, Readable
from ledger_client.errors import UsageError
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.content.unixfs import TreeBuilder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Profile:
    """How a file becomes blocks: its chunker, and the largest number of links in a node."""

    chunker: Fixed | Rabin
    width: int


# images: chunks survive insertions, so updates share them
IMAGE: Final = Profile(Rabin(16384, 32768, 65536), 1024)
SMALL: Final = Profile(Fixed(1_048_576), 1024)  # other files: the profile unixfs-v1-2025


class BlockSink(Protocol):
    """Where blocks go: a BlockStore, or anything that takes them in order."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]], /) -> int:
        """Take all blocks, leaves before the nodes above them; return how many were new."""
        ...


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported file: its root, its length and SHA-256 as a plain file, and the blocks that it became."""

    root: Cid
    size_bytes: int
    sha256: bytes
    leaves: int
    nodes: int
    tree_bytes: int  # of all blocks, repeated ones counted each time (the root's Tsize)
    new_blocks: int  # those that the sink did not hold before


def import_file(
    source: str | os.PathLike[str] | Readable,
    *,
    profile: Profile = IMAGE,
    sink: BlockSink | None = None,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Import a file or an open binary stream into `sink`; without one, only compute.

    `progress` is called with the bytes read so far, after each chunk. Raises UsageError where the file
    cannot be read, and LimitError (of the protocol) for a file over 1 TiB or a tree deeper than a device
    accepts; what the sink raises passes through.
    """
    with ExitStack() as stack:
        if isinstance(source, Readable):
            stream = source
        else:
            try:
                stream = stack.enter_context(Path(source).open("rb"))
            except OSError as error:
                raise UsageError(
                    f"cannot read {source}", expected="a readable file", got=error.strerror or error
                ) from None
        run = _Run(profile, progress)
        new = sink.put_many(run.blocks(stream)) if sink is not None else sum(0 for _ in run.blocks(stream))
        return run.result(new)


class _Run:
    def __init__(self, profile: Profile, progress: Callable[[int], None] | None) -> None:
        self._profile = profile
        self._progress = progress
        self._whole = hashlib.sha256()
        self._size_bytes = self._leaves = self._nodes = 0
        self._root: tuple[Cid, int] | None = None

    def blocks(self, stream: Readable) -> Iterator[tuple[Cid, bytes]]:
        tree = TreeBuilder(self._profile.width)
        try:
            for chunk in self._profile.chunker.chunks(stream):
                self._whole.update(chunk)
                self._size_bytes += len(chunk)
                self._leaves += 1
                leaf = Cid.of(RAW, chunk)
                yield leaf, chunk
                for node in tree.add_leaf(leaf, len(chunk)):
                    self._nodes += 1
                    yield node
                if self._progress:
                    self._progress(self._size_bytes)
        except OSError as error:
            raise UsageError("cannot read the image to its end", got=error.strerror or error) from None
        root, last = tree.finish()
        self._leaves += not self._leaves  # an empty file is one empty leaf, which `finish` gives
        self._nodes += len(last) if self._size_bytes else 0
        self._root = root.cid, root.tsize
        yield from last

    def result(self, new_blocks: int) -> Imported:
        if self._root is None:
            raise RuntimeError("the sink did not take all blocks")
        root, tree_bytes = self._root
        return Imported(
            root,
            self._size_bytes,
            self._whole.digest(),
            leaves=self._leaves,
            nodes=self._nodes,
            tree_bytes=tree_bytes,
            new_blocks=new_blocks,
        )
