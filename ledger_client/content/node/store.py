"""A directory of blocks: what the publisher builds releases in, and what the embedded IPFS node serves.

    DIR/version            the format of the directory
    DIR/id                 random, so that two nodes can be told apart
    DIR/blocks/ab/ab12...  one file a block, named by its SHA-256 in hex
    DIR/pins/<cid>         one empty file a recursive pin
    DIR/tmp/               files being written
    DIR/lock               shared by writers, exclusive for garbage collection

Blocks are kept by digest, as Kubo does: the same bytes under two codecs are one file. A block is written to
tmp, synced, renamed, and its directory synced; it is verified when it is read, so neither a torn write nor
a flipped bit is ever served.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger_client.content import dag
from ledger_client.content.address import Address
from ledger_client.content.errors import (
    BlockCorruptError,
    BlockMissingError,
    ContentMismatchError,
    StoreBusyError,
    StoreError,
)
from ledger_client.content.node import durable
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION: Final = "fwledger/blocks/1"
_OWN_NAMES: Final = frozenset({"version", "id", "blocks", "pins", "tmp", "lock"})
_GROUP_BLOCKS: Final = 1024  # files that are synced together
_GROUP_BYTES: Final = 64 * 1024 * 1024  # what one sync has to write, and what a crash loses at most


@dataclass(frozen=True, slots=True)
class StoreStat:
    """How much a store holds."""

    blocks: int
    size_bytes: int


class BlockStore:
    """Blocks on disk, safe for several threads and processes at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the store at `path`, made where there is none yet; StoreError for anything else."""
        self.path = Path(path)
        self._blocks = self.path / "blocks"
        self._pins = self.path / "pins"
        self._tmp = self.path / "tmp"
        with self._disk("open"):
            self.id = self._open()

    def put(self, cid: Cid, block: bytes) -> None:
        """Keep `block` durably; ContentMismatchError unless `cid` is its address."""
        self.put_many([(cid, block)])

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> int:
        """Keep blocks in the order given, synced in groups; return how many were new.

        When it raises, whole groups before the failure may have been kept: they are valid blocks, and
        garbage until something pins them.
        """
        new = 0
        with self.writing(), self._disk("write to"):
            group = _Group(self._tmp)
            try:
                for cid, block in blocks:
                    _check(cid, block)
                    if not group.has(self._file(cid)) and not self._holds(cid, block):
                        group.add(self._file(cid), block)
                        new += 1
                group.commit()
            finally:
                group.discard()
        return new

    def get(self, cid: Cid) -> bytes:
        """The verified bytes of a block.

        Raises BlockMissingError where the store does not hold it, and BlockCorruptError (a kind of it)
        where the disk changed it; the damaged file is removed, so that the block can be put again.
        """
        file = self._file(cid)
        try:
            with file.open("rb") as stream:
                block = stream.read(MAX_BLOCK_BYTES + 1)
        except FileNotFoundError:
            raise BlockMissingError("block not found", expected=cid, got=f"none in {self.path}") from None
        except OSError as error:
            raise BlockCorruptError(
                "block cannot be read", expected=cid, got=error.strerror or error
            ) from None
        if hashlib.sha256(block).digest() != cid.digest:
            with contextlib.suppress(OSError):
                file.unlink()
            raise BlockCorruptError(
                "block is damaged on disk",
                expected=cid,
                got=Cid.of(cid.codec, block),
                hint="check the disk, then import the release again: only what is missing is written",
            )
        return block

    def has(self, cid: Cid) -> bool:
        """Whether a file for the block is there; only `get` tells whether its bytes are still right."""
        return self._file(cid).exists()

    def size(self, cid: Cid) -> int:
        """The length of a block in bytes, from the directory alone; BlockMissingError where there is none."""
        try:
            return self._file(cid).stat().st_size
        except OSError:
            raise BlockMissingError("block not found", expected=cid, got=f"none in {self.path}") from None

    def delete(self, cid: Cid) -> bool:
        """Remove a block, pinned or not; return whether it was there."""
        try:
            self._file(cid).unlink()
        except FileNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[Cid]:
        """The addresses of all blocks, as raw ones (the store does not know their codecs), in no order."""
        for file in self._files():
            with contextlib.suppress(ValueError, ProtocolError):  # not a file of ours
                yield Cid(RAW, bytes.fromhex(file.name))

    def stat(self) -> StoreStat:
        """Count blocks and bytes; it looks at every file."""
        sizes = [file.stat().st_size for file in self._files()]
        return StoreStat(len(sizes), sum(sizes))

    def pin(self, cid: Cid) -> None:
        """Keep the whole DAG at `cid` from garbage collection.

        Every block of it is read and verified first: BlockMissingError names the first that is not here.
        """
        with self.writing(), self._disk("pin in"):
            for _ in self.walk(cid):
                pass
            (self._pins / str(cid)).touch()
            durable.sync([self._pins])

    def unpin(self, cid: Cid) -> bool:
        """Give up a pin; return whether there was one. The blocks stay until `collect_garbage`."""
        try:
            (self._pins / str(cid)).unlink()
        except FileNotFoundError:
            return False
        durable.sync([self._pins])
        return True

    def pinned(self, cid: Cid) -> bool:
        """Whether `cid` itself is pinned."""
        return (self._pins / str(cid)).exists()

    def pins(self) -> tuple[Cid, ...]:
        """All pinned roots, sorted; StoreError for a marker that is none, since nobody can say what it
        keeps.
        """
        try:
            return tuple(sorted(Cid.parse(marker.name) for marker in self._pins.iterdir()))
        except ProtocolError as error:
            raise StoreError(
                f"pins of the block store at {self.path}",
                expected=error.expected,
                got=error.got,
                hint="remove that file",
            ) from None

    def walk(self, root: Cid) -> Iterator[tuple[Address, bytes]]:
        """All blocks of the DAG at `root`, each once, parents first, verified (see `dag.walk`)."""
        return dag.walk(Address.of(root), self.get)

    def collect_garbage(self) -> tuple[Cid, ...]:
        """Remove every block that no pin reaches; return their addresses, as raw ones.

        Raises StoreBusyError while somebody writes. A pinned block that is missing or damaged does not stop
        it: all that its parents name and that is here stays.
        """
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB), self._disk("remove garbage from"):
            keep: set[bytes] = set()
            for root in self.pins():
                self._mark(Address.of(root), keep)
            removed = tuple(cid for cid in self if cid.digest not in keep and self.delete(cid))
            for leftover in self._tmp.iterdir():  # no writer is alive: these are from a crash
                leftover.unlink()
            return removed

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold off garbage collection, so that blocks put now are still there when their root is pinned."""
        with self._locked(fcntl.LOCK_SH):
            yield

    def _open(self) -> str:
        marker = self.path / "version"
        if not marker.exists():
            self._make(marker)
        found = marker.read_text("utf-8", "replace").strip()
        if found != VERSION:
            raise StoreError(
                f"block store at {self.path} has another format", expected=VERSION, got=found[:64]
            )
        return (self.path / "id").read_text("ascii").strip()

    def _make(self, marker: Path) -> None:
        # Every step may be done twice, and the marker comes last: two processes may do this at once.
        self.path.mkdir(parents=True, exist_ok=True)
        foreign = sorted({entry.name for entry in self.path.iterdir()} - _OWN_NAMES)
        if foreign:
            raise StoreError(
                f"{self.path} is not a block store",
                expected="a directory made by fwledger, or an empty one",
                got=f"{foreign[0]} in it",
            )
        for directory in (self._blocks, self._pins, self._tmp):
            directory.mkdir(exist_ok=True)
        for target, text in ((self.path / "id", secrets.token_hex(16)), (marker, VERSION)):
            temporary = self._tmp / secrets.token_hex(12)
            temporary.write_text(text + "\n", "ascii")
            with contextlib.suppress(FileExistsError):
                target.hardlink_to(temporary)
            temporary.unlink()
        durable.sync([self.path])

    @contextlib.contextmanager
    def _disk(self, act: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot {act} the block store at {self.path}",
                got=error.strerror or error,
                hint="free space on that disk and check who owns it, or choose another directory",
            ) from None

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        # An own descriptor each time: flock then works between threads as between processes.
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError:
                raise StoreBusyError(
                    f"block store at {self.path} is being written",
                    hint="wait for the running import to end, then try again",
                ) from None
            yield
        finally:
            os.close(descriptor)

    def _mark(self, root: Address, keep: set[bytes]) -> None:
        pending = [root]
        while pending:
            address = pending.pop()
            if address.inline or address.digest in keep:
                continue
            keep.add(address.digest)
            if address.codec != RAW:
                with contextlib.suppress(BlockMissingError, ProtocolError):
                    pending += dag.links_of(address, self.get(address.cid))

    def _file(self, cid: Cid) -> Path:
        name = cid.digest.hex()
        return self._blocks / name[:2] / name

    def _files(self) -> Iterator[Path]:
        for shard in self._blocks.iterdir():
            yield from shard.iterdir()

    def _holds(self, cid: Cid, block: bytes) -> bool:
        # Comparing the bytes costs a read and heals a damaged file; a group not yet renamed is written
        # twice, no more.
        try:
            return self._file(cid).read_bytes() == block
        except OSError:
            return False


