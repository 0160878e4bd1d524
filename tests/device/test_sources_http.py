"""Sources over HTTP, against servers that hang, drip, flood, cut off and lie."""

import base64
import contextlib
import json
import re
import socket
import threading
import time
from importlib.resources import files

import pytest

from device_verifier.errors import SourceUnreachable, UsageError
from device_verifier.fetcher import fetch_image
from device_verifier.inquiry import learn
from device_verifier.sources import BlockMissing, BlockSource, LedgerSource, StateQuery, rpc
from device_verifier.sources.directory import Directory
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.http import HttpClient, HttpLimits
from device_verifier.sources.relay import RelayLedger
from device_verifier.sources.rpc import PUBLISHED_TOPIC, TRUST_ROOT_SET_TOPIC, RpcLedger
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import rlp
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import DEVICE, OPERATOR
from tests.sim.scene import Scene
from tests.sim.servers import Gateway, Node, Relay, http_server, raw_server
from tests.sim.sources import MemoryBlocks, Notebook
from tests.sim.validators import header_fields

QUICK = HttpLimits(connect_s=1, stall_s=0.2, total_s=0.5, min_rate_bytes_s=1_000, grace_s=0.1)
BLOCK = b"a block"
CID = Cid.of(RAW, BLOCK)
OK = b"HTTP/1.1 200 OK\r\n"


def refused_within(url: str, limit_s: float = 2.0) -> SourceUnreachable:
    started = time.monotonic()
    with pytest.raises(SourceUnreachable) as caught:
        GatewayBlocks(url, limits=QUICK).get(CID, max_bytes=1_000)
    assert time.monotonic() - started < limit_s
    assert caught.value.hint
    return caught.value


def test_slow_retrieval_from_a_gateway_that_never_answers_ends_in_time():
    with raw_server(lambda _, over: over.wait(10)) as url:
        assert "no answer in time" in str(refused_within(url))


def drip(connection, over, head, byte):
    connection.sendall(head)
    while not over.wait(0.05):
        connection.sendall(byte)


def test_slow_retrieval_by_a_header_that_drips_ends_in_time():
    with raw_server(lambda c, over: drip(c, over, OK, b"X")) as url:
        assert "no answer in time" in str(refused_within(url))


def test_slow_retrieval_by_a_body_that_drips_is_below_the_least_rate():
    head = OK + b"Content-Length: 900\r\n\r\n"
    with raw_server(lambda c, over: drip(c, over, head, b"x")) as url:
        assert "too slow" in str(refused_within(url))


def test_slow_retrieval_by_chunks_that_drip_ends_in_time():
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with raw_server(lambda c, over: drip(c, over, head, b"1\r\nx\r\n")) as url:
        refused_within(url)


def test_endless_data_is_cut_off_at_the_limit():
    sent = 0

    def flood(connection, over):
        nonlocal sent
        connection.sendall(OK + b"\r\n")
        while not over.is_set():
            sent += connection.send(b"x" * 65_536)

    with raw_server(flood) as url:
        assert "more than was asked for" in str(refused_within(url))
    assert sent < 20_000_000


