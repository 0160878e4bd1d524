"""Real IPFS nodes for tests, each an own process on loopback ports of its own: ours, and Kubo where it is
installed.

Readiness is an event that the node reports, never a pause.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ledger_client.content.ipfs import IpfsClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
READY_S = 60.0  # a machine under load; a node that has not answered by then has failed
STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class IpfsNode:
    """A running node: `api` as a multiaddr, `gateway` as a URL without a slash at its end."""

    api: str
    gateway: str
    kind: str
    process: subprocess.Popen[str]

    def client(self, *, timeout_s: float = 30.0) -> IpfsClient:
        from ledger_client.content.ipfs import IpfsClient  # not for tests that speak HTTP only

        return IpfsClient(self.api, timeout_s=timeout_s)


@contextlib.contextmanager
def run_embedded_node(store: Path, *arguments: str) -> Iterator[IpfsNode]:
    """Run `fwledger ipfs up` on `store`, on free ports, until the block ends."""
    command = [sys.executable, "-m", "ledger_client.content.node", "--store", str(store)]
    ports = ["--api-port", "0", "--gateway-port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with _running([*command, *ports, *arguments], store.parent / f"{store.name}.log", environment) as process:
        ready = json.loads(_wait_for_line(process, '"ready"'))
        yield IpfsNode(ready["api"], ready["gateway"], "embedded", process)


@contextlib.contextmanager
def run_kubo(
    binary: Path, repository: Path, *, online: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[IpfsNode]:
    """Run a real Kubo daemon on free ports until the block ends; without peers even where it is on line.

    `settings` are further values of its configuration, as JSON, by name.
    """
    environment = {**os.environ, "IPFS_PATH": str(repository), "IPFS_TELEMETRY": "off"}

    def kubo(*arguments: str) -> None:
        subprocess.run(
            [binary, *arguments], env=environment, check=True, capture_output=True, timeout=READY_S
        )

    kubo("init", "--profile=test")
    kubo("config", "Routing.Type", "none")
    kubo("config", "Addresses.API", "/ip4/127.0.0.1/tcp/0")
    kubo("config", "Addresses.Gateway", "/ip4/127.0.0.1/tcp/0")
    for name, value in (settings or {}).items():
        kubo("config", "--json", name, json.dumps(value))
    log = repository.parent / f"{repository.name}.log"
    command = [str(binary), "daemon", *([] if online else ["--offline"])]
    with _running(command, log, environment) as process:
        said: list[str] = []
        _wait_for_line(process, "Daemon is ready", said)
        api = next(line.split()[-1] for line in said if line.startswith("RPC API server listening on"))
        gateway = next(line.split()[-1] for line in said if line.startswith("Gateway server listening on"))
        yield IpfsNode(api, f"http://127.0.0.1:{gateway.rsplit('/', 1)[1]}", "kubo", process)


def kubo_binary() -> Path:
    """The Kubo to test against: where FWLEDGER_KUBO is not set, tests that ask for it are not collected."""
    return Path(os.environ["FWLEDGER_KUBO"])


@pytest.fixture(scope="session")
def embedded_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpfsNode]:
    with run_embedded_node(tmp_path_factory.mktemp("node") / "store") as node:
        yield node


@pytest.fixture(scope="session")
def kubo_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpfsNode]:
    with run_kubo(kubo_binary(), tmp_path_factory.mktemp("kubo") / "repository") as node:
        yield node


@pytest.fixture(params=["embedded", pytest.param("kubo", marks=pytest.mark.engines("kubo"))])
def ipfs_node(request: pytest.FixtureRequest) -> IpfsNode:
    """The same test against our node and against Kubo."""
    node: IpfsNode = request.getfixturevalue(f"{request.param}_node")
    return node


@contextlib.contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _wait_for_line(process: subprocess.Popen[str], sign: str, said: list[str] | None = None) -> str:
    """The first line of output with `sign` in it; all lines before it go to `said`."""
    assert process.stdout
    deadline = time.monotonic() + READY_S
    pending = b""
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
            break
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            raise AssertionError(f"{process.args!r} ended with {process.wait()} before it was ready")
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            text = line.decode()
            if sign in text:
                return text
            if said is not None:
                said.append(text)
    raise AssertionError(f"{process.args!r} was not ready within {READY_S} s")
