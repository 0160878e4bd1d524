"""Nodes that serve JSON-RPC, each started fresh: ours, anvil and geth."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local_chain.accounts import dev_accounts

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60.0
RICH_WEI = 10**22


class Client:
    """One connection that is kept open."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method: str, *params: object):
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def batch(self, method: str, params: list[tuple]) -> list:
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": one}
            for number, one in enumerate(params)
        ]
        answers = sorted(self.post(requests), key=lambda answer: answer["id"])
        failed = next((answer["error"] for answer in answers if "error" in answer), None)
        if failed is not None:
            raise RuntimeError(f"{method}: {failed}")
        return [answer["result"] for answer in answers]

    def post(self, body: object):
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/", json.dumps(body), headers)
        return json.loads(self._connection.getresponse().read())

    def close(self) -> None:
        self._connection.close()


def engine(name: str) -> str | None:
    """The path of a peer's binary, or None where there is none: FWLEDGER_ANVIL, FWLEDGER_GETH."""
    return os.environ.get(f"FWLEDGER_{name.upper()}")


@contextlib.contextmanager
def ours(*options: str, state: Path | None = None) -> Iterator[str]:
    """``fwledger-chain up`` sealed by four validators, on disk; gives its address."""
    with our_process(*options, state=state) as (url, _):
        yield url


@contextlib.contextmanager
def our_process(*options: str, state: Path | None = None) -> Iterator[tuple[str, int]]:
    """The same, with the process's number."""
    with tempfile.TemporaryDirectory(prefix="bench-ours-") as folder:
        line = [sys.executable, "-m", "local_chain.cli", "up", "--port", "0", "--json", *options]
        line += ["--state", str(state or Path(folder) / "state")]
        process = subprocess.Popen(line, stdout=subprocess.PIPE)
        try:
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            _end(process)


@contextlib.contextmanager
def anvil() -> Iterator[str]:
    """anvil as it starts by itself: one block a transaction, in memory."""
    port = _free_port()
    line = [str(engine("anvil")), "--port", str(port), "--silent"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        yield _answering(f"http://127.0.0.1:{port}", process)
    finally:
        _end(process)


@contextlib.contextmanager
def geth(*options: str) -> Iterator[str]:
    """geth's development chain, which seals once something waits; the accounts get their money first."""
    folder = Path(tempfile.mkdtemp(prefix="bench-geth-"))
    line = [str(engine("geth")), "--dev", "--datadir", str(folder / "data"), "--ipcdisable", "--nodiscover"]
    line += [
        "--port",
        "0",
        "--authrpc.port",
        "0",
        "--http",
        "--http.port",
        "0",
        "--miner.gasprice",
        "1",
        *options,
    ]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = "http://" + _found(log, r"HTTP server started +endpoint=([^ ]+)", process)
        _answering(url, process)
        client = Client(url)
        rich = client.call("eth_accounts")[0]
        for account in dev_accounts():
            gift = {"from": rich, "to": "0x" + account.address.hex(), "value": hex(RICH_WEI)}
            client.call("eth_sendTransaction", gift)
            until(
                lambda at=account.address: int(client.call("eth_getBalance", "0x" + at.hex(), "latest"), 16)
            )
        client.close()
        yield url
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def cpu_s(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(condition, *, deadline_s: float = START_TIMEOUT_S) -> None:
    """Poll what another process does by itself."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s:.0f} s in vain")
        time.sleep(0.002)


def _answering(url: str, process: subprocess.Popen) -> str:
    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        try:
            client = Client(url)
            client.call("eth_chainId")
            client.close()
        except OSError:
            return False
        return True

    until(answers)
    return url


def _found(log: Path, pattern: str, process: subprocess.Popen) -> str:
    until(lambda: re.search(pattern, log.read_text()) or process.poll() is not None)
    match = re.search(pattern, log.read_text())
    if match is None:
        raise RuntimeError(f"{process.args[0]} did not start:\n{log.read_text()[-2000:]}")
    return match[1]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
