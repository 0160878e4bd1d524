"""web3.py's own tests for nodes, blocking over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from web3._utils.module_testing.eth_module import EthModuleTest
from web3._utils.module_testing.net_module import NetModuleTest
from web3._utils.module_testing.web3_module import Web3ModuleTest
from web3.exceptions import Web3RPCError

if TYPE_CHECKING:
    from web3 import Web3


class TestEth(EthModuleTest):
    """One differs, and here is what this chain does instead (docs/limits.md)."""

    def test_invalid_eth_sign_typed_data(self, w3: Web3, keyfile_account_address: str) -> None:
        with pytest.raises(Web3RPCError, match="not typed data"):
            w3.eth.sign_typed_data(keyfile_account_address, {"types": {}})


class TestNet(NetModuleTest):
    """All of it."""


class TestWeb3(Web3ModuleTest):
    """All of it."""

    def _check_web3_client_version(self, client_version: str) -> None:
        assert client_version.startswith("fwledger-chain/")
