"""A node that lies, hangs or sends for ever: one clear error, in time, of the right family."""

from __future__ import annotations

import time

import pytest

from ledger_client.content.errors import BlockMissingError, ContentMismatchError
from ledger_client.content.ipfs import IpfsClient, to_multiaddr
from ledger_client.errors import ConfigError, NodeRefusedError, UnreachableError
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.limits import MAX_BLOCK_BYTES
from tests.support.hostile_http import hostile_server, http_answer

CID = Cid.of(RAW, b"wanted")


def client(server, timeout_s=10.0):
    return IpfsClient(f"http://127.0.0.1:{server.port}", timeout_s=timeout_s)


def test_a_node_that_never_answers_is_left_in_time():
    with hostile_server(b"", hang=True) as server:
        before = time.monotonic()
        with pytest.raises(UnreachableError, match=r"silent: got nothing for 0\.3 s"):
            client(server, timeout_s=0.3).version()
        assert time.monotonic() - before < 10


def test_a_node_that_hangs_half_way_through_a_block_is_left_in_time():
    with hostile_server(http_answer(b"wan", length=6), hang=True) as server, pytest.raises(UnreachableError):
        client(server, timeout_s=0.3).get_block(CID)


def test_a_node_that_closes_half_way_is_unreachable():
    with hostile_server(http_answer(b"wan", length=6)) as server, pytest.raises(UnreachableError):
        client(server).get_block(CID)


def test_a_cat_that_breaks_off_raises_instead_of_ending():
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    with hostile_server(broken) as server:
        pieces = client(server).cat(CID)
        assert next(pieces) == b"first"
        with pytest.raises(UnreachableError):
            next(pieces)


def test_other_bytes_than_asked_for_are_not_a_block():
    with (
        hostile_server(http_answer(b"unwanted")) as server,
        pytest.raises(ContentMismatchError, match=str(CID)),
    ):
        client(server).get_block(CID)


def test_a_block_without_end_is_cut_off():
    with (
        hostile_server(http_answer(bytes(MAX_BLOCK_BYTES + 1))) as server,
        pytest.raises(ContentMismatchError, match=f"at most {MAX_BLOCK_BYTES} bytes"),
    ):
        client(server).get_block(CID)


def test_an_address_that_the_node_makes_up_is_noticed():
    with hostile_server(http_answer(b'{"Key":"bafkreib","Size":6}')) as server:
        with pytest.raises(ContentMismatchError, match="address from the IPFS node"):
            client(server).put_block(b"wanted")
        with pytest.raises(ContentMismatchError):
            client(server).has_block(CID)


def test_pins_that_failed_are_reported_with_the_reason_of_the_node():
    answer = b'{"Root":{"Cid":{"/":"%s"},"PinErrorMsg":"disk full"}}\n' % str(CID).encode()
    with (
        hostile_server(http_answer(answer)) as server,
        pytest.raises(NodeRefusedError, match="could not pin the release: got disk full"),
    ):
        client(server).import_car([b"car"], roots=[CID])


def test_an_import_that_pinned_nothing_is_noticed():
    with (
        hostile_server(http_answer(b"")) as server,
        pytest.raises(ContentMismatchError, match="roots pinned by the IPFS node"),
    ):
        client(server).import_car([b"car"], roots=[CID])


def test_an_error_after_good_lines_is_raised():
    lines = b'{"Root":{"Cid":{"/":"x"},"PinErrorMsg":""}}\n{"Message":"lost","Code":0,"Type":"error"}\n'
    with hostile_server(http_answer(lines)) as server, pytest.raises(NodeRefusedError, match="lost"):
        client(server).import_car([b"car"], roots=[CID])


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b"[]",
        b"5",
        b"[" * 100_000,
        b'{"Version":5}',
        b"{}",
        b'{"a":1}\n{"b":2}',
        b"",
        b"\xff",
    ],
)
def test_an_answer_of_another_form_is_not_a_version(body):
    with (
        hostile_server(http_answer(body)) as server,
        pytest.raises(NodeRefusedError, match="answer of the IPFS node"),
    ):
        client(server).version()


def test_a_web_server_is_not_an_ipfs_node():
    with (
        hostile_server(http_answer(b"<html>404</html>", status="404 Not Found")) as server,
        pytest.raises(NodeRefusedError, match="does not answer as an IPFS node") as caught,
    ):
        client(server).version()
    assert "fwledger ipfs up" in caught.value.hint


def test_a_refusal_keeps_the_nodes_own_words():
    body = b'{"Message":"cannot do that","Code":0,"Type":"error"}'
    with (
        hostile_server(http_answer(body, status="500 Internal Server Error")) as server,
        pytest.raises(NodeRefusedError, match="cannot do that"),
    ):
        client(server).pin(CID)


def test_not_found_is_missing_and_not_a_refusal():
    body = b'{"Message":"ipld: could not find it","Code":0,"Type":"error"}'
    with hostile_server(http_answer(body, status="500 Internal Server Error")) as server:
        assert not client(server).has_block(CID)
        with pytest.raises(BlockMissingError):
            list(client(server).cat(CID))


def test_an_error_of_the_source_of_a_car_passes_through():
    def pieces():
        yield b"first"
        raise BlockMissingError("block not found")

    with hostile_server(b"", hang=True) as server, pytest.raises(BlockMissingError):
        client(server).import_car(pieces(), roots=[CID])


def test_the_secret_of_an_api_is_sent_and_never_shown():
    with hostile_server(http_answer(b"no", status="403 Forbidden")) as server:
        guarded = IpfsClient(f"http://127.0.0.1:{server.port}", authorization="bearer:hunter2", timeout_s=5)
        with pytest.raises(NodeRefusedError) as caught:
            guarded.version()
    assert "hunter2" not in str(caught.value) + caught.value.hint + repr(guarded)


@pytest.mark.parametrize("secret", ["hunter2", "bearer:", "basic:hunter2", "token:hunter2"])
def test_a_secret_of_another_form_is_refused_without_being_shown(secret):
    with pytest.raises(ConfigError) as caught:
        IpfsClient("/ip4/127.0.0.1/tcp/1", authorization=secret)
    assert "hunter2" not in str(caught.value)


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch):
    with hostile_server(b"") as proxy, hostile_server(http_answer(b'{"Version":"1"}')) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert client(server).version() == "1"
        assert proxy.requests == 0


@pytest.mark.parametrize(
    ("api", "multiaddr"),
    [
        ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("http://127.0.0.1:5001/", "/ip4/127.0.0.1/tcp/5001/http"),
        ("https://ipfs.example", "/dns/ipfs.example/tcp/443/https"),
        ("http://[::1]:5001", "/ip6/::1/tcp/5001/http"),
    ],
)
def test_an_api_may_be_named_as_multiaddr_or_url(api, multiaddr):
    assert to_multiaddr(api) == multiaddr
    IpfsClient(api).close()


@pytest.mark.parametrize(
    "api",
    [
        "",
        "localhost:5001",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/api",
        "http://u:p@x",
        "/ip4/1.2.3.4",
        "/nope/x",
    ],
)
def test_an_api_of_another_form_is_a_configuration_error(api):
    with pytest.raises(ConfigError, match="ipfs api"):
        IpfsClient(api)
