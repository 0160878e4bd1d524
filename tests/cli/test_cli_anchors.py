"""Events that stay off the chain: anchored by a gateway, proved to the device and to an auditor."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from device_verifier.anchors import anchored_events
from ledger_client.config import checksum_address, load_config
from ledger_client.governance import DELAY_S
from ledger_client.journal import Journal
from ledger_client.network import Network
from ledger_client.signers import dev_account
from ledger_client.transactions import prepare, send
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot
from ledger_protocol.report.anchor import AnchorBatch, AnchorProof
from ledger_protocol.report.event import EventKind
from tests.support.chain import chain_process
from tests.support.device_twin import DeviceTwin
from tests.support.manufacturer import Manufacturer, deployed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode

GATEWAY = dev_account(8, chain_id=31337)
PAYS = ("--dev-account", "8", "--yes")
ONE, TWO = b"\x07" * 32, b"\x08" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[RunningChain]:
    """A chain of its own: naming a gateway takes two days."""
    with chain_process() as running:
        yield running


@dataclass
class World:
    maker: Manufacturer
    gateway: str
    journal: bytes
    chain_id: int

    @property
    def root(self) -> TrustRoot:
        signed = SignedTrustRoot.decode((self.maker.path / "trust-root.cbor").read_bytes())
        return TrustRoot.decode(signed.document)

    def enrolled(self, name: str) -> DeviceTwin:
        twin = DeviceTwin(self.chain_id, self.journal)
        (self.maker.path / f"{name}.request").write_bytes(twin.request())
        self.maker.run("device", "enrol", f"{name}.request", "--group", "1", "--yes")
        return twin

    def folder(self, name: str, **twins: DeviceTwin) -> str:
        path = self.maker.path / name
        path.mkdir()
        for file, twin in twins.items():
            (path / f"{file}.receipts").write_bytes(twin.receipts())
        return name

    def anchor(self, *arguments: str) -> Any:
        return self.maker.json("receipts", "anchor", *arguments, *PAYS)

    def audit(self, verb: str, *arguments: str, code: int = 0) -> Any:
        line = ["audit", verb, *arguments, "--trust-root", "trust-root.cbor", "--json", "--quiet"]
        return self.maker.run(*line, expect=code).document


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, chain: RunningChain, embedded_node: IpfsNode) -> World:
    maker = deployed(
        tmp_path_factory.mktemp("maker"), rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway
    )
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    change = maker.json("governance", "propose", "member", GATEWAY.text, "--role", "gateway", "--yes")
    chain.rpc("evm_increaseTime", hex(DELAY_S + 60))
    chain.rpc("evm_mine")
    maker.run("governance", "execute", str(change["id"]), "--yes")
    journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
    assert journal is not None
    return World(maker, embedded_node.gateway, journal, chain.chain_id)


def test_who_is_no_gateway_anchors_nothing(world: World) -> None:
    twin = world.enrolled("stranger")
    twin.say(EventKind.CHECKED, ONE)
    err = world.maker.refused("receipts", "anchor", world.folder("no-role", a=twin), "--yes", code=1)
    assert "caller is no gateway" in err
    assert "hint: governors name gateways" in err


def test_receipts_of_an_unknown_device_are_refused_and_stop_no_other(world: World) -> None:
    good, unknown = world.enrolled("good"), DeviceTwin(world.chain_id, world.journal)
    for twin in (good, unknown):
        twin.say(EventKind.CHECKED, ONE)
    folder = world.folder("one-bad", a=unknown, b=good)
    (world.maker.path / folder / "c.receipts").write_bytes(b"junk")
    ran = world.maker.run("receipts", "anchor", folder, *PAYS, "--json", expect=1)
    assert [one["events"] for one in ran.document["anchors"]] == [1]
    refused = [row["refused"] for row in ran.document["refused"]]
    assert "is not enrolled here" in refused[0]
    assert "not receipts that hold" in refused[1]


def test_a_file_without_such_events_anchors_nothing(world: World) -> None:
    twin = world.enrolled("quiet")
    twin.say(EventKind.BASELINE, ONE)
    assert world.anchor(world.folder("quiet", a=twin))["anchors"] == []


def test_anchored_events_are_proved_to_device_and_auditor(world: World) -> None:
    first, second = world.enrolled("first"), world.enrolled("second")
    for twin in (first, second):
        twin.say(EventKind.BASELINE, ONE)
        twin.say(EventKind.CHECKED, ONE)
        twin.say(EventKind.CHECKED, TWO)
    folder = world.folder("both", a=first, b=second)
    made = world.anchor(folder, "--proofs", "anchored")
    (one,) = made["anchors"]
    assert (one["events"], one["already"]) == (4, False)
    assert len(made["transactions"]) == 1

    # The same again sends nothing.
    again = world.anchor(folder, "--proofs", "anchored")
    assert (again["anchors"][0]["already"], again.get("transactions")) == (True, None)
    assert again["anchors"][0]["transaction"] == one["transaction"]

    # The device's file, and the same proof made from the transaction and IPFS alone.
    address = checksum_address(first.address)
    (name,) = [path for path in made["proofs"] if address in path]
    raw = (world.maker.path / name).read_bytes()
    assert anchored_events(raw, root=world.root) == tuple(item.signed for item in first.items[1:])
    world.maker.run("proof", "anchor", one["transaction"], "--device", address, "--out", "again.anchored")
    assert (world.maker.path / "again.anchored").read_bytes() == raw

    told = world.audit("anchored", name, "--device", address)
    assert [(e["sequence"], e["kind"]) for e in told["events"]] == [(2, "checked"), (3, "checked")]
    assert (told["block"], told["anchored"]) == (one["block"], 4)
    err = world.maker.refused(
        "audit", "anchored", name, "--device", checksum_address(second.address),
        "--trust-root", "trust-root.cbor", code=1,
    )  # fmt: skip
    assert "expected signed by 0x" in err
    proof = AnchorProof.decode(raw)
    forged = bytearray(raw)
    at = raw.index(proof.leaves[0].signed.event.detail)
    forged[at] ^= 1
    (world.maker.path / "forged.anchored").write_bytes(forged)
    assert "leaf" in world.maker.refused(
        "audit", "anchored", "forged.anchored", "--device", address, "--trust-root", "trust-root.cbor", code=1
    )


def test_an_auditor_sees_anchored_events_and_that_they_fill_the_chain(world: World) -> None:
    """The journal has a gap where events stayed off the chain; the anchor shows that none is missing."""
    twin = world.enrolled("gaps")
    for kind in (EventKind.BASELINE, EventKind.CHECKED, EventKind.CHECKED, EventKind.REJECTED):
        twin.say(kind, ONE)
    folder, name = world.folder("gaps", a=twin), "0x" + twin.address.hex()
    world.maker.run("receipts", "submit", folder, "--yes")
    gap = f"events 2 to 3 of {name} never reached the ledger"
    before = world.audit("verify", "--gateway", world.gateway, code=1)
    assert any(gap in line for line in before["gaps"])

    world.anchor(folder)
    blind = world.audit("verify", code=1)
    assert any(gap in line for line in blind["gaps"])
    seen = world.audit("verify", "--gateway", world.gateway)
    assert (seen["gaps"], seen["wrong"]) == ([], [])
    whats = [finding["what"] for finding in seen["findings"]]
    assert f"events 2 to 3 of {name} are anchored, in their chain" in whats

    told = world.audit("timeline", "--gateway", world.gateway, "--device", name)
    rows = [(row["what"], row["text"]) for row in told["rows"]]
    assert [what for what, _ in rows] == ["enrolled", "baseline", "rejected", "checked", "checked"]
    assert all(text.endswith("anchored, off the chain") for what, text in rows if what == "checked")
    assert told["standings"][-1]["last_statement"] == "rejected"


def test_an_export_carries_the_batches_and_proves_them_offline(world: World) -> None:
    twin = world.enrolled("exported")
    for kind in (EventKind.BASELINE, EventKind.CHECKED, EventKind.REJECTED):
        twin.say(kind, ONE)
    folder = world.folder("exported", a=twin)
    world.maker.run("receipts", "submit", folder, "--yes")
    world.anchor(folder)
    line = [
        "audit",
        "export",
        "--trust-root",
        "trust-root.cbor",
        "--gateway",
        world.gateway,
        "-o",
        "all.ndjson",
    ]
    world.maker.run(*line, "--quiet")
    again = world.audit("verify", "--from", "all.ndjson")
    assert (again["gaps"], again["wrong"]) == ([], [])
    assert any("anchored events, of" in finding["what"] for finding in again["findings"])
    whole = (world.maker.path / "all.ndjson").read_bytes().splitlines(keepends=True)
    without = [one for one in whole if b"fwledger/audit-anchor/1" not in one]
    (world.maker.path / "less.ndjson").write_bytes(b"".join(without))
    assert world.audit("verify", "--from", "less.ndjson", code=1)["gaps"]
    moved = [one for one in whole if b"fwledger/audit-anchor/1" in one] + without
    (world.maker.path / "moved.ndjson").write_bytes(b"".join(moved))
    wrong = world.audit("verify", "--from", "moved.ndjson", code=1)["wrong"]
    assert any("no anchor of this history commits to it" in line for line in wrong)


def test_a_batch_that_nobody_holds_is_a_gap(world: World, tmp_path: Path) -> None:
    from tests.sim.servers import http_server

    with http_server(lambda *_: (404, b"")) as url:
        told = world.audit("verify", "--gateway", url, code=1)
    assert any("at none of the places that were asked" in line for line in told["gaps"])


def test_an_event_signed_twice_is_told(world: World) -> None:
    twin = world.enrolled("forked")
    twin.say(EventKind.CHECKED, ONE)
    world.anchor(world.folder("fork-1", a=twin))
    twin.items.clear()
    twin.say(EventKind.CHECKED, TWO)
    world.anchor(world.folder("fork-2", a=twin))
    told = world.audit("verify", "--gateway", world.gateway, code=1)
    assert told["wrong"] == [f"anchors: event 1 of 0x{twin.address.hex()} was signed twice, differently"]


def test_a_transaction_that_anchors_nothing_is_named(world: World) -> None:
    twin = world.enrolled("none")
    twin.say(EventKind.CHECKED, ONE)
    made = world.anchor(world.folder("of-one", a=twin), "--kind", "all")
    (one,) = made["anchors"]
    proof = ["proof", "anchor", one["transaction"], "--out", "x.anchored", "--device"]
    assert "holds no event of" in world.maker.refused(*proof, checksum_address(b"\x01" * 20), code=2)
    publish = world.maker.json("channel", "create", "other", "--group", "9", "--yes")["transactions"][0]
    line = ["proof", "anchor", publish["transaction"], "--out", "x.anchored", "--device", GATEWAY.text]
    assert "anchors nothing in this journal" in world.maker.refused(*line, code=2)


def test_an_anchor_of_the_same_root_that_leads_nowhere_is_not_taken_for_the_batch(
    world: World, chain: RunningChain
) -> None:
    """A gateway whose key was stolen is faster, and says another block or another count."""
    twin = world.enrolled("overtaken")
    twin.say(EventKind.CHECKED, ONE)
    folder = world.folder("overtaken", a=twin)
    network = Network([chain.url], chain_id=None, timeout_s=20, receipt_timeout_s=20)
    journal = Journal(network, world.journal)
    batch = AnchorBatch(chain_id=world.chain_id, journal=world.journal, events=(twin.items[0].signed,))
    root, content = batch.root, sha256(batch.encode()).digest()
    for call in (journal.anchor(root, bytes(31) + b"\x01", 1), journal.anchor(root, content, 2)):
        send(network, prepare(network, call, GATEWAY), GATEWAY)
    network.close()
    (made,) = world.anchor(folder)["anchors"]
    assert not made["already"]
    (again,) = world.anchor(folder)["anchors"]
    assert (again["already"], again["transaction"]) == (True, made["transaction"])
