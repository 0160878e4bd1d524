"""web3.py's own tests for nodes, asynchronous over WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from web3 import AsyncWeb3
from web3._utils.module_testing.eth_module import AsyncEthModuleTest
from web3._utils.module_testing.net_module import AsyncNetModuleTest
from web3._utils.module_testing.persistent_connection_provider import PersistentConnectionProviderTest
from web3._utils.module_testing.web3_module import AsyncWeb3ModuleTest
from web3.exceptions import Web3RPCError
from web3.providers import WebSocketProvider

from tests.chain.web3py.conftest import prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chain.web3py.conftest import Stage


@pytest_asyncio.fixture
async def async_w3(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[AsyncWeb3]:
    async with AsyncWeb3(WebSocketProvider(stage.chain.ws_url)) as w3:
        prepare(w3, request)
        yield w3


class TestAsyncEth(AsyncEthModuleTest):
    """One differs, and here is what this chain does instead (docs/limits.md)."""

    @pytest.mark.asyncio
    async def test_invalid_eth_sign_typed_data(
        self, async_w3: AsyncWeb3, async_keyfile_account_address: str
    ) -> None:
        with pytest.raises(Web3RPCError, match="not typed data"):
            await async_w3.eth.sign_typed_data(async_keyfile_account_address, {"types": {}})


class TestAsyncNet(AsyncNetModuleTest):
    """All of it."""


class TestAsyncWeb3(AsyncWeb3ModuleTest):
    """All of it."""

    def _check_web3_client_version(self, client_version: str) -> None:
        assert client_version.startswith("fwledger-chain/")


class TestSubscriptions(PersistentConnectionProviderTest):
    """All of it."""
