"""web3.py without a socket: its own tests for nodes, and what a provider owes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from web3 import Web3
from web3._utils.module_testing.eth_module import EthModuleTest
from web3._utils.module_testing.net_module import NetModuleTest
from web3._utils.module_testing.web3_module import Web3ModuleTest
from web3.exceptions import ContractLogicError, ProviderConnectionError, Web3RPCError

from local_chain.library import LocalChain
from local_chain.rpc.dispatch import MAX_BATCH
from local_chain.web3_provider import LocalChainProvider
from tests.support.fleet import environment


@pytest.fixture(scope="module")
def make_provider():
    return LocalChainProvider


class TestEth(EthModuleTest):
    """As over HTTP."""

    def test_invalid_eth_sign_typed_data(self, w3: Web3, keyfile_account_address: str) -> None:
        with pytest.raises(Web3RPCError, match="not typed data"):
            w3.eth.sign_typed_data(keyfile_account_address, {"types": {}})


class TestNet(NetModuleTest):
    """All of it."""


class TestWeb3(Web3ModuleTest):
    """All of it."""

    def _check_web3_client_version(self, client_version: str) -> None:
        assert client_version.startswith("fwledger-chain/")


def test_a_chain_that_does_not_run_is_not_connected() -> None:
    chain = LocalChain()
    web3 = Web3(LocalChainProvider(chain))
    assert not web3.is_connected()
    with chain:
        assert web3.is_connected()
    assert not web3.is_connected()
    with pytest.raises(ProviderConnectionError, match="inside its with block"):
        web3.is_connected(show_traceback=True)
    with pytest.raises(ConnectionError):
        _ = web3.eth.block_number


def test_a_batch_is_answered_in_the_order_of_its_requests(w3: Web3) -> None:
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_balance("0x" + "00" * 20, 0))
        batch.add(w3.eth.get_block(0))
        balance, block = batch.execute()
    assert (balance, block["number"]) == (0, 0)


def test_a_batch_that_is_too_large_is_refused_as_a_whole(w3: Web3) -> None:
    with w3.batch_requests() as batch:
        for _ in range(MAX_BATCH + 1):
            batch.add(w3.eth.get_block(0))
        with pytest.raises(Web3RPCError, match=f"batch too large: expected at most {MAX_BATCH}"):
            batch.execute()


def test_a_revert_is_what_web3_calls_it(w3: Web3, revert_contract) -> None:
    with pytest.raises(ContractLogicError, match="Function has been reverted"):
        w3.eth.contract(
            address=revert_contract.address, abi=revert_contract.abi
        ).functions.revertWithMessage().call()


@pytest.mark.parametrize("module", ["local_chain.library", "local_chain.cli", "local_chain.pytest_plugin"])
def test_the_chain_itself_imports_no_web3(module: str) -> None:
    code = f"import sys, {module}; sys.exit('web3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=60)
