"""Notes of witnesses in everything that carries proofs: bundles, the relay, proof files, audits."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from ledger_client.witness.notes import Notes
from ledger_client.witness.service import Witness, open_store
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.receipt_proof import ReceiptProof
from ledger_protocol.ledger.witness_note import verify_note
from tests.support.chain import chain_process, rpc
from tests.support.fleet import run_relay
from tests.support.witnessed import NAMES, witnessed
from tests.support.witnessed_story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.ipfs import IpfsNode


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, embedded_node: IpfsNode) -> Iterator[Story]:
    """A chain whose seals nobody checks, with a channel and some notes."""
    folder = tmp_path_factory.mktemp("told")
    with chain_process() as chain:
        rule = ("--final", "depth:2", "--no-seals")
        made = witnessed(
            folder / "maker", chain.url, *rule, ipfs=embedded_node.api, gateway=embedded_node.gateway
        )
        made.run("channel", "create", "stable", "--group", "1", "--yes")
        story = Story(made, chain.url, embedded_node, folder, lambda: rpc(chain.url, "evm_mine"))
        story.settle()
        story.ask(*story.notes)
        yield story


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_whole_story_on_a_chain_without_seals(tmp_path: Path, embedded_node: IpfsNode) -> None:
    with chain_process() as chain:
        rule = ("--final", "depth:2", "--no-seals")
        made = witnessed(
            tmp_path / "maker", chain.url, *rule, ipfs=embedded_node.api, gateway=embedded_node.gateway
        )
        Story(made, chain.url, embedded_node, tmp_path, lambda: rpc(chain.url, "evm_mine")).play()


def test_a_proof_file_takes_its_note_from_the_configured_witnesses(told: Story) -> None:
    made = told.maker.json("proof", "channel", "stable", "--out", "stable.proof")
    proof = LedgerProof.decode((told.maker.path / "stable.proof").read_bytes())
    trust = told.world.app().root.root.headers.witnesses
    assert proof.header is None
    assert proof.note is not None
    assert trust is not None
    assert verify_note(proof.note, trust).checkpoint.number == made["block"]


def test_a_receipt_proof_carries_the_note_of_its_block(told: Story) -> None:
    sent = told.maker.json("channel", "create", "beta", "--group", "2", "--yes")["transactions"][0]
    line = ("proof", "receipt", sent["transaction"], "--out", "beta.proof")
    told.maker.run(*line)
    bare = ReceiptProof.decode((told.maker.path / "beta.proof").read_bytes())
    assert bare.note is None  # the block is not final yet, and nobody signed it
    told.settle()
    told.maker.run(*line)
    noted = ReceiptProof.decode((told.maker.path / "beta.proof").read_bytes())
    trust = told.world.app().root.root.headers.witnesses
    assert noted.note is not None
    assert trust is not None
    assert verify_note(noted.note, trust).checkpoint.number == sent["block"]


def test_the_relay_serves_noted_proofs_and_the_joined_note_itself(told: Story) -> None:
    final = told.settle()
    trust = told.world.app().root.root.headers.witnesses
    assert trust is not None
    with run_relay(told.maker) as url:
        for path in ("channel/stable", "group/1", "device/0x" + "11" * 20, "group/77"):
            status, body = get(f"{url}/fwledger/v1/proof/{path}")
            assert status == 200
            note = LedgerProof.decode(body).note
            assert note is not None
            assert verify_note(note, trust).checkpoint.number >= final
        status, newest = get(f"{url}/fwledger/v1/witness/newest")
        assert (status, verify_note(newest, trust).checkpoint.number >= final) == (200, True)
        status, older = get(f"{url}/fwledger/v1/witness/notes/{final}")
        assert (status, verify_note(older, trust).checkpoint.number) == (200, final)
        assert get(f"{url}/fwledger/v1/witness/notes/{final + 1_000}")[0] == 404
        assert get(f"{url}/fwledger/v1/witness/notes/soon")[0] == 400


def test_a_relay_that_nobody_gives_notes_does_not_start_where_devices_need_them(told: Story) -> None:
    (told.maker.path / "alone.toml").write_text(
        (told.maker.path / "fwledger.toml").read_text().split("[witness]")[0]
    )
    line = ("relay", "up", "--config", "alone.toml", "--listen", "127.0.0.1:0", "--yes")
    assert "nobody is named who gives their notes" in told.maker.refused(*line, code=2)


@pytest.mark.parametrize("source", ["http://127.0.0.1:9", "nowhere", "keys"])
def test_a_source_that_gives_nothing_leaves_the_others(told: Story, source: str) -> None:
    told.ask(source, *told.notes)
    try:
        told.maker.run("proof", "channel", "stable", "--out", "two.proof")
        told.ask(source, told.notes[0])
        assert "expected at least 2 of 3" in told.maker.refused(
            "proof", "channel", "stable", "--out", "one.proof", code=1
        )
    finally:
        told.ask(*told.notes)


def test_a_folder_with_a_note_under_a_false_height_counts_for_nothing(told: Story, tmp_path: Path) -> None:
    final = told.settle()
    (tmp_path / f"{final}.note").write_bytes((told.notes[0] / f"{final - 1}.note").read_bytes())
    root = told.world.app().root.root
    assert Notes([str(tmp_path), str(told.notes[1])], timeout_s=5).at(final, root) is None
    assert Notes([str(one) for one in told.notes], timeout_s=5).at(final, root) is not None


def test_a_witness_keeps_as_many_notes_as_it_is_told(told: Story, tmp_path: Path) -> None:
    one = told.world.witness(NAMES[2])
    root = one.root
    store = open_store(tmp_path / "short.db", root=root, key=one.key, name=NAMES[2], max_kept=3)
    short = Witness(one.network, root, one.key, NAMES[2], store, now_s=one.now_s, out=tmp_path / "out")
    short.step()
    for _ in range(6):
        told.advance()
        short.step()
    newest = store.newest()
    assert newest is not None
    assert [store.at(newest.number - back) is not None for back in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert len(list((tmp_path / "out").glob("[0-9]*.note"))) == 3


def test_an_earlier_export_that_is_none_is_refused(told: Story) -> None:
    (told.maker.path / "broken.ndjson").write_text("{}\n")
    line = ("audit", "verify", "--trust-root", "trust-root.cbor", "--known", "broken.ndjson")
    assert "broken.ndjson: line 1" in told.maker.refused(*line, code=1)
    assert "contradict each other" in told.maker.refused(*line, "--from", "broken.ndjson", code=2)
