"""Witnesses on a real chain: what they sign, what they never sign, and what devices make of their notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.proofs import channel_proof
from ledger_client.witness.service import MAX_CATCH_UP
from ledger_client.witness.store import NoteStore
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import Checkpoint, WitnessNote, verify_note
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.report.reasons import Reason
from tests.support.chain import chain_process, rpc, wait_until
from tests.support.manufacturer import Manufacturer, found
from tests.support.witnessed import NAMES, NOW_S, Process, World, witnessed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.chain import RunningChain


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningChain, Manufacturer]]:
    """A chain that tests may fork, with seals and witnesses pinned: both must agree."""
    with chain_process() as chain:
        yield chain, witnessed(tmp_path_factory.mktemp("sealed"), chain.url, "--final", "seals")


@pytest.fixture
def world(sealed: tuple[RunningChain, Manufacturer], tmp_path: Path) -> World:
    chain, maker = sealed
    return World(chain.url, maker, states=tmp_path)


@pytest.fixture(scope="module")
def unsealed_maker(tmp_path_factory: pytest.TempPathFactory, chain: RunningChain) -> Manufacturer:
    """Witnesses alone are pinned: to them the chain has no seals that they could check."""
    maker = witnessed(tmp_path_factory.mktemp("unsealed"), chain.url, "--final", "depth:2", "--no-seals")
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    return maker


@pytest.fixture
def unsealed(chain: RunningChain, unsealed_maker: Manufacturer, tmp_path: Path) -> World:
    return World(chain.url, unsealed_maker, states=tmp_path)


def test_a_witness_signs_each_height_once_and_the_newest_again_as_a_heartbeat(world: World) -> None:
    one = world.witness()
    first = world.height()
    begun = world.app().root.root.ledger.from_block
    assert one.step() == list(range(begun, first + 1))
    assert one.step() == []
    world.mine(3)
    assert one.step() == [first + 1, first + 2, first + 3]
    before = one.store.newest()
    world.now_s += 60
    assert one.step() == []
    after = one.store.newest()
    assert before is not None
    assert after is not None
    assert (after.number, after.hash, after.signed_at) == (before.number, before.hash, NOW_S + 60)
    assert WitnessNote.decode(after.note).signatures[0].time == NOW_S + 60
    old = one.store.at(first + 1)
    assert old is not None
    assert old.signed_at == NOW_S
    # A clock that went back refreshes nothing.
    world.now_s = NOW_S
    one.step()
    assert one.store.newest() == after


def test_a_witness_that_was_away_goes_on_where_it_left_off(world: World) -> None:
    before = world.height()
    world.witness(max_kept=1).step()
    one = world.witness()
    newest = world.mine(MAX_CATCH_UP + 5)
    assert one.step() == list(range(before + 1, before + MAX_CATCH_UP + 1))
    assert one.step() == list(range(before + MAX_CATCH_UP + 1, newest + 1))


def test_a_witness_goes_no_further_back_than_it_keeps_notes(world: World) -> None:
    one = world.witness(max_kept=10)
    newest = world.mine(20)
    assert one.step() == list(range(newest - 9, newest + 1))
    newest = world.mine(20)
    assert one.step() == list(range(newest - 9, newest + 1))


def test_a_witness_signs_no_second_block_at_a_height_and_never_goes_back(world: World) -> None:
    one = world.witness(max_kept=50)
    one.step()
    snapshot = rpc(world.url, "evm_snapshot")
    world.mine(2)
    one.step()
    signed = one.store.newest()
    assert signed is not None
    rpc(world.url, "evm_revert", snapshot)
    world.now_s += 60
    assert one.step() == []  # the node is behind: nothing is signed, not even a heartbeat
    assert one.store.newest() == signed
    rpc(world.url, "evm_increaseTime", hex(1_000))
    world.mine(2)  # the same height as before, of another hash
    with pytest.raises(NotTrustedError, match="something else before"):
        one.step()
    world.mine(1)
    with pytest.raises(NotTrustedError, match="was signed as final"):
        one.step()
    with pytest.raises(NotTrustedError, match="was signed as final"):
        world.witness().step()  # a new process knows it too
    assert one.store.newest() == signed


def test_two_witnesses_with_one_state_do_not_contradict_each_other(world: World) -> None:
    one, other = world.witness(max_kept=5), world.witness(max_kept=5)
    one.step()
    assert other.step() == []
    world.mine()
    assert len(other.step()) == 1
    assert one.step() == []


def test_a_store_keeps_one_truth_whatever_it_is_told(tmp_path: Path) -> None:
    store = NoteStore(tmp_path / "w.db", vkey="v", origin="a/evm/1")
    assert (tmp_path / "w.db").stat().st_mode & 0o777 == 0o600
    point = Checkpoint(origin="a/evm/1", number=5, hash=bytes(32), state_root=bytes(32), time=1)
    store.keep(point, signed_at=10, note=b"first")
    for number, block_hash, at in ((5, b"\x01" * 32, 20), (4, bytes(32), 20), (5, bytes(32), 9)):
        other = Checkpoint(origin="a/evm/1", number=number, hash=block_hash, state_root=bytes(32), time=1)
        with pytest.raises(NotTrustedError):
            store.keep(other, signed_at=at, note=b"other")
    newest = store.newest()
    assert newest is not None
    assert newest.note == b"first"
    with pytest.raises(UsageError, match="another witness or chain"):
        NoteStore(tmp_path / "w.db", vkey="v", origin="a/evm/2")


def test_a_damaged_state_is_refused_and_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "w.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match="state of this witness"):
        NoteStore(tmp_path / "w.db", vkey="v", origin="a/evm/1")


def test_a_witness_that_the_root_does_not_pin_does_not_start(world: World) -> None:
    world.maker.run("key", "new", "keys/stranger.pem")
    line = ["witness", "run", "--key", "keys/stranger.pem", "--name", "w1.example", "--state", "s.db"]
    assert "does not pin this witness" in world.maker.refused(*line, code=2)
    line[3] = "keys/w1.example.pem"
    line[5] = "other.example"
    assert "does not pin this witness" in world.maker.refused(*line, code=2)


def test_depth_leaves_the_newest_blocks_unsigned(unsealed: World) -> None:
    one = unsealed.witness("w3.example")
    assert one.step()[-1] == unsealed.height() - 2
    unsealed.mine()
    assert one.step() == [unsealed.height() - 2]


def test_notes_of_two_witnesses_prove_a_channel_without_any_seal(unsealed: World) -> None:
    maker, path = unsealed.maker, unsealed.maker.path
    unsealed.mine(3)
    for name in NAMES[:2]:
        unsealed.witness(name, out=path / name).step()
        unsealed.mine()  # the second one is a block ahead of the first
    assert len(unsealed.witness(NAMES[0], out=path / NAMES[0]).step()) == 2
    sources = [*map(str, (path / NAMES[0]).glob("*.note")), str(path / NAMES[1] / "newest.note")]
    maker.run("witness", "collect", *sources, "--out", "joined.note")
    trust = unsealed.app().root.root.headers.witnesses
    assert trust is not None
    found_note = verify_note((path / "joined.note").read_bytes(), trust)
    maker.run("proof", "channel", "stable", "--note", "joined.note", "--out", "stable.proof")
    proof = (path / "stable.proof").read_bytes()
    assert LedgerProof.decode(proof).header is None
    trusted = TrustedLedger(trust_root=(path / "trust-root.cbor").read_bytes(), floor=None, now_s=None)
    assert trusted.update_header(proof).number == found_note.checkpoint.number
    assert trusted.read(StateQuery(channel="stable")).head is None
    bare_line = ("proof", "channel", "stable", "--out", "bare.proof")
    assert "nobody is named who gives their notes" in maker.refused(*bare_line, code=2)
    app = unsealed.app()
    (path / "bare.proof").write_bytes(channel_proof(app.ledger, channel_id("stable")).encode())
    bare = TrustedLedger(trust_root=(path / "trust-root.cbor").read_bytes(), floor=None, now_s=None)
    with pytest.raises(NotTrusted) as caught:
        bare.update_header((path / "bare.proof").read_bytes())
    assert caught.value.reason is Reason.NOTE_QUORUM


def test_one_note_is_not_enough_and_a_dead_witness_is_named(unsealed: World) -> None:
    path = unsealed.maker.path
    unsealed.witness(NAMES[0], out=path / "alone").step()
    dead = "http://127.0.0.1:9"
    line = ["witness", "collect", str(path / "alone/newest.note"), dead, "--out", "never.note"]
    assert "expected at least 2 of 3, got 1" in unsealed.maker.refused(*line, code=1)
    assert not (path / "never.note").exists()
    assert "no witness gave a note" in unsealed.maker.refused(
        "witness", "collect", dead, "--out", "x.note", code=3
    )


@pytest.mark.parametrize(
    "more",
    [
        ["--witness-threshold", "1"],
        ["--final", "finalized"],
        ["--no-seals"],
        ["--witness", "rubbish", "--witness-threshold", "1", "--final", "seals"],
        ["--witness", "GOOD", "--witness-threshold", "2", "--final", "seals"],
        ["--witness", "GOOD", "--witness-threshold", "1", "--final", "latest"],
        ["--witness", "GOOD", "--witness-threshold", "1", "--final", "seals", "--no-seals"],
        ["--witness", "GOOD", "--witness-threshold", "1"],
        ["--witness", "GOOD", "--witness", "GOOD", "--witness-threshold", "2", "--final", "seals"],
    ],
)
def test_nothing_is_sent_for_witnesses_that_no_root_can_pin(
    tmp_path: Path, chain: RunningChain, more: list[str]
) -> None:
    maker = found(tmp_path / "maker", rpc=chain.url)
    good = maker.run("witness", "vkey", "--key", "keys/alice.pem", "--name", "w.example").out.strip()
    before = chain.rpc("eth_blockNumber")
    line = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"]
    maker.refused(*line, *[good if word == "GOOD" else word for word in more], code=2)
    assert chain.rpc("eth_blockNumber") == before


# -- the process


def test_a_witness_whose_notes_folder_cannot_be_written_signs_and_serves_all_the_same(world: World) -> None:
    (world.states / "file").write_bytes(b"")
    process = Process(world, NAMES[0], "--out", str(world.states / "file" / "notes"))
    try:
        wait_until(lambda: process.height() == world.height(), "the witness signed the newest block")
        newest = world.mine()
        wait_until(lambda: process.height() == newest, "the witness went on")
    finally:
        process.kill()


def test_what_a_killed_witness_has_told_it_still_knows_and_does_not_contradict(world: World) -> None:
    process = Process(world, NAMES[0])
    try:
        wait_until(lambda: process.height() == world.height(), "the witness signed the newest block")
        snapshot = rpc(world.url, "evm_snapshot")
        told = []
        for _ in range(3):
            newest = world.mine()
            wait_until(lambda newest=newest: process.height() == newest, "the witness signed the next block")
            told.append(process.note())
        process.kill()  # while it signs heartbeats 50 times a second
        rpc(world.url, "evm_revert", snapshot)
        rpc(world.url, "evm_increaseTime", hex(1_000))
        world.mine(5)  # a fork: higher than all that was told, of other hashes
        process = Process(world, NAMES[0])
        assert process.process.stderr is not None
        assert b"was signed as final" in process.process.stderr.readline()
        for note in told:
            again = process.note(f"notes/{note.checkpoint.number}")
            assert again is not None
            assert again.checkpoint == note.checkpoint
        assert process.height() == told[-1].checkpoint.number
    finally:
        process.kill()


def test_notes_are_collected_from_running_witnesses_at_different_heights(world: World) -> None:
    processes = [Process(world, name) for name in NAMES[:2]]
    try:
        for process in processes:
            wait_until(lambda process=process: process.height() == world.height(), "each witness signed")
        urls = [process.url for process in processes]
        both = world.maker.json("witness", "collect", *urls, "--out", "joined.note")
        behind = world.height()
        assert both["block"] == behind
        last = processes[0].note()
        assert last is not None
        processes[0].kill()  # it goes no further, but its note lies in a file
        (world.maker.path / "w1.note").write_bytes(last.encode())
        world.mine(2)
        wait_until(lambda: processes[1].height() == world.height(), "the other one went on")
        alone = world.maker.json("witness", "collect", "w1.note", urls[1], "--out", "joined.note")
        assert alone["block"] == behind
    finally:
        for process in processes:
            process.kill()
