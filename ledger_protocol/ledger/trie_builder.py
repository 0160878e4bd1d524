"""Build a Merkle-Patricia trie from all its entries, for those who hold them: a block's receipts, a test's
accounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.merkle_patricia import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH_BYTES = 32


def build(entries: Mapping[bytes, bytes], *, key: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Give the 32-byte root of the trie of `entries`, and the nodes that lead from it to `key`, present or
    not.

    Keys are paths as they stand (not hashed), values are not empty. Raises MalformedError for an empty value.
    """
    if not all(entries.values()):
        raise MalformedError("trie: value", expected="at least one byte", got="none")
    if not entries:
        return EMPTY_ROOT, ()
    nodes: list[bytes] = []
    paths = sorted((path.hex(), value) for path, value in entries.items())
    top = rlp.encode(_node(paths, key.hex(), nodes))
    return keccak256(top), (top, *reversed(nodes))


def _node(entries: list[tuple[str, bytes]], wanted: str | None, nodes: list[bytes]) -> rlp.Item:
    """Give the node above sorted (path, value) pairs; `wanted` is the rest of the key where it comes this
    way.
    """
    if len(entries) == 1:
        path, value = entries[0]
        return [_hex_prefix(path, is_leaf=True), value]
    prefix = _common_prefix(entries[0][0], entries[-1][0])
    if prefix:
        rest = [(path[len(prefix) :], value) for path, value in entries]
        return [_hex_prefix(prefix, is_leaf=False), _child(rest, _after(prefix, wanted), nodes)]
    branch: list[rlp.Item] = []
    for nibble in "0123456789abcdef":
        below = [(path[1:], value) for path, value in entries if path[:1] == nibble]
        branch.append(_child(below, _after(nibble, wanted), nodes) if below else b"")
    branch.append(next((value for path, value in entries if not path), b""))
    return branch


def _child(entries: list[tuple[str, bytes]], wanted: str | None, nodes: list[bytes]) -> rlp.Item:
    """Give what a node holds of its child: the child itself where it is under 32 bytes, else its hash."""
    node = _node(entries, wanted, nodes)
    encoded = rlp.encode(node)
    if len(encoded) < _HASH_BYTES:
        return node
    if wanted is not None:
        nodes.append(encoded)
    return keccak256(encoded)


def _common_prefix(first: str, last: str) -> str:
    """Give the prefix that all sorted paths share: what the first and the last of them do."""
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:same]


def _after(step: str, wanted: str | None) -> str | None:
    return wanted[len(step) :] if wanted is not None and wanted.startswith(step) else None


def _hex_prefix(nibbles: str, *, is_leaf: bool) -> bytes:
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if flag & 1 else '0'}{nibbles}")
