"""Leaves that the device holds already come from its own slots, while they are still there."""

import pytest

from device_verifier.durable import DurableSteps
from device_verifier.held import HeldBlocks
from device_verifier.records import ChunkRecord
from device_verifier.slots import SlotLayout
from device_verifier.sources import BlockMissing
from device_verifier.store import Store
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid

LEAF = b"a leaf of an image"
CID = Cid.of(RAW, LEAF)


@pytest.fixture
def held(tmp_path):
    for slot in "ab":
        (tmp_path / f"rootfs.{slot}").write_bytes(b"....." + LEAF + b".....")
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store, store.change() as change:
        change.add_chunks(
            [
                ChunkRecord(slot, slot_class, 5, len(LEAF), CID.digest)
                for slot in "ab"
                for slot_class in ("rootfs", "gone")
            ]
        )
    held = HeldBlocks(
        tmp_path / "state.db", SlotLayout({"rootfs": (tmp_path / "rootfs.a", tmp_path / "rootfs.b")})
    )
    yield held
    held.close()


def test_a_leaf_that_no_slot_holds_any_more_is_missing(held, tmp_path):
    for slot in "ab":
        (tmp_path / f"rootfs.{slot}").write_bytes(bytes(100))
    with pytest.raises(BlockMissing):
        held.get(CID, max_bytes=1_000)


def test_a_leaf_larger_than_asked_for_is_missing(held):
    with pytest.raises(BlockMissing):
        held.get(CID, max_bytes=len(LEAF) - 1)


def test_what_is_no_leaf_is_missing(held):
    with pytest.raises(BlockMissing):
        held.get(Cid(DAG_CBOR, CID.digest), max_bytes=1_000)


def test_a_state_file_that_cannot_be_read_is_no_reason_to_stop(tmp_path):
    (tmp_path / "state.db").write_bytes(b"garbage" * 1_000)
    again = HeldBlocks(tmp_path / "state.db", SlotLayout({}))
    with pytest.raises(BlockMissing):
        again.get(CID, max_bytes=1_000)
    again.close()


def test_a_slot_that_changed_is_passed_over_for_one_that_did_not(held, tmp_path):
    (tmp_path / "rootfs.a").write_bytes(bytes(100))
    assert held.get(CID, max_bytes=1_000) == LEAF


def test_a_leaf_is_read_from_where_it_was_written(held):
    assert held.get(CID, max_bytes=1_000) == LEAF
