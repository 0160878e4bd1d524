"""What fails on a real geth fails here with the same code and in the same words, by which clients tell errors apart."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from eth_abi import encode

from ledger_protocol.keccak import keccak256
from local_chain.forks import Fork
from local_chain.library import LocalChain
from local_chain.opening import Settings
from local_chain.transactions import DYNAMIC_FEE, LEGACY, Transaction
from tests.engines.test_traces import CHAIN_ID, receipt
from tests.support.chain import RpcError, rpc, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engines("geth")

CODE, STRANGER, NOBODY = ("0x" + who * 20 for who in ("aa", "99", "00"))
UNKNOWN = "0x" + "12" * 32
ECHO = {CODE: {"code": "0x365f5f37365ffd"}}  # reverts with what it is sent
PRICE = 10**11


@pytest.fixture(scope="module")
def geth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("geth")
    line = [os.environ["FWLEDGER_GETH"], "--dev", "--ipcdisable", "--nodiscover", "--port", "0"]
    line += ["--authrpc.port", "0", "--http", "--http.port", "0", "--http.api", "eth,debug,net"]
    line += ["--datadir", str(folder), "--rpc.allow-unprotected-txs", "--rpc.txfeecap", "0"]
    line += ["--rpc.gascap", "30000000", "--miner.gasprice", "1"]  # a block of ours
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


class Side:
    """A node, and an account that has sent one transaction on it."""

    def __init__(self, url: str, account) -> None:
        self.url, self.account = url, account
        self.address = "0x" + account.address.hex()
        rpc(url, "eth_sendRawTransaction", self.signed(nonce=0))
        wait_until(
            lambda: int(rpc(url, "eth_getTransactionCount", self.address, "latest"), 16) == 1, "it is mined"
        )

    def signed(self, *, secret: bytes | None = None, **fields) -> str:
        plain = {"type": LEGACY, "chain_id": CHAIN_ID, "nonce": 1, "gas": 100_000, "to": b"\x77" * 20}
        plain |= {"value": 1, "data": b"", "max_fee": PRICE, "max_priority_fee": PRICE}
        return "0x" + Transaction(**(plain | fields)).signed(secret or self.account.secret_key).raw.hex()

    def answer(self, method: str, *params: object) -> object:
        """The result, or code, words and data of the error, without figures that differ from block to block."""
        try:
            return rpc(self.url, method, *params)
        except RpcError as error:
            return (
                error.code,
                re.sub(r"(baseFee:|balance|have|overshot|head) \d+", r"\1 N", error.message),
                error.data,
            )


@pytest.fixture(scope="module")
def both(geth: str) -> Iterator[tuple[Side, Side]]:
    # geth's development chain has 11.5 million gas a block, and grows.
    with LocalChain(Settings(chain_id=CHAIN_ID, fork=Fork.SHANGHAI)) as chain:
        account = chain.accounts[0]
        gift = {
            "from": rpc(geth, "eth_accounts")[0],
            "to": "0x" + account.address.hex(),
            "value": hex(10**22),
        }
        paid = rpc(geth, "eth_sendTransaction", gift)
        wait_until(lambda: receipt(geth, paid), "the account has money")
        yield Side(chain.url, account), Side(geth, account)


def error(signature: str, *values: object) -> str:
    kinds = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return "0x" + (keccak256(signature.encode())[:4] + encode(kinds, values)).hex()


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
@pytest.mark.parametrize(
    "data",
    [
        error("Error(string)", "no money"),
        error("Error(string)", ""),
        *(
            error("Panic(uint256)", code)
            for code in (0, 1, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x41, 0x51, 0x99)
        ),
        error("Nope(uint256)", 5),
        "0x08c379a0" + "00" * 10,
        "0x08c379a0" + encode(["bytes"], [b"\xff\xfe"]).hex(),
        "0x08c379",
    ],
)
def test_a_revert_is_told_as_geth_tells_it(both: tuple[Side, Side], method: str, data: str) -> None:
    ours, geths = (
        one.answer(method, {"from": one.address, "to": CODE, "data": data}, "latest", ECHO) for one in both
    )
    assert ours == geths
    assert ours[0] == 3


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
@pytest.mark.parametrize(
    "code", ["0xfe", "0x0c", "0x600056", "0x50", "0x5f01", "0x5b5f56", "0x5b5f600056", "0x63ffffffff51"]
)
def test_a_failure_is_told_as_geth_tells_it(both: tuple[Side, Side], method: str, code: str) -> None:
    call = {"to": CODE, "gas": hex(1_000_000)}
    ours, geths = (one.answer(method, call, "latest", {CODE: {"code": code}}) for one in both)
    assert ours == geths
    assert ours[0] == -32000


@pytest.mark.parametrize(
    ("method", "fields", "at"),
    [
        *(
            (method, fields, "latest")
            for method in ("eth_call", "eth_estimateGas", "debug_traceCall")
            for fields in (
                {"from": STRANGER, "value": "0x1"},
                {"gasPrice": "0x1"},
                {"gasPrice": hex(PRICE), "maxFeePerGas": hex(PRICE)},
                {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": hex(PRICE)},
                {"to": None, "data": "0x" + "00" * 49_153},
            )
        ),
        *((method, {"gas": "0x5000"}, "latest") for method in ("eth_call", "debug_traceCall")),
        ("eth_call", {"from": STRANGER, "value": "0x1", "gasPrice": hex(PRICE)}, "latest"),
        ("eth_estimateGas", {"from": STRANGER, "value": "0x1", "gasPrice": hex(PRICE)}, "latest"),
        ("eth_call", {}, "0xffffff"),
        ("eth_call", {}, UNKNOWN),
        ("eth_estimateGas", {}, "0xffffff"),
        ("eth_createAccessList", {"gasPrice": hex(PRICE), "maxFeePerGas": hex(PRICE)}, "latest"),
        ("eth_createAccessList", {"to": None}, "latest"),
        ("eth_createAccessList", {"data": "0x01", "input": "0x02"}, "latest"),
    ],
)
def test_a_call_that_cannot_be_run_is_refused_as_geth_refuses_it(
    both: tuple[Side, Side], method: str, fields: dict, at: str
) -> None:
    ours, geths = (one.answer(method, {"from": one.address, "to": CODE} | fields, at) for one in both)
    assert ours == geths
    assert ours[0] == -32000


@pytest.mark.parametrize(
    "fields",
    [
        {"nonce": 0, "value": 2},
        {"nonce": 0},
        {"value": 10**30},
        {"secret": b"\x05" * 32, "nonce": 0},
        {"gas": 20_000},
        {"gas": 21_000, "data": b"\x01" * 100},
        {"gas": 2**40, "max_fee": 1, "max_priority_fee": 1},
        {"type": DYNAMIC_FEE, "max_fee": 1, "max_priority_fee": 5},
        {"to": None, "data": bytes(49_153), "gas": 5_000_000},
        {"to": None, "data": bytes(4_096), "gas": 69_639},
        {"data": bytes(131_072), "gas": 5_000_000},
    ],
)
def test_a_transaction_is_refused_as_geth_refuses_it(both: tuple[Side, Side], fields: dict) -> None:
    ours, geths = (one.answer("eth_sendRawTransaction", one.signed(**fields)) for one in both)
    assert ours == geths
    assert ours[0] == -32000


def test_what_waits_already_is_refused_as_geth_refuses_it(both: tuple[Side, Side]) -> None:
    answers = []
    for one in both:
        rpc(one.url, "eth_sendRawTransaction", one.signed(nonce=6))
        again = [
            one.signed(nonce=6),
            one.signed(nonce=6, value=9),
            one.signed(nonce=6, max_fee=PRICE * 105 // 100),
        ]
        answers.append([one.answer("eth_sendRawTransaction", raw) for raw in again])
    assert answers[0] == answers[1]
    assert [code for code, *_ in answers[0]] == [-32000] * 3


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_sendRawTransaction", ["0x"]),
        ("eth_noSuchMethod", []),
        ("eth_getBlockByNumber", ["0xffffff", False]),
        ("eth_getBlockByNumber", []),
        ("eth_getBlockByHash", [UNKNOWN, False]),
        ("eth_getBalance", [NOBODY, "0xffffff"]),
        ("eth_getBalance", [NOBODY, UNKNOWN]),
        ("eth_getBalance", [NOBODY, {"blockHash": UNKNOWN}]),
        ("eth_getBalance", [NOBODY, "latest", 1]),
        ("eth_getProof", [NOBODY, [], "0xffffff"]),
        ("eth_getTransactionByHash", [UNKNOWN]),
        ("eth_getTransactionReceipt", [UNKNOWN]),
        ("eth_getBlockReceipts", ["0xffffff"]),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"fromBlock": "0xffffff"}]),
        ("eth_getLogs", [{"blockHash": UNKNOWN}]),
        ("eth_newFilter", [{"fromBlock": "0x5", "toBlock": "0x1"}]),
        ("eth_getFilterChanges", ["0x99"]),
        ("eth_getFilterLogs", ["0x99"]),
        ("eth_uninstallFilter", ["0x99"]),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]]),
        ("eth_feeHistory", ["0x1", "latest", [10, 10]]),
        ("eth_feeHistory", ["0x1", "latest", [101]]),
        ("eth_feeHistory", ["0x1", "0xffffff", []]),
        ("eth_call", [{"to": CODE}, "latest", {CODE: {"state": {}, "stateDiff": {}}}]),
        ("debug_traceTransaction", [UNKNOWN]),
        ("debug_traceBlockByNumber", ["0x0"]),
    ],
)
def test_a_question_is_answered_as_geth_answers_it(
    both: tuple[Side, Side], method: str, params: list
) -> None:
    ours, geths = (one.answer(method, *params) for one in both)
    assert ours == geths


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ["0x12", "latest"]),
        ("eth_getBalance", [NOBODY, "newest"]),
        ("eth_getBlockByHash", ["0x12", False]),
        ("eth_getTransactionByHash", ["0x12"]),
        ("eth_call", ["0x", "latest"]),
        ("eth_call", [{"from": "0x12"}, "latest"]),
        ("eth_call", [{"value": "12"}, "latest"]),
        ("eth_call", [{"data": "0x1"}, "latest"]),
        ("eth_getLogs", [{"address": "0x12"}]),
        ("eth_getLogs", [{"blockHash": UNKNOWN, "fromBlock": "0x1"}]),
        ("eth_subscribe", ["newHeads"]),
        ("eth_sendRawTransaction", ["1234"]),
    ],
)
def test_a_wrong_parameter_has_geths_code(both: tuple[Side, Side], method: str, params: list) -> None:
    ours, geths = (one.answer(method, *params) for one in both)
    assert ours[0] == geths[0]
