"""What web3.py's own tests for nodes want to find: what its makers expect of any node, this one answers.

They want transactions that stay in the pool for a moment, so blocks come by the clock here.
"""

from __future__ import annotations

import importlib
import threading
import time
from typing import TYPE_CHECKING

import pytest
from web3 import Web3
from web3._utils.module_testing.utils import RequestMocker
from web3.middleware import ExtraDataToPOAMiddleware

from local_chain.library import LocalChain
from local_chain.opening import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from web3.providers import BaseProvider

CHAIN_ID = 131_277_322_940_537  # written into its tests
BLOCK_TIME_S = 0.4  # they wait for less than that in vain for what is not mined
POLL_S = 0.05
CONTRACTS = {
    "math_contract": "math_contract",
    "emitter_contract": "emitter_contract",
    "revert_contract": "revert_contract",
    "panic_errors_contract": "panic_errors_contract",
    "storage_contract": "storage_contract",
    "offchain_lookup_contract": "offchain_lookup",
}
LOG_DOUBLE_WITH_INDEX = 9  # the emitter contract's number for it


class Stage:
    """A chain on which everything that the tests want to find has happened, each in a block of its own."""

    def __init__(self, chain: LocalChain, provider: BaseProvider) -> None:
        self.chain = chain
        self.secret_key = "0x" + chain.accounts[0].secret_key.hex()
        self.w3 = Web3(provider)
        self.w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.owner = self.w3.eth.accounts[0]
        chain.rpc("evm_mine")
        self.empty_block = self.w3.eth.get_block(1)
        self.mined = self._sent({"from": self.owner, "to": "0x" + "00" * 20, "value": 1})
        self.hashes, self.contracts, self.interfaces = {}, {}, {}
        for name, module in CONTRACTS.items():
            source = importlib.import_module(f"web3._utils.contract_sources.contract_data.{module}")
            data = next(value for key, value in vars(source).items() if key.endswith("_DATA"))
            factory = self.w3.eth.contract(abi=data["abi"], bytecode=data["bytecode"])
            self.hashes[name] = self._sent(factory.constructor().build_transaction({"from": self.owner}))
            made = self.w3.eth.get_transaction_receipt(self.hashes[name])["contractAddress"]
            self.contracts[name] = factory(made)
            self.interfaces[name] = {"address": made, "abi": data["abi"], "bytecode": data["bytecode"]}
        log = self.contracts["emitter_contract"].functions.logDouble(LOG_DOUBLE_WITH_INDEX, 12_345, 54_321)
        self.logged = self._sent(log.build_transaction({"from": self.owner}))

    def _sent(self, transaction: dict):
        sent = self.w3.eth.send_transaction(transaction)
        assert self.w3.eth.wait_for_transaction_receipt(sent)["status"] == 1
        return sent


def prepare(w3, request: pytest.FixtureRequest) -> None:
    """What an asynchronous client needs on a QBFT chain, but for tests that bring it themselves."""
    if "poa" not in request.node.name.lower():
        w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    if "typed_data" in request.node.name:
        # Its asynchronous form takes the lists inside typed data for pairs of type and value.
        w3.middleware_onion.remove("ens_name_to_address")


@pytest.fixture(scope="module")
def make_provider() -> Callable[[LocalChain], BaseProvider]:
    """How web3.py reaches the chain."""
    return lambda chain: Web3.HTTPProvider(chain.url)


@pytest.fixture(scope="module")
def stage(make_provider):
    with LocalChain(Settings(chain_id=CHAIN_ID)) as chain:
        made = Stage(chain, make_provider(chain))
        chain.rpc("evm_setAutomine", False)
        ended = threading.Event()

        def mine() -> None:
            waiting, since = None, time.monotonic()
            while not ended.wait(POLL_S):
                now = chain.rpc("txpool_inspect")
                if now != waiting:  # a test that replaces what it sent gets its time, on a loaded machine too
                    waiting, since = now, time.monotonic()
                elif time.monotonic() - since >= BLOCK_TIME_S:
                    chain.rpc("evm_mine")
                    since = time.monotonic()

        clock = threading.Thread(target=mine)
        clock.start()
        try:
            yield made
        finally:
            ended.set()
            clock.join()


