"""Bad input: the right JSON-RPC error, and a node that lives on."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_chain.rpc import dispatch
from local_chain.rpc.dispatch import MAX_BATCH
from local_chain.rpc.quantities import BlockRef, InvalidParams, block_ref, data, quantity, slot
from local_chain.rpc.registry import METHODS
from local_chain.server import MAX_BODY_BYTES
from tests.support.chain import RpcError

if TYPE_CHECKING:
    from tests.support.chain import RunningChain

ADDRESS = "0x" + "11" * 20


def request(method: str, *params: object) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"", -32700, "parse error"),
        (b"{", -32700, "parse error"),
        (b"\xff\xfe", -32700, "parse error"),
        (b"[" * 100_000, -32700, "parse error"),
        (b"[]", -32600, "empty batch"),
        (json.dumps([request("eth_chainId")] * (MAX_BATCH + 1)).encode(), -32600, "batch too large"),
        (b"1", -32600, "expected an object"),
        (b'"eth_chainId"', -32600, "expected an object"),
        (b'{"id": 1}', -32600, '"jsonrpc": "2.0" and a method'),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"}', -32600, '"jsonrpc": "2.0"'),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"}', -32600, "expected an id"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600, "a method"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {}}', -32602, "params as a list"),
        (request("eth_noSuchMethod"), -32601, "eth_noSuchMethod does not exist/is not available"),
        (request("__class__"), -32601, "does not exist"),
        (request("eth_getBalance"), -32602, "missing value for required argument 0"),
        (
            request("eth_getBalance", ADDRESS, "latest", 1),
            -32602,
            "too many arguments, want at most 2",
        ),
        (request("eth_getBalance", "0x11"), -32602, "invalid argument 0: expected 20 bytes, got 1"),
        (request("eth_getBalance", ADDRESS[:-1] + "g"), -32602, "expected hex data"),
        (request("eth_getBalance", None), -32602, "expected hex data such as 0x00ff, got None"),
        (request("eth_getBalance", ADDRESS, "newest"), -32602, "invalid argument 1: expected a hex quantity"),
        (request("eth_getBalance", ADDRESS, "0x01"), -32602, "expected a hex quantity"),
        (request("eth_getBalance", ADDRESS, {}), -32602, "either blockHash or blockNumber"),
        (request("eth_getBalance", ADDRESS, hex(1 << 63)), -32602, "at most 63 bits"),
        (request("eth_getBalance", ADDRESS, "0x" + "11" * 32), -32000, "header for hash not found"),
        (request("eth_getBlockByNumber", "latest", "yes"), -32602, "expected true or false"),
        (request("eth_getStorageAt", ADDRESS, "0x" + "1" * 65), -32602, "a storage slot"),
        (request("eth_getProof", ADDRESS, "0x0"), -32602, "expected a list"),
        (request("eth_getProof", ADDRESS, ["0x0"] * 1025), -32602, "expected at most 1024 items, got 1025"),
        (request("eth_call", "0x"), -32602, "expected an object"),
        (request("eth_call", {"to": "0x1"}), -32602, "to: expected hex data"),
        (request("eth_call", {"to": ADDRESS, "data": "0x1"}), -32602, "data: expected hex data"),
        (request("eth_call", {"data": "0x11", "input": "0x22"}), -32000, 'both "data" and "input"'),
        (
            request("eth_call", {}, "latest", {ADDRESS: {"state": {}, "stateDiff": {}}}),
            -32000,
            f"account {ADDRESS} has both 'state' and 'stateDiff'",
        ),
        (request("eth_call", {"to": ADDRESS, "value": "1"}), -32602, "value: expected a hex quantity"),
        (request("eth_sendRawTransaction", "0x"), -32000, "typed transaction too short"),
        (request("eth_sendTransaction", {"from": ADDRESS, "to": ADDRESS}), -32000, "unknown account"),
        (
            request("eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x1"}),
            -32000,
            "invalid block range params",
        ),
        (request("eth_getLogs", {"topics": [[["0x"]]]}), -32602, "topics: expected hex data"),
        (request("eth_getLogs", {"topics": [None] * 5}), -32602, "at most 4 items"),
        (
            request("eth_getLogs", {"blockHash": "0x" + "11" * 32, "fromBlock": "0x0"}),
            -32602,
            "both BlockHash",
        ),
        (request("eth_feeHistory", "0x1", "latest", [50, 10]), -32000, "#0:50.000000 >= #1:10.000000"),
        (request("eth_feeHistory", "0x1", "latest", [101]), -32000, "invalid reward percentile: 101.000000"),
        (request("eth_getTransactionReceipt", "0x12"), -32602, "expected 32 bytes, got 1"),
        (request("eth_feeHistory", "0x1", "0xff", []), -32000, "beyond head block: requested 255, head 0"),
        (request("eth_getLogs", {"blockHash": "0x" + "11" * 32}), -32000, "unknown block"),
        (request("eth_getBlockByHash", "0x12"), -32602, "expected 32 bytes, got 1"),
        (request("eth_getBlockByHash", "latest"), -32602, "expected hex data"),
        (request("eth_createAccessList", {"from": ADDRESS}), -32000, "without any data provided"),
        (request("debug_getRawHeader", "0xffff"), -32000, "header not found"),
        (request("evm_increaseTime", hex(1 << 64)), -32000, "cannot move time"),
        (request("evm_setNextBlockTimestamp", "0x1"), -32000, "is not after the head"),
        (request("hardhat_mine", hex(10**6)), -32000, "at most 1000 blocks"),
        (request("fwledger_promote"), -32000, "cannot be promoted"),
    ],
)
def test_each_mistake_has_its_error(node, body: object, code: int, says: str) -> None:
    error = node.post(body)["error"]
    assert (error["code"], says in error["message"]) == (code, True), error
    assert node.rpc("eth_blockNumber") == "0x0"


def test_a_message_never_repeats_a_long_input(node) -> None:
    error = node.post(request("eth_getBalance", "x" * 10_000))["error"]
    assert len(error["message"]) < 200


@pytest.mark.parametrize(
    "method",
    [
        "eth_getTransactionByHash",
        "eth_getTransactionReceipt",
        "eth_getBlockByHash",
        "eth_getRawTransactionByHash",
    ],
)
def test_what_does_not_exist_is_null(node, method: str) -> None:
    assert node.rpc(method, "0x" + "11" * 32) is None


def test_a_notification_is_carried_out_and_not_answered(node) -> None:
    assert node.post({"jsonrpc": "2.0", "method": "evm_mine"}) is None
    assert node.rpc("eth_blockNumber") == "0x1"
    answers = node.post([{"jsonrpc": "2.0", "method": "evm_mine"}, request("eth_chainId")])
    assert [answer["id"] for answer in answers] == [1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["latest", "0x", "0x0", ADDRESS, "0x" + "11" * 32, "0x02c0"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["to", "from", "data", "value", "topics", "address", "blockHash", "accessList"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(sorted(METHODS)), st.lists(json_values, max_size=4))
@settings(max_examples=400, deadline=None)
def test_no_parameters_of_any_method_are_an_internal_error(hostile_node, method: str, params: list) -> None:
    response = hostile_node.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.get("error", {}).get("code") != -32603, response


@pytest.fixture(scope="module")
def hostile_node():
    from local_chain.opening import Settings, open_node
    from tests.chain.conftest import LocalNode

    opened = open_node(Settings(seed="hostile"), state=None, unlocked=True)
    yield LocalNode(opened)
    opened.chain.store.close()


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_parsers_give_what_they_promise_or_refuse(value: object) -> None:
    for parser, kind in ((quantity, int), (data, bytes), (slot, int), (block_ref, BlockRef)):
        try:
            parsed = parser(value)
        except InvalidParams:
            continue
        assert isinstance(parsed, kind)


# --- over HTTP


def raw_http(chain: RunningChain, method: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(chain.url).netloc, timeout=20)
    try:
        connection.request(method, "/", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


GOOD = json.dumps(request("eth_chainId")).encode()


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        ("POST", GOOD, {}, 200),
        ("GET", b"", {}, 405),
        ("POST", b"0" * (MAX_BODY_BYTES + 1), {}, 413),
        ("POST", GOOD, {"Host": "evil.example"}, 403),
        ("POST", GOOD, {"Origin": "https://evil.example"}, 403),
        ("POST", GOOD, {"Origin": "null"}, 403),
        ("POST", GOOD, {"Host": "localhost:1", "Origin": "http://127.0.0.1:3000"}, 200),
    ],
)
def test_http_requests_are_answered_with_their_status(
    chain, method: str, body: bytes, headers: dict, status: int
) -> None:
    assert raw_http(chain, method, body, headers)[0] == status
    assert chain.rpc("eth_chainId") == "0x7a69"


def test_clients_that_say_nothing_do_not_keep_others_waiting(chain: RunningChain) -> None:
    address = urlsplit(chain.url)
    silent = [socket.create_connection((address.hostname, address.port)) for _ in range(100)]
    try:
        for connection in silent[:50]:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        assert chain.rpc("eth_chainId") == "0x7a69"
    finally:
        for connection in silent:
            connection.close()


def test_an_answers_head_and_body_come_together(chain) -> None:
    """A client that asks for the connection to be closed may stop reading after the head (aiohttp under web3.py)."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    host, port = urlsplit(chain.url).netloc.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(head + body)
            assert client.recv(65_536).endswith(b"}")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_call", [{"to": ADDRESS}, "latest", {ADDRESS: {"code": "0x5b5f56"}}]),
        ("eth_estimateGas", [{"to": ADDRESS}, "latest", {ADDRESS: {"code": "0x5b5f56"}}]),
        ("eth_createAccessList", [{"to": ADDRESS}, "latest", {ADDRESS: {"code": "0x5b5f56"}}]),
        (
            "debug_traceCall",
            [
                {"to": ADDRESS},
                "latest",
                {"tracer": "callTracer", "stateOverrides": {ADDRESS: {"code": "0x5b5f56"}}},
            ],
        ),
        (
            "eth_simulateV1",
            [
                {
                    "blockStateCalls": [
                        {"stateOverrides": {ADDRESS: {"code": "0x5b5f56"}}, "calls": [{"to": ADDRESS}]}
                    ]
                }
            ],
        ),
    ],
)
def test_a_stranger_holds_the_node_for_a_bounded_time(
    node, monkeypatch: pytest.MonkeyPatch, method: str, params: list
) -> None:
    monkeypatch.setattr(dispatch, "MAX_EXECUTION_S", 0.05)
    node.privileged = False
    with pytest.raises(RpcError) as refused:
        node.rpc(method, *params)
    assert (refused.value.code, refused.value.message) == (-32000, "execution aborted (timeout = 0.05s)")
    assert node.chain.store.nodes._open == {}
    node.privileged = True
    assert node.send(node.signed())["status"] == "0x1"


def test_all_requests_of_a_strangers_batch_share_one_bound(node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_EXECUTION_S", 0.05)
    node.privileged = False
    endless = request("eth_call", {"to": ADDRESS}, "latest", {ADDRESS: {"code": "0x5b5f56"}})
    first, *others = node.post([endless, *[request("eth_chainId") | {"id": at} for at in (2, 3)], 7])
    assert first["error"]["message"] == "execution aborted (timeout = 0.05s)"
    assert [other["id"] for other in others] == [2, 3, None]
    assert {(one["error"]["code"], one["error"]["message"]) for one in others} == {
        (-32002, "request timed out")
    }


def test_the_owner_of_the_machine_may_take_any_time(node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_EXECUTION_S", 0.0)
    call = {"to": ADDRESS, "gas": hex(300_000)}
    with pytest.raises(RpcError, match="out of gas"):
        node.rpc("eth_call", call, "latest", {ADDRESS: {"code": "0x5b5f56"}})
