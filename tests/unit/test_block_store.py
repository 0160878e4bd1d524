from __future__ import annotations

import io
import os
import random
import resource
import threading

import pytest

from ledger_client.content.errors import (
    BlockCorruptError,
    BlockMissingError,
    ContentMismatchError,
    StoreBusyError,
    StoreError,
)
from ledger_client.content.importer import import_file
from ledger_client.content.node.store import BlockStore
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import MAX_BLOCK_BYTES


@pytest.fixture
def store(tmp_path):
    return BlockStore(tmp_path / "store")


def file_of(store, cid):
    name = cid.digest.hex()
    return store.path / "blocks" / name[:2] / name


def put_raw(store, block):
    cid = Cid.of(RAW, block)
    store.put(cid, block)
    return cid


def put_document(store, value):
    block = dag_cbor.encode(value)
    cid = Cid.of(DAG_CBOR, block)
    store.put(cid, block)
    return cid


def test_a_directory_of_other_files_is_not_taken_for_a_store(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"not a block store.*holiday\.jpg"):
        BlockStore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.jpg"]


def test_a_store_of_another_format_is_refused(store):
    (store.path / "version").write_text("fwledger/blocks/9\n")
    with pytest.raises(StoreError, match="expected fwledger/blocks/1, got fwledger/blocks/9"):
        BlockStore(store.path)


def test_a_file_in_the_place_of_a_store_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot open the block store"):
        BlockStore(tmp_path / "file")


def test_a_block_that_does_not_match_its_address_is_refused(store):
    cid = Cid.of(RAW, b"right")
    with pytest.raises(ContentMismatchError, match="does not match its address"):
        store.put(cid, b"wrong")
    assert not store.has(cid)


def test_a_block_that_no_peer_would_take_is_refused(store):
    block = bytes(MAX_BLOCK_BYTES + 1)
    with pytest.raises(ContentMismatchError, match="too large"):
        store.put(Cid.of(RAW, block), block)


def test_a_missing_block_is_named(store):
    cid = Cid.of(RAW, b"none")
    for ask in (store.get, store.size):
        with pytest.raises(BlockMissingError, match=str(cid)):
            ask(cid)
    assert not store.has(cid)
    assert not store.delete(cid)


@pytest.mark.parametrize(
    "damage", [b"", b"other bytes", b"some block" + b"\0"], ids=["empty", "changed", "longer"]
)
def test_a_block_that_the_disk_changed_counts_as_missing_and_can_be_put_again(store, damage):
    cid = put_raw(store, b"some block")
    file_of(store, cid).write_bytes(damage)
    with pytest.raises(BlockCorruptError, match="damaged on disk"):
        store.get(cid)
    assert not store.has(cid)
    store.put(cid, b"some block")
    assert store.get(cid) == b"some block"


def test_putting_a_block_again_heals_it_without_reading_it_first(store):
    cid = put_raw(store, b"some block")
    file_of(store, cid).write_bytes(b"rot")
    store.put(cid, b"some block")
    assert store.get(cid) == b"some block"


