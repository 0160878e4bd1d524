"""A second node: it checks what it copies, outlives the first, and seals on when told to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import QbftTrust, Validator
from local_chain import upstream as upstream_module
from local_chain.chain import Chain
from local_chain.errors import ChainError, StateError, UpstreamError, UpstreamGone
from local_chain.follower import Follower, Succession, checked_block, pinned_trust
from local_chain.headers import Block, decode_block
from local_chain.node import Node
from local_chain.opening import open_follower, validators_json
from local_chain.sealing import Sealer, extra_data, new_keys
from local_chain.storage import Store
from local_chain.upstream import Upstream
from tests.support.chain import RpcError, RunningChain, chain_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class InMemoryUpstream:
    """The followed node without a network; ``lie`` changes its answers, ``gone`` makes it refuse connections."""

    url = "http://upstream"

    def __init__(self, node) -> None:
        self.node, self.gone, self.lie = node, False, lambda method, answer: answer

    def call(self, method: str, *params: object):
        return self.calls([(method, params)])[0]

    def calls(self, requests):
        if self.gone:
            raise UpstreamGone("cannot reach http://upstream: gone")
        try:
            return [self.lie(method, self.node.rpc(method, *params)) for method, params in requests]
        except RpcError as error:
            raise ChainError(error.message) from error


@pytest.fixture
def pair(make_node):
    """A sealing node and a follower of it that holds the keys."""
    source = make_node()
    upstream = InMemoryUpstream(source)
    copy = Node(Chain(Store(None), source.chain.genesis, sealer=None), identities=source.node.identities)
    follower = Follower(
        copy,
        upstream,
        pinned=source.node.identities,
        succession=Succession(source.chain.sealer, 5.0),
        clock=lambda: 0,
    )
    yield source, upstream, copy, follower
    copy.chain.store.close()


def raw_block(node, number: int) -> bytes:
    return bytes.fromhex(node.rpc("debug_getRawBlock", hex(number))[2:])


def test_a_follower_has_the_same_blocks_receipts_and_state(pair) -> None:
    source, _, copy, follower = pair
    for nonce in range(5):
        source.send(source.signed(nonce=nonce))
    follower.import_blocks(follower.fetch())
    assert copy.chain.head == source.chain.head
    assert [copy.chain.store.transactions(n) for n in range(6)] == [
        source.chain.store.transactions(n) for n in range(6)
    ]


def test_a_block_with_two_of_four_seals_is_refused(pair) -> None:
    source, upstream, copy, follower = pair
    source.send(source.signed())
    block = source.chain.head
    few = block.sealed_header.with_extra(
        extra_data(copy.chain.genesis.validators, block.round_number, block.seals[:2])
    )
    forged = Block(
        block.header, block.round_number, (), few, (source.chain.store.transactions(1)[0].raw,)
    ).encode()
    upstream.lie = lambda method, answer: "0x" + forged.hex() if method == "debug_getRawBlock" else answer
    with pytest.raises(
        UpstreamError,
        match="did not seal: header 1: seals of pinned validators: expected at least 3 of 4, got 2",
    ):
        follower.import_blocks(follower.fetch())
    assert copy.chain.head.number == 0


def test_a_sealed_header_over_other_transactions_is_refused(pair) -> None:
    source, upstream, copy, follower = pair
    source.send(source.signed())
    block = source.chain.head
    swapped = Block(
        block.header, block.round_number, block.seals, block.sealed_header, (source.signed(nonce=0, value=9),)
    )
    upstream.lie = lambda method, answer: (
        "0x" + swapped.encode().hex() if method == "debug_getRawBlock" else answer
    )
    with pytest.raises(ChainError, match="block 1 does not follow from its transactions"):
        follower.import_blocks(follower.fetch())
    assert (copy.chain.head.number, copy.chain.account(b"\x77" * 20).balance) == (0, 0)


def test_a_block_of_other_validators_is_refused(pair, make_node) -> None:
    _, _, _copy, follower = pair
    other = make_node(seed="somebody else")
    other.rpc("evm_mine")
    with pytest.raises(UpstreamError, match="did not seal"):
        follower.import_blocks([raw_block(other, 1)])


def test_a_block_that_skips_one_is_refused_and_a_known_one_is_passed_over(pair) -> None:
    source, _, copy, follower = pair
    for _ in range(3):
        source.rpc("evm_mine")
    with pytest.raises(ChainError, match="block 3 does not follow our block 0"):
        follower.import_blocks([raw_block(source, 3)])
    follower.import_blocks([raw_block(source, 1), raw_block(source, 1), raw_block(source, 2)])
    assert copy.chain.head.number == 2


@pytest.mark.parametrize("answer", [None, 5, "0xzz", "0x" + "f" * 40, "", []])
def test_nonsense_from_the_upstream_is_refused(pair, answer: object) -> None:
    _, upstream, _, follower = pair
    upstream.lie = lambda _method, _answer: answer
    with pytest.raises(UpstreamError, match="expected a block number"):
        follower.fetch()


def test_a_transaction_sent_to_the_follower_is_mined_by_the_upstream_and_known_at_once(pair) -> None:
    source, _, copy, _ = pair
    copy.submit(source.signed())
    assert copy.chain.head.hash == source.chain.head.hash
    assert copy.chain.head.number == 1


def test_a_refusal_of_the_upstream_is_passed_on(pair) -> None:
    source, _, copy, _ = pair
    with pytest.raises(ChainError, match="insufficient funds"):
        copy.submit(source.signed(value=10**30))


def test_a_follower_is_promoted_only_when_the_upstream_is_gone(pair) -> None:
    source, upstream, copy, _follower = pair
    with pytest.raises(ChainError, match="still answers"):
        copy.promote()
    upstream.gone = True
    with pytest.raises(ChainError, match="cannot reach"):
        copy.submit(source.signed())
    copy.promote()
    copy.submit(source.signed())
    copy.seal_waiting()
    qbft.verify_seals(copy.chain.head.sealed_header.encode(), pinned_trust(source.node.identities))
    assert copy.chain.head.number == 1
    assert copy.promote is None


def test_only_an_upstream_that_refuses_connections_for_long_enough_is_succeeded(make_node) -> None:
    source, now = make_node(), [0.0]
    copy = Node(Chain(Store(None), source.chain.genesis, sealer=None), identities=source.node.identities)
    succession = Succession(source.chain.sealer, 5.0)
    upstream = InMemoryUpstream(source)
    follower = Follower(
        copy, upstream, pinned=source.node.identities, succession=succession, clock=lambda: now[0]
    )

    def overdue(at_s: float, *, gone: bool) -> bool:
        now[0] = at_s
        return follower._is_overdue(gone=gone)

    assert not overdue(0, gone=True)
    assert not overdue(4.9, gone=True)
    assert not overdue(100, gone=False), "slow or lying is not gone"
    assert not overdue(101, gone=True), "the time counts anew"
    assert overdue(106, gone=True)
    copy.chain.store.close()


def test_a_follower_without_keys_cannot_be_promoted(make_node) -> None:
    source = make_node()
    copy = Node(Chain(Store(None), source.chain.genesis, sealer=None), identities=source.node.identities)
    follower = Follower(copy, InMemoryUpstream(source), pinned=source.node.identities, succession=None)
    assert copy.promote is None
    with pytest.raises(ChainError, match="no validator keys"):
        follower.promote()
    copy.chain.store.close()


def test_checking_a_block_needs_only_the_pinned_keys(node) -> None:
    node.rpc("evm_mine")
    raw = raw_block(node, 1)
    trust = QbftTrust(
        validators=tuple(Validator(v.address, v.public_key) for v in node.node.identities), min_validators=4
    )
    block = checked_block(raw, trust=trust)
    assert (block.hash, block.round_number, block.seals) == (
        node.chain.head.hash,
        node.chain.head.round_number,
        node.chain.head.seals,
    )
    assert parse_header(decode_block(raw)[0]).number == 1


def test_a_follower_needs_something_to_trust(node, tmp_path: Path) -> None:
    upstream = InMemoryUpstream(node)
    with pytest.raises(StateError, match="no validators pinned"):
        open_follower(upstream, state=tmp_path, pins=None, keys=None, takeover_s=None)
    with pytest.raises(StateError, match="taking over needs the validators' keys"):
        open_follower(upstream, state=tmp_path, pins=None, keys=None, takeover_s=1.0)
    pins = tmp_path / "pins.json"
    for text, says in [
        ("", "not a list"),
        ("{}", "no validators in the list"),
        ('{"validators": [{}]}', "not a list of validators"),
    ]:
        pins.write_text(text)
        with pytest.raises(StateError, match=says):
            open_follower(upstream, state=tmp_path, pins=pins, keys=None, takeover_s=None)


def test_a_chain_of_validators_that_are_not_pinned_is_refused(node, tmp_path: Path) -> None:
    import json

    pins = tmp_path / "pins.json"
    pins.write_text(json.dumps({"validators": validators_json(Sealer(new_keys(4)).identities)}))
    with pytest.raises(StateError, match="not the pinned ones"):
        open_follower(InMemoryUpstream(node), state=None, pins=pins, keys=None, takeover_s=None)


def test_an_upstream_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(UpstreamError, match=r"cannot reach http://127\.0\.0\.1:9"):
        Upstream("http://127.0.0.1:9").call("eth_chainId")
    with pytest.raises(UpstreamError, match="expected an http address"):
        Upstream("file:///etc/passwd")


@pytest.fixture
def nonsense() -> Iterator[Callable[[int, bytes], str]]:
    """An HTTP server that answers every request with the status and the bytes that it was told; gives its address."""
    answer: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))  # or closing resets what was answered
            status, body = answer[-1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def told(status: int, body: bytes) -> str:
        answer.append((status, body))
        return f"http://127.0.0.1:{server.server_port}"

    yield told
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (500, b"", UpstreamError, "cannot reach"),
        (200, b"", UpstreamError, "expected JSON"),
        (200, b"<html>", UpstreamError, "expected JSON"),
        (200, b"[" * 200_000, UpstreamError, "expected JSON: expected at most 32 levels"),
        (200, b"{}", UpstreamError, "expected 1 answers"),
        (200, b"[]", UpstreamError, "expected 1 answers"),
        (200, b"[5]", UpstreamError, "in the order of the requests"),
        (200, b'[{"id": 7, "result": 1}]', UpstreamError, "in the order of the requests"),
        (200, b'[{"id": 0, "error": {"code": 1, "message": "no"}}]', ChainError, "no"),
        (200, b'[{"id": 0, "error": "no"}]', ChainError, "no"),
    ],
)
def test_what_an_upstream_answers_is_read_with_care(
    nonsense, status: int, body: bytes, kind: type, says: str
) -> None:
    with pytest.raises(ChainError, match=says) as refused:
        Upstream(nonsense(status, body)).call("eth_chainId")
    assert type(refused.value) is kind


def test_an_upstream_that_answers_without_end_is_cut_off(nonsense, monkeypatch) -> None:
    monkeypatch.setattr(upstream_module, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(UpstreamError, match="expected at most 100 bytes"):
        Upstream(nonsense(200, b"[" + b" " * 200 + b"]")).call("eth_chainId")


# --- two real processes


def send(chain: RunningChain, raw: bytes) -> dict:
    return chain.rpc("eth_getTransactionReceipt", chain.rpc("eth_sendRawTransaction", "0x" + raw.hex()))


def test_publishing_goes_on_after_the_first_endpoint_was_killed(tmp_path: Path, node) -> None:
    first_state, second_state = tmp_path / "first", tmp_path / "second"
    raws = [node.signed(nonce=nonce) for nonce in range(4)]  # any chain with this id takes them
    with chain_process("--state", str(first_state)) as first:
        send(first, raws[0])
        keys = str(first_state / "validators.json")
        with chain_process(
            "--upstream", first.url, "--state", str(second_state), "--keys", keys, command="follow"
        ) as second:
            assert second.genesis_hash == first.genesis_hash
            wait_until(lambda: second.rpc("eth_blockNumber") == "0x1", "the follower catches up")
            assert send(second, raws[1]) == send_result(first, raws[1])
            first.kill()
            assert second.rpc("eth_blockNumber") == "0x2"
            assert second.rpc("fwledger_promote") is True
            assert send(second, raws[2])["blockNumber"] == "0x3"
            trust = QbftTrust(
                validators=tuple(Validator(v.address, v.public_key) for v in first.validators),
                min_validators=4,
            )
            qbft.verify_seals(bytes.fromhex(second.rpc("debug_getRawHeader", "latest")[2:]), trust)
            # The first comes back as what it can still be: a follower of its successor.
            with chain_process(
                "--upstream", second.url, "--state", str(first_state), command="follow"
            ) as back:
                wait_until(lambda: back.rpc("eth_blockNumber") == "0x3", "the first node catches up")
                head = second.rpc("eth_getBlockByNumber", "latest", True)
                assert back.rpc("eth_getBlockByNumber", "latest", True) == head


def send_result(chain: RunningChain, raw: bytes) -> dict:
    from eth_utils import keccak

    return chain.rpc("eth_getTransactionReceipt", "0x" + keccak(raw).hex())


def test_a_follower_takes_over_by_itself_after_the_silence_it_was_told(tmp_path: Path) -> None:
    with chain_process("--state", str(tmp_path)) as first:
        keys = str(tmp_path / "validators.json")
        with chain_process(
            "--upstream", first.url, "--keys", keys, "--takeover", "0.5", command="follow"
        ) as second:
            assert second.rpc("eth_mining") is False
            first.kill()
            wait_until(lambda: second.rpc("eth_mining"), "the follower takes over")
            second.rpc("evm_mine")
            assert second.rpc("eth_blockNumber") == "0x1"
