"""Connections of clients that dawdle are dropped, those of others are not."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from ledger_client.content.node.protocol import PunctualProtocol

ENOUGH_S = 20.0


class Impatient(PunctualProtocol):
    head_s = 0.2
    stall_s = 0.2

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.app_state["lost"].set()


async def hello(_):
    return PlainTextResponse("hello")


async def flood(_):
    return StreamingResponse(bytes(65536) for _ in range(10_000))


def with_connection(scenario):
    async def run():
        app = Starlette(routes=[Route("/hello", hello), Route("/flood", flood)])
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=5)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        lost = asyncio.Event()
        server = await loop.create_server(
            lambda: Impatient(config=config, server_state=state, app_state={"lost": lost}, _loop=loop),
            "127.0.0.1",
            0,
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                await asyncio.wait_for(scenario(reader, writer, state, lost), ENOUGH_S)
            finally:
                writer.close()

    asyncio.run(run())


async def dropped(reader):
    """Whether the server ends the connection without an answer."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def test_who_says_nothing_is_dropped():
    async def scenario(reader, writer, state, lost):
        assert await dropped(reader)

    with_connection(scenario)


def test_who_never_ends_a_head_is_dropped_however_often_it_sends_a_byte():
    async def scenario(reader, writer, state, lost):
        writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n")
        ended = asyncio.ensure_future(dropped(reader))
        while not ended.done():
            writer.write(b"X: y\r\n")
            await asyncio.wait([ended], timeout=0.02)
        assert ended.result()

    with_connection(scenario)


def test_who_does_not_read_an_answer_is_dropped():
    async def scenario(reader, writer, state, lost):
        reader._transport.pause_reading()
        writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await lost.wait()

    with_connection(scenario)


def test_who_asks_in_time_is_not_timed_any_more():
    async def scenario(reader, writer, state, lost):
        for _ in range(2):
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK")
            (connection,) = state.connections
            assert connection._head_timer is None
            assert connection._stall_timer is None

    with_connection(scenario)
