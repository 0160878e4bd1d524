"""Tries built here beside the reference's: the same root, and the same nodes from the top down."""

import pytest
import rlp as reference
from trie import HexaryTrie

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import trie_builder

HASHED = {keccak256(bytes([n])): b"v" * (n + 1) for n in range(40)}
WORLDS = {
    "one": {b"\x12\x34": b"v" * 40},
    "two that part at once": {b"\x12\x34": b"a" * 40, b"\x92\x34": b"b" * 40},
    "two that part late": {b"\x12\x34": b"a" * 40, b"\x12\x35": b"b" * 40},
    "short values, so that nodes stand in their parents": {bytes([n, n]): b"%d" % n for n in range(20)},
    "values in branches": {b"\x12": b"in the branch", b"\x12\x34": b"a", b"\x12\x35": b"b", b"\x13": b"c"},
    "all sixteen ways": {bytes([n << 4]): b"w" * 33 for n in range(16)},
    "leaves of 31, 32 and 33 bytes": {b"\1\1": b"a" * 27, b"\1\x11": b"b" * 28, b"\1\x21": b"c" * 29},
    "hashed": HASHED,
}


def _reference(entries):
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie.set(key, value)
    return trie


def _proof(trie, key):
    """The reference's proof without the nodes that stand in their parents."""
    nodes = [reference.encode(node) for node in trie.get_proof(key)]
    return tuple(node for place, node in enumerate(nodes) if place == 0 or len(node) >= 32)


@pytest.mark.parametrize("name", WORLDS)
def test_every_key_that_is_there_has_the_references_proof(name):
    trie = _reference(WORLDS[name])
    for key in WORLDS[name]:
        assert trie_builder.build(WORLDS[name], key=key) == (trie.root_hash, _proof(trie, key))


@pytest.mark.parametrize("name", WORLDS)
def test_keys_that_are_not_there_have_the_references_root(name):
    trie = _reference(WORLDS[name])
    size = len(next(iter(WORLDS[name])))
    for key in (bytes(size), b"\xff" * size, b"\x12" * size, b"\x91" * size):
        root, nodes = trie_builder.build(WORLDS[name], key=key)
        assert root == trie.root_hash
        assert set(nodes) <= set(_proof(trie, key))
        assert nodes[0] == _proof(trie, key)[0]
