"""The client under test: its adapter command, run once a question, or kept running and asked line by line."""

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

RESULT_SCHEMA: Final = "fwledger/conformance-result/1"
# An answer is a dozen short fields; more is not one.
MAX_ANSWER_BYTES: Final = 1 << 20


class ClientError(Exception):
    """The adapter did not answer as the contract says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the adapter said: its exit code, and the JSON document of its standard output."""

    exit_code: int
    result: dict[str, Any]


class Client(Protocol):
    """Something that answers the contract's commands."""

    def ask(self, arguments: Sequence[str], *, timeout_s: float) -> Answer:
        """Run one command. Raises ClientError for no answer, or one outside the contract."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class CommandClient:
    """Starts the adapter anew for each command."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    def ask(self, arguments: Sequence[str], *, timeout_s: float) -> Answer:
        """Run one command."""
        try:
            done = subprocess.run(
                [*self._command, *arguments], capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise ClientError(f"no answer within {timeout_s:g} s") from None
        except OSError as error:
            raise ClientError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        return _answer(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """Nothing is running."""


class PersistentClient:
    """Keeps one adapter running (`CMD serve`) and asks it line by line; starts it again after a failure."""

    def __init__(self, command: str) -> None:
        self._command = [*shlex.split(command), "serve"]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, arguments: Sequence[str], *, timeout_s: float) -> Answer:
        """Run one command."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps({"arguments": list(arguments)}).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline(MAX_ANSWER_BYTES)
        except OSError:
            line = b""
        finally:
            timer.cancel()
        try:
            document = json.loads(line)
            talk = str(document["result"].get("detail", "")).encode()
            return _answer(document["exit"], json.dumps(document["result"]).encode(), talk)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.close()
            raise ClientError(
                f"no answer within {timeout_s:g} s, or none of the contract's: {line[:200]!r}"
            ) from None

    def close(self) -> None:
        """End the adapter."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            try:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
                )
            except OSError as error:
                raise ClientError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        return self._process


def _answer(exit_code: int, output: bytes, talk: bytes) -> Answer:
    told = talk.decode("utf-8", "replace")[-300:].strip()
    if exit_code not in {0, 1}:
        raise ClientError(f"exit code {exit_code}, expected 0 (accepted) or 1 (not accepted); {told}")
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        raise ClientError(f"standard output is not JSON: {output[:200]!r}") from None
    if not isinstance(document, dict) or document.get("schema") != RESULT_SCHEMA:
        raise ClientError(f"expected a document of schema {RESULT_SCHEMA}, got {output[:200]!r}")
    return Answer(exit_code, document)
