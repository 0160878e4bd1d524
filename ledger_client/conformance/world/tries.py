"""Merkle-Patricia tries with all their nodes, right ones and wrong ones (Ethereum yellow paper, appendix D).

Built here and not with the protocol's own builder, so that a mistake in one does not hide in the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp

EMPTY_ROOT: Final = keccak256(b"\x80")

Mangle = Callable[[bytes], bytes]
"""Gives other bytes for an encoded node, before anything is hashed over it."""


@dataclass
class _Node:
    step: str
    """Nibbles that this node itself takes off a path."""
    value: bytes | None = None
    child: "_Node | None" = None
    children: "dict[str, _Node]" = field(default_factory=dict)
    encoded: bytes = b""


class Trie:
    """The trie of `entries`: path of 32 bytes (hashed already) to leaf value.

    `mangled` alters the leaf at a path, `mangled_root` the topmost node: every hash above is over the altered
    bytes, as if consensus had accepted them.
    """

    def __init__(
        self,
        entries: Mapping[bytes, bytes],
        *,
        mangled: Mapping[bytes, Mangle] | None = None,
        mangled_root: Mangle | None = None,
    ) -> None:
        self._mangled = {path.hex(): mangle for path, mangle in (mangled or {}).items()}
        self._top: _Node | None = None
        self.root = EMPTY_ROOT
        if entries:
            self._top = self._node(sorted((path.hex(), value) for path, value in entries.items()), 0)
            if mangled_root is not None:
                self._top.encoded = mangled_root(self._top.encoded)
            self.root = keccak256(self._top.encoded)

    def nodes(self, path: bytes) -> list[bytes]:
        """Give the encoded nodes from the root towards `path`, less those that stand inside their parent."""
        found: list[bytes] = []
        node, left = self._top, path.hex()
        while node is not None:
            if not found or len(node.encoded) >= 32:
                found.append(node.encoded)
            if not left.startswith(node.step):
                break
            left = left[len(node.step) :]
            if node.child is not None:
                node = node.child
            elif node.children:
                node, left = node.children.get(left[:1]), left[1:]
            else:
                break
        return found

    def _node(self, entries: list[tuple[str, bytes]], depth: int) -> _Node:
        """Make the node for sorted (whole path, value) pairs that share their first `depth` nibbles."""
        first, last = entries[0][0], entries[-1][0]
        if len(entries) == 1:
            leaf = _Node(first[depth:], value=entries[0][1])
            leaf.encoded = rlp.encode([_prefixed(leaf.step, leaf=True), entries[0][1]])
            mangle = self._mangled.get(first)
            if mangle is not None:
                leaf.encoded = mangle(leaf.encoded)
            return leaf
        shared = depth
        while first[shared] == last[shared]:
            shared += 1
        if shared > depth:
            below = self._node(entries, shared)
            extension = _Node(first[depth:shared], child=below)
            extension.encoded = rlp.encode([_prefixed(extension.step, leaf=False), _reference(below)])
            return extension
        branch = _Node("")
        items: list[rlp.Item] = []
        for nibble in "0123456789abcdef":
            below_nibble = [entry for entry in entries if entry[0][depth] == nibble]
            if below_nibble:
                branch.children[nibble] = self._node(below_nibble, depth + 1)
                items.append(_reference(branch.children[nibble]))
            else:
                items.append(b"")
        branch.encoded = rlp.encode([*items, b""])
        return branch


@dataclass(frozen=True, slots=True)
class Account:
    """A contract's account: its words by storage key, and entries at raw paths that no key hashes to."""

    words: Mapping[bytes, int]
    code_hash: bytes
    raw: Mapping[bytes, bytes] = field(default_factory=dict)
    mangled: Mapping[bytes, Mangle] = field(default_factory=dict)
    """By storage key: what becomes of the leaf."""
    mangled_root: Mangle | None = None


class State:
    """The state of one block: accounts by address, and the proofs of their words."""

    def __init__(
        self, accounts: Mapping[bytes, Account], *, account_leaf: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.accounts = dict(accounts)
        self._storage = {where: _storage(account) for where, account in accounts.items()}
        leaves = {}
        for where, account in accounts.items():
            leaf = rlp.encode([b"\x01", b"", self._storage[where].root, account.code_hash])
            leaves[keccak256(where)] = leaf if account_leaf is None else account_leaf(leaf)
        self._accounts = Trie(leaves)
        self.root = self._accounts.root

    def word(self, where: bytes, key: bytes) -> int:
        """Give the word behind a storage key, 0 where there is none."""
        return self.accounts[where].words.get(key, 0)

    def account_proof(self, where: bytes) -> list[bytes]:
        """Give the nodes that lead to an account."""
        return self._accounts.nodes(keccak256(where))

    def storage_proof(self, where: bytes, key: bytes) -> list[bytes]:
        """Give the nodes that lead to a word, or to the place where it would be."""
        return self._storage[where].nodes(keccak256(key))

    def storage_root(self, where: bytes) -> bytes:
        """Give the root of an account's storage."""
        return self._storage[where].root


def word_leaf(word: int) -> bytes:
    """Give the leaf value of a word: its RLP scalar."""
    return rlp.encode(rlp.encode_scalar(word))


def _storage(account: Account) -> Trie:
    entries = {keccak256(key): word_leaf(word) for key, word in account.words.items() if word}
    mangled = {keccak256(key): mangle for key, mangle in account.mangled.items()}
    return Trie({**entries, **account.raw}, mangled=mangled, mangled_root=account.mangled_root)


def _reference(node: _Node) -> rlp.Item:
    if len(node.encoded) >= 32:
        return keccak256(node.encoded)
    return rlp.decode(node.encoded)


def _prefixed(nibbles: str, *, leaf: bool) -> bytes:
    flag = 2 * leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if flag & 1 else '0'}{nibbles}")
