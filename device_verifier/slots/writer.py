"""Stream an image into a spare slot so that a cut at any point leaves nothing that looks whole."""

import errno
import os
from collections.abc import Callable
from typing import Final

from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.slots.target import OpenSlot
from ledger_protocol.report.reasons import Reason

__all__ = ["FLUSH_EVERY_BYTES", "HELD_BACK_BYTES", "SlotWriter"]

# Bytes. The first sector carries what makes an image recognisable (partition table, boot sector, magic
# numbers); it is written last, after all else is on the disk. 4096 is the largest sector of disks and eMMC
# in use.
HELD_BACK_BYTES: Final = 4096
# Bytes between flushes: bounds both the dirty memory and what a cut can lose (design: content.md §5).
FLUSH_EVERY_BYTES: Final = 16 * 1024 * 1024
# Bytes of one write: large enough for flash erase blocks, small beside the agent's memory limit.
WRITE_BYTES: Final = 1024 * 1024


class SlotWriter:
    """Takes an image's bytes in order and puts them into an open slot.

    `size_bytes` is the image's exact length; `on_flushed(end)` is called after each flush with the offset
    up to which everything but the first sector is on the disk. Any error of the disk is a SlotFailure after
    which the image must be written again from zero: after a failed flush the system may have dropped the
    data and marked it clean, so a second flush that succeeds proves nothing.
    """

    def __init__(
        self,
        slot: OpenSlot,
        *,
        size_bytes: int,
        steps: DurableSteps,
        on_flushed: Callable[[int], None] = lambda _end: None,
        flush_every_bytes: int = FLUSH_EVERY_BYTES,
    ) -> None:
        self._slot = slot
        self._size = size_bytes
        self._steps = steps
        self._on_flushed = on_flushed
        self._flush_every = flush_every_bytes
        self._head = bytearray()
        self._pending = bytearray()
        self._written = min(HELD_BACK_BYTES, size_bytes)
        self._flushed = self._written
        self._dead = False
        self._erase_head()

    @property
    def received_bytes(self) -> int:
        """How much of the image was handed over so far."""
        return len(self._head) + (self._written + len(self._pending) - self._head_size)

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the image (SlotFailure: disk error, or more bytes than the image has)."""
        self._require_alive()
        if self.received_bytes + len(data) > self._size:
            self._dead = True
            raise self._failure(Reason.CORRUPT_CONTENT, f"{self._size} bytes", "more")
        missing = self._head_size - len(self._head)
        if missing:
            self._head += data[:missing]
            data = data[missing:]
        self._pending += data
        if len(self._pending) >= WRITE_BYTES:
            self._write_pending()
        if self._written - self._flushed >= self._flush_every:
            self._flush()

    def finish(self) -> None:
        """Write what is left, flush, then the first sector, and flush again (SlotFailure)."""
        self._require_alive()
        if self.received_bytes != self._size:
            self._dead = True
            raise self._failure(Reason.CORRUPT_CONTENT, f"{self._size} bytes", f"{self.received_bytes} bytes")
        self._write_pending()
        self._flush()
        self._guard(lambda: self._steps.write_at(self._slot.fd, bytes(self._head), 0))
        self._flush()
        self._dead = True

    @property
    def _head_size(self) -> int:
        return min(HELD_BACK_BYTES, self._size)

    def _erase_head(self) -> None:
        # The old image's first sector in front of half a new one would look bootable.
        self._guard(lambda: self._steps.write_at(self._slot.fd, bytes(self._head_size), 0))
        self._guard(lambda: self._steps.flush(self._slot.fd))

    def _write_pending(self) -> None:
        if not self._pending:
            return
        self._guard(lambda: self._steps.write_at(self._slot.fd, bytes(self._pending), self._written))
        self._written += len(self._pending)
        self._pending.clear()

    def _flush(self) -> None:
        self._guard(lambda: self._steps.flush(self._slot.fd))
        # What is on the disk need not stay in memory, and the read-back must not find it there.
        os.posix_fadvise(self._slot.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._flushed = self._written
        self._on_flushed(self._flushed)

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._dead = True
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise self._failure(Reason.DISK_FULL, f"room for {self._size} bytes", error) from error
            raise self._failure(Reason.SLOT_WRITE, "a working disk", error) from error

    def _failure(self, reason: Reason, expected: str, got: object) -> SlotFailure:
        if isinstance(got, OSError):
            got = got.strerror or str(got)
        hint = {
            Reason.DISK_FULL: "make room, then install again; the running slot was not touched",
            Reason.CORRUPT_CONTENT: "the source sent other content than the manifest's; try another source",
        }.get(reason, "see the kernel log for this disk; the image is written again from zero next time")
        return SlotFailure(
            f"slot {self._slot.target.label}", reason=reason, expected=expected, got=got, hint=hint
        )

    def _require_alive(self) -> None:
        if self._dead:
            raise RuntimeError(
                "a slot writer that finished or failed takes no more bytes: open the slot again"
            )
