import contextlib
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.errors import LimitError, MalformedError, ProofError, ProtocolError
from ledger_protocol.report.merkle_tree import (
    MAX_LEAVES,
    MAX_PATH,
    inclusion_paths,
    leaf_hash,
    root_from,
    tree_root,
)

# The vectors that the implementations of Certificate Transparency share.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {  # (index, count): siblings, from the same vectors
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}  # fmt: skip


def by_definition(leaves) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def path_by_definition(index, leaves) -> list[bytes]:
    """RFC 6962, 2.1.1, word by word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*path_by_definition(index, leaves[:split]), by_definition(leaves[split:])]
    return [*path_by_definition(index - split, leaves[split:]), by_definition(leaves[:split])]


@pytest.mark.parametrize("count", range(1, 9))
def test_the_root_is_the_published_one(count):
    assert tree_root(LEAVES[:count]).hex() == ROOTS[count - 1]


@pytest.mark.parametrize(("index", "count"), PATHS)
def test_the_path_is_the_published_one(index, count):
    (path,) = inclusion_paths(LEAVES[:count], [index])
    assert [one.hex() for one in path] == PATHS[index, count]


@given(st.integers(1, 80), st.data())
@settings(max_examples=80)
def test_root_and_path_are_those_of_the_definition(count, data):
    leaves = [b"leaf %d" % number for number in range(count)]
    index = data.draw(st.integers(0, count - 1))
    (path,) = inclusion_paths(leaves, [index])
    assert tree_root(leaves) == by_definition(leaves)
    assert list(path) == path_by_definition(index, leaves)
    assert root_from(leaves[index], path, index=index, count=count) == tree_root(leaves)


def test_the_largest_tree_has_paths_of_twelve_hashes():
    leaves = [number.to_bytes(2, "big") for number in range(MAX_LEAVES)]
    (path,) = inclusion_paths(leaves, [MAX_LEAVES - 1])
    assert len(path) == MAX_PATH
    assert root_from(leaves[-1], path, index=MAX_LEAVES - 1, count=MAX_LEAVES) == tree_root(leaves)


def test_no_tree_has_no_leaf_or_one_too_many():
    for leaves in ([], [b""] * (MAX_LEAVES + 1)):
        with pytest.raises(LimitError, match="1 to 4096"):
            tree_root(leaves)
        with pytest.raises(LimitError):
            inclusion_paths(leaves, [0])


@pytest.mark.parametrize(("index", "count"), [(-1, 8), (8, 8), (0, 0), (0, MAX_LEAVES + 1)])
def test_a_place_that_no_tree_has_is_refused(index, count):
    with pytest.raises(LimitError):
        root_from(b"", [], index=index, count=count)


def test_an_index_outside_the_tree_has_no_path():
    with pytest.raises(LimitError, match="index of a leaf"):
        inclusion_paths(LEAVES, [8])


@given(st.integers(1, 40), st.data())
@settings(max_examples=60)
def test_a_path_proves_one_leaf_at_one_place_only(count, data):
    leaves = [b"leaf %d" % number for number in range(count)]
    index = data.draw(st.integers(0, count - 1))
    (path,) = inclusion_paths(leaves, [index])
    root = tree_root(leaves)
    assert root_from(b"other", path, index=index, count=count) != root
    for other in {0, count // 2, count - 1} - {index}:
        try:
            assert root_from(leaves[index], path, index=other, count=count) != root
        except ProofError:
            continue


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_a_path_too_long_or_too_short_is_refused(count):
    (path,) = inclusion_paths(LEAVES[:count], [count - 1])
    with pytest.raises(ProofError, match="inclusion path"):
        root_from(LEAVES[count - 1], (*path, bytes(32)), index=count - 1, count=count)
    if path:
        with pytest.raises(ProofError, match="inclusion path"):
            root_from(LEAVES[count - 1], path[:-1], index=count - 1, count=count)


def test_a_path_of_anything_but_hashes_is_refused():
    with pytest.raises(MalformedError):
        root_from(LEAVES[0], (bytes(31),), index=0, count=2)


def test_a_node_cannot_pass_as_a_leaf():
    """The second-preimage attack that the prefixes of RFC 6962 are for."""
    node = leaf_hash(LEAVES[0]) + leaf_hash(LEAVES[1])
    assert tree_root([node]) != tree_root(LEAVES[:2])


@given(st.binary(max_size=40), st.lists(st.binary(min_size=30, max_size=34), max_size=14), st.integers(-1, 5_000), st.integers(-1, 5_000))  # fmt: skip
@settings(max_examples=150)
def test_only_protocol_errors_leave_the_verifier(leaf, path, index, count):
    with contextlib.suppress(ProtocolError):
        assert len(root_from(leaf, path, index=index, count=count)) == 32
