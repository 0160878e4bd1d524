"""One agent at a time: two installs at once would write one slot."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from device_verifier.durable import PRIVATE_MODE
from device_verifier.errors import SlotFailure
from ledger_protocol.report.reasons import Reason

__all__ = ["agent_lock"]


@contextmanager
def agent_lock(state_dir: Path) -> Generator[None]:
    """Hold the device for this process, making `state_dir` (mode 0700) where it is missing.

    The kernel lets go when the process ends, however it ends. SlotFailure `busy` while another process holds
    it, `state-damaged` where the directory cannot be used.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    except OSError as error:
        raise SlotFailure(
            f"state directory {state_dir}",
            reason=Reason.STATE_DAMAGED,
            expected="a directory that the agent may write",
            got=error.strerror or str(error),
            hint="correct state_dir in device.toml, or run as the agent's user",
        ) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SlotFailure(
                "this device is being worked on",
                reason=Reason.BUSY,
                expected="no other fwledger-device at work",
                got="one that holds the lock",
                hint="wait until it is done; `fwledger-device status` shows how far it is",
            ) from error
        yield
    finally:
        os.close(fd)
