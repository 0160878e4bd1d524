"""Header trust by QBFT seals (protocol.md §4; facts from Besu's and GoQuorum's headers).

A header carries two hashes. Seals sign the header with its real round and no seals; the block hash is of
the header with round 0 and no seals. They agree only at round 0, so code that mixes them up works until a
round changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.errors import LimitError, MalformedError, QuorumError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import Header, parse_header
from ledger_protocol.ledger.secp256k1 import PublicKey
from ledger_protocol.limits import MAX_VALIDATORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_protocol.release.trust_root import QbftTrust

MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
DIFFICULTY = 1
NONCE = bytes(8)
VANITY_BYTES = 32
MAX_LISTED = 128  # validators that a header lists; the largest consortium networks run a few dozen
MAX_SEALS = 128  # bounds the work on a hostile header: seals × pinned keys signature checks
_ADDRESS_BYTES = 20
_SEAL_BYTES = 65  # r, s, v
_ROUND_BYTES = 4
_EXTRA_PARTS = 5
_VOTE_KINDS = (b"", b"\x00", b"\xff")  # drop (two clients write it in two ways) and add


@dataclass(frozen=True, slots=True)
class ExtraData:
    """extraData of a QBFT header. `validators` are the header's own claim and prove nothing; seals are
    unchecked.
    """

    vanity: bytes
    validators: tuple[bytes, ...]
    vote: tuple[bytes, bytes] | None
    round: int
    seals: tuple[bytes, ...]


def verify_seals(raw_header: bytes, trust: QbftTrust) -> Header:
    """Give the header if a quorum of the pinned validators sealed it.

    `raw_header` is the sealed header's RLP, `trust` the validators that the trust root pins. Raises
    QuorumError where fewer than ceil(2n/3) distinct pinned validators sealed or fewer than `min_validators`
    are pinned, MalformedError where the bytes are no QBFT header.
    """
    header = parse_header(raw_header)
    extra = parse_extra(header.extra_data)
    if (header.difficulty, header.mix_hash, header.nonce) != (DIFFICULTY, MIX_HASH, NONCE):
        raise MalformedError(
            "header: not a QBFT header",
            expected="difficulty 1, the QBFT mix hash, nonce 0",
            got=f"{header.difficulty}, {header.mix_hash.hex()}, {header.nonce.hex()}",
        )
    pinned = _pinned_keys(trust)
    needed = quorum(len(pinned))
    signers = _count_signers(_digest(header, extra, extra.round), extra.seals, pinned, needed)
    if signers < needed:
        raise QuorumError(
            f"header {header.number}: seals of pinned validators",
            expected=f"at least {needed} of {len(pinned)}",
            got=signers,
            hint="the source lies, or the validators changed: look for a newer trust root",
        )
    return header


def quorum(validators: int) -> int:
    """Give how many of `validators` must seal: two thirds, rounded up (4 need 3, 5 need 4, 7 need 5)."""
    return -(-2 * validators // 3)


def seal_digest(header: Header) -> bytes:
    """Give the 32 bytes that validators sign: the header with its round and without seals."""
    extra = parse_extra(header.extra_data)
    return _digest(header, extra, extra.round)


def block_hash(header: Header) -> bytes:
    """Give the block's 32-byte hash: the header with round 0 and without seals."""
    return _digest(header, parse_extra(header.extra_data), 0)


def parse_extra(extra_data: bytes) -> ExtraData:
    """Parse extraData strictly. Raises MalformedError or LimitError."""
    parts = rlp.decode_list(extra_data, max_depth=2, max_items=MAX_LISTED + MAX_SEALS + 16)
    if len(parts) != _EXTRA_PARTS:
        raise MalformedError("extraData: parts", expected=_EXTRA_PARTS, got=len(parts))
    vanity, validators, vote, round_, seals = parts
    if isinstance(vanity, list) or len(vanity) != VANITY_BYTES:
        raise MalformedError("extraData: vanity", expected=f"{VANITY_BYTES} bytes")
    return ExtraData(
        vanity=vanity,
        validators=_strings(validators, _ADDRESS_BYTES, MAX_LISTED, "validators"),
        vote=_vote(vote),
        round=rlp.scalar(round_, max_bytes=_ROUND_BYTES, what="extraData: round"),
        seals=_strings(seals, _SEAL_BYTES, MAX_SEALS, "seals"),
    )


