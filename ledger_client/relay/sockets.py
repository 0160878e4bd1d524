"""A listening socket from `HOST:PORT`, opened before the server starts so that port 0 can be told."""

from __future__ import annotations

import socket

from ledger_client.errors import UsageError

_BACKLOG = 128


def listening_socket(place: str) -> socket.socket:
    """Bind and listen on `HOST:PORT` or `[IPV6]:PORT`. Raises UsageError for another form or a taken port."""
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
