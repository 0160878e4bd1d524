"""Blocks that the device holds already: in the slot that runs, and in the spare one from before a cut."""

import sqlite3
import threading
from pathlib import Path

from device_verifier.slots import SlotLayout, read_slot
from device_verifier.sources import BlockMissing
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.report.reasons import Reason

__all__ = ["HeldBlocks"]


class HeldBlocks:
    """A `BlockSource` over the slots, by the digests that were noted when they were written.

    The index stays in the state file, so that memory does not grow with the image; it is read by the
    fetcher's threads over a connection of its own. What a slot gives may have changed since: the fetcher
    checks it.
    """

    name = "this device"

    def __init__(self, state_path: Path, layout: SlotLayout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            f"{state_path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the leaf from whichever slot still holds it; BlockMissing otherwise."""
        if cid.codec == RAW:
            for slot, slot_class, offset, length in self._places(cid.digest):
                if length <= max_bytes and slot_class in self._layout.pairs:
                    block = read_slot(self._layout.target(slot, slot_class), offset=offset, size_bytes=length)
                    if cid == Cid.of(RAW, block):
                        return block
        raise BlockMissing(f"no slot holds {cid}", reason=Reason.CONTENT_UNAVAILABLE)

    def close(self) -> None:
        """Let go of the state file."""
        self._db.close()

    def _places(self, digest: bytes) -> list[tuple[str, str, int, int]]:
        with self._lock:
            try:
                return self._db.execute(
                    "SELECT slot, slot_class, offset, length FROM chunk WHERE digest = ? LIMIT 4", (digest,)
                ).fetchall()
            except sqlite3.Error:
                # The network has it too.
                return []
