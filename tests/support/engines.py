"""Start and stop real engines, anvil and geth, and talk to them over one kept connection.

with anvil_process("--hardfork", "prague") as rpc:
    rpc("eth_blockNumber")
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.chain import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60.0  # a loaded machine; anvil takes 0.1 seconds, geth 1
ANSWER_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_LIBC = ctypes.CDLL(None)


class Http:
    """JSON-RPC over one kept HTTP connection, one call after the other."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_TIMEOUT_S)

    def __call__(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return _result(json.loads(self._connection.getresponse().read()))

    def close(self) -> None:
        self._connection.close()


class Socket:
    """JSON-RPC over geth's Unix socket, which serves every namespace: `engine` and `debug` too."""

    def __init__(self, path: Path, url: str) -> None:
        self.url = url
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")

    def __call__(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        return _result(json.loads(self._lines.readline()))

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise RpcError(answer["error"])
    return answer["result"]


@contextlib.contextmanager
def anvil_process(*arguments: str) -> Iterator[Http]:
    """Run anvil on a free port; gives its RPC."""
    command = [os.environ["FWLEDGER_ANVIL"], "--port", "0", *arguments]
    with _running(command, r"Listening on (127\.0\.0\.1:\d+)") as found:
        rpc = Http(f"http://{found[0]}")
        with contextlib.closing(rpc):
            yield rpc


@contextlib.contextmanager
def geth_process(
    genesis: dict[str, Any], *arguments: str, sealer: tuple[str, bytes] | None = None
) -> Iterator[Socket]:
    """Run one geth, without peers, on a fresh chain of this genesis; gives its RPC, whose `url` is plain HTTP.

    With a `sealer`, address and private key, it seals Clique blocks.
    """
    geth = os.environ["FWLEDGER_GETH"]
    with tempfile.TemporaryDirectory(prefix="geth-") as folder:
        home = Path(folder)
        (home / "genesis.json").write_text(json.dumps(genesis))
        scheme = ["--datadir", str(home), "--state.scheme", "hash"]
        _done([geth, *scheme, "init", str(home / "genesis.json")])
        if sealer:
            (home / "key").write_text(sealer[1].hex())
            (home / "password").write_text("")
            keep = ["--lightkdf", "--password", str(home / "password")]
            _done([geth, "--datadir", str(home), "account", "import", *keep, str(home / "key")])
            arguments += ("--mine", "--miner.etherbase", sealer[0], "--unlock", sealer[0], *keep)
            arguments += ("--allow-insecure-unlock",)
        command = [
            *(geth, *scheme, "--gcmode", "archive", "--syncmode", "full"),
            *("--port", "0", "--nodiscover", "--maxpeers", "0", "--nat", "none"),
            *("--http", "--http.port", "0", "--http.api", "eth,net,web3,debug,txpool"),
            *("--authrpc.port", "0", "--cache", "128", *arguments),
        ]
        # The plain server, and the one of the Engine API, which starts last of all.
        with _running(command, r"HTTP server started\s+endpoint=(127\.0\.0\.1:\d+) auth=false") as found:
            rpc = Socket(home / "geth.ipc", f"http://{found[0]}")
            with contextlib.closing(rpc):
                yield rpc


def _end_with_us() -> None:
    """Let the kernel end the engine when the test process is killed."""
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _done(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=START_TIMEOUT_S)


@contextlib.contextmanager
def _running(command: list[str], ready: str) -> Iterator[re.Match[str] | tuple[str]]:
    """Run an engine until the block ends; gives what the parentheses of `ready` met in its first lines."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=_end_with_us
    )
    assert process.stdout
    said: list[str] = []
    killer = threading.Timer(START_TIMEOUT_S, process.kill)
    killer.start()
    try:
        for line in process.stdout:
            said.append(line)
            if met := re.search(ready, line):
                break
        else:
            raise AssertionError(f"{command[0]} did not start:\n" + "".join(said[-20:]))
        killer.cancel()
        # Nobody reads on: a full pipe would stop it.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield (met[1],)
    finally:
        killer.cancel()
        process.send_signal(signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)
