"""Sealed headers: who may seal, how many it takes, and what a header may look like (protocol.md §4, V1)."""

from collections.abc import Callable
from typing import Any

from ledger_client.conformance.case import ACCEPT, HEADER, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import headers
from ledger_client.conformance.world.headers import Fields, Sealing, repeated
from ledger_client.conformance.world.keys import SECP256K1_ORDER, address, recoverable, secp256k1_key
from ledger_protocol.ledger import rlp
from ledger_protocol.report.reasons import Reason

FORGED = "forged header"
SECTION = "§4"
NOT_SEALED = refuse(*HEADER)


def _sealed(name: str, expected: Expected, why: str, *, validators: int = 4, **sealing: Any) -> None:
    """Register a case whose newest header is sealed this way."""

    @case(f"header.{name}", FORGED, SECTION, expected, why, world={"validators": validators})
    def _(s: Scenario) -> None:
        s.seal(Sealing(by=s.world.validators, **sealing))
        s.check(s.stick())


def _quorum(validators: int, signers: int, expected: Expected, why: str) -> None:
    name = f"header.{signers}-of-{validators}-seals"

    @case(name, FORGED, SECTION, expected, why, world={"validators": validators})
    def _(s: Scenario) -> None:
        listed = [address(key) for key in s.world.validators]
        s.seal(Sealing(by=s.world.validators[:signers], listed=listed))
        s.check(s.stick())


