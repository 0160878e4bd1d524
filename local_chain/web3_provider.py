"""web3.py on a chain in one's own process, without a socket. Needs the extra ``chain-web3``.

with LocalChain() as chain:
    web3 = Web3(LocalChainProvider(chain))

Sealed blocks carry long extra data: give the ``Web3`` its ``ExtraDataToPOAMiddleware``, or the chain
``Settings(sealed=False)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from web3.providers.base import JSONBaseProvider

from local_chain.errors import ChainError

if TYPE_CHECKING:
    from web3.types import RPCEndpoint, RPCResponse

    from local_chain.library import LocalChain


class LocalChainProvider(JSONBaseProvider):
    """A web3.py provider over ``chain``, which must be entered; requests take their turn with everybody's.

    A request to a chain that has stopped raises ConnectionError, as from a node that is gone.
    """

    def __init__(self, chain: LocalChain, **options: Any) -> None:
        super().__init__(**options)
        self._chain = chain

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one request."""
        return self._decoded(self.encode_rpc_request(method, params))

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Answer several in their order; one error object for a batch that is refused as a whole."""
        return self._decoded(self.encode_batch_rpc_request(requests))

    def _decoded(self, body: bytes) -> RPCResponse:
        try:
            response = self._chain.post(body)
        except ChainError as error:
            raise ConnectionError(str(error)) from error
        return self.decode_rpc_response(response)
