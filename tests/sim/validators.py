"""QBFT validators that seal whatever they are told to, with keys that tests can repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp, secp256k1
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.merkle_patricia import EMPTY_ROOT
from ledger_protocol.release.trust_root import QbftTrust, Validator

if TYPE_CHECKING:
    from collections.abc import Iterable


class Validators:
    """`count` validators; `seed` makes a set with other keys."""

    def __init__(self, count: int = 4, *, seed: int = 1) -> None:
        self.private_keys = [
            ec.derive_private_key(seed * 1_000 + index + 1, ec.SECP256K1()) for index in range(count)
        ]
        self.public_keys = [secp256k1.PublicKey.of(key) for key in self.private_keys]

    def trust(self, *, min_validators: int = 4) -> QbftTrust:
        pinned = tuple(Validator(address=key.address, public_key=key.raw) for key in self.public_keys)
        return QbftTrust(validators=pinned, min_validators=min_validators)

    def addresses(self) -> list[bytes]:
        return [key.address for key in self.public_keys]

    def seal(
        self,
        fields: list[bytes] | None = None,
        *,
        round_: int = 0,
        signers: Iterable[int] | None = None,
        listed: list[bytes] | None = None,
    ) -> bytes:
        """Give a header sealed by the validators of these places (all by default); `listed` is what
        extraData claims.
        """
        fields = list(fields or header_fields())
        listed = self.addresses() if listed is None else listed
        fields[12] = qbft.encode_extra(bytes(32), listed, round_, [])
        digest = qbft.seal_digest(parse_header(rlp.encode(list(fields))))
        places = range(len(self.private_keys)) if signers is None else signers
        return self.with_seals(fields, [self.seal_of(place, digest) for place in places], round_, listed)

    def with_seals(
        self, fields: list[bytes], seals: list[bytes], round_: int = 0, listed: list[bytes] | None = None
    ) -> bytes:
        fields = list(fields)
        fields[12] = qbft.encode_extra(
            bytes(32), self.addresses() if listed is None else listed, round_, seals
        )
        return rlp.encode(list(fields))

    def seal_of(self, place: int, digest: bytes) -> bytes:
        # v is what recovery would need; verification against a pinned key does not read it beyond its form.
        return secp256k1.sign(self.private_keys[place], digest) + b"\x00"


def header_fields(
    *,
    number: int = 100,
    timestamp: int = 1_700_000_000,
    state_root: bytes = EMPTY_ROOT,
    receipts_root: bytes = EMPTY_ROOT,
    parent_hash: bytes = bytes(32),
    base_fee: int | None = 0,
) -> list[bytes]:
    """Give the fields of a London header (Berlin without a base fee), extraData empty, as RLP byte strings."""
    fields = [
        parent_hash,
        keccak256(b"\xc0"),
        bytes(20),
        state_root,
        EMPTY_ROOT,
        receipts_root,
        bytes(256),
        rlp.encode_scalar(qbft.DIFFICULTY),
        rlp.encode_scalar(number),
        rlp.encode_scalar(30_000_000),
        b"",
        rlp.encode_scalar(timestamp),
        b"",
        qbft.MIX_HASH,
        qbft.NONCE,
    ]
    return fields if base_fee is None else [*fields, rlp.encode_scalar(base_fee)]
