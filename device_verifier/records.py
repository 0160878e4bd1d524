"""What the store keeps, as types."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from ledger_protocol.report.reasons import Reason

__all__ = [
    "BUSY_PHASES",
    "ChunkRecord",
    "EventChain",
    "Install",
    "LogLine",
    "Origin",
    "Phase",
    "QueuedEvent",
    "Refusal",
    "read_reason",
]

_CODES: Final = frozenset(reason.value for reason in Reason)
# What a failure that a newer agent noted by a code of its own is taken for: it is as final as any.
_NEWER: Final = Reason.HEALTH_FAILED


def read_reason(code: str) -> Reason | None:
    """Return a stored reason code's meaning, None for one that only a newer agent knows.

    That agent may have run on trial and fallen back: what it wrote must not stop the older one.
    """
    return Reason(code) if code in _CODES else None


class Phase(StrEnum):
    """Where an update stands (design: device.md, State machine). Each arrow is one durable transaction."""

    IDLE = "idle"
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    STAGED = "staged"
    ARMED = "armed"
    TRIAL = "trial"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"

    def leads_to(self, phase: "Phase") -> bool:
        """Say whether the state machine has an arrow from here to `phase`."""
        return phase in _ARROWS[self]


_ARROWS: Final = {
    Phase.IDLE: {Phase.OFFERED},
    Phase.OFFERED: {Phase.DOWNLOADING, Phase.IDLE},
    Phase.DOWNLOADING: {Phase.STAGED, Phase.IDLE},
    # Back to downloading: a staged slot whose bytes no longer hash to what was read back.
    Phase.STAGED: {Phase.ARMED, Phase.IDLE, Phase.DOWNLOADING},
    Phase.ARMED: {Phase.TRIAL, Phase.REVERTED},
    Phase.TRIAL: {Phase.CONFIRMED, Phase.REVERTED},
    Phase.CONFIRMED: {Phase.OFFERED, Phase.IDLE},
    Phase.REVERTED: {Phase.OFFERED, Phase.IDLE},
}
# An install is under way: another may not begin.
BUSY_PHASES: Final = frozenset({Phase.OFFERED, Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED, Phase.TRIAL})


class Origin(StrEnum):
    """Where an install's bytes came from; the built-in health check asks for the same kind."""

    NETWORK = "network"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Install:
    """The install under way, or the last one that ended."""

    phase: Phase
    release: bytes
    head: bytes
    """The channel's head when it was offered; another release where this one is a stepping stone to it."""
    slot: str
    """The slot set that it goes to."""
    origin: Origin
    overridden: bool
    """A technician said `--now`."""
    started_at_s: int
    armed_at_s: int | None
    manifest: bytes
    """The verified manifest block."""
    reason: Reason | None
    """Why it ended or failed; None while all is well."""
    detail: str

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the columns, in the order of `to_row`."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of the columns in their order."""
        values = dict(zip(cls.columns(), row, strict=True))
        return cls(
            **{
                **values,
                "phase": Phase(values["phase"]),
                "origin": Origin(values["origin"]),
                "overridden": bool(values["overridden"]),
                "reason": None if values["reason"] is None else read_reason(values["reason"]) or _NEWER,
            }
        )

    def to_row(self) -> tuple[object, ...]:
        """Return the columns' values."""
        return tuple(getattr(self, name) for name in self.columns())


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A leaf of an image as it was written to a slot (bytes; `digest` is its SHA-256)."""

    slot: str
    slot_class: str
    offset: int
    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a release was not installed, or did not stay.

    `count` is how often; `retry_at_s` when it may be tried again (None: not until its id changes or an
    operator clears it). `by_policy` tells a refusal before any write, which every check judges afresh, from
    a failure here.
    """

    release: bytes
    reason: Reason
    detail: str
    at_s: int
    count: int
    retry_at_s: int | None
    by_policy: bool

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of the fields in their order."""
        release, code, detail, at_s, count, retry_at_s, by_policy = row
        reason = read_reason(code) or _NEWER
        return cls(release, reason, detail, at_s, count, retry_at_s, bool(by_policy))

    def holds(self, at_s: int, *, clock_error_s: int) -> bool:
        """Say whether it still holds at `at_s`.

        One that waits holds only where its own time can be right: written by a clock that was further ahead
        than `clock_error_s`, it would keep the release away for as long as that clock was wrong.
        """
        return self.retry_at_s is None or self.at_s - clock_error_s <= at_s < self.retry_at_s


@dataclass(frozen=True, slots=True)
class EventChain:
    """Where the device's chain of events ends: the last sequence, and what the next event's `previous` must
    be.
    """

    sequence: int
    link: bytes


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """A signed event that the journal is not proven to hold yet.

    `receipts` is a receipts document with this one event and its report; `link` is what the journal's word
    ends in once it is in.
    """

    sequence: int
    receipts: bytes
    link: bytes


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the device's own history. `release` is None where none is concerned."""

    at_s: int
    what: str
    release: bytes | None
    reason: Reason | None
    detail: str

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of the fields in their order; a code that is not known here stands in the detail."""
        at_s, what, release, code, detail = row
        reason = None if code is None else read_reason(code)
        unknown = code is not None and reason is None
        return cls(at_s, what, release, reason, f"{code}: {detail}" if unknown else detail)
