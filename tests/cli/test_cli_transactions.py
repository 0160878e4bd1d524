"""Transactions on chains that do not mine at once: waited for, resumed, raised, and never sent twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.acting import carry_out
from ledger_client.acts import Rollout
from ledger_client.cli.app import App
from ledger_client.config import load_config
from ledger_client.ledger import Ledger
from ledger_client.network import Call, Network
from ledger_client.outbox import Outbox
from ledger_client.releases import load_release, plan_publication
from ledger_client.signers import dev_account
from ledger_client.transactions import prepare, send
from tests.support.chain import chain_process, rpc, wait_until
from tests.support.fleet import CLIENT, environment
from tests.support.lying_rpc import lying_node
from tests.support.manufacturer import Manufacturer, deployed, found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.ipfs import IpfsNode

ACCOUNT = dev_account(0, chain_id=31337)


class Node:
    """A chain that mines at once until it is told to hold."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, method: str, *params: object) -> Any:
        return rpc(self.url, method, *params)

    def hold(self, held: bool) -> None:
        self("evm_setAutomine", not held)

    def waiting(self) -> list[Any]:
        """What account 0 has in the pool."""
        found = self("txpool_content")["pending"]
        return [
            t for who, some in found.items() if who.lower() == ACCOUNT.text.lower() for t in some.values()
        ]

    def sent(self) -> int:
        """Transactions of account 0, mined and waiting."""
        return int(self("eth_getTransactionCount", ACCOUNT.text, "pending"), 16)

    def deployed(
        self, path: Path, ipfs: IpfsNode | None = None, more: tuple[str, ...] = (), **chain: float
    ) -> Manufacturer:
        """A manufacturer on it: anvil seals no headers, so its trust root names witnesses."""
        places = {} if ipfs is None else {"ipfs": ipfs.api, "gateway": ipfs.gateway}
        maker = found(path, rpc=self.url, **places)
        maker.run("key", "new", "keys/w.pem")
        vkey = maker.run("witness", "vkey", "--key", "keys/w.pem", "--name", "w.example").out.strip()
        line = ["--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", "--release-key"]
        line += [
            "keys/bob.pem.pub",
            "--release-threshold",
            "2",
            "--witness",
            vkey,
            "--witness-threshold",
            "1",
        ]
        maker.run(
            "deploy", "--yes", *line, "--origin", "acme.example", "--final", "depth:2", "--no-seals", *more
        )
        patient(maker, **chain)
        return maker


