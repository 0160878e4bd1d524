"""The attacker's server: an RPC node and a gateway in one, which pass on what they do not change."""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

UPSTREAM_S = 20.0


class RefusedError(Exception):
    """The node behind answers with an error object."""

    def __init__(self, error: object) -> None:
        super().__init__(str(error))
        self.error = error


def ask_node(url: str, method: str, params: Sequence[Any]) -> Any:
    """The result of a JSON-RPC call. Raises RefusedError."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=UPSTREAM_S) as response:
        answer = json.load(response)
    if "error" in answer:
        raise RefusedError(answer["error"])
    return answer["result"]


class Lie:
    """What the server changes; this one changes nothing."""

    used: int = 0
    """How often it was told."""

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """The result of a JSON-RPC call; `ask` puts it to the honest node."""
        return ask(method, params)

    def block(self, fetch: Callable[[str], bytes], cid: str) -> bytes | Iterator[bytes]:
        """The body for a block, or pieces that go on for as long as the device listens.

        `fetch` takes it from the honest gateway.
        """
        return fetch(cid)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A device that hangs up on us is what we are here for; anything else is a fault of the demo's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class LyingServer:
    """It runs while the `with` block does; `lie` may be changed at any time."""

    def __init__(self, *, rpc: str, gateway: str) -> None:
        self._rpc, self._gateway = rpc, gateway
        self.lie = Lie()
        self._stopped = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def ask(self, method: str, params: Sequence[Any]) -> Any:
        """Put a call to the honest node."""
        return ask_node(self._rpc, method, params)

    def fetch(self, cid: str) -> bytes:
        """Take a block from the honest gateway."""
        with urllib.request.urlopen(f"{self._gateway}/ipfs/{cid}?format=raw", timeout=UPSTREAM_S) as response:
            body: bytes = response.read()
        return body

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 65_536

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = {"jsonrpc": "2.0", "id": asked["id"]}
                try:
                    answer["result"] = server.lie.rpc(server.ask, asked["method"], asked["params"])
                except RefusedError as error:
                    answer["error"] = error.error
                self._send(json.dumps(answer).encode(), "application/json")

            def do_GET(self) -> None:
                try:
                    body = server.lie.block(server.fetch, self.path.split("?")[0].rpartition("/")[2])
                except urllib.error.HTTPError as error:
                    self.send_error(error.code)
                    return
                if isinstance(body, bytes):
                    self._send(body, "application/vnd.ipld.raw")
                else:
                    self._send_pieces(body)

            def _send(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _send_pieces(self, pieces: Iterator[bytes]) -> None:
                self.close_connection = True
                self.send_response(200)
                self.end_headers()
                for piece in pieces:
                    if server._stopped.is_set():
                        return
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
