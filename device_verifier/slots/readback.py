"""Read a slot as the boot loader will: from the disk, past the page cache."""

import contextlib
import hashlib
import mmap
import os
from collections.abc import Iterator
from typing import Final

from device_verifier.errors import SlotFailure
from device_verifier.slots.target import SlotTarget
from ledger_protocol.report.reasons import Reason

__all__ = ["hash_slot", "read_slot"]

# Bytes of one read: a multiple of every sector and page size, as O_DIRECT asks.
READ_BYTES: Final = 1024 * 1024


def hash_slot(target: SlotTarget, *, size_bytes: int) -> bytes:
    """Return the SHA-256 of the first `size_bytes` of the slot as the disk holds them.

    The slot must be flushed. Raises SlotFailure (`slot-readback`) where it cannot be read or ends early.
    """
    digest = hashlib.sha256()
    try:
        for piece in _read_past_cache(target, size_bytes):
            digest.update(piece)
    except OSError as error:
        raise _failure(target, size_bytes, error.strerror or str(error)) from error
    return digest.digest()


def read_slot(target: SlotTarget, *, offset: int, size_bytes: int) -> bytes:
    """Return up to `size_bytes` from byte `offset` on; fewer where the slot ends or cannot be read.

    For content that is checked against its digest anyway: what is not there is simply not held.
    """
    try:
        fd = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size_bytes, offset)
        finally:
            os.close(fd)
    except OSError:
        return b""


def _read_past_cache(target: SlotTarget, size_bytes: int) -> Iterator[memoryview]:
    # Page-aligned, as O_DIRECT asks; one buffer for the whole slot.
    with mmap.mmap(-1, READ_BYTES) as buffer, memoryview(buffer) as view:
        fd = _open_direct(target, buffer)
        try:
            offset = 0
            while offset < size_bytes:
                count = os.preadv(fd, [buffer], offset)
                if count == 0:
                    raise _failure(target, size_bytes, f"{offset} bytes")
                with view[: min(count, size_bytes - offset)] as piece:
                    yield piece
                offset += count
        finally:
            os.close(fd)


def _open_direct(target: SlotTarget, buffer: mmap.mmap) -> int:
    with contextlib.suppress(OSError):
        fd = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        try:
            # Some file systems open this way and then refuse to read.
            os.preadv(fd, [buffer], 0)
        except OSError:
            os.close(fd)
            raise
        return fd
    # tmpfs and some network file systems know no O_DIRECT: drop their cached pages instead.
    fd = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


def _failure(target: SlotTarget, size_bytes: int, got: str) -> SlotFailure:
    return SlotFailure(
        f"slot {target.label} read back",
        reason=Reason.SLOT_READBACK,
        expected=f"{size_bytes} bytes",
        got=got,
        hint="the disk does not give back what was written; it may be failing",
    )
