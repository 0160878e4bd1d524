"""WebSocket: refusals first, then what subscribers are told. Against a real process, and at the outbox in process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from local_chain.channels import MAX_SUBSCRIPTIONS
from local_chain.server import MAX_BODY_BYTES
from local_chain.sockets import TRY_AGAIN_LATER, Outbox
from tests.support.chain import RpcError, RunningChain, chain_process

PATIENCE_S = 20


@pytest.fixture(scope="module")
def chain():
    """A chain of our own: subscribers hear of every block."""
    with chain_process() as running:
        yield running


class Client:
    """One WebSocket, which keeps notifications apart from answers."""

    def __init__(self, socket: ClientConnection, *, binary: bool) -> None:
        self.socket = socket
        self.binary = binary
        self.notified: list[dict] = []

    def send(self, body: object) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.socket.send(text.encode() if self.binary else text)

    def receive(self) -> dict | list:
        return json.loads(self.socket.recv(timeout=PATIENCE_S))

    def answer(self) -> dict | list:
        while True:
            message = self.receive()
            if isinstance(message, list) or "method" not in message:
                return message
            self.notified.append(message)

    def rpc(self, method: str, *params: object):
        self.send({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        response = self.answer()
        if "error" in response:
            raise RpcError(response["error"])
        return response["result"]

    def next(self, subscription: str):
        message = self.notified.pop(0) if self.notified else self.receive()
        assert (message["jsonrpc"], message["method"]) == ("2.0", "eth_subscription")
        assert message["params"]["subscription"] == subscription
        return message["params"]["result"]


@contextlib.contextmanager
def client(chain: RunningChain, *, binary: bool = False, **options):
    with connect(chain.url.replace("http", "ws"), max_size=None, **options) as socket:
        yield Client(socket, binary=binary)


@pytest.mark.parametrize("origin", ["https://example.org", "http://rebound.example"])
def test_a_page_on_the_internet_gets_no_socket(chain: RunningChain, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, client(chain, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_a_frame_over_the_limit_ends_the_connection_and_nothing_else(chain: RunningChain) -> None:
    with client(chain) as one, pytest.raises(ConnectionClosed):  # while it still sends, or once it has
        one.rpc("x" * MAX_BODY_BYTES)
    assert chain.rpc("eth_chainId") == "0x7a69"


@pytest.mark.parametrize(("body", "code"), [("{", -32700), ("", -32700), ("[]", -32600), ("7", -32600)])
def test_a_mistake_has_its_error_and_the_socket_lives(chain: RunningChain, body: str, code: int) -> None:
    with client(chain) as one:
        one.send(body)
        assert one.answer()["error"]["code"] == code
        assert one.rpc("eth_chainId") == "0x7a69"


def test_subscriptions_are_refused_over_http(chain: RunningChain) -> None:
    with pytest.raises(RpcError, match="notifications not supported") as refused:
        chain.rpc("eth_subscribe", "newHeads")
    assert refused.value.code == -32601


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ([], "missing value for required argument 0"),
        (["blocks"], "expected one of newHeads, logs, newPendingTransactions, syncing"),
        ([None], "expected one of"),
        (["newHeads", True], "newHeads takes no option"),
        (["newPendingTransactions", {}], "takes no option"),
        (["logs", True], "expected an object"),
        (["logs", {"address": "0x12"}], "expected 20 bytes"),
        (["logs", {"topics": [[], [], [], [], []]}], "at most 4"),
    ],
)
def test_wrong_subscriptions_are_refused_by_name(chain: RunningChain, params: list, says: str) -> None:
    with client(chain) as one, pytest.raises(RpcError) as refused:
        one.rpc("eth_subscribe", *params)
    assert (refused.value.code, says in refused.value.message) == (-32602, True)


def test_a_connection_has_a_bounded_number_of_subscriptions(chain: RunningChain) -> None:
    with client(chain) as one:
        kept = {one.rpc("eth_subscribe", "syncing") for _ in range(MAX_SUBSCRIPTIONS)}
        assert len(kept) == MAX_SUBSCRIPTIONS
        with pytest.raises(RpcError, match="too many subscriptions"):
            one.rpc("eth_subscribe", "syncing")
        assert one.rpc("eth_unsubscribe", kept.pop()) is True
        assert one.rpc("eth_subscribe", "syncing") not in kept


def test_nobody_ends_anothers_subscription(chain: RunningChain) -> None:
    with client(chain) as one, client(chain) as other:
        heads = one.rpc("eth_subscribe", "newHeads")
        with pytest.raises(RpcError, match="subscription not found"):
            other.rpc("eth_unsubscribe", heads)
        with pytest.raises(RpcError, match="expected a subscription's identifier"):
            one.rpc("eth_unsubscribe", 7)
        chain.rpc("evm_mine")
        assert one.next(heads)["number"] == chain.rpc("eth_blockNumber")


@pytest.mark.parametrize("binary", [False, True])
def test_requests_and_batches_are_answered_in_order(chain: RunningChain, binary: bool) -> None:
    with client(chain, binary=binary) as one:
        for number in range(50):
            one.send({"jsonrpc": "2.0", "id": number, "method": "eth_chainId"})
        assert [one.answer()["id"] for _ in range(50)] == list(range(50))
        one.send([{"jsonrpc": "2.0", "id": name, "method": "net_version", "params": None} for name in "ab"])
        assert [(item["id"], item["result"]) for item in one.answer()] == [("a", "31337"), ("b", "31337")]


def test_new_heads_are_the_blocks_in_order(chain: RunningChain) -> None:
    with client(chain) as one:
        heads = one.rpc("eth_subscribe", "newHeads")
        chain.rpc("anvil_mine", "0x3")
        seen = [one.next(heads) for _ in range(3)]
        assert seen == [chain.rpc("eth_getHeaderByNumber", head["number"]) for head in seen]
        assert seen[1]["parentHash"] == seen[0]["hash"]


def test_after_unsubscribing_nothing_more_comes(chain: RunningChain) -> None:
    with client(chain) as one:
        first, second = (one.rpc("eth_subscribe", "newHeads") for _ in range(2))
        assert one.rpc("eth_unsubscribe", first) is True
        chain.rpc("evm_mine")
        assert one.next(second)["number"] == chain.rpc("eth_blockNumber")
        assert one.rpc("eth_chainId") == "0x7a69"
        assert one.notified == []


def test_pending_transactions_come_by_hash_or_whole(chain: RunningChain) -> None:
    one_account, other = chain.rpc("eth_accounts")[:2]
    with client(chain) as one, client(chain) as whole:
        by_hash = one.rpc("eth_subscribe", "newPendingTransactions")
        in_full = whole.rpc("eth_subscribe", "newPendingTransactions", True)
        sent = chain.rpc("eth_sendTransaction", {"from": one_account, "to": other, "value": "0x5"})
        assert one.next(by_hash) == sent
        seen = whole.next(in_full)
        assert (seen["hash"], seen["value"], seen["blockHash"]) == (sent, "0x5", None)


def test_logs_come_to_who_asked_for_their_address_and_topics(chain: RunningChain, box: dict) -> None:
    who = chain.rpc("eth_accounts")[2]
    with client(chain, binary=True) as one:
        made = chain.rpc("eth_sendTransaction", {"from": who, "data": box["bytecode"]})
        address = chain.rpc("eth_getTransactionReceipt", made)["contractAddress"]
        word = "0x" + (5).to_bytes(32, "big").hex()
        wanted = one.rpc("eth_subscribe", "logs", {"address": address, "topics": [None, word]})
        deaf = one.rpc("eth_subscribe", "logs", {"address": who})
        for key in (4, 5):
            data = "0x" + store_selector(box) + key.to_bytes(32, "big").hex() + (9).to_bytes(32, "big").hex()
            sent = chain.rpc("eth_sendTransaction", {"from": who, "to": address, "data": data})
        log = one.next(wanted)
        assert chain.rpc("eth_getTransactionReceipt", sent)["logs"] == [log]
        assert one.rpc("eth_unsubscribe", deaf) is True
        assert one.notified == []


def test_many_open_sockets_do_not_keep_others_waiting(chain: RunningChain) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(client(chain))
        assert chain.rpc("eth_chainId") == "0x7a69"
    assert chain.rpc("eth_chainId") == "0x7a69"


def test_a_get_request_is_still_no_request(chain: RunningChain) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(chain.url, timeout=PATIENCE_S)
    assert refused.value.code == 405


class SlowSocket:
    """A client that takes nothing until it is let."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed_with: int | None = None
        self.reads = asyncio.Event()

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.sent.append(text)

    async def close(self, code: int, _reason: str) -> None:
        self.closed_with = code


