"""foundry's cast drives the chain: it deploys, sends, decodes, replays transactions in its own EVM, and listens."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import rlp
import vyper
from eth_utils import keccak
from trie import HexaryTrie

from local_chain import server, sockets
from local_chain.library import LocalChain
from local_chain.rpc.registry import METHODS
from tests.engines.test_javascript_clients import noting
from tests.support.chain import wait_until

pytestmark = pytest.mark.engines("cast")

SOURCE = Path(__file__).parents[1] / "javascript" / "Shelf.vy"
STORED = "Stored(uint256 indexed key, address indexed by, uint256 word)"
TOTAL_SLOT = "2"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def methods():
    """Every method that cast called, over HTTP and over WebSocket."""
    seen: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        for module in (server, sockets):
            patch.setattr(module, "answer", noting(seen, module.answer))
        yield seen


@pytest.fixture(scope="module")
def chain(methods):
    with LocalChain() as running:
        yield running


class Refused(Exception):  # noqa: N818 - what the tool did
    pass


@pytest.fixture(scope="module")
def cast(chain: LocalChain):
    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [os.environ["FWLEDGER_CAST"], *arguments],
            env={**os.environ, "ETH_RPC_URL": chain.url},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        if ran.returncode:
            raise Refused(ran.stderr)
        return ran.stdout.strip()

    return run


@pytest.fixture(scope="module")
def shelf(chain: LocalChain, cast) -> SimpleNamespace:
    """A contract that cast deployed, and the transaction in which it stored 5."""
    key = "0x" + chain.accounts[0].secret_key.hex()
    signed = ("--private-key", key, "--json")
    code = vyper.compile_code(SOURCE.read_text(), output_formats=["bytecode"])["bytecode"]
    address = json.loads(cast("send", *signed, "--create", code))["contractAddress"]
    stored = json.loads(cast("send", *signed, address, "store(uint256,uint256)", "1", "5"))
    assert stored["status"] == "0x1"
    return SimpleNamespace(address=address, stored=stored, signed=signed, code=code)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("store(uint256,uint256)", "1", "13"), 'error code 3: execution reverted, data: "0x420ff563'),
        (("refuse()",), "execution reverted: shelf: refused"),
    ],
)
@pytest.mark.parametrize("verb", ["call", "estimate"])
def test_a_revert_comes_with_its_reason(cast, shelf, verb: str, call: tuple[str, ...], says: str) -> None:
    with pytest.raises(Refused) as refused:
        cast(verb, shelf.address, *call)
    assert says in str(refused.value)


def test_what_was_stored_is_read(cast, shelf) -> None:
    assert cast("call", shelf.address, "values(uint256)(uint256)", "1") == "5"
    assert int(cast("storage", shelf.address, TOTAL_SLOT), 16) == 5
    assert cast("call", shelf.address, "total()(uint256)", "--block", "1") == "0"


def test_a_call_sees_the_state_that_it_is_told_to_see(cast, shelf) -> None:
    override = f"{shelf.address}:0x{TOTAL_SLOT}:0x4d2"
    assert cast("call", shelf.address, "total()(uint256)", "--override-state-diff", override) == "1234"


def test_an_unlocked_account_sends(cast, chain: LocalChain, shelf) -> None:
    owner = "0x" + chain.accounts[1].address.hex()
    line = (
        "send",
        "--unlocked",
        "--from",
        owner,
        "--json",
        shelf.address,
        "store(uint256,uint256)",
        "2",
        "6",
    )
    assert json.loads(cast(*line))["from"] == owner


@pytest.mark.parametrize(("options", "kind"), [((), "0x2"), (("--legacy",), "0x0")])
def test_signed_transactions_are_mined(cast, shelf, options: tuple[str, ...], kind: str) -> None:
    receipt = json.loads(
        cast("send", *shelf.signed, *options, shelf.address, "store(uint256,uint256)", "3", "1")
    )
    assert (receipt["status"], receipt["type"]) == ("0x1", kind)


def test_an_account_is_delegated(cast, chain: LocalChain, shelf) -> None:
    owner = "0x" + chain.accounts[0].address.hex()
    receipt = json.loads(
        cast("send", *shelf.signed, "0x" + "11" * 20, "--value", "1", "--auth", shelf.address)
    )
    assert (receipt["status"], receipt["type"]) == ("0x1", "0x4")
    assert cast("code", owner) == "0xef0100" + shelf.address[2:]


def test_logs_are_found_and_decoded(cast, shelf) -> None:
    found = json.loads(cast("logs", "--json", "--from-block", "0", "--address", shelf.address, STORED, "1"))
    assert [int(log["data"], 16) for log in found] == [5]


def test_logs_are_told_over_a_websocket(cast, chain: LocalChain, shelf, tmp_path: Path) -> None:
    told = tmp_path / "told"
    line = [os.environ["FWLEDGER_CAST"], "logs", "--subscribe", "--rpc-url", chain.ws_url]
    with told.open("w") as output:
        listening = subprocess.Popen(
            [*line, "--address", shelf.address, STORED, "77"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_until(lambda: any(c.subscriptions for c in chain._node.channels), "cast has subscribed")
        cast("send", *shelf.signed, shelf.address, "store(uint256,uint256)", "77", "9")
        wait_until(lambda: shelf.address in told.read_text().lower(), "cast is told")
    finally:
        listening.kill()
        listening.wait()


def test_a_transaction_runs_the_same_in_casts_own_evm(cast, shelf) -> None:
    replayed = cast("run", shelf.stored["transactionHash"])
    assert "Transaction successfully executed" in replayed
    assert f"Gas used: {int(shelf.stored['gasUsed'], 16)}" in replayed


@pytest.mark.parametrize(("block", "total"), [("1", 0), ("2", 5)])
def test_proofs_that_cast_fetched_hold(cast, shelf, block: str, total: int) -> None:
    proof = json.loads(cast("proof", shelf.address, TOTAL_SLOT, "-B", block))
    header = json.loads(cast("block", block, "--json"))
    account = rlp.decode(proven(header["stateRoot"], bytes.fromhex(shelf.address[2:]), proof["accountProof"]))
    assert account[2] == bytes.fromhex(proof["storageHash"][2:])
    [entry] = proof["storageProof"]
    slot = int(TOTAL_SLOT).to_bytes(32, "big")
    word = proven(proof["storageHash"], slot, entry["proof"]) if entry["proof"] else b""
    assert (int.from_bytes(rlp.decode(word) if word else b"", "big"), int(entry["value"], 16)) == (
        total,
        total,
    )


def proven(root: str, key: bytes, nodes: list[str]) -> bytes:
    decoded = [rlp.decode(bytes.fromhex(node[2:])) for node in nodes]
    return HexaryTrie.get_from_proof(bytes.fromhex(root[2:]), keccak(key), decoded)


def test_what_people_ask_for_is_answered(cast, chain: LocalChain, shelf) -> None:
    owner = "0x" + chain.accounts[0].address.hex()
    asked = (
        ("chain-id",), ("client",), ("block-number",), ("gas-price",), ("base-fee",), ("age",), ("tx-pool", "status"),
        ("tx", shelf.stored["transactionHash"]), ("receipt", shelf.stored["transactionHash"]), ("nonce", owner),
        ("balance", owner), ("codehash", shelf.address), ("codesize", shelf.address), ("storage-root", shelf.address),
        ("access-list", shelf.address, "total()"), ("find-block", "1"), ("block", "latest", "--raw"),
        ("call", "--trace", shelf.address, "total()"),
    )  # fmt: skip
    assert [line for line in asked if not cast(*line)] == []


def test_every_method_that_cast_called_is_in_the_reference(methods: set[str]) -> None:
    assert methods <= set(METHODS)
    assert len(methods) > 15
