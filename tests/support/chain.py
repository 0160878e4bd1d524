"""Start and stop a real ``fwledger-chain`` process, for every test that needs a chain.

    from tests.support.chain import chain_process

    @pytest.fixture(scope="session")
    def chain(tmp_path_factory):
        with chain_process() as running:
            yield running

``running.url`` is its JSON-RPC address, ``running.validators`` what a trust root pins.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_TIMEOUT_S = 30.0  # a loaded machine; it takes about one second
STOP_TIMEOUT_S = 10.0
REPOSITORY = Path(__file__).resolve().parents[2]


class RpcError(Exception):
    """The chain answered with an error object."""

    def __init__(self, error: dict[str, object]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = str(error.get("message"))
        self.data = error.get("data")


@dataclass(frozen=True)
class Validator:
    """What a trust root pins: 20-byte address, 65-byte uncompressed public key."""

    address: bytes
    public_key: bytes


@dataclass
class RunningChain:
    """One chain process."""

    process: subprocess.Popen[bytes]
    url: str
    chain_id: int
    validators: tuple[Validator, ...]
    genesis_hash: str

    def rpc(self, method: str, *params: object) -> object:
        """Call a method; RpcError for an error object."""
        return rpc(self.url, method, *params)

    def kill(self) -> None:
        """End the process at once, as a power cut would (SIGKILL)."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)

    def stop(self) -> int:
        """Ask the process to end, and give its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)


def rpc(url: str, method: str, *params: object, timeout_s: float = 30.0) -> object:
    """One JSON-RPC call without any client library."""
    answer = post(
        url, {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, timeout_s=timeout_s
    )
    if "error" in answer:
        raise RpcError(answer["error"])
    return answer["result"]


def post(url: str, body: object, *, timeout_s: float = 30.0):
    """Post JSON (or bytes as they are) and give the JSON answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        return json.load(response)


def start_chain(*arguments: str, command: str = "up", port: int = 0) -> RunningChain:
    """Start ``fwledger-chain COMMAND`` on a free port with further ``arguments`` and wait until it answers."""
    line = [sys.executable, "-m", "local_chain.cli", command, "--port", str(port), "--json", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, env=environment)
        # The chain prints one line when it is ready: reading it is the wait.
        document = _first_line(process)
        if not document:
            process.wait(STOP_TIMEOUT_S)
            errors.seek(0)
            raise RuntimeError(f"fwledger-chain did not start: {errors.read().decode(errors='replace')}")
    started = json.loads(document)
    validators = tuple(
        Validator(bytes.fromhex(item["address"][2:]), bytes.fromhex(item["publicKey"][2:]))
        for item in started["validators"]
    )
    return RunningChain(process, started["url"], started["chainId"], validators, started["genesisHash"])


def wait_until(condition: Callable[[], object], what: str, *, deadline_s: float = 60.0) -> None:
    """Wait for what another process does by itself, such as a follower that catches up."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s} s until {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def chain_process(*arguments: str, command: str = "up") -> Iterator[RunningChain]:
    """A chain for the length of a ``with`` block."""
    chain = start_chain(*arguments, command=command)
    try:
        yield chain
    finally:
        if chain.process.poll() is None:
            chain.stop()
        if chain.process.stdout is not None:
            chain.process.stdout.close()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        return process.stdout.readline()
    finally:
        watchdog.cancel()
