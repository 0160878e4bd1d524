"""Run a person's executable with a time limit, a clean environment and bounded output."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_OUTPUT_BYTES", "CommandResult", "run_command"]

# Bytes kept of what a command prints, its end: enough for the message that matters, small enough for a
# report.
MAX_OUTPUT_BYTES: Final = 4096
# Nothing of the agent's own environment (tokens, proxies, library paths) leaks into a hook.
CLEAN_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended; `exit_code` is None if it could not start or was stopped at its time limit."""

    exit_code: int | None
    output: str
    """The end of what it printed on stdout and stderr, or why it did not run."""

    @property
    def passed(self) -> bool:
        """Whether it ran and returned 0."""
        return self.exit_code == 0


def run_command(
    argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str], stdin: bytes = b""
) -> CommandResult:
    """Run `argv` (no shell) for at most `timeout_s` seconds; then it and all that it started are killed.

    Never raises for what the command does or fails to do.
    """
    with tempfile.TemporaryFile() as given:
        # A file, not a pipe: a hook that never reads its input must not block us.
        given.write(stdin)
        given.seek(0)
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=given,
                stdout=writing,
                stderr=subprocess.STDOUT,
                env={"PATH": CLEAN_PATH, "LC_ALL": "C", **environment},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            return CommandResult(None, f"cannot run {argv[0]}: {error.strerror or error}")
        finally:
            os.close(writing)
    try:
        output, in_time = _collect(process, reading, timeout_s)
        if not in_time:
            return CommandResult(None, f"{output}stopped after {timeout_s:g} s")
        return CommandResult(process.wait(), output)
    finally:
        os.close(reading)
        _kill_session(process)


def _collect(process: subprocess.Popen[bytes], output: int, timeout_s: float) -> tuple[str, bool]:
    """Read the output's end until it closes and the command has ended; say whether that was in time."""
    tail = b""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return tail.decode("utf-8", "replace"), False
            piece = os.read(output, READ_BYTES)
            if not piece:
                break
            tail = (tail + piece)[-MAX_OUTPUT_BYTES:]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return tail.decode("utf-8", "replace"), False
    return tail.decode("utf-8", "replace"), True


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    # The session's number is the command's pid; its children may outlive it and hold the pipe.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
