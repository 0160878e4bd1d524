from __future__ import annotations

import hashlib
import io
import random
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from ledger_client.content.chunker import Fixed
from ledger_client.content.importer import IMAGE, SMALL, Profile, import_file
from ledger_client.content.node.store import BlockStore
from ledger_client.errors import UsageError
from ledger_protocol.content.cid import RAW, Cid


def keystream(seed: str, size: int) -> bytes:
    cipher = Cipher(algorithms.ChaCha20(hashlib.sha256(seed.encode()).digest(), bytes(16)), mode=None)
    return cipher.encryptor().update(bytes(size))


class Breaking(io.BytesIO):
    def read(self, size=-1):
        if self.tell() > 50_000:
            raise OSError(5, "Input/output error")
        return super().read(min(size, 10_000))


def test_a_file_that_is_not_there_is_said_to_be_unreadable(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*none: expected a readable file"):
        import_file(tmp_path / "none")


def test_a_directory_is_not_a_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        import_file(tmp_path)


def test_a_disk_error_half_way_is_not_an_end_of_file(tmp_path):
    store = BlockStore(tmp_path / "store")
    with pytest.raises(UsageError, match="to its end: got Input/output error"):
        import_file(Breaking(bytes(200_000)), sink=store, profile=Profile(Fixed(1000), 10))
    assert store.pins() == ()


@pytest.mark.parametrize(
    ("data", "root"),
    [
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        (
            keystream("chunk-v1-seed", 1_048_577),
            "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64",
        ),
    ],
)
def test_the_published_vectors_of_unixfs_v1_2025(data, root):
    assert str(import_file(io.BytesIO(data), profile=SMALL).root) == root


def test_an_empty_file_is_one_empty_leaf(tmp_path):
    store = BlockStore(tmp_path / "store")
    done = import_file(io.BytesIO(b""), sink=store)
    assert (done.root, done.leaves, done.nodes, done.size_bytes) == (Cid.of(RAW, b""), 1, 0, 0)
    assert store.get(done.root) == b""


def test_all_blocks_land_in_the_store_and_the_counts_are_theirs(tmp_path):
    data = random.Random(1).randbytes(1_000_000)
    store = BlockStore(tmp_path / "store")
    done = import_file(io.BytesIO(data), sink=store)
    blocks = list(store.walk(done.root))
    assert len(blocks) == done.leaves + done.nodes == done.new_blocks == store.stat().blocks
    assert b"".join(block for address, block in blocks if address.codec == RAW) == data
    assert done.tree_bytes == store.stat().size_bytes
    assert (done.size_bytes, done.sha256) == (len(data), hashlib.sha256(data).digest())


def test_without_a_store_the_result_is_the_same(tmp_path):
    data = random.Random(2).randbytes(300_000)
    path = tmp_path / "image"
    path.write_bytes(data)
    stored = import_file(path, sink=BlockStore(tmp_path / "store"))
    assert import_file(path).root == stored.root


def test_importing_again_writes_nothing_new(tmp_path):
    store = BlockStore(tmp_path / "store")
    data = random.Random(3).randbytes(300_000)
    first = import_file(io.BytesIO(data), sink=store)
    assert import_file(io.BytesIO(data), sink=store).new_blocks == 0
    assert first.new_blocks > 0


def test_repeated_chunks_are_kept_once(tmp_path):
    store = BlockStore(tmp_path / "store")
    done = import_file(io.BytesIO(bytes(1_000_000)), sink=store)
    assert done.leaves == 62  # zeros are cut at the smallest size: their fingerprint is zero
    assert store.stat().blocks == done.new_blocks == 3  # one full chunk, the last, and their node


def test_progress_ends_at_the_length_of_the_file():
    seen = []
    import_file(io.BytesIO(bytes(300_000)), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 300_000


def test_an_import_never_holds_the_file():
    class Stream:
        left = 32 * 1024 * 1024

        def read(self, size):
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    import_file(io.BytesIO(bytes(100_000)))
    tracemalloc.start()
    done = import_file(Stream(), profile=IMAGE)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.size_bytes == 32 * 1024 * 1024
    assert peak_bytes < 8 * 1024 * 1024