def test_endless_headers_are_cut_off():
    def flood(connection, over):
        connection.sendall(OK)
        while not over.is_set():
            connection.sendall(b"X-Padding: " + b"x" * 1_000 + b"\r\n")

    with raw_server(flood) as url:
        refused_within(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x01\x02 rubbish\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        OK + b"Content-Length: 1000\r\n\r\ncut off",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_a_gateway_that_breaks_off_or_breaks_the_protocol_is_unreachable(answer):
    with raw_server(lambda c, _: c.sendall(answer)) as url:
        assert refused_within(url).exit_code == 3


def test_a_server_that_is_not_there_is_unreachable_and_named():
    error = refused_within("http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in str(error)


def test_a_missing_block_is_told_apart_from_a_dead_gateway():
    with http_server(Gateway({})) as url, pytest.raises(BlockMissing):
        GatewayBlocks(url).get(CID, max_bytes=100)


def test_connections_are_kept_alive_and_a_closed_one_is_opened_again():
    connections = 0

    def one_answer(connection, _over):
        nonlocal connections
        connections += 1
        for _ in range(2):
            connection.sendall(OK + b"Content-Length: 7\r\n\r\n" + BLOCK)
            if not connection.recv(65_536):
                return  # and hang up without a word

    with raw_server(one_answer) as url:
        gateway = GatewayBlocks(url, limits=QUICK)
        assert [gateway.get(CID, max_bytes=100) for _ in range(5)] == [BLOCK] * 5
    assert connections == 3


def test_credentials_in_a_url_are_sent_and_never_shown():
    requests: list[bytes] = []
    refusal = b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n"
    with raw_server(lambda c, _: c.sendall(refusal), seen=requests) as url:
        for userinfo in ("user:hunter%202@", "user@", ""):
            client = HttpClient(url.replace("://", "://" + userinfo), limits=QUICK)
            assert "hunter" not in client.name
            client.get("/", max_bytes=10)
    sent = [re.search(rb"Authorization: Basic (\S+)", request) for request in requests]
    assert [found and base64.b64decode(found[1]) for found in sent] == [b"user:hunter 2", b"user:", None]
    with pytest.raises(UsageError) as caught:
        HttpClient("ftp://user:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "localhost:80", "file:///etc/passwd", "http://", "http://h:port", "http://h/?q=1"]
)
def test_a_url_that_is_not_plain_http_is_a_usage_error(url):
    with pytest.raises(UsageError) as caught:
        HttpClient(url)
    assert (caught.value.reason, caught.value.exit_code) == (Reason.USAGE, 2)


def test_an_image_comes_from_several_gateways_while_one_hangs_and_one_lies():
    scene = Scene()
    component = scene.release.manifest.components[0]
    lies = dict.fromkeys(scene.release.blocks, b"evil")
    with (
        raw_server(lambda _, over: over.wait(10)) as hanging,
        http_server(Gateway(lies)) as lying,
        http_server(Gateway(dict(scene.release.blocks))) as honest,
    ):
        gateways = [GatewayBlocks(url, limits=QUICK) for url in (hanging, lying, honest)]
        written = bytearray()
        fetched = fetch_image(component, sources=gateways, write=written.extend)
    assert bytes(written) == scene.release.images["rootfs"]
    assert fetched.sources[1].dropped
    assert fetched.sources[2].dropped is None


# -- ledger proofs


@pytest.fixture
def scene():
    """A repository that uses everything a query can ask for."""
    scene = Scene(operator=OPERATOR)
    scene.repository.approve(scene.release.id)
    scene.repository.enrol(group=7)
    scene.repository.assign(7, "stable")
    scene.repository.revoke(b"\x01" * 32)
    scene.repository.seal()
    return scene


FOLLOWS = {"by channel": {}, "by group": {"channel": None, "group": 7}, "by the journal": {"channel": None}}


@pytest.mark.parametrize("follows", FOLLOWS.values(), ids=FOLLOWS)
def test_a_node_serves_every_way_to_follow_a_channel(scene, follows):
    with http_server(Node(scene.repository)) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.installs(scene.release, **follows)
        facts = scene.repository.device(installed=scene.release.installed, **follows)
        learned = learn(
            facts, sources=scene.ledgers, memory=scene.memory, also_revoked=(b"\x01" * 32,), with_device=True
        )
    assert learned.view.revocation_of(b"\x01" * 32) is not None
    assert learned.view.approved_at is not None
    assert learned.view.device.group == 7
    assert learned.view.envelope_hints == (scene.release.envelope_cid.to_bytes(),)


@pytest.mark.parametrize("follows", FOLLOWS.values(), ids=FOLLOWS)
def test_a_relay_serves_every_way_to_follow_a_channel(follows):
    scene = Scene()
    scene.repository.enrol(group=7)
    scene.repository.assign(7, "stable")
    scene.repository.rotate_root()
    scene.repository.seal()
    with http_server(Relay(scene.repository)) as url:
        scene.ledgers = [RelayLedger(url)]
        assert scene.installs(scene.release, **follows)
    assert len(scene.memory.roots) == 1


def test_a_device_that_the_journal_does_not_know_is_told_so(scene):
    with http_server(Node(scene.repository)) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.reason(channel=None, address=b"\x09" * 20) is Reason.NOT_ENROLLED


def test_a_header_is_put_together_where_the_node_has_no_debug_api(scene):
    node = Node(scene.repository)
    node.refused = {"debug_getRawHeader"}
    with http_server(node) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.installs(scene.release)
    assert "eth_getBlockByNumber" in node.calls


@pytest.mark.parametrize("extra", range(6))
def test_a_header_of_every_fork_is_put_together_as_it_was(extra):
    later = [bytes(32), b"\x05", b"", b"\x01" * 32, b"\x02" * 32]  # Shanghai's, Cancun's three, Prague's
    fields = [*header_fields(base_fee=7), *later[:extra]]
    names = [
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "mixHash",
        "nonce",
        "baseFeePerGas",
        "withdrawalsRoot",
        "blobGasUsed",
        "excessBlobGas",
        "parentBeaconBlockRoot",
        "requestsHash",
    ]
    numbers = {
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    }
    block = {
        name: hex(int.from_bytes(value, "big")) if name in numbers else "0x" + value.hex()
        for name, value in zip(names, fields, strict=False)
    }
    answers = {"eth_getBlockByNumber": block}
    with http_server(
        lambda _method, _path, body: (
            200,
            json.dumps(
                {"result": answers[json.loads(body)["method"]]}
                if json.loads(body)["method"] in answers
                else {"error": "no such method"}
            ).encode(),
        )
    ) as url:
        assert RpcLedger(url)._header("latest") == (rlp.encode(fields), 100)


def test_logs_are_asked_for_in_windows_where_the_node_refuses_a_wide_range(scene):
    for _ in range(3):
        scene.repository.seal()
    scene.repository.chain[-1] = scene.repository.seal(number=30_000, append=False)
    node = Node(scene.repository)
    node.max_log_range = 10_000
    with http_server(node) as url:
        proof = RpcLedger(url).proof(StateQuery(channel="stable"), ledger=scene.repository.root.ledger)
    assert scene.release.envelope_cid.to_bytes() in proof


def test_trust_roots_are_found_by_the_ledgers_log_and_fetched_as_blocks(scene):
    signed = scene.repository.rotate_root()
    scene.repository.seal()
    blocks = MemoryBlocks({Cid.of(DAG_CBOR, signed): signed})
    with http_server(Node(scene.repository)) as url:
        scene.ledgers = [RpcLedger(url, blocks=[MemoryBlocks({}), blocks])]
        assert scene.installs(scene.release)
        assert scene.memory.roots == [signed]
        scene.ledgers = [RpcLedger(url)]
        scene.memory = Notebook(scene.repository.factory_root)
        assert scene.reason() is Reason.TRUST_ROOT_MISSING


def test_a_node_without_the_version_word_is_searched_by_its_log(scene):
    signed = scene.repository.rotate_root()
    scene.repository.seal()
    node = Node(scene.repository)
    node.refused = {"eth_getStorageAt"}
    with http_server(node) as url:
        scene.ledgers = [RpcLedger(url, blocks=[MemoryBlocks({Cid.of(DAG_CBOR, signed): signed})])]
        assert scene.installs(scene.release)


class Endless:
    """Answers of a node whose log names 256 trust roots that nobody has."""

    def __call__(self, method, result):
        if method == "eth_getStorageAt":
            return hex(300)
        if method != "eth_getLogs":
            return result
        return [
            {
                "topics": ["0x", hex(version)],
                "data": "0x" + bytes(32).hex() + keccak256(bytes([version % 256])).hex(),
            }
            for version in range(2, 258)
        ]


def test_slow_retrieval_of_trust_roots_that_nobody_has_ends_with_the_time_for_the_question(
    scene, monkeypatch
):
    monkeypatch.setattr(rpc, "OPERATION_S", 0.5)
    blocks = MemoryBlocks({}, before=lambda _: threading.Event().wait(0.1))
    node = Node(scene.repository)
    node.mangle = Endless()
    with http_server(node) as url:
        source = RpcLedger(url, blocks=[blocks])
        assert source.trust_roots(after_version=1, ledger=scene.repository.root.ledger) == []
    assert 1 <= len(blocks.asked) <= 5


def test_a_search_for_trust_roots_ends_when_it_is_broken_off(scene):
    blocks = MemoryBlocks({}, before=lambda _: source.abandon())
    node = Node(scene.repository)
    node.mangle = Endless()
    with http_server(node) as url:
        source = RpcLedger(url, blocks=[blocks])
        assert source.trust_roots(after_version=1, ledger=scene.repository.root.ledger) == []
    assert len(blocks.asked) == 1


def test_a_node_that_hides_a_root_by_its_version_word_is_found_out_by_the_proof(scene):
    scene.repository.rotate_root()
    scene.repository.seal()
    node = Node(scene.repository)
    node.mangle = lambda method, result: "0x1" if method == "eth_getStorageAt" else result
    with http_server(node) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.reason() is Reason.TRUST_ROOT_MISSING
    assert "eth_getLogs" in node.calls, "only for the envelope of the release"


def test_a_question_of_many_exchanges_ends_when_it_is_broken_off(scene):
    started, over = threading.Event(), threading.Event()
    node = Node(scene.repository)

    def hang(method, result):
        if method == "eth_getProof":
            started.set()
            over.wait(20)
        return result

    node.mangle = hang
    with http_server(node) as url:
        source = RpcLedger(url)
        breaker = threading.Thread(target=lambda: started.wait(10) and source.abandon())
        breaker.start()
        begun = time.monotonic()
        with pytest.raises(SourceUnreachable):
            source.proof(StateQuery(channel="stable"), ledger=scene.repository.root.ledger)
        assert time.monotonic() - begun < 5
        over.set()
        breaker.join()
        node.mangle = lambda _method, result: result
        assert source.proof(StateQuery(channel="stable"), ledger=scene.repository.root.ledger), (
            "it serves again"
        )


def test_a_question_of_many_exchanges_has_one_deadline():
    with raw_server(lambda c, over: drip(c, over, OK, b"X")) as url:
        client = HttpClient(url)
        begun = time.monotonic()
        with client.operation(0.3):
            for _ in range(3):
                with pytest.raises(SourceUnreachable, match="no answer in time"):
                    client.get("/", max_bytes=10)
    assert time.monotonic() - begun < 2


def test_a_lying_nodes_values_are_never_read(scene):
    def lie(method, result):
        if method == "eth_getProof":
            for entry in result["storageProof"]:
                entry["value"] = hex(int.from_bytes(b"\x66" * 32, "big"))
            result["codeHash"] = result["storageHash"] = "0x" + "66" * 32
        return result

    node = Node(scene.repository)
    node.mangle = lie
    with http_server(node) as url:
        scene.ledgers = [RpcLedger(url)]
        # It sent proofs for a head that does not exist, so the true head's words are missing: refused, not
        # believed.
        assert scene.reason() is Reason.BAD_PROOF


def test_a_lying_node_that_hides_a_revocation_is_refused(scene):
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    key = "0x" + state.revoked_key(scene.release.id).hex()

    def hide(method, result):
        if method == "eth_getProof":
            for entry in result["storageProof"]:
                if entry["key"] == key:
                    entry["value"], entry["proof"] = "0x0", entry["proof"][:-1]
        return result

    node = Node(scene.repository)
    node.mangle = hide
    with http_server(node) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.reason() is Reason.BAD_PROOF


@pytest.mark.parametrize(
    "result",
    [
        None, 7, "0x", "0xzz", [], {}, {"storageProof": 3}, {"accountProof": [], "storageProof": [{}]},
        {"accountProof": ["0x" + "00" * 2_000], "storageProof": []},
    ],
)  # fmt: skip
def test_a_node_that_answers_nonsense_is_no_source(scene, result):
    node = Node(scene.repository)
    for method in ("debug_getRawHeader", "eth_getProof", "eth_getLogs"):
        node.mangle = lambda called, honest, method=method: result if called == method else honest
        if method == "debug_getRawHeader":
            node.refused = {"eth_getBlockByNumber"}
        with http_server(node) as url:
            scene.ledgers = [RpcLedger(url)]
            expected = (
                {Reason.CONTENT_UNAVAILABLE}
                if method == "eth_getLogs"
                else {Reason.SOURCE_UNREACHABLE, Reason.BAD_PROOF}
            )
            assert scene.reason() in expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[" * 100_000, b'{"result":' + b"9" * 5_000 + b"}", b"[]", b"\xff"]
)
def test_a_node_whose_json_is_hostile_is_no_source(body):
    scene = Scene()
    with http_server(lambda *_: (200, body)) as url:
        scene.ledgers = [RpcLedger(url)]
        error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNREACHABLE, 3)


