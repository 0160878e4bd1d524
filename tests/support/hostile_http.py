"""An HTTP server that answers as it is told, byte for byte, and then hangs or closes: what no honest node
does."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class HostileServer:
    """`requests` counts the connections; each gets `answer`, then the end or, where `hang`, silence."""

    port: int
    answer: bytes
    hang: bool
    requests: int = 0
    done: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def hostile_server(answer: bytes, *, hang: bool = False) -> Iterator[HostileServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = HostileServer(listener.getsockname()[1], answer, hang)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=speak, args=(connection,), daemon=True).start()

    def speak(connection: socket.socket) -> None:
        server.requests += 1
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(server.answer)
            if server.hang:
                server.done.wait(60)
            else:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):  # let the client finish its upload: no reset before it reads
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def http_answer(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole answer; `length` is what its Content-Length claims, where that is to be a lie."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return (head + f"Content-Length: {len(body) if length is None else length}\r\n\r\n").encode() + body
