"""The chain inside a program: served on a free port by a thread of one's own process, for tests and scripts.

with LocalChain() as chain:
web3 = Web3(Web3.HTTPProvider(chain.url))
"""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Self

from local_chain import server
from local_chain.errors import ChainError, StateError
from local_chain.opening import Settings, open_node
from local_chain.rpc.dispatch import RpcError, answer

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ledger_protocol.release.trust_root import Validator
    from local_chain.accounts import DevAccount
    from local_chain.rpc.quantities import Json

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 30.0  # a loaded machine; it takes a few hundredths of a second


class LocalChain:
    """A chain for the length of a ``with`` block.

    ``settings`` say what chain, ``state`` is the directory that keeps it (None: memory), ``port`` 0 picks a
    free one. Entering raises StateError when the state cannot be used, ChainError when the port is taken.
    """

    def __init__(self, settings: Settings | None = None, *, state: Path | None = None, port: int = 0) -> None:
        self._settings = Settings() if settings is None else settings
        self._state = state
        self._port = port
        self._requests = itertools.count(1)
        self._worker: server.Worker | None = None

    def __enter__(self) -> Self:
        listener = server.listen(_HOST, self._port)
        try:
            self._node = open_node(self._settings, state=self._state, unlocked=True)
        except BaseException:
            listener.close()
            raise
        worker = self._worker = server.Worker()
        self._address = listener.getsockname()[1]
        started = threading.Event()
        app = server.application(self._node, worker, loopback=True)
        self._server = server.build(app, ready=started.set)
        arguments = {"sockets": [listener]}
        self._thread = threading.Thread(
            target=self._server.run, kwargs=arguments, name="fwledger-chain", daemon=True
        )
        self._thread.start()
        if not started.wait(_START_TIMEOUT_S):
            raise StateError(f"the chain did not start within {_START_TIMEOUT_S:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker = None
        self._server.should_exit = True
        self._thread.join()

    @property
    def url(self) -> str:
        """Its JSON-RPC address over HTTP."""
        return f"http://{_HOST}:{self._address}"

    @property
    def ws_url(self) -> str:
        """Its JSON-RPC address over WebSocket."""
        return f"ws://{_HOST}:{self._address}"

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """The funded accounts with their keys, which the chain signs for."""
        return tuple(self._node.accounts.values())

    @property
    def validators(self) -> tuple[Validator, ...]:
        """Who seals, for a trust root to pin."""
        return self._node.identities

    def post(self, body: bytes) -> bytes:
        """The answer to a JSON-RPC body, as over HTTP but without a socket; empty when it asks for none.

        Raises ChainError when the chain does not run (any more).
        """
        if self._worker is None:
            raise ChainError("the chain does not run: use it inside its with block")
        return self._worker.result(lambda: answer(self._node, body, privileged=True)) or b""

    def rpc(self, method: str, *params: Json) -> Json:
        """Call a method without a socket, in turn with everybody's requests; RpcError for an error object."""
        request = {"jsonrpc": "2.0", "id": next(self._requests), "method": method, "params": params}
        document = json.loads(self.post(json.dumps(request).encode()))
        if "error" in document:
            error = document["error"]
            raise RpcError(error["code"], error["message"], error.get("data"))
        return document["result"]
