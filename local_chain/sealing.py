"""The validators of the chain: their keys, whose turn it is, and the seals under each header.

One process holds every key and signs at once, so there is no consensus protocol here; what leaves is what a
network of that many QBFT validators would publish (protocol specification, section 4).
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft
from ledger_protocol.release.trust_root import Validator
from local_chain.errors import StateError
from local_chain.headers import Block, Header
from local_chain.json_input import read_json
from local_chain.transactions import SECP256K1_N, address_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VANITY = b"fwledger-chain".ljust(32, b"\0")
MAX_VALIDATORS = 64  # enough for any consortium that one laptop plays; bounds the header
KEYS_SCHEMA = "fwledger-chain/validator-keys/1"
_MAX_JITTER_ROUND = 2


class Sealer:
    """The local validators, sorted by address as QBFT lists them.

    ``round_jitter`` is the share of blocks that are sealed in a round above 0, as after a validator that
    kept silent, so that every verifier meets headers whose two hashes differ.
    """

    def __init__(self, secret_keys: Sequence[bytes], *, round_jitter: float = 0.0) -> None:
        keys = {address_of(key.public_key): key for key in map(PrivateKey, secret_keys)}
        if len(keys) != len(secret_keys) or not 1 <= len(keys) <= MAX_VALIDATORS:
            raise StateError(
                f"validator keys: expected 1 to {MAX_VALIDATORS} different ones, got {len(secret_keys)}"
            )
        if not 0 <= round_jitter <= 1:
            raise StateError(f"round jitter: expected 0 to 1, got {round_jitter}")
        self._keys = dict(sorted(keys.items()))
        self._round_jitter = round_jitter

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The validators' addresses, ascending."""
        return tuple(self._keys)

    @property
    def identities(self) -> tuple[Validator, ...]:
        """Addresses and public keys, for a trust root to pin."""
        return tuple(
            Validator(address, key.public_key.format(compressed=False)) for address, key in self._keys.items()
        )

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """The keys, for the file that keeps them."""
        return tuple(key.secret for key in self._keys.values())

    def round_for(self, parent: Header) -> int:
        """The round in which the block after ``parent`` is sealed: drawn from the parent's hash, so replays
        agree.
        """
        draw = keccak256(b"round" + parent.hash)
        if int.from_bytes(draw[:4], "big") >= self._round_jitter * 2**32:
            return 0
        return 1 + draw[4] % _MAX_JITTER_ROUND

    def proposer(self, number: int, round_number: int) -> bytes:
        """Whose turn it is at this height and round: it is the block's coinbase."""
        return self.addresses[(number + round_number) % len(self._keys)]

    def seal(self, header: Header, round_number: int) -> Block:
        """The sealed block of ``header``, without its transactions.

        In round 0 every validator seals; in a later one only a quorum does, without those whose silence
        caused it.
        """
        silent = {self.proposer(header.number, missed) for missed in range(round_number)}
        order = sorted(self._keys, key=lambda address: address in silent)
        signers = sorted(order if round_number == 0 else order[: qbft.quorum(len(order))])
        digest = header.with_extra(extra_data(self.addresses, round_number, ())).hash
        seals = tuple(self._keys[address].sign_recoverable(digest, hasher=None) for address in signers)
        sealed = header.with_extra(extra_data(self.addresses, round_number, seals))
        return Block(header, round_number, seals, sealed, ())


class NoSeals:
    """In the place of a ``Sealer`` on a chain whose headers hold no extra data: nobody can verify them."""

    addresses: tuple[bytes, ...] = ()
    identities: tuple[Validator, ...] = ()
    secret_keys: tuple[bytes, ...] = ()

    def round_for(self, _parent: Header) -> int:
        """Always the first round."""
        return 0

    def proposer(self, _number: int, _round_number: int) -> bytes:
        """Nobody: tips are burnt unless a coinbase is set."""
        return bytes(20)

    def seal(self, header: Header, _round_number: int) -> Block:
        """The block of ``header`` as it is, without its transactions."""
        return unsealed(header)


def unsealed(sealed: Header) -> Block:
    """The block of a header, without its transactions; ProtocolError when the header is not QBFT's.

    Nothing is checked: seals and validators are what the header says. Without extra data there are none.
    """
    if not sealed.extra_data:
        return Block(sealed, 0, (), sealed, ())
    extra = qbft.parse_extra(sealed.extra_data)
    header = sealed.with_extra(qbft.encode_extra(extra.vanity, extra.validators, 0, ()))
    return Block(header, extra.round, extra.seals, sealed, ())


def extra_data(validators: Sequence[bytes], round_number: int, seals: Sequence[bytes]) -> bytes:
    """The chain's extra data: no vote ever, since its validators stay; empty where nobody seals."""
    return b"" if not validators else qbft.encode_extra(VANITY, validators, round_number, seals)


def new_keys(count: int, *, seed: str | None = None) -> tuple[bytes, ...]:
    """``count`` secret keys: random, or the same every time for a ``seed`` (then known to whoever knows the
    seed).
    """
    if not 1 <= count <= MAX_VALIDATORS:
        raise StateError(f"validators: expected 1 to {MAX_VALIDATORS}, got {count}")
    material = (
        secrets.token_bytes(32)
        if seed is None
        else keccak256(f"fwledger-chain validator {index} {seed}".encode())
        for index in range(count)
    )
    return tuple(
        (int.from_bytes(item, "big") % (SECP256K1_N - 1) + 1).to_bytes(32, "big") for item in material
    )


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Write a key file that only its owner can read, whole or not at all; an existing file is never
    replaced. StateError when it cannot be written.
    """
    document = {"schema": KEYS_SCHEMA, "keys": [key.hex() for key in keys]}
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as file:  # with mode 0600
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, path)
    except OSError as error:
        raise StateError(f"cannot write the validators' keys to {path}: {error.strerror}") from error


def read_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a key file; StateError when it is not one."""
    try:
        document = read_json(path)
        if document["schema"] != KEYS_SCHEMA:
            raise StateError(f"{path}: expected schema {KEYS_SCHEMA}, got {document['schema']!r}")
        keys = tuple(bytes.fromhex(key) for key in document["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: not a validator key file: {error}") from error
    if any(len(key) != 32 for key in keys):
        raise StateError(f"{path}: expected keys of 32 bytes")
    if not all(0 < int.from_bytes(key, "big") < SECP256K1_N for key in keys):
        raise StateError(f"{path}: expected keys of secp256k1, got a number that is none")
    return keys