def encode_extra(
    vanity: bytes,
    validators: Sequence[bytes],
    round_: int,
    seals: Sequence[bytes],
    *,
    vote: tuple[bytes, bytes] | None = None,
) -> bytes:
    """Encode extraData from 32 bytes of vanity, 20-byte addresses and 65-byte seals (r, s, v)."""
    return rlp.encode(
        [vanity, list(validators), [] if vote is None else list(vote), rlp.encode_scalar(round_), list(seals)]
    )


def _digest(header: Header, extra: ExtraData, round_: int) -> bytes:
    bare = encode_extra(extra.vanity, extra.validators, round_, (), vote=extra.vote)
    return keccak256(header.encode_with_extra(bare))


def _pinned_keys(trust: QbftTrust) -> list[PublicKey]:
    # Distinct keys are counted: the same validator written twice is still one vote, and one in the size of
    # the quorum.
    if len(trust.validators) > MAX_VALIDATORS:
        raise LimitError("trust root: validators", expected=f"at most {MAX_VALIDATORS}")
    keys: dict[bytes, PublicKey] = {}
    for validator in trust.validators:
        key = PublicKey.from_bytes(validator.public_key)
        if key.address != validator.address:
            raise MalformedError(
                "trust root: validator's key and address differ",
                expected=validator.address.hex(),
                got=key.address.hex(),
            )
        keys[key.address] = key
    # An empty set has a quorum of nobody, so one validator is the least even for a careless trust root.
    if len(keys) < max(1, trust.min_validators):
        raise QuorumError(
            "trust root: too few validators", expected=f"at least {trust.min_validators}", got=len(keys)
        )
    return list(keys.values())


def _count_signers(digest: bytes, seals: Sequence[bytes], pinned: list[PublicKey], needed: int) -> int:
    """Count the distinct pinned keys among the seals, up to `needed`.

    A seal that no pinned key made is ignored, whatever is wrong with it: seals are outside both hashes, so
    anyone can add one to a good header, and one replaced validator must not be a flag day. High s is
    accepted as Besu does: it names the same signer, who counts once. v only helps recovery, which we do not
    do, but a v that no client writes marks a seal no client accepts.
    """
    waiting = list(pinned)
    for seal in dict.fromkeys(seals):
        if len(pinned) - len(waiting) == needed:
            break
        if seal[64] > 1:
            continue
        signer = next((key for key in waiting if key.has_signed(digest, seal[:64])), None)
        if signer is not None:
            waiting.remove(signer)
    return len(pinned) - len(waiting)


def _strings(item: rlp.Item, size_bytes: int, max_count: int, what: str) -> tuple[bytes, ...]:
    if not isinstance(item, list):
        raise MalformedError(f"extraData: {what}", expected="a list", got="a byte string")
    if len(item) > max_count:
        raise LimitError(f"extraData: {what}", expected=f"at most {max_count}", got=len(item))
    strings: list[bytes] = []
    for entry in item:
        if isinstance(entry, list) or len(entry) != size_bytes:
            raise MalformedError(f"extraData: {what}", expected=f"byte strings of {size_bytes} bytes")
        strings.append(entry)
    return tuple(strings)


def _vote(item: rlp.Item) -> tuple[bytes, bytes] | None:
    if item == []:
        return None
    if isinstance(item, list) and len(item) == 2:
        recipient, kind = item
        if isinstance(recipient, bytes) and len(recipient) == _ADDRESS_BYTES and kind in _VOTE_KINDS:
            return recipient, bytes(kind)
    raise MalformedError("extraData: vote", expected="nothing, or an address and one of add and drop")
