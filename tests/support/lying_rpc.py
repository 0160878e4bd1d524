"""An RPC node between a client and a real one: it passes on what is asked, and lies where it is told to."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 30.0


@dataclass
class LyingNode:
    """`lies` maps a method to what becomes of its true result; where that raises ConnectionError, the node
    hangs up and answers nothing.
    """

    url: str
    lies: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def withhold_logs(self, hidden: Callable[[dict[str, Any]], bool]) -> None:
        """Leave logs out of every answer."""
        self.lies["eth_getLogs"] = lambda logs: [log for log in logs if not hidden(log)]


@contextlib.contextmanager
def lying_node(upstream: str) -> Iterator[LyingNode]:
    """A node on a free port that tells what `upstream` tells, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: two would wait for each other for 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            method = json.loads(body)["method"]
            node.asked.append(method)
            request = urllib.request.Request(upstream, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                answer = json.load(response)
            if method in node.lies and "result" in answer:
                try:
                    answer["result"] = node.lies[method](answer["result"])
                except ConnectionError:
                    self.close_connection = True
                    return
            raw = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
            self.wfile.flush()

        def log_message(self, *values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    node = LyingNode(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
