"""RPC nodes that are dead, slow, wrong or talk nonsense: the next one is asked, and the error says what
happened.
"""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.errors import NodeRefusedError, NotMinedError, UnreachableError, WrongLedgerError
from ledger_client.following import follow
from ledger_client.network import Call, Fees, Network, Receipt
from ledger_client.outbox import Outbox, Sent
from ledger_client.rpc import MAX_ANSWER_BYTES, is_loopback, mask_url
from ledger_client.signers import dev_account
from ledger_client.transactions import Prepared, ether, gwei
from ledger_client.transactions import send as transact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHAIN_ID = 31337
ALICE = dev_account(0, chain_id=CHAIN_ID)


class Node:
    """A node on loopback whose answers the test writes."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": hex(CHAIN_ID), "eth_blockNumber": "0x10"}
        self.asked: list[str] = []
        self.respond: Callable[[BaseHTTPRequestHandler, dict[str, Any]], bool] = lambda *_: False
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                node.asked.append(request["method"])
                if node.respond(self, request):
                    return
                answer = node.answers.get(request["method"], _Unknown)
                if answer is _Unknown:
                    send(self, 200, error(request, -32601, "the method does not exist"))
                elif isinstance(answer, _Error):
                    send(self, 200, error(request, answer.code, answer.message, answer.data))
                else:
                    send(self, 200, {"jsonrpc": "2.0", "id": request["id"], "result": answer})

            def log_message(self, *_: object) -> None:
                """Tests do not talk."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


class _Unknown:
    pass


class _Error:
    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.code, self.message, self.data = code, message, data


def error(request: dict[str, Any], code: int, message: str, data: str | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        detail["data"] = data
    return {"jsonrpc": "2.0", "id": request["id"], "error": detail}


def send(handler: BaseHTTPRequestHandler, status: int, body: object) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(raw)


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    made = [Node(), Node()]
    yield made
    for node in made:
        node.server.shutdown()
        node.server.server_close()


def connect(*urls: str, chain_id: int | None = CHAIN_ID, timeout_s: float = 2.0) -> Network:
    return Network(urls, chain_id=chain_id, timeout_s=timeout_s, receipt_timeout_s=0.05)


DEAD = "http://127.0.0.1:1"


def test_no_node_at_all_names_each_and_why() -> None:
    with pytest.raises(UnreachableError, match="connection refused") as caught:
        connect(DEAD)
    assert caught.value.exit_code == 3
    assert "rpc" in caught.value.hint


def test_a_dead_node_is_passed_over_and_the_living_one_is_asked_first_from_then_on(nodes: list[Node]) -> None:
    network = connect(DEAD, nodes[0].url)
    assert network.block_number() == 16
    assert network.block_number() == 16


def test_the_next_node_answers_when_the_first_dies_in_between(nodes: list[Node]) -> None:
    network = connect(nodes[0].url, nodes[1].url)
    nodes[0].server.shutdown()
    nodes[0].server.server_close()
    nodes[0].respond = lambda handler, _: handler.connection.close() or True
    nodes[1].answers["eth_blockNumber"] = "0x11"
    assert network.block_number() == 17


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_node_in_trouble_is_passed_over(nodes: list[Node], status: int) -> None:
    nodes[0].respond = lambda handler, _: send(handler, status, b"sorry") is None
    assert connect(nodes[0].url, nodes[1].url).block_number() == 16


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": 1}']
)
def test_a_node_that_talks_nonsense_is_passed_over(nodes: list[Node], body: bytes) -> None:
    nodes[0].respond = lambda handler, _: send(handler, 200, body) is None
    assert connect(nodes[0].url, nodes[1].url).block_number() == 16


def test_a_node_that_hangs_is_given_up_in_time(nodes: list[Node]) -> None:
    release = threading.Event()
    nodes[0].respond = lambda *_: release.wait(5) or True
    try:
        assert connect(nodes[0].url, nodes[1].url, timeout_s=0.2).block_number() == 16
    finally:
        release.set()


