"""Chunks that the device already holds: the active slot's bytes, by the digests of what was installed
there.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from device_verifier.errors import SourceUnreachable
from device_verifier.sources import BlockMissing
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.report.reasons import Reason

__all__ = ["SlotChunks"]


class SlotChunks:
    """A `BlockSource` over a slot's file or device and its chunk index, digest -> (offset, length) in bytes.

    The slot may have changed since (a file system mounted read-write), so pass it to the fetcher as `reuse`:
    a chunk that is no longer the one named is then no lie, only one to fetch elsewhere.
    """

    def __init__(self, path: Path, index: Mapping[bytes, tuple[int, int]]) -> None:
        self._path = path
        self._index = index
        self._descriptor: int | None = None

    @property
    def name(self) -> str:
        """The slot's path."""
        return str(self._path)

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the bytes where the chunk `cid` was when the slot was written; BlockMissing where it never
        was.
        """
        place = self._index.get(cid.digest) if cid.codec == RAW else None
        if place is None or place[1] > max_bytes:
            raise BlockMissing(f"{self.name} holds no chunk {cid}", reason=Reason.CONTENT_UNAVAILABLE)
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._descriptor, place[1], place[0])
        except OSError as error:
            raise SourceUnreachable(
                f"{self.name} cannot be read",
                reason=Reason.CONTENT_UNAVAILABLE,
                got=error.strerror,
                hint="the install goes on from the network",
            ) from error

    def close(self) -> None:
        """Close the slot."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