def patient(maker: Manufacturer, **chain: float) -> None:
    """Change how long it waits."""
    config = maker.path / "fwledger.toml"
    text = config.read_text()
    for key, value in chain.items():
        text = re.sub(f"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    config.write_text(text)


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.engines("anvil"))])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """The embedded chain, and a real node."""
    if request.param == "embedded":
        with chain_process() as chain:
            yield Node(chain.url)
        return
    process = subprocess.Popen(
        [os.environ["FWLEDGER_ANVIL"], "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while "Listening on" not in (line := process.stdout.readline()):
            assert line, "anvil ended"
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Node("http://" + line.split("Listening on ")[1].strip())
    finally:
        process.terminate()
        process.wait(10)


def started(maker: Manufacturer, *arguments: str) -> subprocess.Popen[str]:
    """A command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments],
        cwd=maker.path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a script inherit that the keyboard's signal is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def publishing(maker: Manufacturer, folder: str) -> list[str]:
    return ["release", "publish", folder, "--channel", "stable", "--immediate", "--yes", "--json"]


def test_a_publish_that_was_killed_finds_its_own_transaction(
    tmp_path: Path, node: Node, embedded_node: IpfsNode
) -> None:
    maker = node.deployed(tmp_path, embedded_node)
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    line = publishing(maker, maker.signed("1.0.0", 1))
    node.hold(True)
    before = node.sent()
    first = started(maker, *line)
    wait_until(lambda: node.sent() == before + 1, "the transaction is out")
    first.kill()
    first.communicate()

    # Again while it waits: it goes on waiting, and is interrupted.
    second = started(maker, *line)
    assert second.stderr is not None
    said = ""
    while "which an earlier run sent: waiting for it" not in said:
        said += (told := second.stderr.readline())
        assert told, said
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=30)
    assert second.returncode == 130
    assert "is out, and may still be mined\nthe same command again goes on waiting for it" in err
    pending = json.loads(out)
    assert pending["schema"] == "fwledger/cli/transaction-pending/1"
    assert pending["act"] == "publish"

    # Again once it is mined: it is found, and nothing is sent.
    node("evm_mine")
    node.hold(False)
    third = maker.run(*line)
    assert third.document["transactions"][0]["transaction"] == pending["transaction"]
    assert "which an earlier run sent" in third.err
    assert node.sent() == before + 1
    assert maker.json("channel", "status", "stable")["channels"][0]["sequence"] == 1
    # And what is settled is forgotten.
    assert "is the head of channel stable already" in maker.refused(*line, code=2)


def test_an_act_that_is_due_again_is_sent_again(tmp_path: Path, node: Node) -> None:
    """A halt whose run was killed, then a resume: the next halt must not take the old one for its own."""
    maker = node.deployed(tmp_path)
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    folder = maker.signed("1.0.0", 1)
    app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
    act = plan_publication(
        app.ledger, load_release(maker.path / folder), root=app.root.root, channel="stable",
        rollout=Rollout(immediate=True), deadline=app.deadline(),
    )  # fmt: skip
    app.send(carry_out(app.ledger, act, [], account=app.account))
    node.hold(True)
    before = node.sent()
    killed = started(maker, "channel", "halt", "stable", "--yes")
    wait_until(lambda: node.sent() == before + 1, "the halt is out")
    killed.kill()
    killed.communicate()
    node("evm_mine")
    node.hold(False)
    maker.run("channel", "resume", "stable", "--yes")
    maker.run("channel", "halt", "stable", "--yes")
    assert maker.json("channel", "status", "stable")["channels"][0]["halted"]
    assert node.sent() == before + 3


def test_a_stuck_transaction_offers_more_within_the_limit(tmp_path: Path, node: Node) -> None:
    maker = node.deployed(tmp_path, raise_fee_after_s=0.2)
    node.hold(True)
    running = started(maker, "release", "revoke", "ab" * 32, "--yes", "--json")
    assert running.stderr is not None
    wait_until(node.waiting, "it is out")
    (first,) = node.waiting()
    said: list[str] = []
    while sum("the fee is raised" in line for line in said) < 4:  # 15 % each, and a fifth would be over twice
        said.append(running.stderr.readline())
        assert said[-1], said
    (last,) = node.waiting()
    node("evm_mine")
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert "the fee is raised" not in err
    assert json.loads(out)["transactions"][0]["transaction"] == last["hash"] != first["hash"]
    raised = int(last["maxFeePerGas"], 16) / int(first["maxFeePerGas"], 16)
    assert 1.15**4 <= raised <= 2
    assert last["nonce"] == first["nonce"]
    (limit,) = [line for line in said if line.startswith("cost ")]
    assert "never over" in limit


def test_a_raise_whose_answer_was_lost_is_not_followed_by_a_second_transaction(
    tmp_path: Path, node: Node
) -> None:
    """The dearer version is mined while the node hangs up: the nonce is taken, and by nobody else."""
    handed: list[str] = []

    def hangs_up_on_the_raise(transaction: str) -> str:
        handed.append(transaction)
        if len(handed) == 2:
            node("evm_mine")
            raise ConnectionResetError
        return transaction

    with lying_node(node.url) as deaf:
        deaf.lies["eth_sendRawTransaction"] = hangs_up_on_the_raise
        network = Network(
            [deaf.url], chain_id=None, timeout_s=20, receipt_timeout_s=10, raise_fee_after_s=0.2
        )
        node.hold(True)
        before = node.sent()
        call = Call(ACCOUNT.address, b"", "a transfer of nothing")
        receipt = send(network, prepare(network, call, ACCOUNT), ACCOUNT, outbox=Outbox(tmp_path))
        network.close()
    assert "0x" + receipt.transaction.hex() == handed[1]
    assert node.sent() == before + 1
    assert list(tmp_path.glob("*.sent.json")) == []


def test_a_node_that_is_behind_for_a_while_is_not_believed_that_a_transaction_is_lost(
    tmp_path: Path, node: Node
) -> None:
    """One name, many nodes behind it: one counts the mined transaction, the others have not seen it yet."""
    looks = 0

    def counted(nonce: str) -> str:
        nonlocal looks
        looks += 1
        return nonce

    with lying_node(node.url) as pool:
        pool.lies["eth_getTransactionCount"] = counted
        for method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            pool.lies[method] = lambda true: true if looks >= 3 else None  # one for the nonce, two to look
        network = Network(
            [pool.url], chain_id=None, timeout_s=20, receipt_timeout_s=10, raise_fee_after_s=0.2
        )
        before = node.sent()
        call = Call(ACCOUNT.address, b"", "a transfer of nothing")
        send(network, prepare(network, call, ACCOUNT), ACCOUNT, outbox=Outbox(tmp_path))
        network.close()
    assert looks >= 3
    assert node.sent() == before + 1


def test_two_runs_of_one_command_share_one_transaction(tmp_path: Path, node: Node) -> None:
    """Both looked for an earlier run and found none; then the person of the second said yes later."""
    network = Network([node.url], chain_id=None, timeout_s=20, receipt_timeout_s=30)
    node.hold(True)
    before = node.sent()
    call = Call(ACCOUNT.address, b"", "a transfer of nothing")
    prepared = prepare(network, call, ACCOUNT)
    receipts: list[bytes] = []
    said: list[str] = []

    def run() -> None:
        receipt = send(network, prepared, ACCOUNT, outbox=Outbox(tmp_path), told=said.append)
        receipts.append(receipt.transaction)

    threads = [threading.Thread(target=run) for _ in range(2)]
    threads[0].start()
    wait_until(lambda: node.sent() > before, "the first is out")
    threads[1].start()
    wait_until(lambda: said or node.sent() > before + 1, "the second has decided")
    node("evm_mine")
    node.hold(False)
    for thread in threads:
        thread.join()
    network.close()
    assert len(receipts) == 2
    assert len(set(receipts)) == 1
    assert node.sent() == before + 1


def test_a_transaction_that_the_node_forgot_is_handed_to_it_again(tmp_path: Path, node: Node) -> None:
    maker = node.deployed(tmp_path, raise_fee_after_s=0.3)
    node.hold(True)
    before = node.sent()
    running = started(maker, "release", "revoke", "ab" * 32, "--yes", "--json")
    wait_until(lambda: node.sent() == before + 1, "it is out")
    node("anvil_dropAllTransactions")
    assert running.stderr is not None
    said = ""
    while "the nodes forgot it" not in said:
        said += (told := running.stderr.readline())
        assert told, said
    node("evm_mine")
    node.hold(False)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert len(json.loads(out)["transactions"]) == 1


def test_a_nonce_that_another_program_used_is_followed_by_the_next(tmp_path: Path, node: Node) -> None:
    """Somebody replaces our waiting transaction by one of the same account that pays more."""
    maker = node.deployed(tmp_path, raise_fee_after_s=0.3)
    node.hold(True)
    before = node.sent()
    running = started(maker, "release", "revoke", "ab" * 32, "--yes", "--json")
    wait_until(lambda: node.sent() == before + 1, "it is out")
    dear = hex(10**12)
    thief = {"from": ACCOUNT.text, "to": ACCOUNT.text, "nonce": hex(before), "gas": "0x5208",
             "maxFeePerGas": dear, "maxPriorityFeePerGas": dear}  # fmt: skip
    node("eth_sendTransaction", thief)
    node("evm_mine")
    node.hold(False)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert node.sent() == before + 2
    assert len(json.loads(out)["transactions"]) == 1


def revoke_many(url: str, ledger: bytes, outbox: Outbox | None, first: int, done: list[int]) -> None:
    network = Network([url], chain_id=None, timeout_s=20, receipt_timeout_s=60)
    contract = Ledger(network, ledger)
    for number in range(first, first + 4):
        call = contract.revoke(number.to_bytes(32, "big"), 0)
        send(network, prepare(network, call, ACCOUNT), ACCOUNT, outbox=outbox)
        done.append(number)
    network.close()


@pytest.mark.parametrize("fork", ["berlin", "prague"])
def test_threads_of_one_account_on_a_chain_with_a_block_time_lose_nothing(tmp_path: Path, fork: str) -> None:
    """With and without EIP-1559; blocks come each second, so that several transactions wait together."""
    with chain_process("--fork", fork, "--block-time", "0.3") as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        ledger = load_config(maker.path / "fwledger.toml", environ={}).chain.ledger
        assert ledger is not None
        done: list[int] = []
        threads = [
            threading.Thread(
                target=revoke_many, args=(chain.url, ledger, Outbox(tmp_path / ".fwledger"), first, done)
            )
            for first in (100, 200, 300)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [first + n for first in (100, 200, 300) for n in range(4)]
        assert list((tmp_path / ".fwledger").glob("*.sent.json")) == []


def test_processes_of_one_account_lose_nothing(tmp_path: Path) -> None:
    with chain_process("--block-time", "0.3") as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        running = [
            started(maker, "release", "revoke", f"{number:064x}", "--yes", "--json") for number in range(1, 5)
        ]
        hashes = set()
        for process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            hashes.add(json.loads(out)["transactions"][0]["transaction"])
        assert len(hashes) == 4
        assert [int(str(chain.rpc("eth_getTransactionReceipt", one)["status"]), 16) for one in hashes] == [
            1
        ] * 4


def test_gas_that_costs_nothing_is_not_raised(tmp_path: Path) -> None:
    """A consortium chain of Berlin rules, whose gas price is 0, that seals rarely."""
    with (
        chain_process("--fork", "berlin", "--block-time", "1") as chain,
        lying_node(chain.url) as free,
    ):
        free.lies["eth_gasPrice"] = lambda _: "0x0"
        maker = deployed(tmp_path, rpc=free.url)
        patient(maker, raise_fee_after_s=0.05)
        ran = maker.run("release", "revoke", "ab" * 32, "--yes", "--json")
        assert [one["cost_wei"] for one in ran.document["transactions"]] == [0]
        assert "up to 0 ETH (never over 0)" in ran.err
        assert "the fee is raised" not in ran.err


def test_a_gas_price_is_raised_on_a_chain_without_a_base_fee(tmp_path: Path) -> None:
    with chain_process("--fork", "berlin", "--block-time", "2") as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        patient(maker, raise_fee_after_s=0.1)
        ran = maker.run("release", "revoke", "ab" * 32, "--yes", "--json")
        (one,) = ran.document["transactions"]
        price = int(str(chain.rpc("eth_gasPrice")), 16)
        assert price < one["cost_wei"] // one["gas_used"] <= 2 * price
        assert "the fee is raised" in ran.err


def test_a_forgotten_transaction_that_would_be_refused_now_is_not_handed_out_again(
    tmp_path: Path, node: Node
) -> None:
    """The run was killed, the node lost it, and somebody else revoked the release meanwhile."""
    other = dev_account(3, chain_id=31337)
    maker = node.deployed(tmp_path, more=("--guardian", ACCOUNT.text, "--guardian", other.text))
    node.hold(True)
    before = node.sent()
    line = ["release", "revoke", "ab" * 32, "--yes"]
    killed = started(maker, *line)
    wait_until(lambda: node.sent() == before + 1, "it is out")
    killed.kill()
    killed.communicate()
    node("anvil_dropAllTransactions")
    node.hold(False)
    maker.run(*line, "--dev-account", "3")
    assert "release is revoked" in maker.refused(*line, code=1)
    assert list((maker.path / ".fwledger").glob("*.sent.json")) == []
    assert node.sent() == before
