"""Update events: what a device signs about itself, each chained to the one before (protocol.md §6)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ledger_protocol import eip712
from ledger_protocol.errors import MalformedError, MismatchError
from ledger_protocol.limits import MAX_TIME_S, MAX_U32
from ledger_protocol.report import device_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from ledger_protocol.ledger.contract_state import DeviceWord

TYPE = "UpdateEvent(bytes32 release,uint32 sequence,uint8 kind,uint40 time,bytes32 detail,bytes32 previous)"
NO_PREVIOUS = bytes(32)
_LINK_BYTES = 20  # the journal keeps 160 bits of a digest, so that a device fits one word


class EventKind(IntEnum):
    """What happened, as the contract numbers it."""

    BASELINE = 1  # what I run: the first event after enrolment
    INSTALLED = 2  # armed, before the reboot: makes silent bricks visible
    CONFIRMED = 3
    REVERTED = 4
    FAILED = 5
    UNREACHABLE = 6  # reverted for reachability alone; never votes
    REJECTED = 7  # refused before arming; never votes
    CHECKED = 8  # anchored only


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEvent:
    """One event. `release`, `detail` (SHA-256 of the report) and `previous` are 32 bytes, `time` is Unix s
    by the device.
    """

    release: bytes
    sequence: int
    kind: EventKind
    time: int
    detail: bytes
    previous: bytes

    def __post_init__(self) -> None:
        """Refuse what the contract's types cannot hold."""
        for name in ("release", "detail", "previous"):
            if len(getattr(self, name)) != 32:
                raise MalformedError(f"event: {name}", expected="32 bytes", got=len(getattr(self, name)))
        if self.previous != chain_link(self.previous):
            raise MalformedError("event: previous", expected="low 96 bits zero", got=self.previous)
        if not 1 <= self.sequence <= MAX_U32:
            raise MalformedError("event: sequence", expected=f"1 to {MAX_U32}", got=self.sequence)
        if not 0 <= self.time <= MAX_TIME_S:
            raise MalformedError("event: time", expected=f"0 to {MAX_TIME_S}", got=self.time)


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event and its 64-byte signature (r, s); unverified until `verify_event_signature`."""

    event: UpdateEvent
    signature: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are missing between two sequence numbers, both given as the ones present."""

    after: int
    before: int


def event_digest(event: UpdateEvent, *, chain_id: int, journal: bytes) -> bytes:
    """Give the 32 bytes that a device signs for the journal at a 20-byte address."""
    words = (
        event.release,
        eip712.uint_word(event.sequence),
        eip712.uint_word(event.kind),
        eip712.uint_word(event.time),
        event.detail,
        event.previous,
    )
    return eip712.digest(eip712.domain_separator(chain_id, journal), eip712.struct_hash(TYPE, words))


def chain_link(digest: bytes) -> bytes:
    """Give the `previous` of the event after the one with this digest: its low 96 bits zero."""
    return digest[:_LINK_BYTES] + bytes(32 - _LINK_BYTES)


def sign_event(
    private_key: ec.EllipticCurvePrivateKey, event: UpdateEvent, *, chain_id: int, journal: bytes
) -> SignedEvent:
    """Sign an event with the device's key, low s."""
    digest = event_digest(event, chain_id=chain_id, journal=journal)
    return SignedEvent(event, device_key.sign_digest(private_key, digest))


def verify_event_signature(digest: bytes, signature: bytes, public_key: bytes) -> None:
    """Check a device's signature over an event's digest; `public_key` is 65 bytes. Raises SignatureError."""
    device_key.verify_digest(digest, signature, public_key)


def verify_chain(
    events: Sequence[UpdateEvent], *, after: DeviceWord, chain_id: int, journal: bytes
) -> tuple[Gap, ...]:
    """Check that events follow the device's proven word and one another, as the journal does; name the gaps.

    Raises MismatchError where a sequence does not rise, or where the next number does not carry the digest
    before it: a fork in the device's history.
    """
    return _gaps(events, after.sequence, after.previous, chain_id=chain_id, journal=journal)


def verify_follows(events: Sequence[UpdateEvent], *, chain_id: int, journal: bytes) -> tuple[Gap, ...]:
    """Check that events follow one another, whatever came before the first; name the gaps. Raises
    MismatchError.
    """
    if not events:
        return ()
    first = events[0]
    return _gaps(events, first.sequence - 1, first.previous, chain_id=chain_id, journal=journal)


def verify_queue(events: Sequence[UpdateEvent], *, chain_id: int, journal: bytes) -> None:
    """Check that one signature over the last event covers them all: each but the first follows the one
    before it.

    Raises MalformedError for no events, MismatchError where one does not follow.
    """
    if not events:
        raise MalformedError("queue of events", expected="at least one", got="none")
    for before, event in itertools.pairwise(events):
        link = chain_link(event_digest(before, chain_id=chain_id, journal=journal))
        if (event.sequence, event.previous) != (before.sequence + 1, link):
            raise MismatchError(
                f"queue: event {event.sequence} does not follow {before.sequence}",
                expected=link,
                got=event.previous,
            )


def _gaps(
    events: Sequence[UpdateEvent], sequence: int, previous: bytes, *, chain_id: int, journal: bytes
) -> tuple[Gap, ...]:
    gaps: list[Gap] = []
    for event in events:
        if event.sequence <= sequence:
            raise MismatchError("event: sequence", expected=f"above {sequence}", got=event.sequence)
        if event.sequence == sequence + 1:
            if event.previous != previous:
                raise MismatchError(
                    f"event {event.sequence}: previous", expected=previous, got=event.previous
                )
        else:
            gaps.append(Gap(after=sequence, before=event.sequence))
        sequence = event.sequence
        previous = chain_link(event_digest(event, chain_id=chain_id, journal=journal))
    return tuple(gaps)
