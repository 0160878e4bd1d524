"""The attacker's server: an RPC node and a gateway in one, which pass on what they do not change."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UPSTREAM_S = 20.0
ENDLESS_PIECE = bytes(65_536)


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

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """The result of a JSON-RPC call; `ask` puts it to the honest node."""
        return ask(method, params)

    def block(self, fetch: Callable[[str], bytes], cid: str) -> bytes | None:
        """The body for a block; `fetch` takes it from the honest gateway. None does not end."""
        return fetch(cid)


class LyingServer:
    """It runs while the `with` block does; `lie` may be changed at any time."""

    def __init__(self, *, rpc: str, gateway: str) -> None:
        self._rpc, self._gateway = rpc, gateway
        self.lie = Lie()
        self._stopped = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
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
                if body is None:
                    self._send_for_ever()
                else:
                    self._send(body, "application/vnd.ipld.raw")

            def _send(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _send_for_ever(self) -> None:
                self.close_connection = True
                self.send_response(200)
                self.end_headers()
                try:
                    while not server._stopped.is_set():
                        self.wfile.write(ENDLESS_PIECE)
                        self.wfile.flush()
                except OSError:  # the device has hung up
                    return

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