def test_a_client_that_does_not_read_is_cut_off_and_its_messages_are_forgotten() -> None:
    async def story() -> SlowSocket:
        socket, outbox = SlowSocket(), Outbox(limit_bytes=1_000)
        drain = asyncio.create_task(outbox.drain(socket))
        for _ in range(5):
            outbox.push(b"x" * 300)
        socket.reads.set()
        await asyncio.wait_for(drain, PATIENCE_S)
        return socket

    socket = asyncio.run(story())
    assert (socket.sent, socket.closed_with) == ([], TRY_AGAIN_LATER)


def test_a_client_that_asks_without_reading_only_waits_itself() -> None:
    async def story() -> tuple[bool, list[str]]:
        socket, outbox = SlowSocket(), Outbox(limit_bytes=1_000)
        drain = asyncio.create_task(outbox.drain(socket))
        await asyncio.sleep(0)
        outbox.push(b"a" * 5_000)  # larger than the limit, and yet an answer
        room = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        waited = not room.done()
        socket.reads.set()
        await asyncio.wait_for(room, PATIENCE_S)
        drain.cancel()
        return waited, socket.sent

    waited, sent = asyncio.run(story())
    assert waited
    assert sent == ["a" * 5_000]


def store_selector(box: dict) -> str:
    from eth_utils.abi import function_abi_to_4byte_selector

    return function_abi_to_4byte_selector(next(e for e in box["abi"] if e.get("name") == "store")).hex()
