"""A disk that loses power: the twin of `DurableSteps` that cuts before or after any numbered step.

What was written since the last flush of a file is lost or torn when the power goes, as a real disk may do;
what was flushed, renamed or committed stays.
"""

import fcntl
import os
from dataclasses import dataclass, field
from random import Random

from device_verifier.durable import DurableSteps


class PowerCut(BaseException):
    """The power is gone. Not an Exception: no handler of the agent may go on without power."""


@dataclass
class CountingSteps(DurableSteps):
    """Counts the durable steps; step n is cut at point 2n (before it) and 2n + 1 (after it)."""

    cut_at: int | None = None
    seed: int = 0
    point: int = 0
    trace: list[str] = field(default_factory=list)
    _unflushed: dict[tuple[int, int], list[tuple[int, bytes]]] = field(default_factory=dict)
    _dead: bool = False

    def write_at(self, fd, data, offset):
        self._before("write")
        status = os.fstat(fd)
        old = os.pread(fd, len(data), offset) if _readable(fd) else b""
        self._unflushed.setdefault((status.st_dev, status.st_ino), []).append((offset, old))
        super().write_at(fd, data, offset)
        self._after(fd)

    def flush(self, fd):
        self._before("flush")
        super().flush(fd)
        status = os.fstat(fd)
        self._unflushed.pop((status.st_dev, status.st_ino), None)
        self._after(fd)

    def replace(self, source, target):
        self._before(f"replace {target.name}")
        super().replace(source, target)
        self._after()

    def remove(self, path):
        self._before(f"remove {path.name}")
        super().remove(path)
        self._after()

    def commit(self, connection):
        self._before("commit")
        super().commit(connection)
        self._after()

    def _before(self, name):
        if self._dead:
            raise PowerCut
        self.trace.append(name)
        self._cut()

    def _after(self, fd=None):
        self._cut(fd)

    def _cut(self, fd=None):
        if self.cut_at == self.point:
            self._dead = True
            if fd is not None:
                self._tear(fd)
            raise PowerCut(f"cut at point {self.point}, {self.trace[-1]}")
        self.point += 1

    def _tear(self, fd):
        """Put back, or half put back, what the disk had not been told to keep."""
        random = Random(self.seed * 1_000_003 + self.point)
        status = os.fstat(fd)
        for offset, old in reversed(self._unflushed.get((status.st_dev, status.st_ino), [])):
            kept = random.choice([0, len(old) // 2, len(old)])
            os.pwrite(fd, old[kept:], offset + kept)


def _readable(fd):
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
