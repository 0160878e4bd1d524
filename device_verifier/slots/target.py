"""One place to write an image to, and the proof that it is not one that runs."""

import errno
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_verifier.errors import SlotFailure
from ledger_protocol.report.reasons import Reason

__all__ = [
    "OpenSlot",
    "SlotIdentity",
    "SlotTarget",
    "identify",
    "open_for_writing",
    "resting_place",
]


# Loop devices over loop devices that are followed; nobody stacks more.
_MAX_LOOPS: Final = 8


@dataclass(frozen=True, slots=True)
class SlotTarget:
    """A slot as the configuration names it: which set, which class, and the path of its file or block
    device.
    """

    slot: str
    slot_class: str
    path: Path

    @property
    def label(self) -> str:
        """The slot as people and messages call it, for example `rootfs.b`."""
        return f"{self.slot_class}.{self.slot}"


@dataclass(frozen=True, slots=True)
class SlotIdentity:
    """What a path really is, whatever names, links or bind mounts lead to it.

    For a block device `device` is its own number and `inode` 0; for a file they are its file system and
    inode.
    """

    block_device: bool
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A spare slot opened for writing; the holder closes `fd`."""

    target: SlotTarget
    fd: int
    size_bytes: int
    identity: SlotIdentity

    def close(self) -> None:
        """Give the slot back."""
        os.close(self.fd)


def identify(target: SlotTarget) -> tuple[SlotIdentity, int]:
    """Return what the slot's path is and how many bytes it holds.

    Raises SlotFailure: `slot-missing` where there is nothing, `slot-write` where it is neither a file nor a
    block device or cannot be looked at.
    """
    try:
        status = target.path.stat()
        if stat.S_ISREG(status.st_mode):
            return _identity(status), status.st_size
        if stat.S_ISBLK(status.st_mode):
            fd = os.open(target.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _identity(status), os.lseek(fd, 0, os.SEEK_END)
            finally:
                os.close(fd)
    except FileNotFoundError as error:
        raise _missing(target) from error
    except OSError as error:
        raise _cannot(target, "can be opened", error) from error
    raise SlotFailure(
        f"slot {target.label}",
        reason=Reason.SLOT_WRITE,
        expected="a file or a block device",
        got=f"{target.path} is neither",
        hint="correct its path in device.toml",
    )


def open_for_writing(
    target: SlotTarget, *, size_bytes: int, running: Collection[SlotTarget], root: Path = Path("/")
) -> OpenSlot:
    """Open the spare slot `target` for an image of `size_bytes`.

    `running` are all slots of the system that runs now, `root` its root directory; a target that is one of
    them, by identity and not by name, is refused. A block device is opened exclusively, which fails while
    anything has it mounted. Raises SlotFailure (`slot-missing`, `too-large`, `slot-write`).
    """
    expected, _ = identify(target)
    # O_EXCL without O_CREAT on a block device: the kernel refuses while it is mounted or claimed.
    exclusive = os.O_EXCL if expected.block_device else 0
    try:
        fd = os.open(target.path, os.O_RDWR | os.O_CLOEXEC | exclusive)
    except OSError as error:
        what = "not in use" if error.errno == errno.EBUSY else "can be written"
        raise _cannot(target, what, error) from error
    try:
        status = os.fstat(fd)
        identity = _identity(status)
        _refuse_exchanged(target, identity, expected)
        _refuse_running(target, identity, running, root)
        capacity = os.lseek(fd, 0, os.SEEK_END) if identity.block_device else status.st_size
        _refuse_small(target, capacity, size_bytes)
    except BaseException:
        os.close(fd)
        raise
    return OpenSlot(target, fd, capacity, identity)


def resting_place(identity: SlotIdentity) -> SlotIdentity:
    """Return what the bytes really lie in: for a loop device over a whole file that file, else itself.

    The kernel guards a mounted loop device, but not the file behind it.
    """
    for _ in range(_MAX_LOOPS):
        if not identity.block_device:
            break
        loop = Path(f"/sys/dev/block/{os.major(identity.device)}:{os.minor(identity.device)}/loop")
        try:
            # Loop devices over parts of one file are places of their own.
            if any(int((loop / name).read_text()) for name in ("offset", "sizelimit")):
                break
            identity = _identity(Path((loop / "backing_file").read_text().rstrip("\n")).stat())
        except (OSError, ValueError):
            break  # no loop device, or one whose file has lost its name
    return identity


def _refuse_exchanged(target: SlotTarget, identity: SlotIdentity, expected: SlotIdentity) -> None:
    if identity != expected:
        raise SlotFailure(
            f"slot {target.label}",
            reason=Reason.SLOT_WRITE,
            expected="the same file or device from look to open",
            got=f"{target.path} was exchanged meanwhile",
            hint="see what else changes it, then try again",
        )


def _refuse_small(target: SlotTarget, capacity: int, size_bytes: int) -> None:
    if capacity < size_bytes:
        raise SlotFailure(
            f"slot {target.label}",
            reason=Reason.TOO_LARGE,
            expected=f"at least {size_bytes} bytes",
            got=f"{capacity} bytes",
            hint=f"a file slot has the size of its file: truncate -s {size_bytes} {target.path}",
        )


def _refuse_running(
    target: SlotTarget, identity: SlotIdentity, running: Collection[SlotTarget], root: Path
) -> None:
    held, place = target.label, resting_place(identity)
    for other in running:
        try:
            same = resting_place(_identity(other.path.stat())) == place
        except OSError:
            # A running slot that cannot be looked at (a removed partition link) cannot be what we just
            # opened.
            continue
        if same:
            held = other.label
            break
    else:
        device = SlotIdentity(block_device=True, device=root.stat().st_dev, inode=0)
        if resting_place(device) != place:
            return
        held = f"the device of {root}"
    raise SlotFailure(
        f"slot {target.label}",
        reason=Reason.SLOT_WRITE,
        expected="a spare slot",
        got=f"{target.path} is {held}, which runs now",
        hint="the running slot is never written; correct the slots in device.toml",
    )


def _identity(status: os.stat_result) -> SlotIdentity:
    if stat.S_ISBLK(status.st_mode):
        return SlotIdentity(block_device=True, device=status.st_rdev, inode=0)
    return SlotIdentity(block_device=False, device=status.st_dev, inode=status.st_ino)


def _missing(target: SlotTarget) -> SlotFailure:
    return SlotFailure(
        f"slot {target.label}",
        reason=Reason.SLOT_MISSING,
        expected="a file or a block device",
        got=f"nothing at {target.path}",
        hint="correct its path in device.toml, or make the file with truncate -s SIZE",
    )


def _cannot(target: SlotTarget, expected: str, error: OSError) -> SlotFailure:
    return SlotFailure(
        f"slot {target.label}",
        reason=Reason.SLOT_WRITE,
        expected=f"{target.path} {expected}",
        got=error.strerror or str(error),
        hint="see whether it is mounted, and whether the agent may open it",
    )
