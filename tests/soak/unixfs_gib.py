"""The published roots of 1 GiB files, built in bounded memory; about ten seconds: pytest tests/soak/unixfs_gib.py"""

import hashlib
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from ledger_protocol.content import unixfs
from ledger_protocol.content.unixfs import TreeBuilder

MIB = 2**20


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (2**30, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
        (2**30 + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
    ],
)
def test_a_gibibyte_gives_the_published_root_in_bounded_memory(size, root):
    stream = Cipher(
        algorithms.ChaCha20(hashlib.sha256(b"v1-2025-seed").digest(), bytes(16)), None
    ).encryptor()
    builder = TreeBuilder()
    tracemalloc.start()
    for at in range(0, size, MIB):
        leaf = unixfs.leaf(stream.update(bytes(min(MIB, size - at))))
        builder.add_leaf(leaf.cid, leaf.file_size)
    link, _ = builder.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(link.cid) == root
    assert link.file_size == size
    assert peak < 8 * MIB
