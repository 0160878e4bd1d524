"""What the chain tells on a terminal and in its JSON log."""

from __future__ import annotations

import io
import json
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from local_chain import journal
from local_chain.cli import main
from local_chain.journal import Failed, Journal, Missed, as_json, plain, shown
from tests.support.chain import REPOSITORY, RpcError, chain_process

if TYPE_CHECKING:
    from local_chain.journal import Happening

UNLUCKY = "store(uint256,uint256)"


class Heard:
    """Words that keep what they were given."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def __call__(self, happening: Happening):
        self.happenings.append(happening)
        yield from ()


@pytest.fixture
def heard(node):
    words = Heard()
    written = Journal(node.node, words)
    words.end = written.close
    return words


def lines(words, happenings) -> list[str]:
    return [line for happening in happenings for line in words(happening)]


@pytest.mark.parametrize(
    "options", [("--silent", "--json"), ("--json", "--json-log"), ("--silent", "--json-log")]
)
@pytest.mark.parametrize("command", [("up",), ("follow", "--upstream", "http://127.0.0.1:9")])
def test_only_one_kind_of_output_can_be_chosen(command: tuple[str, ...], options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command, *options])
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_a_stranger_cannot_write_on_the_terminal() -> None:
    told = Failed("eth_\x1b[31m", -32601, "a\nb\r\x00 " + "x" * 1_000)
    [line] = plain(told)
    assert line.isprintable()
    assert len(line) < 400
    assert shown("grün ok") == "grün ok"


def test_a_block_is_a_line_and_a_failing_transaction_another(node, heard, box) -> None:
    from eth_utils import function_signature_to_4byte_selector

    at = node.send(node.signed(to=None, data=bytes.fromhex(box["bytecode"][2:]), gas=3_000_000))[
        "contractAddress"
    ]
    unlucky = function_signature_to_4byte_selector(UNLUCKY) + bytes(63) + b"\x0d"
    receipt = node.send(node.signed(to=bytes.fromhex(at[2:]), data=unlucky, value=0))
    assert receipt["status"] == "0x0"
    heard.end()
    told = lines(plain, heard.happenings)
    head = node.chain.head
    assert told[0].startswith("block 1  0x")
    assert told[1] == (
        f"block 2  0x{head.hash.hex()[:12]}  1 tx  {int(receipt['gasUsed'], 16)} gas  round {head.round_number}"
    )
    assert told[2] == f"  {receipt['transactionHash']} failed: execution reverted: box: unlucky"
    assert len(told) == 3


def test_a_failing_request_is_a_line_with_its_reason(node, heard) -> None:
    for method, params in (("eth_call", [{"data": "0x60006000fd"}]), ("eth_nothing", [])):
        with pytest.raises(RpcError):
            node.rpc(method, *params)
    heard.end()
    assert lines(plain, heard.happenings) == [
        "eth_call failed: execution reverted",
        "eth_nothing failed: the method eth_nothing does not exist/is not available",
    ]


def test_a_state_that_was_set_by_hand_is_told(node, heard) -> None:
    node.rpc("anvil_setBalance", "0x" + "ab" * 20, "0x1")
    heard.end()
    [line] = lines(plain, heard.happenings)
    assert line.endswith("state set by hand")


def test_the_json_log_tells_blocks_transactions_and_failures(node, heard) -> None:
    receipt = node.send(node.signed())
    with pytest.raises(RpcError):
        node.rpc("eth_getBalance", "0x1")
    heard.end()
    block, transaction, failed = (json.loads(line) for line in lines(as_json, heard.happenings))
    assert block | {"event": "block", "number": 1, "transactions": 1, "gasUsed": 21_000} == block
    assert (block["hash"], block["seals"]) == (receipt["blockHash"], len(node.chain.head.seals))
    assert transaction == {
        "schema": "fwledger-chain/log/1",
        "event": "transaction",
        "hash": receipt["transactionHash"],
        "block": 1,
        "gasUsed": 21_000,
        "error": None,
    }
    assert (failed["event"], failed["method"], failed["code"]) == ("failure", "eth_getBalance", -32602)


def test_what_nobody_reads_is_counted_and_holds_nothing_up(node, monkeypatch) -> None:
    monkeypatch.setattr(journal, "MAX_WAITING", 2)
    reading, begun, seen = threading.Event(), threading.Event(), []

    def slow(happening):
        seen.append(happening)
        begun.set()
        reading.wait()
        yield from ()

    written = Journal(node.node, slow)
    node.rpc("evm_mine")
    begun.wait()
    for _ in range(5):
        node.rpc("evm_mine")
    reading.set()
    while not written._waiting.empty():
        pass
    node.rpc("evm_mine")
    written.close()
    assert [one for one in seen if isinstance(one, Missed)] == [Missed(3)]
    assert lines(plain, [Missed(3)]) == ["... 3 lines left out"]
    assert json.loads(lines(as_json, [Missed(3)])[0])["count"] == 3
    assert node.rpc("eth_blockNumber") == "0x7"


def test_a_closed_terminal_ends_the_journal_and_not_the_chain(node, monkeypatch) -> None:
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stdout", gone)
    written = Journal(node.node, plain)
    node.rpc("evm_mine")
    written._thread.join(10)
    assert not written._thread.is_alive()
    node.rpc("evm_mine")
    written.close()


# --- the real command


def started(*options: str):
    import os
    import subprocess

    line = [sys.executable, "-m", "local_chain.cli", "up", "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": ""}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process) -> tuple[str, str]:
    process.terminate()
    return process.communicate(timeout=20)


def test_the_screen_tells_all_that_a_person_needs_to_begin(tmp_path) -> None:
    process = started("--state", str(tmp_path / "chain"), "--block-time", "60")
    screen = []
    while not (screen and screen[-1].startswith("listening")):
        screen.append(process.stdout.readline())
    ended(process)
    text = "".join(screen)
    assert "  (0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266  0xac0974bec39a17e36ba4a6b4d238ff94" in text
    assert "sealing     every 60 s\n" in text
    assert f"state       {tmp_path}/chain\n" in text
    assert "validators  4\nchain       id 31337, prague, block 0\n" in text
    assert " and ws://127.0.0.1:" in screen[-1]


def test_the_json_log_begins_with_what_the_ready_file_holds(tmp_path) -> None:
    from tests.support.chain import rpc

    ready = tmp_path / "ready.json"
    process = started("--json-log", "--ready-file", str(ready))
    first = json.loads(process.stdout.readline())
    assert first == json.loads(ready.read_text()) | {"event": "ready"}
    rpc(first["url"], "evm_mine")
    assert json.loads(process.stdout.readline())["event"] == "block"
    assert ended(process)[1] == ""


def test_a_silent_chain_prints_nothing(tmp_path) -> None:
    from tests.support.chain import rpc, wait_until

    ready = tmp_path / "ready.json"
    process = started("--silent", "--ready-file", str(ready))
    wait_until(ready.exists, "the chain is ready")
    rpc(json.loads(ready.read_text())["url"], "evm_mine")
    assert ended(process) == ("", "")


def test_a_reader_that_leaves_does_not_stop_the_chain() -> None:
    with chain_process() as other:  # warm: imports are compiled
        other.rpc("eth_chainId")
    process = started("--json-log")
    url = json.loads(process.stdout.readline())["url"]
    process.stdout.close()
    from tests.support.chain import rpc

    for _ in range(3):
        rpc(url, "evm_mine")
    assert rpc(url, "eth_blockNumber") == "0x3"
    process.terminate()
    assert process.wait(20) == 0
    process.stderr.close()
