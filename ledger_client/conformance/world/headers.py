"""QBFT headers: right ones, and every way to seal, list or shape one wrongly (protocol.md §4)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_client.conformance.world.keys import address, recoverable, secp256k1_key
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp

MIX_HASH: Final = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
EMPTY_ROOT: Final = keccak256(b"\x80")
EXTRA_AT: Final = 12
# What later forks appended to a header, in order: base fee, withdrawals root, blob gas, excess, beacon root,
# requests hash.
LATER_FIELDS: Final = (b"", EMPTY_ROOT, b"", b"", bytes(32), bytes(32))

Fields = list[rlp.Item]
Seals = Callable[[list[bytes], bytes], list[bytes]]
"""Gives the seals to write, from the honest ones and the digest that they sign."""


def validators(count: int, name: str = "validator") -> list[ec.EllipticCurvePrivateKey]:
    """Give `count` validators' keys; another name gives another set."""
    return [secp256k1_key(f"{name} {place}") for place in range(count)]


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """How a header is sealed; the defaults are how an honest network does it.

    `by` seals; `listed` are the validators that extraData claims (None: those that seal); `fields` the number
    of header fields; `change` gets the header's fields before they are sealed, `extra` the five parts of
    extraData before they are sealed, `seals` the seals, `sealed` the encoded header at the end.
    `digest_round` is the round that the signed digest carries (None: the header's own).
    """

    by: Sequence[ec.EllipticCurvePrivateKey]
    listed: Sequence[bytes] | None = None
    round: int = 0
    fields: int = 16
    change: Callable[[Fields], None] | None = None
    extra: Callable[[Fields], None] | None = None
    seals: Seals | None = None
    sealed: Callable[[bytes], bytes] | None = None
    digest_round: int | None = None
    strangers: Sequence[ec.EllipticCurvePrivateKey] = field(default_factory=list)
    """Others that seal as well, before the honest ones."""


def seal_header(sealing: Sealing, *, number: int, time: int, state_root: bytes) -> bytes:
    """Give the encoded header of a block."""
    fields: Fields = [
        keccak256(number.to_bytes(8, "big")),
        keccak256(b"\xc0"),
        bytes(20),
        state_root,
        EMPTY_ROOT,
        EMPTY_ROOT,
        bytes(256),
        b"\x01",
        rlp.encode_scalar(number),
        rlp.encode_scalar(30_000_000),
        b"",
        rlp.encode_scalar(time),
        b"",
        MIX_HASH,
        bytes(8),
        *LATER_FIELDS[: max(0, sealing.fields - 15)],
    ]
    fields += [bytes([place]) for place in range(1, sealing.fields - len(fields) + 1)]
    del fields[sealing.fields :]
    if sealing.change is not None:
        sealing.change(fields)
    listed = [address(key) for key in sealing.by] if sealing.listed is None else list(sealing.listed)
    parts: Fields = [bytes(32), list(listed), [], rlp.encode_scalar(sealing.round), []]
    if sealing.extra is not None:
        sealing.extra(parts)  # noqa: S610 - extraData, not a database
    bare = [*parts]
    if sealing.digest_round is not None:
        bare[3] = rlp.encode_scalar(sealing.digest_round)
    digest = keccak256(_with_extra(fields, bare))
    seals = [recoverable(key, digest) for key in (*sealing.strangers, *sealing.by)]
    if sealing.seals is not None:
        seals = sealing.seals(seals, digest)
    raw = _with_extra(fields, [*parts[:4], list(seals), *parts[5:]])
    return raw if sealing.sealed is None else sealing.sealed(raw)


def block_hash(raw: bytes) -> bytes:
    """Give the hash of the block behind a well-formed sealed header: round 0, no seals."""
    fields = rlp.decode_list(raw)
    extra = fields[EXTRA_AT]
    if not isinstance(extra, bytes):
        raise TypeError("extraData is a byte string")
    parts = rlp.decode_list(extra)
    return keccak256(_with_extra(fields, [*parts[:3], b"", []]))


def reversed_list(raw: bytes, at: int, value: rlp.Item) -> bytes:
    """Give an encoded header with another value in one field, the seals left as they are."""
    fields = rlp.decode_list(raw)
    fields[at] = value
    return rlp.encode(fields)


def repeated(seals: Iterable[bytes], count: int) -> list[bytes]:
    """Give the first `count` of the seals, over and over."""
    found = list(seals)
    return (found * count)[:count]


def _with_extra(fields: Fields, parts: Fields) -> bytes:
    return rlp.encode([*fields[:EXTRA_AT], rlp.encode(parts), *fields[EXTRA_AT + 1 :]])
