"""Makes files and directories survive a power cut, many at once.

One fsync a file costs a write of the file system's journal each: about 4 ms on a busy disk, a minute for an
image of 400 MB in blocks of 40 kB. `syncfs` (Linux) writes all of them with one, some twenty times faster.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_FEW: Final = 8  # below this, syncing just these costs less than all that others wrote to the same disk


def sync(paths: Sequence[Path]) -> None:
    """Write files and directories of one file system to disk; OSError where that fails, and then none is
    sure.
    """
    if len(paths) <= _FEW or _syncfs is None:
        for path in paths:
            _with_descriptor(path, os.fsync)
    else:
        _with_descriptor(paths[0], _syncfs)


def _with_descriptor(path: Path, act: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        act(descriptor)
    finally:
        os.close(descriptor)


def _find_syncfs() -> Callable[[int], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_int]
    function.restype = ctypes.c_int

    def syncfs(descriptor: int) -> None:
        if function(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return syncfs


_syncfs: Final = _find_syncfs()
