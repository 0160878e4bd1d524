"""A plain JSON-RPC client for the node that a follower follows. Nothing that it answers is trusted."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from local_chain.errors import ChainError, UpstreamError, UpstreamGone
from local_chain.json_input import parse_json

TIMEOUT_S = 10.0  # a loaded machine may take seconds over a full block
MAX_ANSWER_BYTES = 64 << 20  # sixteen blocks of 30 million gas of call data, in hex


class Upstream:
    """The node at ``url``. Methods raise UpstreamError when it cannot be reached or answers nonsense."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise UpstreamError(f"upstream: expected an http address, got {url}")
        self.url = url
        self._timeout_s = timeout_s
        # Straight to the node: a proxy from the environment has no business between two nodes of one chain.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, *params: object) -> Any:
        """The result of one call; ChainError, in the node's own words, when it refuses."""
        return self.calls([(method, params)])[0]

    def calls(self, requests: list[tuple[str, tuple[object, ...]]]) -> list[Any]:
        """The results of a batch in order; ChainError for the first that is refused."""
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": list(params)}
            for index, (method, params) in enumerate(requests)
        ]
        answers = self._post(json.dumps(body).encode())
        if not isinstance(answers, list) or len(answers) != len(requests):
            raise UpstreamError(f"{self.url}: expected {len(requests)} answers")
        return [self._result(answer, index) for index, answer in enumerate(answers)]

    def _result(self, answer: Any, index: int) -> Any:
        if not isinstance(answer, dict) or answer.get("id") != index:
            raise UpstreamError(f"{self.url}: expected answers in the order of the requests")
        if "error" in answer:
            error = answer["error"]
            raise ChainError(str(error.get("message") if isinstance(error, dict) else error)[:500])
        return answer.get("result")

    def _post(self, body: bytes) -> Any:
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            kind = UpstreamGone if isinstance(reason, ConnectionRefusedError) else UpstreamError
            raise kind(f"cannot reach {self.url}: {reason}", hint="is that node running?") from error
        if len(answer) > MAX_ANSWER_BYTES:
            raise UpstreamError(f"{self.url}: expected at most {MAX_ANSWER_BYTES} bytes")
        try:
            return parse_json(answer)
        except ValueError as error:
            raise UpstreamError(f"{self.url}: expected JSON: {error}") from error
