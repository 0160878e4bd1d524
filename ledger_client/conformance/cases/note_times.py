"""Witness notes: how fresh they are, and notes beside sealed headers (protocol.md §4, V1 and V2)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, NOTE, Expected, refuse
from ledger_client.conformance.cases.notes import (
    AGED,
    BOTH,
    EITHER,
    FORGED,
    FREEZE,
    HOUR_S,
    SECTION,
    SPLIT,
    THREE_OF_FIVE,
    signed_by,
)
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import headers, notes
from ledger_client.conformance.world.headers import Sealing
from ledger_protocol.report.reasons import Reason


def _aged(name: str, expected: Expected, why: str, hours: Sequence[int]) -> None:
    """A block of long ago, noted again by witnesses at these hours before now."""

    @case(f"note.{name}", FREEZE, "V2", expected, why, world=AGED)
    def _(s: Scenario) -> None:
        now = s.world.time + 30 * 24 * HOUR_S
        times = [now - age * HOUR_S for age in hours]
        note = s.world.note(signers=s.world.witnesses[: len(hours)], times=times)
        s.check(s.stick(note=note), now=now)


_aged("heartbeat-of-three", ACCEPT, "three witnesses say that it is still the newest block", (0, 0, 0))
_aged("heartbeat-of-three-among-five", ACCEPT, "the third newest of five times is now", (700, 0, 700, 0, 0))
_aged(
    "heartbeat-of-one",
    refuse(Reason.STALE_LEDGER),
    "one stolen key must not refresh a note of last month: the third newest time counts, not the newest",
    (0, 700, 700),
)
_aged(
    "heartbeat-of-two",
    refuse(Reason.STALE_LEDGER),
    "two of three heartbeats are under the threshold",
    (0, 0, 700, 700, 700),
)


@case(
    "note.heartbeat-from-the-future",
    FREEZE,
    "V2",
    refuse(Reason.HEADER_FROM_FUTURE, Reason.NOTE_QUORUM),
    "stolen keys that sign far ahead would make every later truth look old",
    world=AGED,
)
def _(s: Scenario) -> None:
    now = s.world.time
    s.check(s.stick(note=s.world.note(times=[now + 400 * 24 * HOUR_S] * 3)), now=now)


@case(
    "note.two-blocks-at-one-height",
    SPLIT,
    "V2",
    refuse(Reason.SPLIT_VIEW),
    "two blocks at one height, both noted: witnesses contradict themselves",
    world=THREE_OF_FIVE,
)
def _(s: Scenario) -> None:
    s.check(s.stick(), expect=ACCEPT)
    other = s.seal(number=s.block.number, time=s.block.time, state_root=None)
    s.check(s.stick(other, note=s.world.note(s.world.said(other, hash=bytes(32)))))


# --- both paths


@case("both.header-and-note", FORGED, SECTION, ACCEPT, "validators and witnesses agree", world=BOTH)
def _(s: Scenario) -> None:
    s.check(s.stick())


@case(
    "both.header-of-round-2",
    FORGED,
    SECTION,
    ACCEPT,
    "witnesses name the block hash, which is not the digest that seals sign",
    world=BOTH,
)
def _(s: Scenario) -> None:
    s.seal(Sealing(by=s.world.validators, round=2))
    s.check(s.stick())


def _both(
    name: str, expected: Expected, why: str, attack: str = FORGED, **proof: Callable[[Scenario], Any]
) -> None:
    @case(f"both.{name}", attack, SECTION, expected, why, world=BOTH)
    def _(s: Scenario) -> None:
        s.check(s.stick(**{part: make(s) for part, make in proof.items()}))


NEITHER: Final = refuse(*NOTE, Reason.HEADER_QUORUM, Reason.SPLIT_VIEW)
_both("header-alone", NEITHER, "where both are required, one is not enough", note=lambda _s: None)
_both("note-alone", NEITHER, "where both are required, one is not enough", header=lambda _s: None)
_both("too-few-witnesses", NEITHER, "each path has its own threshold", note=signed_by(0, 1))
_both(
    "note-of-another-height",
    NEITHER,
    "header and note must speak of the same block",
    "mix-and-match",
    note=lambda s: s.world.note(s.world.said(number=5_000)),
)
_both(
    "note-of-another-hash",
    NEITHER,
    "validators and witnesses vouch for different blocks at one height",
    SPLIT,
    note=lambda s: s.world.note(s.world.said(hash=bytes(32))),
)
_both(
    "note-of-another-state",
    NEITHER,
    "the state root must agree as well",
    SPLIT,
    note=lambda s: s.world.note(s.world.said(state_root=bytes(32))),
)
_both(
    "note-of-another-time",
    NEITHER,
    "the time must agree as well",
    SPLIT,
    note=lambda s: s.world.note(s.world.said(time=s.block.time - 1)),
)


@case("both.too-few-seals", FORGED, SECTION, NEITHER, "each path has its own threshold", world=BOTH)
def _(s: Scenario) -> None:
    s.seal(s.undersealed())
    s.check(s.stick())


for name, part in (("header-alone", "note"), ("note-alone", "header")):

    @case(f"either.{name}", FORGED, SECTION, ACCEPT, "where any path is enough, one is enough", world=EITHER)
    def _(s: Scenario, missing: str = part) -> None:
        s.check(s.stick(**{missing: None}))


@case(
    "either.both-under-their-threshold",
    FORGED,
    SECTION,
    NEITHER,
    "two seals and two witnesses do not add up",
    world=EITHER,
)
def _(s: Scenario) -> None:
    s.seal(s.undersealed())
    s.check(s.stick(note=s.world.note(signers=s.world.witnesses[:2])))


@case(
    "note.where-none-is-pinned",
    FORGED,
    SECTION,
    refuse(*NOTE, Reason.HEADER_QUORUM),
    "a trust root that pins validators alone knows no witnesses",
)
def _(s: Scenario) -> None:
    said = notes.Said(
        origin="acme.example/evm/1337",
        number=s.block.number,
        hash=headers.block_hash(s.block.header),
        state_root=s.block.state.root,
        time=s.block.time,
    )
    s.check(s.stick(header=None, note=s.world.note(said, signers=notes.witnesses(5))))
