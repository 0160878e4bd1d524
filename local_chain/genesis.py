"""The document from which every node of a chain computes the same first block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.ledger import qbft
from local_chain.errors import StateError
from local_chain.forks import Fork
from local_chain.headers import EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH, Block, Header, fork_fields
from local_chain.receipts import BLOOM_BYTES
from local_chain.sealing import extra_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "fwledger-chain/genesis/1"
DEFAULT_CHAIN_ID = 31_337
DEFAULT_GAS_LIMIT = 30_000_000


@dataclass(frozen=True, slots=True)
class Genesis:
    """Chain id, rules, time (Unix seconds), validators ascending (none: nobody seals), and the balances in
    wei of the first block.
    """

    chain_id: int
    fork: Fork
    timestamp: int
    gas_limit: int
    validators: tuple[bytes, ...]
    balances: Mapping[bytes, int]

    def to_json(self) -> dict[str, object]:
        """The document."""
        return {
            "schema": SCHEMA,
            "chainId": self.chain_id,
            "fork": self.fork.label,
            "timestamp": self.timestamp,
            "gasLimit": self.gas_limit,
            "validators": [_hex(address) for address in self.validators],
            "balances": {_hex(address): hex(balance) for address, balance in self.balances.items()},
        }

    def block(self, state_root: bytes) -> Block:
        """The first block over the state that holds the balances. Nobody seals it: all agree on it
        beforehand.
        """
        extra = extra_data(self.validators, 0, ())
        header = Header(
            parent_hash=bytes(32),
            uncles_hash=EMPTY_UNCLES_HASH,
            coinbase=bytes(20),
            state_root=state_root,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=bytes(BLOOM_BYTES),
            difficulty=qbft.DIFFICULTY,
            number=0,
            gas_limit=self.gas_limit,
            gas_used=0,
            timestamp=self.timestamp,
            extra_data=extra,
            mix_hash=qbft.MIX_HASH,
            nonce=qbft.NONCE,
            **fork_fields(self.fork, base_fee=None),  # type: ignore[arg-type] # names and types are Header's own
        )
        return Block(header, 0, (), header, ())


def genesis_from_json(document: object) -> Genesis:
    """Read the document; StateError when it is not one."""
    try:
        if not isinstance(document, dict) or document["schema"] != SCHEMA:
            raise StateError(f"not a genesis document: expected schema {SCHEMA}")
        return Genesis(
            chain_id=_integer(document["chainId"]),
            fork=Fork.from_label(document["fork"]),
            timestamp=_integer(document["timestamp"]),
            gas_limit=_integer(document["gasLimit"]),
            validators=_addresses(document["validators"]),
            balances=dict(
                zip(
                    _addresses(document["balances"]),
                    (int(v, 16) for v in document["balances"].values()),
                    strict=True,
                )
            ),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StateError(f"not a genesis document: {error}") from error


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a natural number, got {value!r}")
    return value


def _addresses(values: Sequence[str] | Mapping[str, object]) -> tuple[bytes, ...]:
    addresses = tuple(bytes.fromhex(value.removeprefix("0x")) for value in values)
    if any(len(address) != 20 for address in addresses):
        raise ValueError("expected addresses of 20 bytes")
    return addresses


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()