for pinned, needed in ((4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (64, 43)):
    _quorum(pinned, needed, ACCEPT, f"two thirds of {pinned}, rounded up, are {needed}: no more is needed")
    _quorum(
        pinned,
        needed - 1,
        NOT_SEALED,
        f"{needed - 1} of {pinned} is under two thirds: two blocks could have it",
    )


@case(
    "header.one-validator",
    FORGED,
    SECTION,
    ACCEPT,
    "a trust root may pin one validator, if it says so",
    world={"validators": 1, "min_validators": 1},
)
def _(s: Scenario) -> None:
    s.check(s.stick())


def _only(count: int, times: int) -> headers.Seals:
    return lambda seals, _digest: repeated(seals[:count], times)


_sealed(
    "one-seal-four-times",
    NOT_SEALED,
    "a validator that seals four times is one validator",
    seals=_only(1, 4),
)
_sealed(
    "two-seals-twice",
    NOT_SEALED,
    "seals of the same signer add nothing, however many there are",
    seals=_only(2, 4),
)
_sealed("a-seal-repeated", ACCEPT, "a repeated seal beside a quorum does no harm", seals=_only(4, 6))


def _malleable(seals: list[bytes], _digest: bytes) -> list[bytes]:
    """Write each of two seals with both values of s: four different byte strings, two signers."""
    order = SECP256K1_ORDER
    others = [
        seal[:32] + (order - int.from_bytes(seal[32:64], "big")).to_bytes(32, "big") + bytes([1 - seal[64]])
        for seal in seals[:2]
    ]
    return [*seals[:2], *others]


_sealed(
    "two-signers-with-both-s",
    NOT_SEALED,
    "the other s of a signature is the same signer: bytes that differ are not keys that differ",
    seals=_malleable,
)
_sealed(
    "strangers-beside-a-quorum",
    ACCEPT,
    "seals of unknown keys are ignored: one replaced validator must not be a flag day",
    strangers=headers.validators(3, "stranger"),
)
_sealed(
    "strangers-make-up-the-quorum",
    NOT_SEALED,
    "a stranger's seal counts for nothing",
    strangers=headers.validators(2, "stranger"),
    seals=lambda seals, _digest: seals[:4],
)
_sealed("no-seals", NOT_SEALED, "a header without seals is anybody's", seals=lambda _seals, _digest: [])


@case(
    "header.attackers-own-validators",
    FORGED,
    SECTION,
    NOT_SEALED,
    "who forges a header also writes its validator list: the set comes from the trust root",
)
def _(s: Scenario) -> None:
    s.seal(Sealing(by=headers.validators(4, "attacker")))
    s.check(s.stick())


_sealed(
    "another-validator-list",
    ACCEPT,
    "the list in extraData proves nothing, so it cannot refute the pinned set either",
    listed=[address(key) for key in headers.validators(4, "stranger")],
)
_sealed("empty-validator-list", ACCEPT, "the list in extraData is not looked at", listed=[])


@case(
    "header.attackers-listed-as-pinned",
    FORGED,
    SECTION,
    NOT_SEALED,
    "the pinned addresses in the list do not make the attackers' seals theirs",
)
def _(s: Scenario) -> None:
    pinned_addresses = [address(key) for key in s.world.validators]
    s.seal(Sealing(by=headers.validators(4, "attacker"), listed=pinned_addresses))
    s.check(s.stick())


for number in (1, 2, 300, 2**32 - 1):
    _sealed(
        f"round-{number}",
        ACCEPT,
        "seals sign the real round: code that mixes both hashes up works until a round changes",
        round=number,
    )
_sealed(
    "round-1-sealed-as-round-0",
    NOT_SEALED,
    "the digest that seals sign carries the real round",
    round=1,
    digest_round=0,
)
_sealed(
    "round-5-bytes",
    NOT_SEALED,
    "a round has at most four bytes",
    extra=lambda parts: parts.__setitem__(3, b"\x01" + bytes(4)),
)
_sealed(
    "round-with-leading-zero",
    NOT_SEALED,
    "a scalar is written in its shortest form",
    extra=lambda parts: parts.__setitem__(3, b"\x00\x01"),
)


@case(
    "header.sealed-over-the-block-hash",
    FORGED,
    SECTION,
    NOT_SEALED,
    "the block hash is another digest than the one that seals sign, at every round above 0",
)
def _(s: Scenario) -> None:
    def seals(_seals: list[bytes], digest: bytes) -> list[bytes]:
        # At round 1 the digest of round 0 is the block hash.
        return [recoverable(key, digest) for key in s.world.validators]

    s.seal(Sealing(by=s.world.validators, round=1, digest_round=0, seals=seals))
    s.check(s.stick())


_sealed(
    "vote-to-add",
    ACCEPT,
    "a header may carry a vote about validators",
    extra=lambda parts: parts.__setitem__(2, [bytes(20), b"\xff"]),
)
_sealed(
    "vote-malformed",
    NOT_SEALED,
    "a vote is an address and one of two bytes",
    extra=lambda parts: parts.__setitem__(2, [bytes(20), b"\x02"]),
)
_sealed(
    "extra-of-six-parts",
    NOT_SEALED,
    "extraData has five parts",
    extra=lambda parts: parts.append(b""),
)
_sealed(
    "vanity-of-31-bytes",
    NOT_SEALED,
    "vanity has 32 bytes",
    extra=lambda parts: parts.__setitem__(0, bytes(31)),
)
_sealed(
    "seal-of-64-bytes",
    NOT_SEALED,
    "a seal has 65 bytes: r, s and v",
    seals=lambda seals, _digest: [seal[:64] for seal in seals],
)
_sealed(
    "seals-of-zeros",
    NOT_SEALED,
    "r and s of zero are nobody's signature",
    seals=lambda seals, _digest: [bytes(65)] * len(seals),
)
_sealed(
    "129-seals",
    NOT_SEALED,
    "seals are counted before the first is checked: 128 at most",
    seals=lambda seals, _digest: [*seals, *(bytes([1, place]) + bytes(63) for place in range(125))],
)
_sealed(
    "129-listed-validators",
    NOT_SEALED,
    "a header's list is bounded before it is read: 128 at most",
    listed=[bytes([place]) + bytes(19) for place in range(129)],
)

for count in (15, 16, 17, 20, 21, 24):
    _sealed(f"{count}-fields", ACCEPT, "headers grow by a few fields with each fork", fields=count)
for count in (14, 25):
    _sealed(f"{count}-fields", NOT_SEALED, "a header has 15 to 24 fields", fields=count)


def _changed(name: str, at: int, value: rlp.Item, why: str) -> None:
    def change(fields: Fields) -> None:
        fields[at] = value

    _sealed(name, NOT_SEALED, why, change=change)


_changed("difficulty-2", 7, b"\x02", "a QBFT block has difficulty 1")
_changed("other-mix-hash", 13, bytes(32), "a QBFT block has its own mix hash")
_changed("nonce-1", 14, bytes(7) + b"\x01", "a QBFT block has nonce 0")
_changed("state-root-of-31-bytes", 3, bytes(31), "a hash has 32 bytes")
_changed("nested-list", 10, [b""], "every field of a header is a byte string")
_changed("number-with-leading-zero", 8, b"\x00\xff", "a number is written in its shortest form")
_changed("time-of-nine-bytes", 11, b"\x01" + bytes(8), "a time beyond 64 bits is no time")
_changed(
    "number-of-eight-full-bytes",
    8,
    b"\xff" * 8,
    "a height that no chain reaches would put the floor above every later block",
)


def _encoded(name: str, why: str, sealed: Callable[[bytes], bytes], expected: Expected = NOT_SEALED) -> None:
    _sealed(name, expected, why, sealed=sealed)


_encoded("trailing-byte", "nothing stands behind a header", lambda raw: raw + b"\x00")
_encoded("truncated", "a header ends where it says", lambda raw: raw[:-1])
_encoded(
    "long-length-form",
    "one header has one encoding: a longer form of a length is refused",
    lambda raw: b"\xfa" + (len(raw) - 3).to_bytes(3, "big") + raw[3:],
)


def _with_long_byte(raw: bytes) -> bytes:
    """Write the difficulty, one byte of value 1, as a string of length 1; lengths are adjusted."""
    items = rlp.decode_list(raw)
    parts = [rlp.encode(item) for item in items]
    parts[7] = b"\x81\x01"
    payload = b"".join(parts)
    size = rlp.encode_scalar(len(payload))
    return bytes([0xF7 + len(size)]) + size + payload


_encoded(
    "byte-in-long-form",
    "a byte under 0x80 stands for itself",
    _with_long_byte,
)


def _nested(_raw: bytes) -> bytes:
    """Give lists within lists, each of the right length, as deep as a header's bound in bytes allows."""
    nested = b"\xc0"
    while len(nested) < 32_000:
        size = rlp.encode_scalar(len(nested))
        nested = (
            bytes([0xC0 + len(nested)]) if len(nested) < 56 else bytes([0xF7 + len(size)]) + size
        ) + nested
    return nested


_encoded("nested-ten-thousand-deep", "depth is bounded before it is followed", _nested)


@case(
    "header.field-changed-after-sealing",
    FORGED,
    SECTION,
    NOT_SEALED,
    "what is sealed is the whole header: the state root cannot be put in afterwards",
)
def _(s: Scenario) -> None:
    evil = s.world.state()
    honest = s.world.chain[-1]
    s.block = honest
    header = headers.reversed_list(honest.header, 3, bytes(evil.root[::-1]))
    s.check(s.stick(header=header))


@case(
    "header.other-chain",
    "staging chain",
    SECTION,
    refuse(*HEADER, Reason.WRONG_CONTRACT),
    "an honest header of another network has other validators, and says nothing here",
)
def _(s: Scenario) -> None:
    s.seal(Sealing(by=[secp256k1_key(f"other chain {place}") for place in range(4)], round=0))
    s.check(s.stick())


@case(
    "header.below-from-block",
    "rollback",
    "V1",
    refuse(Reason.LEDGER_ROLLBACK),
    "the trust root says from which block on the ledger counts",
)
def _(s: Scenario) -> None:
    s.seal(number=99, time=s.world.time)
    s.check(s.stick())


@case(
    "header.before-from-time",
    "rollback",
    "V1",
    refuse(Reason.LEDGER_ROLLBACK),
    "the trust root says from what time on the ledger counts",
)
def _(s: Scenario) -> None:
    s.seal(time=1_799_999_999)
    s.check(s.stick())
