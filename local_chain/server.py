"""The node over HTTP and WebSocket: one port, and one worker thread that owns the chain and takes requests
in order of arrival.

Because there is one queue, whoever has sent a transaction and then asks for its receipt finds it: the
sealing stands in the queue between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from local_chain.errors import ChainError
from local_chain.rpc.dispatch import answer
from local_chain.rpc.subscriptions import publish
from local_chain.sockets import Sockets
from local_chain.wire import WholeAnswers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import FrameType

    from starlette.requests import HTTPConnection, Request
    from starlette.websockets import WebSocket

    from local_chain.node import Node

MAX_BODY_BYTES = 5 << 20  # geth's limit
BODY_TIMEOUT_S = 30  # of one that comes slowly: it holds memory meanwhile
_KEEP_ALIVE_S = 75
_CLOSING = {"Connection": "close"}
_MAX_OPEN_FILES = 65_536  # as far as the system lets us; many systems begin with 1,024, a socket each
_BACKLOG = 128
_STACK_BYTES = (
    64 << 20
)  # 1,024 EVM calls inside one another are about 10,000 Python frames; unused pages cost nothing

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Worker:
    """The one thread in which the chain is read and changed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chain")
        previous = threading.stack_size(_STACK_BYTES)
        try:
            self._pool.submit(lambda: None).result()  # the thread is made now, with that stack
        finally:
            threading.stack_size(previous)

    def enqueue(self, job: Callable[[], None]) -> None:
        """Run ``job`` after what waits already; a failure is logged."""
        self._pool.submit(_guarded, job)

    async def run(self, job: Callable[[], T]) -> T:
        """Run ``job`` in its turn and give its result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def result(self, job: Callable[[], T]) -> T:
        """Run ``job`` in its turn and wait for its result; for threads that run no event loop."""
        return self._pool.submit(job).result()

    def close(self) -> None:
        """Finish what waits and stop."""
        self._pool.shutdown(wait=True)


def application(
    node: Node,
    worker: Worker,
    *,
    loopback: bool,
    tasks: tuple[Callable[[], AsyncIterator[None]], ...] = (),
    at_end: Callable[[], None] | None = None,
) -> Starlette:
    """The ASGI application. ``tasks`` are background loops that run while it serves, ``at_end`` is done
    once it has stopped.
    """
    node.on_waiting = lambda: worker.enqueue(node.seal_waiting)
    publish(node)
    sockets = Sockets(node, worker, privileged=loopback)

    async def serve(request: Request) -> Response:
        if loopback and not _is_local(request):
            return PlainTextResponse("this node serves its own machine only\n", status_code=403)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await _read(request)
        except TimeoutError:
            return PlainTextResponse(f"expected a body within {BODY_TIMEOUT_S} s\n", 408, _CLOSING)
        if body is None:
            return PlainTextResponse(f"expected at most {MAX_BODY_BYTES} bytes\n", status_code=413)
        response = await worker.run(lambda: answer(node, body, privileged=loopback))
        if response is None:
            return Response(status_code=204)
        return Response(response, media_type="application/json")

    async def serve_socket(websocket: WebSocket) -> None:
        if loopback and not _is_local(websocket):
            await websocket.close()  # before it is accepted: the client sees status 403
            return
        await sockets.serve(websocket)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        clock = _clock(node, worker)
        running = [asyncio.ensure_future(_drain(loop)) for loop in (clock, *(task() for task in tasks))]
        try:
            yield
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            worker.close()
            if at_end is not None:
                _guarded(at_end)
            node.chain.store.close()

    routes = [Route("/", serve, methods=["POST"]), WebSocketRoute("/", serve_socket)]
    return Starlette(routes=routes, lifespan=lifespan)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. ChainError when the address is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        text = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise ChainError(text, hint="another node may run there; --port 0 picks a free port") from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def run(app: Starlette, listener: socket.socket, *, ready: Callable[[], None]) -> None:
    """Serve until a signal ends the process; ``ready`` is called once requests are answered."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != allowed < _MAX_OPEN_FILES:
        wanted = _MAX_OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _MAX_OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    # uvicorn finishes what runs and then raises the signal again: being told to stop is no failure.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    build(app, ready=ready).run(sockets=[listener])


def build(app: Starlette, *, ready: Callable[[], None]) -> uvicorn.Server:
    """A server that is not running yet; ``ready`` is called once requests are answered."""
    config = uvicorn.Config(
        app,
        http=WholeAnswers,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        ws_max_size=MAX_BODY_BYTES,
        ws_per_message_deflate=False,  # clients are near
    )

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    return Announcing(config)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


async def _clock(node: Node, worker: Worker) -> AsyncIterator[None]:
    """Seals by the clock while the node has a block time, which may change."""
    changed = asyncio.Event()
    wake, loop = changed.set, asyncio.get_running_loop()

    def wake_up() -> None:
        loop.call_soon_threadsafe(wake)

    node.on_block_time = wake_up
    while True:
        try:
            await asyncio.wait_for(changed.wait(), node.block_time_s)
            changed.clear()
        except TimeoutError:
            await worker.run(lambda: _guarded(node.seal_interval_block))
        yield


async def _drain(loop: AsyncIterator[None]) -> None:
    async for _ in loop:
        pass


async def _read(request: Request) -> bytes | None:
    """The body, or None when it is larger than the limit: it is counted while it comes in."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _is_local(request: HTTPConnection) -> bool:
    """Whether the request was meant for this machine by a program on it, and not sent by a web page that it
    shows.

    A page on the internet can make a browser post here, under a name of its own (DNS rebinding) or under
    ours; the Host and Origin headers tell.
    """
    names = [urlsplit("//" + request.headers.get("host", "")).hostname]
    if (origin := request.headers.get("origin")) is not None:
        names.append(urlsplit(origin).hostname)
    return all(name is not None and is_loopback(name) for name in names)


def _guarded(job: Callable[[], None]) -> None:
    try:
        job()
    except ChainError as error:  # such as a full disk: what was acknowledged stands, and what waits waits on
        _log.error("%s failed: %s", getattr(job, "__name__", "a background job"), error)
    except Exception:  # the node lives on: the transactions wait, and the next request or block tries again
        _log.exception("%s failed", getattr(job, "__name__", "a background job"))
