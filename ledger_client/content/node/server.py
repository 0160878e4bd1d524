"""Runs the embedded IPFS node: the RPC and the gateway, each on its own port, in one process and one event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn

from ledger_client.content.node.gateway import gateway_app
from ledger_client.content.node.protocol import PunctualProtocol
from ledger_client.content.node.rpc import rpc_app
from ledger_client.content.node.streaming import BrokenOffError
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from ledger_client.content.node.store import BlockStore

LOOPBACK: Final = "127.0.0.1"
_SHUTDOWN_S: Final = 5  # what an answer under way may still take when the node is told to stop
_IDLE_S: Final = 30  # an open connection without a request
_MAX_REQUESTS: Final = 256  # at once; more are told 503, so that a flood ends in refusals and not in memory


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a running node answers: `api` as a multiaddr, `gateway` as a URL."""

    api: str
    gateway: str
    store: str

    def as_json(self) -> str:
        """One line, for whoever waits for the node."""
        event = {"schema": "fwledger/ipfs-node/1", "event": "ready", "pid": os.getpid()}
        return json.dumps(event | {"api": self.api, "gateway": self.gateway, "store": self.store})


def run_node(
    store: BlockStore,
    *,
    api_port: int = 0,
    gateway_port: int = 0,
    gateway_host: str = LOOPBACK,
    on_ready: Callable[[NodeAddress], None],
) -> None:
    """Serve `store` until SIGINT or SIGTERM; `on_ready` is called once both ports answer.

    Port 0 takes a free one. The RPC can publish and delete, so it stays on the loopback interface; the
    gateway only reads, and may be opened to a network by `gateway_host`. Raises UsageError where a port
    cannot be taken.
    """
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(_listen(LOOPBACK, api_port))
        gateway = stack.enter_context(_listen(gateway_host, gateway_port))
        address = NodeAddress(
            f"/ip4/{LOOPBACK}/tcp/{api.getsockname()[1]}",
            f"http://{_for_url(gateway_host)}:{gateway.getsockname()[1]}",
            str(store.path),
        )
        asyncio.run(_serve([(rpc_app(store), api), (gateway_app(store), gateway)], lambda: on_ready(address)))


def write_ready_file(path: Path, address: NodeAddress) -> None:
    """Put the ready line at `path` in one step: who sees the file sees all of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(address.as_json() + "\n", "utf-8")
    temporary.replace(path)


async def _serve(parts: list[tuple[Starlette, socket.socket]], on_ready: Callable[[], None]) -> None:
    servers = [(_Server(_config(app)), listener) for app, listener in parts]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as tasks:
        for server, listener in servers:
            tasks.create_task(server.serve(sockets=[listener]))
        for server, _ in servers:
            await server.ready.wait()
        on_ready()


def _config(app: Starlette) -> uvicorn.Config:
    quiet = logging.getLogger("uvicorn.error")
    quiet.addFilter(_not_broken_off)
    return uvicorn.Config(
        app,
        http=PunctualProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        timeout_keep_alive=_IDLE_S,
        limit_concurrency=_MAX_REQUESTS,
    )


def _not_broken_off(record: logging.LogRecord) -> bool:
    """Drop the traces of answers that were broken off on purpose: they had their own line already."""
    return not (record.exc_info and isinstance(record.exc_info[1], BrokenOffError))


class _Server(uvicorn.Server):
    """A server that says when it answers, and leaves signals to who runs several of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio does not turn off Nagle's algorithm on what it accepts: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        got = error.strerror if isinstance(error, OSError) else "not a port"
        raise UsageError(
            f"cannot listen on {host} port {port}", got=got, hint="choose another port, or 0 for a free one"
        ) from None
    return listener


def _for_url(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:  # every interface: name the one that is always there
        return LOOPBACK if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host
