"""Walk a Merkle-Patricia trie from its root by hash (Ethereum yellow paper, appendix D).

The nodes come from a stranger, as a set: each is found by its own hash, so order and extras mean nothing,
and a node that is not under the root is never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_protocol.errors import LimitError, MalformedError, ProofError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_ROOT = keccak256(b"\x80")  # the root of a trie that holds nothing
MAX_NODES = 512  # a channel's proof file with 16 older releases, among 10,000 channels, needs about 120
MAX_STATE_NODE_BYTES = 1_024  # a full branch is 532 bytes, an account's leaf about 150
_HASH_BYTES = 32
_BRANCH_ITEMS = 17
_SHORT_ITEMS = 2  # a leaf, or an extension
_NODE_DEPTH = 16  # inlined nodes are under 32 bytes, so they cannot nest deeper
_NODE_ITEMS = 512  # a branch, and 16 inlined children of at most 31 items each


class NodeSet:
    """Trie nodes by their Keccak-256. `nodes` are RLP encodings as a source gave them.

    Raises LimitError for more than `max_nodes` nodes, repeated ones counted, or one above `max_node_bytes`
    bytes.
    """

    __slots__ = ("_by_hash",)

    def __init__(
        self,
        nodes: Iterable[bytes],
        *,
        max_nodes: int = MAX_NODES,
        max_node_bytes: int = MAX_STATE_NODE_BYTES,
    ) -> None:
        self._by_hash: dict[bytes, bytes] = {}
        for count, node in enumerate(nodes, start=1):
            if count > max_nodes:
                raise LimitError("proof: too many nodes", expected=f"at most {max_nodes}", got="more")
            if len(node) > max_node_bytes:
                raise LimitError(
                    "proof: node too large", expected=f"at most {max_node_bytes} bytes", got=len(node)
                )
            self._by_hash[keccak256(node)] = node

    def load(self, digest: bytes) -> list[rlp.Item]:
        """Give the decoded node with this hash. Raises ProofError where it is missing or not a node."""
        node = self._by_hash.get(digest)
        if node is None:
            raise ProofError(
                "proof: node missing", expected=digest.hex(), hint="ask another source for the whole proof"
            )
        try:
            items = rlp.decode_list(node, max_depth=_NODE_DEPTH, max_items=_NODE_ITEMS)
        except MalformedError as error:
            raise ProofError(f"proof: node {digest.hex()} is not canonical: {error}") from error
        _check(items)
        return items


def get(root: bytes, key: bytes, nodes: NodeSet) -> bytes | None:
    """Give the value that the trie with this 32-byte `root` holds under `key`, or None where it holds none.

    `key` is the path itself: callers of a state or storage trie pass the Keccak-256 of an address or a
    slot. None is given only when the nodes show the whole path to the place where the key would be. Raises
    ProofError for everything else.
    """
    if root == EMPTY_ROOT:
        return None
    path = key.hex()
    node = nodes.load(root)
    while True:
        if len(node) == _BRANCH_ITEMS:
            if not path:
                return _value(node[16]) or None
            child, path = node[int(path[0], 16)], path[1:]
            if child == b"":
                return None
        else:
            is_leaf, step = _hex_prefix(node[0])
            if is_leaf:
                return _value(node[1]) if path == step else None
            if not path.startswith(step):
                return None
            child, path = node[1], path[len(step) :]
        # Every turn takes at least one nibble of the path, so the walk ends.
        node = child if isinstance(child, list) else nodes.load(child)


def _check(node: list[rlp.Item]) -> None:
    """Refuse what is no node in any of its parts, those that the path does not take and inlined ones too."""
    if len(node) == _BRANCH_ITEMS:
        _value(node[16])
        for child in node[:16]:
            if child != b"":
                _check_child(child)
    elif len(node) == _SHORT_ITEMS:
        is_leaf, step = _hex_prefix(node[0])
        if is_leaf and not _value(node[1]):
            raise ProofError("proof: leaf without a value")
        if not is_leaf:
            if not step:
                raise ProofError("proof: extension node without a path")
            _check_child(node[1])
    else:
        raise ProofError("proof: not a trie node", expected="2 or 17 items", got=len(node))


def _check_child(child: rlp.Item) -> None:
    if isinstance(child, list):
        size_bytes = len(rlp.encode(child))
        if size_bytes >= _HASH_BYTES:
            raise ProofError("proof: inlined node too large", expected="under 32 bytes", got=size_bytes)
        _check(child)
    elif len(child) != _HASH_BYTES:
        raise ProofError("proof: bad reference to a node", expected="32 bytes", got=len(child))


def _hex_prefix(item: rlp.Item) -> tuple[bool, str]:
    """Read the hex-prefix encoding of a path: whether a leaf's, and its nibbles as hexadecimal digits."""
    if isinstance(item, list) or not item:
        raise ProofError("proof: node without a path")
    flag, nibbles = item[0] >> 4, item.hex()
    if flag > 3 or (not flag & 1 and nibbles[1] != "0"):
        raise ProofError("proof: bad path prefix", expected="00, 1., 20 or 3.", got=nibbles[:2])
    return flag >= 2, nibbles[1:] if flag & 1 else nibbles[2:]


def _value(item: rlp.Item) -> bytes:
    if isinstance(item, list):
        raise ProofError("proof: wrong kind of value", expected="a byte string", got="a list")
    return item
