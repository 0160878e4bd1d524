"""The tracers beside a real geth: the same transactions on both, and the same trace of each, but for what is newer.

geth 1.13.15 writes some hex without its prefix and has no index at a log; ours has geth's newer forms.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import vyper
from eth_abi import encode

from ledger_protocol.keccak import keccak256
from local_chain.forks import Fork
from local_chain.library import LocalChain
from local_chain.opening import Settings
from local_chain.transactions import LEGACY, Transaction
from tests.support.chain import RpcError, rpc, wait_until

pytestmark = pytest.mark.engines("geth")

GAS = 5_000_000
PRICE = 10**11
CHAIN_ID = 1337  # of geth's development chain
SUICIDE = bytes.fromhex("73" + "99" * 20 + "ff")  # a creation that destroys itself
UNDEFINED = bytes.fromhex("0c")
ENDLESS = bytes.fromhex("5b600056")


@pytest.fixture(scope="module")
def geth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geth")
    line = [
        os.environ["FWLEDGER_GETH"],
        "--dev",
        "--ipcdisable",
        "--nodiscover",
        "--port",
        "0",
        "--authrpc.port",
        "0",
    ]
    line += ["--http", "--http.port", "0", "--http.api", "eth,debug,net", "--datadir", str(folder)]
    line += ["--rpc.allow-unprotected-txs", "--miner.gasprice", "1"]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)
    try:
        started = "HTTP server started +endpoint=([^ ]+)"
        wait_until(lambda: re.search(started, log.read_text()), "geth serves")
        yield "http://" + re.search(started, log.read_text())[1]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ours():
    with LocalChain(Settings(chain_id=CHAIN_ID, fork=Fork.SHANGHAI)) as chain:
        yield chain


class Story:
    """The same transactions of one account, on any node."""

    def __init__(self, url: str, account) -> None:
        self.url, self.account, self.nonce, self.hashes = url, account, 0, []
        source = (Path(__file__).parents[1] / "chain" / "Nest.vy").read_text()
        code = vyper.compile_code(source, output_formats=["bytecode"])["bytecode"]
        nest = self.send(None, bytes.fromhex(code[2:]))["contractAddress"]
        self.nest = bytes.fromhex(nest[2:])
        self.send(self.nest, message("store(uint256,uint256)", 1, 5))
        self.send(self.nest, message("store(uint256,uint256)", 1, 13))
        self.send(self.nest, message("store(uint256,uint256)", 1, 0))
        self.send(self.nest, message("calls(uint256,uint256)", 7, 9))
        self.send(self.nest, message("calls(uint256,uint256)", 8, 9), gas=90_000)
        self.send(self.nest, message("fail()"))
        self.send(self.nest, message("give(address)", "0x" + "77" * 20), value=5)
        self.send(self.nest, b"\x12\x34\x56\x78")
        self.send(b"\x88" * 20, b"", value=3)
        self.send(None, UNDEFINED)
        self.send(None, ENDLESS, gas=60_000)
        self.send(None, SUICIDE, value=9)

    def send(self, to: bytes | None, data: bytes, *, value: int = 0, gas: int = GAS) -> dict:
        sent = Transaction(LEGACY, CHAIN_ID, self.nonce, gas, to, value, data, PRICE, PRICE)
        raw = sent.signed(self.account.secret_key).raw
        transaction_hash = rpc(self.url, "eth_sendRawTransaction", "0x" + raw.hex())
        wait_until(lambda: receipt(self.url, transaction_hash), "the transaction is mined")
        self.nonce += 1
        self.hashes.append(transaction_hash)
        return receipt(self.url, transaction_hash)

    def traces(self, options: dict) -> list:
        return [rpc(self.url, "debug_traceTransaction", one, options) for one in self.hashes]


def receipt(url: str, transaction_hash: str) -> dict | None:
    try:
        return rpc(url, "eth_getTransactionReceipt", transaction_hash)
    except RpcError:  # geth, while it still indexes
        return None


def message(signature: str, *values: object) -> bytes:
    kinds = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(kinds, values)


@pytest.fixture(scope="module")
def both(geth: str, ours: LocalChain):
    account = ours.accounts[0]
    rich = rpc(geth, "eth_accounts")[0]
    gift = {"from": rich, "to": "0x" + account.address.hex(), "value": hex(10**22)}
    paid = rpc(geth, "eth_sendTransaction", gift)
    wait_until(lambda: receipt(geth, paid), "the account has money")
    return Story(ours.url, account), Story(geth, account)


def plain(trace: object) -> object:
    """A trace without what geth has changed since: prefixes of long hex, and the index of a log."""
    if isinstance(trace, dict):
        return {key: plain(value) for key, value in trace.items() if key != "index"}
    if isinstance(trace, list):
        return [plain(value) for value in trace]
    return trace.removeprefix("0x") if isinstance(trace, str) else trace


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"enableMemory": True, "enableReturnData": True},
        {"disableStack": True, "disableStorage": True, "limit": 7},
        {"tracer": "callTracer"},
        {"tracer": "callTracer", "tracerConfig": {"withLog": True}},
        {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True, "withLog": True}},
    ],
    ids=json.dumps,
)
def test_every_step_and_call_is_as_geth_tells_it(both, options: dict) -> None:
    ours, geths = (story.traces(options) for story in both)
    for mine, theirs in zip(plain(ours), plain(geths), strict=True):
        assert mine == theirs


@pytest.mark.parametrize("diff", [False, True])
def test_the_accounts_before_and_after_are_as_geth_tells_them(both, ours: LocalChain, diff: bool) -> None:
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": diff}}
    aside = {both[0].account.address, *(validator.address for validator in ours.validators), bytes(20)}
    for mine, theirs in zip(*(story.traces(options) for story in both), strict=True):
        assert same_in_both(mine, aside) == same_in_both(theirs, aside)


def same_in_both(view: dict, aside: set[bytes]) -> dict:
    """A trace without those who pay or are paid for the blocks (the two chains' base fees differ), and without
    accounts that were made just then: geth 1.13 shows what it found half made, newer ones leave it out.
    """
    if set(view) == {"pre", "post"}:
        return {part: same_in_both(accounts, aside) for part, accounts in view.items()}
    kept = {}
    for who, account in view.items():
        rest = {key: value for key, value in account.items() if (key, value) != ("nonce", 1)}
        made_just_then = rest.get("balance") == "0x0" and "code" not in rest
        if bytes.fromhex(who[2:]) not in aside and rest and not made_just_then:
            kept[who] = rest
    return kept
