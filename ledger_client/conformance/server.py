"""One HTTP server on loopback for a whole run: each case's sites stand below their own number."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from ledger_client.conformance.case import Site
from ledger_client.conformance.sites import Hangup


class SiteServer:
    """Serves sites while its context is open."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._numbers = itertools.count(1)
        self._server = _Server(("127.0.0.1", 0), _handler(self._sites))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @contextlib.contextmanager
    def mounted(self, site: Site) -> Generator[str]:
        """Serve a site; give its URL."""
        number = str(next(self._numbers))
        self._sites[number] = site
        try:
            yield f"http://127.0.0.1:{self._server.server_address[1]}/{number}"
        finally:
            site.close()
            del self._sites[number]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up: many must."""


def _handler(sites: dict[str, Site]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._reply(b"")

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def _reply(self, body: bytes) -> None:
            number, slash, path = self.path[1:].partition("/")
            site = sites.get(number)
            if site is None:
                self.send_error(404)
                return
            try:
                response = site.answer(self.command, slash + path, body)
            except Hangup:
                self._cut()
                return
            self.send_response(response.status)
            if response.length is None:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(response.length))
            self.end_headers()
            sent = 0
            for piece in response.pieces:
                data = piece
                if response.length is None:
                    data = b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
                self.wfile.write(data)
                self.wfile.flush()
                sent += len(piece)
                site.sent_bytes = max(site.sent_bytes, sent)
            if response.length != sent:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
