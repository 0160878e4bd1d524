"""Neither the node nor its client ever holds an image: memory stays flat while one goes through."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

from ledger_client.content.chunker import Fixed
from ledger_client.content.importer import Profile, import_file
from ledger_client.content.node.store import BlockStore
from ledger_client.content.publish import release_car
from tests.support.ipfs import run_embedded_node

IMAGE_BYTES = 64 * 1024 * 1024
GROWTH_BYTES = (
    32 * 1024 * 1024
)  # buffers of both directions, a group of unsynced blocks, and the allocator's slack


class Stream:
    """Bytes that differ in every block, made as they are read."""

    left = IMAGE_BYTES
    source = random.Random(11)

    def read(self, size):
        size = min(size, self.left, 1024 * 1024)
        self.left -= size
        return self.source.randbytes(size)


def peak_bytes(pid):
    """The largest resident size that the process ever had (proc_pid_status(5))."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024


def test_a_large_image_goes_through_the_node_in_flat_memory(tmp_path):
    ours = BlockStore(tmp_path / "ours")
    done = import_file(Stream(), sink=ours, profile=Profile(Fixed(262_144), 174))
    with run_embedded_node(tmp_path / "node") as node, node.client() as client:
        client.put_block(b"first use loads what is loaded late")
        before = peak_bytes(node.process.pid)
        client.import_car(release_car(ours, done.root), roots=[done.root])
        digest = hashlib.sha256()
        for piece in client.cat(done.root):
            digest.update(piece)
        assert digest.digest() == done.sha256
        assert sum(map(len, client.export_car(done.root))) > IMAGE_BYTES
        assert peak_bytes(node.process.pid) - before < GROWTH_BYTES
