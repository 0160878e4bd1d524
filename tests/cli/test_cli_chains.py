"""The same commands on other chains and nodes: Berlin rules, a dead first RPC, Kubo, two senders at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ledger_client.cli.app import App
from ledger_client.config import load_config
from ledger_client.ledger import Ledger
from ledger_client.network import Network
from ledger_client.signers import create_keystore, dev_account
from ledger_client.transactions import prepare, send
from ledger_protocol.content.cid import Cid
from ledger_protocol.report.event import EventKind
from tests.support.chain import RunningChain, chain_process
from tests.support.device_twin import DeviceTwin
from tests.support.manufacturer import Manufacturer, deployed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.ipfs import IpfsNode


def play(maker: Manufacturer, chain_id: int) -> None:
    """The whole round: a channel, a release, a device and what it did."""
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    maker.run("release", "publish", maker.signed("1.0.0", 1), "--channel", "stable", "--yes")
    journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
    assert journal is not None
    twin = DeviceTwin(chain_id, journal)
    (maker.path / "device.request").write_bytes(twin.request())
    maker.run("device", "enrol", "device.request", "--group", "1", "--yes")
    twin.say(EventKind.BASELINE, b"\x01" * 32)
    (maker.path / "device.receipts").write_bytes(twin.receipts())
    assert maker.json("receipts", "submit", "device.receipts", "--yes")["files"][0]["recorded"] == 1


def test_a_chain_without_a_base_fee_works_as_well(tmp_path: Path, embedded_node: IpfsNode) -> None:
    with chain_process("--fork", "berlin") as chain:
        maker = deployed(tmp_path, rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway)
        play(maker, chain.chain_id)


def test_work_goes_on_when_the_first_node_dies(tmp_path: Path, embedded_node: IpfsNode) -> None:
    state = tmp_path / "state"
    with (
        chain_process("--state", str(state)) as first,
        chain_process(
            "--upstream", first.url, "--keys", str(state / "validators.json"), command="follow"
        ) as second,
    ):
        maker = deployed(
            tmp_path / "maker", rpc=first.url, ipfs=embedded_node.api, gateway=embedded_node.gateway
        )
        play(maker, first.chain_id)
        first.kill()
        assert "connection refused" in maker.refused("release", "list", code=3)
        listed = maker.json("release", "list", "--rpc", first.url, "--rpc", second.url)
        assert [row["sequence"] for row in listed["publications"]] == [1]
        maker.run("proof", "channel", "stable", "--out", "p", "--rpc", first.url, "--rpc", second.url)


@pytest.mark.engines("kubo")
def test_a_release_is_published_on_a_real_kubo(
    tmp_path: Path, chain: RunningChain, kubo_node: IpfsNode
) -> None:
    maker = deployed(tmp_path, rpc=chain.url, ipfs=kubo_node.api, gateway=kubo_node.gateway)
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    folder = maker.signed("1.0.0", 1, image=b"kubo" * 50_000)
    published = maker.json("release", "publish", folder, "--channel", "stable", "--yes")
    with kubo_node.client() as client:
        assert client.pinned(Cid.parse(published["envelope"]))
    assert maker.json("release", "show", published["release"])["head_of"] == ["stable"]


def test_an_account_in_a_keystore_pays(tmp_path: Path, chain: RunningChain) -> None:
    maker = deployed(tmp_path, rpc=chain.url)
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "password").chmod(0o600)
    # As `key new --kind account` makes them, but for a scrypt that takes a second.
    payer = create_keystore(tmp_path / "account.json", password="correct horse", iterations=1024).text
    arguments = ["channel", "create", "beta", "--group", "2", "--yes", "--keystore", "account.json"]
    poor = maker.refused(*arguments, "--password-file", "password", code=1)
    assert "expected 1 distinct publishers, got 0" in poor
    (tmp_path / "password").chmod(0o644)
    assert "is open to others" in maker.refused(*arguments, "--password-file", "password", code=2)
    (tmp_path / "password").chmod(0o600)
    maker.run("channel", "create", "beta", "--group", "2", "--approve-only", "b.approval", "--yes")
    # The account holds no role and no money: it may carry approvals, once it can pay.
    err = maker.refused(*arguments, "--password-file", "password", "--approval", "b.approval", code=2)
    assert f"error: {payer} cannot pay for assign group" in err
    chain.rpc(
        "eth_sendTransaction",
        {"from": dev_account(0, chain_id=31337).text, "to": payer, "value": hex(10**18)},
    )
    maker.run(*arguments, "--password-file", "password", "--approval", "b.approval")


def test_two_senders_of_one_account_do_not_lose_a_transaction(tmp_path: Path, chain: RunningChain) -> None:
    maker = deployed(tmp_path, rpc=chain.url)
    address = load_config(maker.path / "fwledger.toml", environ={}).chain.ledger
    assert address is not None
    account = dev_account(0, chain_id=31337)
    done: list[int] = []

    def revoke(first: int) -> None:
        network = Network([chain.url], chain_id=None, timeout_s=20, receipt_timeout_s=20)
        ledger = Ledger(network, address)
        for number in range(first, first + 4):
            call = ledger.revoke(number.to_bytes(32, "big"), 0)
            send(network, prepare(network, call, account), account)
            done.append(number)
        network.close()

    threads = [threading.Thread(target=revoke, args=(first,)) for first in (100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [100, 101, 102, 103, 200, 201, 202, 203]


def test_the_preview_names_gas_cost_and_payer_before_anything_is_sent(
    tmp_path: Path, chain: RunningChain, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = deployed(tmp_path, rpc=chain.url)
    app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=False, yes=True)
    prepared = prepare(app.network, app.ledger.revoke(b"\x05" * 32, 1), app.account)
    app.agree(prepared)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "revoke on chain 31337"
    assert said[1].startswith(f"gas      {prepared.gas:,} (limit ")
    assert said[2].startswith("cost     up to ")
    assert said[3].startswith("paid by  0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (holds ")
    assert app.ledger.revoked(b"\x05" * 32) is None