def test_a_node_that_floods_is_cut_off(nodes: list[Node]) -> None:
    def flood(handler: BaseHTTPRequestHandler, _: object) -> bool:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(MAX_ANSWER_BYTES // 2**20 + 2):
                handler.wfile.write(b" " * 2**20)
        return True

    nodes[0].respond = flood
    with pytest.raises(UnreachableError, match="the answer is over"):
        connect(nodes[0].url)


def test_a_redirect_is_not_followed(nodes: list[Node]) -> None:
    def redirect(handler: BaseHTTPRequestHandler, _: object) -> bool:
        handler.send_response(307)
        handler.send_header("Location", nodes[1].url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    nodes[0].respond = redirect
    with pytest.raises(UnreachableError):
        connect(nodes[0].url)
    assert nodes[1].asked == []


def test_a_proxy_of_the_environment_does_not_stand_before_this_machines_node(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, DEAD)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert connect(nodes[0].url).block_number() == 16
    with pytest.raises(UnreachableError):
        connect("http://node.example:8545")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_what_is_this_machine(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_a_node_of_another_chain_is_named(nodes: list[Node]) -> None:
    nodes[0].answers["eth_chainId"] = "0x1"
    with pytest.raises(
        WrongLedgerError, match="is not the chain you configured: expected chain id 31337, got 1"
    ):
        connect(nodes[0].url)


def test_a_second_node_of_another_chain_is_never_used_in_place_of_the_first(nodes: list[Node]) -> None:
    nodes[1].answers["eth_chainId"] = "0x1"
    network = connect(nodes[0].url, nodes[1].url, chain_id=None)
    nodes[0].respond = lambda handler, _: send(handler, 503, b"") is None
    with pytest.raises(WrongLedgerError):
        network.block_number()


def test_an_error_of_the_node_is_passed_on_without_its_library(nodes: list[Node]) -> None:
    nodes[0].answers["eth_getProof"] = _Error(-32000, "missing trie node")
    network = connect(nodes[0].url)
    with pytest.raises(NodeRefusedError, match="missing trie node"):
        network.rpc("eth_getProof", "0x0", [], "0x1")
    nodes[0].answers["eth_getCode"] = _Error(-32000, "not today")
    with pytest.raises(NodeRefusedError, match="not today"):
        network.code(bytes(20))


@pytest.mark.parametrize("answer", [None, "0xzz", 7, [], {"error": 1}, "0x" + "f" * 200])
def test_values_of_a_wrong_kind_are_errors_of_the_node(nodes: list[Node], answer: object) -> None:
    network = connect(nodes[0].url)
    nodes[0].answers["eth_getBlockByNumber"] = answer
    with pytest.raises(NodeRefusedError):
        network.block_time()


def test_a_chain_without_a_base_fee_is_paid_by_gas_price(nodes: list[Node]) -> None:
    block = {"number": "0x1", "timestamp": "0x1", "hash": "0x" + "00" * 32}
    nodes[0].answers |= {"eth_getBlockByNumber": block, "eth_gasPrice": "0x0"}
    fees = connect(nodes[0].url).fees()
    assert (fees.max_fee, fees.tip) == (0, None)


def test_a_base_fee_chain_without_the_tip_method_takes_the_tip_from_its_gas_price(nodes: list[Node]) -> None:
    block = {"number": "0x1", "timestamp": "0x1", "hash": "0x" + "00" * 32, "baseFeePerGas": "0x64"}
    nodes[0].answers |= {"eth_getBlockByNumber": block, "eth_gasPrice": "0x6e"}
    fees = connect(nodes[0].url).fees()
    assert (fees.max_fee, fees.tip) == (210, 10)


def wait(network: Network) -> Receipt:
    """Wait for a transaction that is out."""
    call = Call(bytes(20), b"", "test")
    sent = Sent(CHAIN_ID, ALICE.address, 0, "test", call.key, None, {}, 1, 1, 2, (b"raw",))
    return follow(network, sent, call=call, account=ALICE, outbox=None)


def test_waiting_for_a_receipt_ends_and_says_that_it_may_still_come(nodes: list[Node]) -> None:
    nodes[0].answers["eth_getTransactionReceipt"] = None
    with pytest.raises(NotMinedError, match="no receipt for transaction 0x") as caught:
        wait(connect(nodes[0].url))
    assert "the same command again goes on waiting, and sends no second" in caught.value.hint


MINED = {
    "transactionHash": "0x" + "07" * 32, "transactionIndex": "0x0", "blockHash": "0x" + "00" * 32,
    "blockNumber": "0x10", "from": "0x" + "00" * 20, "to": None, "contractAddress": None, "status": "0x1",
    "gasUsed": "0x5208", "cumulativeGasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
    "logsBloom": "0x" + "00" * 256, "type": "0x2",
}  # fmt: skip


def waiting(*urls: str, receipt_timeout_s: float) -> Network:
    return Network(urls, chain_id=CHAIN_ID, timeout_s=2.0, receipt_timeout_s=receipt_timeout_s)


def test_a_node_that_dies_while_we_wait_leaves_us_with_the_transactions_hash(nodes: list[Node]) -> None:
    network = waiting(nodes[0].url, receipt_timeout_s=0.05)
    nodes[0].respond = lambda handler, _: send(handler, 503, b"") or True
    with pytest.raises(NotMinedError, match=r"no receipt for transaction 0x.*no RPC node answered"):
        wait(network)


def test_a_node_that_is_still_indexing_is_asked_again(nodes: list[Node]) -> None:
    answers = [_Error(-32000, "transaction indexing is in progress"), None, MINED]

    def respond(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> bool:
        if request["method"] == "eth_getTransactionReceipt":
            nodes[0].answers[request["method"]] = answers.pop(0)
        return False

    nodes[0].respond = respond
    network = waiting(nodes[0].url, receipt_timeout_s=5)
    receipt = wait(network)
    assert (receipt.block_number, receipt.gas_used, answers) == (16, 21_000, [])


def test_a_receipt_counts_once_the_nodes_newest_state_holds_it(nodes: list[Node]) -> None:
    """geth 1.13.15 shows the receipt a moment before `latest` moves, and a second node may lag."""
    nodes[0].answers |= {"eth_getTransactionReceipt": MINED, "eth_blockNumber": "0xf"}
    network = waiting(nodes[0].url, receipt_timeout_s=5)
    assert network.receipt(b"\x07" * 32, call=Call(None, b"", "test"), sender=bytes(20)) is None
    nodes[0].answers["eth_blockNumber"] = "0x10"
    found = network.receipt(b"\x07" * 32, call=Call(None, b"", "test"), sender=bytes(20))
    assert found is not None
    assert found.block_number == 16


def prepared() -> Prepared:
    fees = Fees(max_fee=1, tip=1)
    return Prepared(Call(bytes(20), b"", "test"), ALICE.address, 21_000, 25_000, fees, 10**18, CHAIN_ID)


def test_a_transaction_whose_answer_was_lost_is_not_sent_under_another_nonce(nodes: list[Node]) -> None:
    """The first node took it and died; the second has it from the network and says that its nonce is used."""
    for node in nodes:
        node.answers |= {
            "eth_getTransactionCount": "0x0",
            "eth_sendRawTransaction": _Error(-32000, "nonce too low"),
            "eth_getTransactionByHash": {"hash": "0x" + "07" * 32},
            "eth_getTransactionReceipt": MINED,
        }
    nodes[0].respond = lambda handler, request: (
        request["method"] == "eth_sendRawTransaction" and (send(handler, 503, b"") or True)
    )
    receipt = transact(waiting(nodes[0].url, nodes[1].url, receipt_timeout_s=5), prepared(), ALICE)
    assert receipt.block_number == 16
    assert nodes[1].asked.count("eth_sendRawTransaction") == 1


def test_a_transaction_that_no_node_takes_is_not_remembered(nodes: list[Node], tmp_path: Path) -> None:
    nodes[0].answers |= {
        "eth_getTransactionCount": "0x0",
        "eth_sendRawTransaction": _Error(-32000, "insufficient funds for gas * price + value"),
    }
    outbox = Outbox(tmp_path)
    with pytest.raises(NodeRefusedError, match="insufficient funds"):
        transact(waiting(nodes[0].url, receipt_timeout_s=5), prepared(), ALICE, outbox=outbox)
    assert list(tmp_path.glob("*.sent.json")) == []


def test_a_transaction_whose_fate_nobody_tells_is_remembered(nodes: list[Node], tmp_path: Path) -> None:
    nodes[0].answers["eth_getTransactionCount"] = "0x0"
    nodes[0].respond = lambda handler, request: (
        request["method"] == "eth_sendRawTransaction" and (send(handler, 503, b"") or True)
    )
    outbox = Outbox(tmp_path)
    with pytest.raises(NotMinedError, match="nobody said whether transaction") as caught:
        transact(waiting(nodes[0].url, receipt_timeout_s=5), prepared(), ALICE, outbox=outbox)
    sent = outbox.find(CHAIN_ID, ALICE.address, prepared().call.key)
    assert sent is not None
    assert sent.hashes == (caught.value.transaction,)


def test_a_nonce_that_somebody_else_took_is_followed_by_the_next(nodes: list[Node]) -> None:
    taken = [_Error(-32000, "nonce too low"), "0x" + "07" * 32]
    nodes[0].answers |= {
        "eth_getTransactionCount": "0x0",
        "eth_getTransactionByHash": None,
        "eth_getTransactionReceipt": MINED,
    }

    def respond(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> bool:
        if request["method"] == "eth_sendRawTransaction":
            nodes[0].answers[request["method"]] = taken.pop(0)
        return False

    nodes[0].respond = respond
    assert transact(waiting(nodes[0].url, receipt_timeout_s=5), prepared(), ALICE).block_number == 16
    assert taken == []


def test_a_transaction_that_nobody_confirmed_taking_is_named(nodes: list[Node]) -> None:
    nodes[0].answers["eth_getTransactionCount"] = "0x0"
    nodes[0].respond = lambda handler, request: (
        request["method"] == "eth_sendRawTransaction" and (send(handler, 503, b"") or True)
    )
    with pytest.raises(NotMinedError, match="nobody said whether transaction 0x") as caught:
        transact(connect(nodes[0].url), prepared(), ALICE)
    assert caught.value.transaction.hex() in str(caught.value)


def test_what_may_be_secret_in_a_url_is_masked() -> None:
    assert mask_url("https://user:pw@node.example:8545/v3/0123456789abcdef0123?key=1") == (
        "https://node.example:8545/v3/***?***"
    )


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0"), (1, "0.000000000001"), (10**18, "1"), (1_234_567_890_123_456_789_012, "1,234.567890123456")],
)
def test_amounts_are_shown_in_ether(wei: int, text: str) -> None:
    assert ether(wei if wei != 1 else 10**6) == text
    assert gwei(1_500_000_000) == "1.5"
