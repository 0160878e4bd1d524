"""One client, two engines: every test here runs against our own node and, where it is installed, against
Kubo 0.42."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from ledger_client.content.errors import BlockMissingError, ContentMismatchError
from ledger_client.content.importer import IMAGE, SMALL, import_file
from ledger_client.content.ipfs import IpfsClient
from ledger_client.content.node.store import BlockStore
from ledger_client.content.publish import PieceReader, release_car
from ledger_client.errors import NodeRefusedError, UnreachableError
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid


@pytest.fixture
def client(ipfs_node):
    with ipfs_node.client() as client:
        yield client


@pytest.fixture
def release(tmp_path, request):
    """A store with a document that links to an image of 300 kB: its own for each test, so that tests do not
    meet."""
    store = BlockStore(tmp_path / "release")
    data = random.Random(request.node.nodeid).randbytes(300_000)
    image = import_file(io.BytesIO(data), sink=store)
    document = dag_cbor.encode({"image": image.root})
    root = Cid.of(DAG_CBOR, document)
    store.put(root, document)
    return store, root, image, data


def test_a_missing_block_is_missing_and_not_waited_for(client):
    with pytest.raises(BlockMissingError, match="does not hold"):
        client.get_block(Cid.of(RAW, b"nobody has this"))


def test_a_car_that_ends_early_is_refused_and_nothing_is_pinned(client, release):
    store, root, _, _ = release
    whole = b"".join(release_car(store, root))
    with pytest.raises(NodeRefusedError):
        client.import_car([whole[: len(whole) // 2]], roots=[root])
    assert not client.pinned(root)


def test_a_car_with_a_changed_block_is_refused_and_nothing_is_pinned(client, release):
    store, root, _, _ = release
    whole = bytearray(b"".join(release_car(store, root)))
    whole[-5] ^= 1
    with pytest.raises(NodeRefusedError):
        client.import_car([bytes(whole)], roots=[root])
    assert not client.pinned(root)


def test_a_car_that_lacks_a_block_cannot_be_pinned(client, release):
    store, root, image, _ = release
    header_and_document = car.encode_header([root]) + car.encode_section(root, store.get(root))
    with pytest.raises(NodeRefusedError):
        client.import_car([header_and_document], roots=[root])
    assert not client.has_block(image.root)


def test_a_car_of_other_roots_than_were_meant_is_noticed(client, release):
    store, root, image, _ = release
    with pytest.raises(ContentMismatchError, match="roots pinned"):
        client.import_car(release_car(store, root), roots=[image.root])


def test_a_section_of_impossible_length_is_refused(client):
    root = Cid.of(RAW, b"x")
    with pytest.raises(NodeRefusedError):
        client.import_car([car.encode_header([root]) + b"\xff" * 8 + b"\x7f" + b"x" * 100], roots=[root])


def test_bytes_that_are_no_car_are_refused(client):
    with pytest.raises(NodeRefusedError):
        client.import_car([b"<html>not a car</html>"], roots=[Cid.of(RAW, b"x")])


def test_pinning_what_is_not_there_fails(client):
    with pytest.raises((BlockMissingError, NodeRefusedError)):
        client.pin(Cid.of(DAG_CBOR, dag_cbor.encode({"nobody": "has this"})))


def test_a_block_comes_back_as_it_was_put(client):
    block = b"one block of bytes"
    cid = client.put_block(block)
    assert cid == Cid.of(RAW, block)
    assert client.has_block(cid)
    assert client.get_block(cid) == block


def test_a_block_that_is_pinned_when_put_outlives_garbage_collection(client):
    cid = client.put_block(dag_cbor.encode({"kept": True}), DAG_CBOR, pin=True)
    client.gc()
    assert client.pinned(cid)
    assert client.has_block(cid)


def test_a_document_is_put_under_its_own_codec(client):
    document = dag_cbor.encode({"a": 1})
    assert client.put_block(document, DAG_CBOR) == Cid.of(DAG_CBOR, document)


def test_a_release_is_imported_pinned_and_read_back(client, release):
    store, root, image, data = release
    sent = []
    client.import_car(release_car(store, root), roots=[root], progress=sent.append)
    assert sent[-1] == len(b"".join(release_car(store, root)))
    assert client.pinned(root)
    assert str(root) in client.pin_ls()
    assert hashlib.sha256(b"".join(client.cat(image.root))).digest() == image.sha256
    assert b"".join(client.cat(image.root, offset=70_001, length=100_000)) == data[70_001:170_001]


def test_importing_twice_changes_nothing(client, release):
    store, root, _, _ = release
    for _ in range(2):
        client.import_car(release_car(store, root), roots=[root])
    assert client.pinned(root)


def test_an_export_holds_every_block_and_verifies(client, release):
    store, root, _, _ = release
    client.import_car(release_car(store, root), roots=[root])
    stream = PieceReader(client.export_car(root))
    assert car.read_header(stream) == (root,)
    exported = dict(car.iter_blocks(stream))
    assert exported == {address.cid: block for address, block in store.walk(root)}


def test_garbage_collection_keeps_what_is_pinned_and_drops_the_rest(client, release):
    store, root, image, _ = release
    client.import_car(release_car(store, root), roots=[root])
    loose = client.put_block(b"nobody pins this " + str(root).encode())
    assert client.gc() >= 1
    assert not client.has_block(loose)
    assert client.has_block(image.root)
    assert client.unpin(root)
    assert not client.unpin(root)
    client.gc()
    assert not client.has_block(image.root)


@pytest.mark.parametrize("profile", [IMAGE, SMALL], ids=lambda profile: str(profile.chunker))
@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 1_048_576, 1_048_577, 3_000_000])
def test_the_node_computes_the_root_that_our_importer_computes(client, tmp_path, profile, size):
    path = tmp_path / "image"
    path.write_bytes(random.Random(size).randbytes(size))
    assert client.only_hash(path, profile) == import_file(path, profile=profile).root


def test_the_node_says_who_it_is(client):
    assert client.version()
    assert client.info().id


def test_a_port_where_nobody_listens_is_unreachable():
    with (
        IpfsClient("/ip4/127.0.0.1/tcp/1", timeout_s=5) as client,
        pytest.raises(UnreachableError, match="refused"),
    ):
        client.version()
