"""Reading and proving Merkle-Patricia tries: accounts, storage slots, and the ordered tries of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trie.hexary import HexaryTrie

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from local_chain.headers import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_MIN_HASHED_BYTES = 32  # a shorter node is written inside its parent and has no hash of its own


class NodeReader(Protocol):
    """Where trie nodes are found by their hash; KeyError when absent."""

    def __getitem__(self, key: bytes) -> bytes: ...

    def __contains__(self, key: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class Account:
    """What the state trie says of one address."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


NO_ACCOUNT = Account(nonce=0, balance=0, storage_root=EMPTY_TRIE_ROOT, code_hash=EMPTY_CODE_HASH)


def read_account(nodes: NodeReader, state_root: bytes, address: bytes) -> Account:
    """The account at ``address``, or NO_ACCOUNT."""
    value = HexaryTrie(nodes, state_root)[keccak256(address)]
    if not value:
        return NO_ACCOUNT
    nonce, balance, storage_root, code_hash = (
        item for item in rlp.decode_list(value) if isinstance(item, bytes)
    )
    return Account(int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), storage_root, code_hash)


def read_slot(nodes: NodeReader, storage_root: bytes, slot: int) -> int:
    """The word in ``slot``, 0 when absent."""
    value = HexaryTrie(nodes, storage_root)[keccak256(slot.to_bytes(32, "big"))]
    return rlp.scalar(rlp.decode(value), max_bytes=32, what="storage word") if value else 0


def prove(nodes: NodeReader, root: bytes, key: bytes) -> list[bytes]:
    """The encoded nodes on the path of ``keccak(key)``: a proof of what is there, or that nothing is."""
    path = HexaryTrie(nodes, root).get_proof(keccak256(key))  # type: ignore[no-untyped-call]
    encoded = [rlp.encode(node) for node in path]
    return [
        node
        for index, node in enumerate(encoded)
        if node != b"\x80" and (index == 0 or len(node) >= _MIN_HASHED_BYTES)
    ]


def ordered_root(items: Sequence[bytes]) -> bytes:
    """The root of the trie that maps each index to its item: transactions and receipts of a block."""
    trie = HexaryTrie({}, EMPTY_TRIE_ROOT)
    with trie.squash_changes() as batch:
        for index, item in enumerate(items):
            batch[rlp.encode(rlp.encode_scalar(index))] = item
    return bytes(trie.root_hash)
