"""JSON-RPC over one WebSocket: requests in text or binary frames, answers and notifications in text frames.

A connection's requests are taken one after another, so a client that sends without reading only stops
itself. Notifications wait in an outbox; who does not read them is cut off once it is full.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect

from local_chain.channels import Channel
from local_chain.rpc.dispatch import answer

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from local_chain.node import Node
    from local_chain.server import Worker

MAX_SOCKETS = 1_000
MAX_OUTBOX_BYTES = 16 << 20  # of one connection; a larger single answer may stand in it alone
TRY_AGAIN_LATER = 1013  # RFC 6455's registry of close codes


class Sockets:
    """The open WebSockets of one node."""

    def __init__(self, node: Node, worker: Worker, *, privileged: bool) -> None:
        self._node = node
        self._worker = worker
        self._privileged = privileged
        self._open = 0

    async def serve(self, websocket: WebSocket) -> None:
        """Answer one client until it leaves."""
        if self._open >= MAX_SOCKETS:
            await websocket.close(TRY_AGAIN_LATER)
            return
        self._open += 1
        outbox = Outbox()
        channel = Channel(outbox.push)
        sender: asyncio.Task[None] | None = None
        try:
            await websocket.accept()
            sender = asyncio.create_task(outbox.drain(websocket))
            await self._receive(websocket, channel, outbox)
        finally:
            self._open -= 1
            if sender is not None:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            self._worker.enqueue(lambda: self._forget(channel))

    async def _receive(self, websocket: WebSocket, channel: Channel, outbox: Outbox) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            body = (message.get("bytes") or b"") if text is None else text.encode()
            await outbox.room()
            await self._worker.run(lambda body=body: self._answer(channel, body))  # type: ignore[misc]

    def _answer(self, channel: Channel, body: bytes) -> None:
        response = answer(self._node, body, privileged=self._privileged, channel=channel)
        if response is not None:
            channel.push(response)

    def _forget(self, channel: Channel) -> None:
        self._node.channels.pop(channel, None)


class Outbox:
    """Messages on their way to one client: put in by any thread, sent by the event loop."""

    def __init__(self, *, limit_bytes: int = MAX_OUTBOX_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._messages: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._overrun = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def push(self, message: bytes) -> None:
        """Send ``message`` after those that wait; too much at once ends the connection instead."""
        with self._lock:
            if self._overrun:
                return
            if self._messages and self._waiting_bytes + len(message) > self._limit_bytes:
                self._overrun = True
                self._messages.clear()
                self._waiting_bytes = 0
            else:
                self._messages.append(message)
                self._waiting_bytes += len(message)
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the client with it
            self._loop.call_soon_threadsafe(self._filled.set)

    async def drain(self, websocket: WebSocket) -> None:
        """Send what is put in, until the client leaves or is too slow."""
        try:
            while True:
                message = self._take()
                if message is not None:
                    await websocket.send_text(message.decode())
                elif self._overrun:
                    await websocket.close(TRY_AGAIN_LATER, "the client reads too slowly")
                    return
                else:
                    self._emptied.set()
                    await self._filled.wait()
                    self._filled.clear()
        except (WebSocketDisconnect, RuntimeError):  # it left; the receiving side learns it as well
            return
        finally:
            self._overrun = True
            self._emptied.set()

    async def room(self) -> None:
        """Wait until everything was sent, if much waits."""
        while not self._overrun and 2 * self._waiting_bytes > self._limit_bytes:
            self._emptied.clear()
            self._filled.set()
            await self._emptied.wait()

    def _take(self) -> bytes | None:
        with self._lock:
            if not self._messages:
                return None
            message = self._messages.popleft()
            self._waiting_bytes -= len(message)
            return message
