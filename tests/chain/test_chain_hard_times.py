"""A full disk, slow clients, and more of everything than is good: the process lives, and loses nothing it acknowledged."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from local_chain import server
from local_chain.accounts import dev_accounts
from local_chain.library import LocalChain
from local_chain.rpc import dispatch
from local_chain.transactions import DYNAMIC_FEE, Transaction
from tests.support.chain import REPOSITORY, RpcError, rpc, start_chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DISK_BYTES = 1_000_000
FEW_FILES = 256
CROWD = 500
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CHAIN_ID = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()


@contextlib.contextmanager
def limited(limit: Callable[[], None], *options: str):
    """The real command, started by a process that is limited first; its address and its process."""
    line = [sys.executable, "-m", "local_chain.cli", "up", "--port", "0", "--json", *options]
    process = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        yield json.loads(process.stdout.readline())["url"], process
    finally:
        process.kill()
        process.communicate()


def full_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, DISK_BYTES))


def few_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, most))


def bulky(nonce: int) -> str:
    """A transaction that fills a disk."""
    sent = Transaction(
        DYNAMIC_FEE, 31_337, nonce, 5_000_000, b"\x77" * 20, 1, b"\x01" * 60_000, 3 * 10**9, 10**9
    )
    return "0x" + sent.signed(dev_accounts()[0].secret_key).raw.hex()


def test_a_full_disk_stops_the_sealing_and_nothing_else(tmp_path: Path) -> None:
    state, acknowledged = tmp_path / "state", {}
    with limited(full_disk, "--state", str(state)) as (url, process):
        for nonce in range(40):
            sent = rpc(url, "eth_sendRawTransaction", bulky(nonce))
            receipt = rpc(url, "eth_getTransactionReceipt", sent)
            if receipt is None:
                break
            acknowledged[sent] = receipt
        assert 0 < len(acknowledged) < 40
        with pytest.raises(RpcError, match=f"cannot store block {len(acknowledged) + 1}") as refused:
            rpc(url, "evm_mine")
        assert refused.value.code == -32000
        assert int(rpc(url, "eth_blockNumber"), 16) == len(acknowledged)  # it answers as before
        assert rpc(url, "txpool_status")["pending"] == "0x1"
        for sent, receipt in acknowledged.items():
            assert rpc(url, "eth_getTransactionReceipt", sent) == receipt
        process.terminate()
        said = process.stderr.read().decode()
        assert process.wait(20) == 0
    assert "cannot store block" in said
    assert "Traceback" not in said
    again = start_chain("--state", str(state))
    try:
        for sent, receipt in acknowledged.items():
            assert again.rpc("eth_getTransactionReceipt", sent) == receipt
        assert again.rpc("eth_sendRawTransaction", bulky(len(acknowledged)))
        assert int(again.rpc("eth_blockNumber"), 16) == len(acknowledged) + 1
    finally:
        again.stop()
        again.process.stdout.close()


def test_no_room_for_a_new_chain_is_a_clear_refusal(tmp_path: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))

    line = [sys.executable, "-m", "local_chain.cli", "up", "--port", "0", "--state", str(tmp_path / "state")]
    done = subprocess.run(
        line, preexec_fn=no_room, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot ")
    assert "Traceback" not in done.stderr


def test_a_thousand_open_sockets_keep_nobody_waiting() -> None:
    with limited(few_files) as (url, process), contextlib.ExitStack() as opened:
        address = urlsplit(url)
        place = (address.hostname, address.port)

        def connection(first: bytes) -> socket.socket:
            one = opened.enter_context(socket.create_connection(place, timeout=30))
            one.sendall(first)
            return one

        sockets = [connection(UPGRADE) for _ in range(CROWD)]
        assert all(one.recv(4_096).startswith(b"HTTP/1.1 101") for one in sockets)
        for index in range(CROWD):
            connection(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{" if index % 2 else b"POST"
            )
        assert rpc(url, "eth_chainId") == "0x7a69"
        rpc(url, "evm_mine")
        assert process.poll() is None


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(server, "BODY_TIMEOUT_S", 0.2)
    with LocalChain() as chain:
        address = urlsplit(chain.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            answer = b""
            while part := slow.recv(4_096):  # until it closes
                answer += part
        assert answer.startswith(b"HTTP/1.1 408")
        assert rpc(chain.url, "eth_chainId") == "0x7a69"


def test_a_client_that_reads_slowly_keeps_only_itself_waiting() -> None:
    with LocalChain() as chain:
        address = urlsplit(chain.url)
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CHAIN_ID)}\r\n\r\n".encode()
        with socket.create_connection((address.hostname, address.port), timeout=20) as slow:
            slow.setblocking(False)
            end = time.monotonic() + 1
            with contextlib.suppress(BlockingIOError):
                while time.monotonic() < end:
                    slow.send(head + CHAIN_ID)
            for _ in range(3):
                assert rpc(chain.url, "eth_chainId", timeout_s=10) == "0x7a69"


def test_a_batch_whose_answers_grow_too_large_is_cut_short(node, monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_BATCH_ANSWER_BYTES", 1_000)
    one = {"jsonrpc": "2.0", "method": "eth_getBlockByNumber", "params": ["0x0", False]}
    mine = {"jsonrpc": "2.0", "id": 9, "method": "evm_mine"}
    answers = node.post([one | {"id": 1}, one, one | {"id": 2}, mine, one, one | {"id": {}}, 7])
    assert [answer["id"] for answer in answers] == [1, 2, 9, None, None]
    assert "result" in answers[0]
    for cut in answers[1:]:
        assert cut["error"] == {"code": -32003, "message": "response too large"}
    assert node.rpc("eth_blockNumber") == "0x0"


def test_sealing_goes_on_once_there_is_room_again(make_node, tmp_path: Path) -> None:
    node = make_node(state=tmp_path, instant=False)
    database = node.chain.store._db
    [pages] = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 20}")  # SQLite then says what it says of a full disk
    for nonce in range(3):
        node.chain.submit(bytes.fromhex(bulky(nonce)[2:]))
    with pytest.raises(RpcError, match="database or disk is full"):
        node.rpc("evm_mine")
    assert (node.chain.head.number, len(node.chain.pool)) == (0, 3)
    database.execute("PRAGMA max_page_count = 1000000")
    node.rpc("evm_mine")
    assert (node.chain.head.number, len(node.chain.head.transactions), len(node.chain.pool)) == (1, 3, 0)
