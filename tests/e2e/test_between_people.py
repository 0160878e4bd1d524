"""What several people do together, as files: two of three publishers, rotated trust roots, sticks that come
home.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from ledger_protocol.bundle import open_bundle
from ledger_protocol.release.trust_root import SignedTrustRoot
from tests.support.chain import chain_process
from tests.support.fleet import Device, network, publish
from tests.support.manufacturer import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode
    from tests.support.manufacturer import Manufacturer

MNEMONIC = "test test test test test test test test test test test junk"
IMAGE = b"good" + os.urandom(100_000)


def address(number: int) -> str:
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}").address


@pytest.fixture(scope="module")
def board(
    tmp_path_factory: pytest.TempPathFactory, chain: RunningChain, embedded_node: IpfsNode
) -> Manufacturer:
    """A manufacturer whose acts two of three publishers approve: development accounts 0, 1 and 2."""
    publishers = [part for number in range(3) for part in ("--publisher", address(number))]
    return deployed(
        tmp_path_factory.mktemp("board"), *publishers, "--publish-threshold", "2",
        rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway,
    )  # fmt: skip


def test_two_of_three_publishers_by_files(board, chain, embedded_node, tmp_path):
    as_second = ("--dev-account", "1", "--yes")
    board.run("channel", "create", "stable", "--group", "1", "--approve-only", "group.approval", "--yes")
    assert board.refused("channel", "create", "stable", "--group", "1", "--yes", code=1).count("error: ") == 1
    board.run("channel", "create", "stable", "--group", "1", "--approval", "group.approval", *as_second)

    folder = board.signed("1.0.0", 1, image=IMAGE)
    line = ("release", "publish", folder, "--channel", "stable")
    board.refused(*line, "--immediate", "--yes", code=1)
    board.run(
        "release", "approve", folder, "--channel", "stable", "--immediate", "--out", "a.approval", "--yes"
    )
    board.run("release", "approve", "a.approval", "--release", folder, "--out", "b.approval", *as_second)
    board.refused(*line, "--approval", "a.approval", "--yes", code=1)  # the same publisher twice
    altered = (
        (board.path / "a.approval")
        .read_text()
        .replace("10000", "9999")
        .replace('"immediate": true', '"immediate": false')
    )
    (board.path / "altered.approval").write_text(altered)
    board.refused(*line, "--approval", "altered.approval", "--approval", "b.approval", "--yes", code=1)
    # Anybody may carry what was approved, at their own cost.
    board.run(*line, "--approval", "a.approval", "--approval", "b.approval", "--dev-account", "8", "--yes")

    device = Device(
        tmp_path / "device", board, network=network(rpc=[chain.url], gateways=[embedded_node.gateway])
    )
    assert device.ok("check", code=10)["version"] == "1.0.0"
    board.run("channel", "halt", "stable", "--yes")
    assert device.ok("install")["reason"] == "halted"
    board.run("channel", "resume", "stable", "--approve-only", "resume.approval", "--yes", "--immediate")
    assert device.ok("check")["reason"] == "halted"
    board.run("channel", "resume", "stable", "--approval", "resume.approval", *as_second)
    device.ok("install")
    assert device.ok("boot")["phase"] == "confirmed"
    # An approval is spent with its act: the same channel, the same words, another epoch.
    again = ("channel", "resume", "stable", "--approval", "resume.approval", *as_second)
    board.run("channel", "halt", "stable", "--yes")
    assert "error: " in board.refused(*again, code=1)


def rotate(maker: Manufacturer, chain: RunningChain, hours: int) -> SignedTrustRoot:
    """Make, sign, propose, wait in public and announce the next version of the trust root."""
    maker.run("trust", "new", "--max-age-hours", str(hours))
    maker.run("trust", "sign", "trust-root.cbor.unsigned", "--key", "keys/root.pem")
    assert maker.json("trust", "publish", "--yes")["state"] == "proposed"
    chain.rpc("evm_increaseTime", hex(173_400))
    chain.rpc("anvil_mine", "0x1")
    assert maker.json("trust", "publish", "--yes")["state"] == "announced"
    return SignedTrustRoot.decode((maker.path / "trust-root.cbor").read_bytes())


@pytest.fixture
def timed() -> Iterator[RunningChain]:
    """A chain whose clock the test moves; its devices have none."""
    with chain_process() as running:
        yield running


@pytest.fixture
def maker(tmp_path: Path, timed: RunningChain, embedded_node: IpfsNode) -> Manufacturer:
    made = deployed(tmp_path / "maker", rpc=timed.url, ipfs=embedded_node.api, gateway=embedded_node.gateway)
    made.run("channel", "create", "stable", "--group", "1", "--yes")
    return made


def test_a_stick_reaches_a_device_that_slept_through_two_trust_roots_and_comes_home(
    maker, timed, embedded_node, tmp_path
):
    factory = (maker.path / "trust-root.cbor").read_bytes()
    (tmp_path / "factory-root").write_bytes(factory)
    unset = "clock = false"  # the chain's clock runs days ahead here
    sleeper = Device(tmp_path / "sleeper", maker, network=unset + "\n", root=tmp_path / "factory-root")
    reached = network(rpc=[timed.url], gateways=[embedded_node.gateway], more=unset)
    online = Device(tmp_path / "online", maker, network=reached, root=tmp_path / "factory-root")

    roots = [SignedTrustRoot.decode(factory)]
    roots += [rotate(maker, timed, hours) for hours in (1_000, 2_000)]
    publish(maker, "1.0.0", 1, IMAGE)
    stick = tmp_path / "stick.car"
    maker.run("bundle", "make", "--channel", "stable", "--out", stick)
    with stick.open("rb") as stream:
        assert list(open_bundle([stream]).trust_roots) == [root.encode() for root in roots]

    assert sleeper.ok("install", "--bundle", stick)["version"] == "1.0.0"
    assert sleeper.ok("boot")["phase"] == "confirmed"
    assert sleeper.ok("status")["ledger_floor"]["trust_root_version"] == 3
    online.ok("install")
    assert online.ok("status")["ledger_floor"]["trust_root_version"] == 3

    # Receipts of half the story first, then all of them twice.
    sleeper.ok("receipts", "export", tmp_path / "all.receipts")
    from ledger_protocol.report.receipts import Receipts

    everything = Receipts.decode((tmp_path / "all.receipts").read_bytes())
    assert len(everything.items) == 3
    part = dataclasses.replace(everything, items=everything.items[:1])
    (tmp_path / "part.receipts").write_bytes(part.encode())
    outcomes = []
    for name in ("part", "all", "all", "part"):
        ran = maker.json("receipts", "submit", tmp_path / f"{name}.receipts", "--yes")
        outcomes.append(
            (ran["files"][0]["recorded"], ran["files"][0]["already"], len(ran.get("transactions", [])))
        )
    assert outcomes == [(1, 0, 1), (2, 1, 1), (0, 3, 0), (0, 1, 0)]

    # A stick with a file that is refused among good ones: the good ones are recorded all the same.
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.receipts").write_bytes(b"no receipts")
    (folder / "2.receipts").write_bytes((tmp_path / "all.receipts").read_bytes())
    ran = maker.run("receipts", "submit", folder, "--yes", "--json", expect=1)
    assert [("refused" in row, row.get("already")) for row in ran.document["files"]] == [
        (True, None),
        (False, 3),
    ]

    later = [part for version in (2, 3) for part in ("--trust-root", tmp_path / f"{version}.cbor")]
    for version in (2, 3):
        (tmp_path / f"{version}.cbor").write_bytes(roots[version - 1].encode())
    verdict = maker.json("audit", "verify", "--trust-root", tmp_path / "factory-root", *later)
    assert (verdict["gaps"], verdict["wrong"]) == ([], [])
    told = maker.run(
        "audit", "verify", "--trust-root", tmp_path / "factory-root", "--json", expect=1
    ).document
    assert any("which is not among those given" in gap for gap in told["gaps"])


def test_a_device_that_misses_a_trust_root_says_which_and_goes_on_when_it_has_it(
    maker, timed, embedded_node, tmp_path
):
    """The announced root is on no gateway that the device can reach: it stops, and names the reason."""
    factory = tmp_path / "factory-root"
    factory.write_bytes((maker.path / "trust-root.cbor").read_bytes())
    unset = "clock = false"
    reached = network(rpc=[timed.url], gateways=[embedded_node.gateway], more=unset)
    alone = network(rpc=[timed.url], more=unset)
    device = Device(tmp_path / "device", maker, network=alone, root=factory)
    publish(maker, "1.0.0", 1, IMAGE)
    rotate(maker, timed, 1_000)
    ran = device("check")
    assert (ran.code, ran.document["reason"]) == (1, "trust-root-missing"), ran.err
    assert "hint: " in ran.err
    device.configure(reached)
    assert device("check").code == 10