def test_a_nodes_error_text_cannot_disturb_a_terminal():
    scene = Scene()
    body = json.dumps({"error": {"message": "\x1b[2J\n\r" + "x" * 5_000}}).encode()
    with http_server(lambda *_: (200, body)) as url:
        scene.ledgers = [RpcLedger(url)]
        text = str(scene.refusal())
    assert text.isprintable()
    assert len(text) < 600


def test_a_hint_of_a_device_word_outside_the_layout_is_only_a_wrong_hint(scene):
    scene.repository.journal_words[state.device_key(DEVICE)] |= 1 << 37
    scene.repository.seal()
    with http_server(Node(scene.repository)) as url:
        scene.ledgers = [RpcLedger(url)]
        assert scene.refusal(channel=None).exit_code in {1, 3}


def test_the_topics_are_those_of_the_compiled_contract():
    abi = json.loads((files("contracts") / "artifacts" / "FirmwareLedger.json").read_text())["abi"]
    events = {
        entry["name"]: f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})"
        for entry in abi
        if entry["type"] == "event"
    }
    assert keccak256(events["Published"].encode()) == PUBLISHED_TOPIC
    assert keccak256(events["TrustRootSet"].encode()) == TRUST_ROOT_SET_TOPIC


def test_every_source_stands_behind_its_interface(tmp_path):
    url = "http://127.0.0.1:1"
    assert all(isinstance(s, LedgerSource) for s in (RpcLedger(url), RelayLedger(url), Directory(tmp_path)))
    assert all(isinstance(s, BlockSource) for s in (GatewayBlocks(url), Directory(tmp_path)))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://[2001:db8::80]", ("2001:db8::80", 80)),
        ("https://[2001:db8::beef]/x", ("2001:db8::beef", 443)),
        ("http://[::1]:8080", ("::1", 8080)),
        ("http://example.org", ("example.org", 80)),
    ],
)
def test_every_kind_of_host_is_dialled_at_its_own_port(monkeypatch, url, wanted):
    dialled = []

    def resolve(host, port, *_rest, **_named):
        dialled.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SourceUnreachable):
        HttpClient(url, limits=QUICK).get("/", max_bytes=10)
    assert dialled == [wanted]


def test_slow_retrieval_by_a_name_with_many_dead_addresses_ends_in_time(monkeypatch):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with contextlib.ExitStack() as waiting:
            for _ in range(4):  # fill the queue of connections that nobody accepts
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(address)
            one = (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [one] * 100)
            error = refused_within(f"http://many.example:{address[1]}")
    assert "no answer in time" in str(error)
