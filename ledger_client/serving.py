"""How relay and witness answer over HTTP: a socket from `HOST:PORT`, a server that says when it answers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import uvicorn

from ledger_client.config_file import replace_file
from ledger_client.content.node.protocol import PunctualProtocol
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.applications import Starlette

_BACKLOG = 128
_IDLE_S = 30  # an open connection without a request


def listening_socket(place: str) -> socket.socket:
    """Bind and listen on `HOST:PORT` or `[IPV6]:PORT`. Raises UsageError for another form or a taken port.

    It is open before the server starts, so that the port which 0 picked can be told.
    """
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError("address to listen on", expected="HOST:PORT", got=place)
    # The protocol is named because asyncio switches Nagle off only then: 40 ms an answer otherwise.
    made = socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise UsageError(f"cannot listen on {place}", got=error.strerror or error) from error
    return made


def url_of(bound: socket.socket) -> str:
    """The address of a bound socket, as people and programs reach it."""
    host, port = bound.getsockname()[:2]
    return f"http://{host}:{port}"


def serve(
    application: Starlette,
    bound: socket.socket,
    *,
    max_requests: int,
    ready: dict[str, str],
    ready_file: Path | None,
    say: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM. Once requests are answered, `ready` goes as one line of JSON to the
    file, if there is one, and to `say`.

    More than `max_requests` at once are told 503, so that a flood ends in refusals and not in memory.
    """
    config = uvicorn.Config(
        application,
        http=PunctualProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_S,
        limit_concurrency=max_requests,
    )

    class _Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(sockets)  # type: ignore[arg-type]
            if ready_file is not None:
                replace_file(ready_file, json.dumps(ready).encode() + b"\n")
            say(json.dumps(ready))

    _Server(config).run(sockets=[bound])