class _Group:
    """Files written but not yet renamed: one sync for many costs less than many."""

    def __init__(self, tmp: Path) -> None:
        self._tmp = tmp
        self._written: dict[Path, Path] = {}  # target: temporary
        self._size_bytes = 0

    def has(self, target: Path) -> bool:
        return target in self._written

    def add(self, target: Path, block: bytes) -> None:
        temporary = self._tmp / secrets.token_hex(12)
        self._written[target] = temporary
        with temporary.open("xb", buffering=0) as file:
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
        self._size_bytes += len(block)
        if len(self._written) >= _GROUP_BLOCKS or self._size_bytes >= _GROUP_BYTES:
            self.commit()

    def commit(self) -> None:
        if not self._written:
            return
        durable.sync(list(self._written.values()))
        shards = {target.parent for target in self._written}
        new_shards = [shard for shard in shards if not shard.exists()]
        for shard in new_shards:
            shard.mkdir(exist_ok=True)
        for target, temporary in self._written.items():
            temporary.replace(target)
        self._written.clear()
        self._size_bytes = 0
        durable.sync([*shards, *{shard.parent for shard in new_shards}])

    def discard(self) -> None:
        for temporary in self._written.values():
            temporary.unlink(missing_ok=True)


def _check(cid: Cid, block: bytes) -> None:
    if len(block) > MAX_BLOCK_BYTES:
        raise ContentMismatchError(
            "block too large", expected=f"at most {MAX_BLOCK_BYTES} bytes", got=len(block)
        )
    if hashlib.sha256(block).digest() != cid.digest:
        raise ContentMismatchError(
            "block does not match its address", expected=cid, got=Cid.of(cid.codec, block)
        )
