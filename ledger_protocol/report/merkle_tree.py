"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256: root, inclusion path, and the root that a path
leads to.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ledger_protocol.errors import LimitError, MalformedError, ProofError

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32
MAX_LEAVES = 4_096  # what the journal takes; a tree is held in memory
MAX_PATH = 12  # the depth of that many leaves

# A leaf and a node never hash alike (RFC 6962, 2.1: second preimages).
_LEAF, _NODE = b"\0", b"\1"


def leaf_hash(leaf: bytes) -> bytes:
    """Give the hash under which a leaf stands in the tree."""
    return hashlib.sha256(_LEAF + leaf).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Give the root over 1 to 4,096 leaves (their bytes, not their hashes). Raises LimitError."""
    _check_count(len(leaves))
    return _levels(leaves)[-1][0]


def inclusion_paths(leaves: Sequence[bytes], indexes: Sequence[int]) -> list[tuple[bytes, ...]]:
    """Give for each of `indexes` the siblings from its leaf up to the root. Raises LimitError for an index
    that the tree does not have.
    """
    _check_count(len(leaves))
    levels = _levels(leaves)
    return [_path(levels, index) for index in indexes]


def root_from(leaf: bytes, path: Sequence[bytes], *, index: int, count: int) -> bytes:
    """Give the root that a leaf at `index` of `count` has by its path: compare it with a root that is known.

    Raises LimitError for a place that no tree has, ProofError where the path's length is not the place's.
    """
    _check_count(count)
    _check_index(index, count)
    found = leaf_hash(leaf)
    place, last, rest = index, count - 1, iter(path)
    # RFC 9162, 2.1.3.2: an odd place, or the end of its level, has its sibling on the left.
    while last:
        if place & 1 or place < last:
            sibling = next(rest, None)
            if sibling is None or len(sibling) != HASH_BYTES:
                raise _wrong_length(path, index, count)
            found = _node(sibling, found) if place & 1 else _node(found, sibling)
        place, last = place >> 1, last >> 1
    if next(rest, None) is not None:
        raise _wrong_length(path, index, count)
    return found


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels, leaves' hashes first. A last node without a sibling rises as it is: the split at the
    largest power of two below the count, seen from below.
    """
    levels = [[leaf_hash(leaf) for leaf in leaves]]
    while len(level := levels[-1]) > 1:
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        levels.append(paired + level[len(level) & ~1 :])
    return levels


def _path(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    _check_index(index, len(levels[0]))
    path = []
    for level in levels[:-1]:
        if (sibling := index ^ 1) < len(level):
            path.append(level[sibling])
        index >>= 1
    return tuple(path)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_LEAVES:
        raise LimitError("leaves of a tree", expected=f"1 to {MAX_LEAVES}", got=count)


def _check_index(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise LimitError("index of a leaf", expected=f"0 to {count - 1}", got=index)


def _wrong_length(path: Sequence[bytes], index: int, count: int) -> ProofError:
    if any(len(sibling) != HASH_BYTES for sibling in path):
        raise MalformedError("inclusion path", expected=f"hashes of {HASH_BYTES} bytes")
    return ProofError(
        "inclusion path", expected=f"as long as leaf {index} of {count} has it", got=f"{len(path)} hashes"
    )