def test_a_full_disk_leaves_no_torn_block_and_no_litter(store):
    held = put_raw(store, b"was there before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (1000, hard)
    )  # the kernel refuses longer files, as a full disk does
    try:
        with pytest.raises(StoreError, match="cannot write") as caught:
            store.put_many((Cid.of(RAW, block), block) for block in (b"small", bytes(5000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in caught.value.hint
    assert list((store.path / "tmp").iterdir()) == []
    assert list(store) == [held]
    put_raw(store, bytes(5000))


def test_an_error_while_blocks_are_made_leaves_no_litter(store):
    def blocks():
        yield Cid.of(RAW, b"one"), b"one"
        raise MalformedError("CAR", expected="more", got="the end")

    with pytest.raises(MalformedError):
        store.put_many(blocks())
    assert list((store.path / "tmp").iterdir()) == []


def test_what_was_put_is_there_for_another_opener(store):
    cid = put_raw(store, b"bytes")
    again = BlockStore(store.path)
    assert (again.get(cid), again.size(cid), again.id) == (b"bytes", 5, store.id)


def test_the_same_bytes_under_two_codecs_are_one_file(store):
    document = dag_cbor.encode({})
    store.put(Cid.of(DAG_CBOR, document), document)
    assert store.get(Cid.of(RAW, document)) == document
    assert store.stat().blocks == 1


def test_all_blocks_can_be_listed_and_counted(store):
    cids = {put_raw(store, bytes([number]) * number) for number in range(1, 40)}
    (store.path / "blocks" / "zz").mkdir(exist_ok=True)
    (store.path / "blocks" / "zz" / "not-a-block").touch()
    assert set(store) == cids
    assert store.stat().size_bytes == sum(range(1, 40))


def test_pinning_needs_the_whole_dag(store):
    missing = Cid.of(RAW, b"not here")
    root = put_document(store, {"image": missing})
    with pytest.raises(BlockMissingError, match=str(missing)):
        store.pin(root)
    assert store.pins() == ()


def test_pinning_reads_every_block(store):
    image = import_file(io.BytesIO(random.Random(1).randbytes(200_000)), sink=store)
    leaf = next(address.cid for address, _ in store.walk(image.root) if address.codec == RAW)
    file_of(store, leaf).write_bytes(b"rot")
    with pytest.raises(BlockCorruptError):
        store.pin(image.root)


def test_a_malformed_node_cannot_be_pinned(store):
    block = b"\xff\xff not dag-pb"
    cid = Cid.of(DAG_PB, block)
    store.put(cid, block)
    with pytest.raises(MalformedError):
        store.pin(cid)


def test_a_dag_that_is_too_deep_is_refused(store):
    cid = put_raw(store, b"bottom")
    for _ in range(70):
        cid = put_document(store, [cid])
    with pytest.raises(LimitError, match="depth of DAG"):
        store.pin(cid)


def test_garbage_is_what_no_pin_reaches(store):
    image = import_file(io.BytesIO(random.Random(2).randbytes(200_000)), sink=store)
    root = put_document(store, {"image": image.root})
    loose = put_raw(store, b"loose")
    store.pin(root)
    assert store.collect_garbage() == (loose,)
    assert store.get(image.root)
    assert store.unpin(root)
    assert not store.unpin(root)
    assert len(store.collect_garbage()) == image.leaves + image.nodes + 1
    assert store.stat().blocks == 0


def test_two_pins_that_share_blocks_keep_them_until_both_are_gone(store):
    shared = put_raw(store, b"shared")
    roots = [put_document(store, [shared, number]) for number in range(2)]
    for root in roots:
        store.pin(root)
    store.unpin(roots[0])
    store.collect_garbage()
    assert store.has(shared)
    store.unpin(roots[1])
    store.collect_garbage()
    assert not store.has(shared)


def test_a_damaged_pinned_block_does_not_cost_the_others(store):
    children = [put_raw(store, bytes([number])) for number in range(3)]
    root = put_document(store, children)
    store.pin(root)
    file_of(store, children[0]).write_bytes(b"rot")
    store.collect_garbage()
    assert store.has(root)
    assert all(store.has(child) for child in children[1:])


def test_garbage_is_not_collected_while_somebody_writes(store):
    loose = put_raw(store, b"to be pinned in a moment")
    with store.writing(), pytest.raises(StoreBusyError, match="being written"):
        BlockStore(store.path).collect_garbage()
    assert store.has(loose)
    assert store.collect_garbage() == (loose,)


def test_a_pin_that_nobody_can_read_stops_garbage_collection(store):
    loose = put_raw(store, b"may be pinned by it")
    (store.path / "pins" / "strange").touch()
    with pytest.raises(StoreError, match="pins of the block store"):
        store.collect_garbage()
    assert store.has(loose)


def test_leftovers_of_a_crash_are_swept_with_the_garbage(store):
    (store.path / "tmp" / "abcdef").write_bytes(b"half a block")
    store.collect_garbage()
    assert list((store.path / "tmp").iterdir()) == []


def test_many_threads_may_put_the_same_blocks(store):
    blocks = [os.urandom(2000) for _ in range(40)]
    errors = []

    def put_all():
        try:
            store.put_many((Cid.of(RAW, block), block) for block in blocks)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=put_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.stat().blocks == 40


def test_openers_that_make_the_store_at_once_agree_on_it(tmp_path):
    stores = []
    threads = [threading.Thread(target=lambda: stores.append(BlockStore(tmp_path / "new"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 6
    assert len({opened.id for opened in stores}) == 1
