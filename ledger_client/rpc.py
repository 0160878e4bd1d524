"""JSON-RPC over HTTP to several nodes: the next one is asked when one cannot be reached.

A node that answers wrongly is caught by proofs, not here; a node on another chain is refused by name.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

import requests
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint

from ledger_client.errors import UnreachableError, WrongLedgerError
from ledger_client.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3.types import RPCResponse

# eth_getLogs over a busy range answers a few MiB; far more is a node that floods us (bytes).
MAX_ANSWER_BYTES = 64 * 1024 * 1024

# What web servers and providers say when they, not the request, are the trouble.
_TRY_ANOTHER_STATUS = frozenset({429, 500, 502, 503, 504})


class Nodes(JSONBaseProvider):
    """A web3 provider over RPC nodes in order of preference.

    The node that answered last is asked first next time. `expected_chain_id` is checked once for each node,
    before its first answer is used; None takes the chain of the first node that answers, and holds the others
    to it.
    """

    def __init__(self, urls: Sequence[str], *, expected_chain_id: int | None, timeout_s: float) -> None:
        super().__init__()
        self.urls = tuple(urls)
        self.expected_chain_id = expected_chain_id
        self._timeout_s = timeout_s
        self._current = 0
        self._checked: set[str] = set()
        self._session = requests.Session()
        # A proxy of the environment, and passwords of ~/.netrc, have no business with this machine's own
        # node.
        self._local = requests.Session()
        self._local.trust_env = False

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Ask the current node, then the others. Raises UnreachableError when none answered."""
        troubles = []
        for step in range(len(self.urls)):
            index = (self._current + step) % len(self.urls)
            url = self.urls[index]
            try:
                self._check_chain(url)
                answer = self._post(url, method, params)
            except _NodeTroubleError as trouble:
                troubles.append(f"{mask_url(url)}: {trouble}")
                continue
            self._current = index
            return answer
        raise UnreachableError(
            f"no RPC node answered {method} ({'; '.join(troubles)})",
            hint="is the node running? `rpc` in fwledger.toml, --rpc or ETH_RPC_URL may name several",
        )

    def close(self) -> None:
        """Close the connections that are kept open between requests."""
        self._session.close()
        self._local.close()

    def _check_chain(self, url: str) -> None:
        if url in self._checked:
            return
        result = self._post(url, RPCEndpoint("eth_chainId"), []).get("result")
        try:
            chain_id = int(str(result), 16)
        except ValueError:
            raise _NodeTroubleError(f"eth_chainId answered {str(result)[:40]!r}") from None
        if self.expected_chain_id is None:
            self.expected_chain_id = chain_id
        if chain_id != self.expected_chain_id:
            raise WrongLedgerError(
                f"{mask_url(url)} is not the chain you configured",
                expected=f"chain id {self.expected_chain_id}",
                got=chain_id,
            )
        self._checked.add(url)

    def _post(self, url: str, method: RPCEndpoint, params: Any) -> RPCResponse:
        try:
            body = self.encode_rpc_request(method, params)
            with contextlib.closing(
                (self._local if is_loopback(url) else self._session).post(
                    url,
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=self._timeout_s,
                    stream=True,
                    allow_redirects=False,
                )
            ) as response:
                if response.status_code in _TRY_ANOTHER_STATUS:
                    raise _NodeTroubleError(f"HTTP {response.status_code}")
                raw = _read_at_most(response, MAX_ANSWER_BYTES)
            answer: Any = parse_json(raw)
        except (requests.RequestException, OSError) as error:
            raise _NodeTroubleError(_reason(error)) from error
        except ValueError as error:
            raise _NodeTroubleError("the answer is not JSON") from error
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise _NodeTroubleError("the answer is not JSON-RPC")
        return cast("RPCResponse", answer)


class _NodeTroubleError(Exception):
    """One node could not be used for this request; the next may."""


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def mask_url(url: str) -> str:
    """The URL without what may be secret in it: user, password, query, and long path parts (API keys)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"{host}:{parts.port}" if parts.port else host
    path = "/".join("***" if len(part) > 15 else part for part in parts.path.split("/"))
    return urlunsplit((parts.scheme, place, path, "***" if parts.query else "", ""))


def _read_at_most(response: requests.Response, limit: int) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_content(1 << 16):
        size += len(chunk)
        if size > limit:
            raise _NodeTroubleError(f"the answer is over {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "connection refused" if "refused" in str(error).lower() else "no connection"
    return type(error).__name__