@pytest.fixture(autouse=True)
def nothing_waits(stage: Stage) -> None:
    """Some of the tests leave transactions behind, and the next one counts nonces."""
    if stage.chain.rpc("txpool_status") != {"pending": "0x0", "queued": "0x0"}:
        stage.chain.rpc("anvil_dropAllTransactions")


@pytest.fixture(scope="module")
def w3(stage: Stage):
    return stage.w3


@pytest.fixture(scope="module")
def empty_block(stage: Stage):
    return stage.empty_block


@pytest.fixture(scope="module")
def mined_txn_hash(stage: Stage):
    return stage.mined


@pytest.fixture(scope="module")
def block_with_txn(w3, mined_txn_hash):
    return w3.eth.get_block(w3.eth.get_transaction(mined_txn_hash)["blockNumber"])


@pytest.fixture(scope="module")
def txn_hash_with_log(stage: Stage):
    return stage.logged


@pytest.fixture(scope="module")
def block_with_txn_with_log(w3, txn_hash_with_log):
    return w3.eth.get_block(w3.eth.get_transaction(txn_hash_with_log)["blockNumber"])


@pytest.fixture(scope="module")
def math_contract(stage: Stage):
    return stage.contracts["math_contract"]


@pytest.fixture(scope="module")
def math_contract_address(math_contract):
    return math_contract.address


@pytest.fixture(scope="module")
def math_contract_deploy_txn_hash(stage: Stage):
    return stage.hashes["math_contract"]


@pytest.fixture(scope="module")
def emitter_contract(stage: Stage):
    return stage.contracts["emitter_contract"]


@pytest.fixture(scope="module")
def emitter_contract_address(emitter_contract):
    return emitter_contract.address


@pytest.fixture(scope="module")
def revert_contract(stage: Stage):
    return stage.contracts["revert_contract"]


@pytest.fixture(scope="module")
def panic_errors_contract(stage: Stage):
    return stage.contracts["panic_errors_contract"]


@pytest.fixture(scope="module")
def storage_contract(stage: Stage):
    return stage.contracts["storage_contract"]


@pytest.fixture(scope="module")
def offchain_lookup_contract(stage: Stage):
    return stage.contracts["offchain_lookup_contract"]


@pytest.fixture(scope="module")
def keyfile_account_pkey(stage: Stage) -> str:
    return stage.secret_key


@pytest.fixture(scope="module")
def keyfile_account_address(stage: Stage) -> str:
    return stage.owner


@pytest.fixture(scope="module")
def keyfile_account_address_dual_type(stage: Stage) -> str:
    return stage.owner


@pytest.fixture
def request_mocker():
    return RequestMocker


@pytest.fixture
def skip_if_testrpc():
    return lambda _w3: None


def _asynchronous(name: str):
    @pytest.fixture(name=f"async_{name}")
    def contract(async_w3, stage: Stage):
        return async_w3.eth.contract(**stage.interfaces[name])

    return contract


async_math_contract = _asynchronous("math_contract")
async_emitter_contract = _asynchronous("emitter_contract")
async_revert_contract = _asynchronous("revert_contract")
async_panic_errors_contract = _asynchronous("panic_errors_contract")
async_storage_contract = _asynchronous("storage_contract")
async_offchain_lookup_contract = _asynchronous("offchain_lookup_contract")


@pytest.fixture
def async_math_contract_address(math_contract_address):
    return math_contract_address


@pytest.fixture
def async_emitter_contract_address(emitter_contract_address):
    return emitter_contract_address


@pytest.fixture
def async_keyfile_account_address(stage: Stage) -> str:
    return stage.owner


@pytest.fixture
def async_keyfile_account_address_dual_type(stage: Stage) -> str:
    return stage.owner


@pytest.fixture
def async_empty_block(stage: Stage):
    return stage.empty_block


@pytest.fixture
def async_block_with_txn(block_with_txn):
    return block_with_txn


@pytest.fixture
def async_block_with_txn_with_log(block_with_txn_with_log):
    return block_with_txn_with_log


@pytest.fixture
def async_skip_if_testrpc():
    return lambda _w3: None
