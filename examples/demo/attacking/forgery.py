"""Blocks that never were: a state of the attacker's making under a header sealed with stolen keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from examples.demo.attacking.server import Lie
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.trie_builder import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ledger_protocol.release.trust_root import LedgerRef

_STATE_ROOT, _NUMBER, _TIMESTAMP, _EXTRA = 3, 8, 11, 12


class ForgedState(Lie):
    """An RPC node of a block that the attacker made up: right in every byte, but for who sealed it and when.

    `template` is a real header's RLP; `words` are the ledger's storage words; `keys` the stolen keys that
    seal. `number` and `timestamp` (Unix s) are the template's where they are None.
    """

    def __init__(
        self,
        template: bytes,
        *,
        ledger: LedgerRef,
        words: Mapping[bytes, int],
        keys: Sequence[bytes],
        number: int | None = None,
        timestamp: int | None = None,
    ) -> None:
        self._words = {key: word for key, word in words.items() if word}
        self._storage = {
            keccak256(key): rlp.encode(rlp.encode_scalar(word)) for key, word in self._words.items()
        }
        storage_root, _ = build(self._storage, key=bytes(32))
        account = rlp.encode([b"\x01", b"", storage_root, ledger.code_hash])
        self._accounts = {keccak256(ledger.address): account}
        state_root, _ = build(self._accounts, key=bytes(32))
        self.header = _sealed(template, state_root, number, timestamp, keys)
        self.used = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Answer for the forged block; logs are passed on."""
        if method == "debug_getRawHeader":
            self.used += 1
            return "0x" + self.header.hex()
        if method != "eth_getProof":
            return ask(method, params)
        keys = [bytes.fromhex(key[2:]) for key in params[1]]
        _, account = build(self._accounts, key=keccak256(bytes.fromhex(params[0][2:])))
        return {
            "accountProof": ["0x" + node.hex() for node in account],
            "storageProof": [
                {"key": "0x" + key.hex(), "value": hex(self._words.get(key, 0)), "proof": self._path(key)}
                for key in keys
            ],
        }

    def _path(self, key: bytes) -> list[str]:
        return ["0x" + node.hex() for node in build(self._storage, key=keccak256(key))[1]]


def _sealed(
    template: bytes, state_root: bytes, number: int | None, timestamp: int | None, keys: Sequence[bytes]
) -> bytes:
    real = parse_header(template)
    extra = qbft.parse_extra(real.extra_data)
    fields = list(real.fields)
    fields[_STATE_ROOT] = state_root
    if number is not None:
        fields[_NUMBER] = rlp.encode_scalar(number)
    if timestamp is not None:
        fields[_TIMESTAMP] = rlp.encode_scalar(timestamp)
    fields[_EXTRA] = qbft.encode_extra(extra.vanity, extra.validators, 0, ())
    bare = parse_header(rlp.encode(list(fields)))
    digest = qbft.seal_digest(bare)
    seals = [PrivateKey(key).sign_recoverable(digest, hasher=None) for key in keys]
    return bare.encode_with_extra(qbft.encode_extra(extra.vanity, extra.validators, 0, seals))
