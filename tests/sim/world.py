"""A world state whose tries an independent library builds, and that answers `eth_getProof` as a node does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rlp
from trie import HexaryTrie

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.merkle_patricia import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence


class World:
    """Accounts by 20-byte address; storage by 32-byte key. Set what you like, then ask."""

    def __init__(self) -> None:
        self._state = HexaryTrie({})
        self._storage: dict[bytes, HexaryTrie] = {}
        self._words: dict[bytes, dict[bytes, int]] = {}

    @property
    def state_root(self) -> bytes:
        return self._state.root_hash

    def set_account(
        self,
        address: bytes,
        words: dict[bytes, int] | None = None,
        *,
        code_hash: bytes = bytes.fromhex("aa" * 32),
        nonce: int = 1,
        balance: int = 0,
    ) -> None:
        storage = HexaryTrie({})
        for key, word in (words or {}).items():
            if word:
                storage.set(keccak256(key), rlp.encode(word))
        self._storage[address] = storage
        self._words[address] = dict(words or {})
        self._state.set(keccak256(address), rlp.encode([nonce, balance, storage.root_hash, code_hash]))

    def word(self, address: bytes, key: bytes) -> int:
        return self._words.get(address, {}).get(key, 0)

    def get_proof(self, address: bytes, keys: Sequence[bytes]) -> dict[str, object]:
        storage = self._storage.get(address)
        words = self._words.get(address, {})
        return {
            "address": "0x" + address.hex(),
            "accountProof": _texts(self._state, keccak256(address)),
            "storageHash": "0x" + (EMPTY_ROOT if storage is None else storage.root_hash).hex(),
            "storageProof": [
                {
                    "key": "0x" + key.hex(),
                    "value": hex(words.get(key, 0)),
                    "proof": [] if storage is None else _texts(storage, keccak256(key)),
                }
                for key in keys
            ],
        }


def _texts(trie: HexaryTrie, path: bytes) -> list[str]:
    if trie.root_hash == EMPTY_ROOT:
        return []
    encoded = [rlp.encode(node) for node in trie.get_proof(path)]
    # Like a node's answer: what is inlined in its parent has no entry of its own, but for the root.
    return ["0x" + node.hex() for place, node in enumerate(encoded) if place == 0 or len(node) >= 32]
