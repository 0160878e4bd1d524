"""A rollout as it goes: how far it has come, who said what, who is silent, and where it is heading.

What a node's logs say, for screens; `fwledger audit` proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ledger_client.config import checksum_address
from ledger_client.errors import UsageError
from ledger_client.forecasting import forecast
from ledger_protocol.ledger.contract_state import ChannelWord, Tally
from ledger_protocol.ledger.rollout import ALL_BPS, cohort, share_bps
from ledger_protocol.report.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger_client.contract import Log
    from ledger_client.forecasting import Forecast
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger, Publication

_U8, _U32, _U40 = 2**8 - 1, 2**32 - 1, 2**40 - 1
# Where a stamp holds what (contracts: events).
_KIND_AT, _TIME_AT, _RELEASE_AT, _VOTED_AT = 32, 40, 80, 144

# A device whose factory image it is runs it, too.
_DONE = frozenset({EventKind.BASELINE, EventKind.CONFIRMED})
# What closes a vote (ledger.md, Votes).
_VOTES = frozenset({EventKind.CONFIRMED, EventKind.REVERTED, EventKind.FAILED})
_BAD = frozenset({EventKind.REJECTED, EventKind.REVERTED, EventKind.FAILED, EventKind.UNREACHABLE})


class Course(StrEnum):
    """Where a publication stands. All but RUNNING are the end of watching."""

    RUNNING = "running"
    COMPLETE = "complete"
    HALTED = "halted"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Failure:
    """A device whose last word about the release is that it does not run it. `time_s` is its own clock's."""

    device: bytes
    kind: str
    time_s: int
    counted: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A publication at one block. `devices` are those of the channel's groups that are not retired;
    `reached` of them the rollout has reached. Of these each is one of installed, confirmed, failed or silent.
    """

    release: bytes
    channel: bytes
    block: int
    time_s: int
    course: Course
    word: ChannelWord
    share_bps: int
    devices: int
    reached: int
    installed: int
    confirmed: int
    silent: int
    failures: tuple[Failure, ...]
    tally: Tally
    forecast: Forecast

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "release": "0x" + self.release.hex(),
            "channel_id": "0x" + self.channel.hex(),
            "block": self.block,
            "time": self.time_s,
            "course": str(self.course),
            "share_bps": self.share_bps,
            "devices": self.devices,
            "reached": self.reached,
            "installed": self.installed,
            "confirmed": self.confirmed,
            "failed": len(self.failures),
            "silent": self.silent,
            "failures": [
                {
                    "device": checksum_address(one.device),
                    "kind": one.kind,
                    "device_time": one.time_s,
                    "counted": one.counted,
                }
                for one in self.failures
            ],
            "votes": {
                "installed": self.tally.installed,
                "confirmed": self.tally.confirmed,
                "failed": self.tally.failed,
            },
            "forecast": {
                "all_reached_at": self.forecast.all_reached_at,
                "complete_at": self.forecast.complete_at,
                "failures_to_halt": self.forecast.failures_to_halt,
            },
        }


@dataclass(frozen=True, slots=True)
class _Said:
    """A device's last word about the release."""

    kind: EventKind
    time_s: int
    counted: bool


class Watch:
    """One publication, watched. `look` reads what is new since it last looked."""

    def __init__(
        self, ledger: Ledger, journal: Journal, publication: Publication, *, from_block: int
    ) -> None:
        self.ledger = ledger
        self.journal = journal
        self.publication = publication
        self._next = from_block
        self._groups: dict[int, bytes] = {}
        self._placed: dict[bytes, tuple[int, bool]] = {}
        self._said: dict[bytes, _Said] = {}

    def look(self) -> Snapshot:
        """The publication at the newest block."""
        newest = self.ledger.network.block_number()
        if newest >= self._next:
            self._read(self._next, newest)
            self._next = newest + 1
        ledger, release, channel = self.ledger, self.publication.release, self.publication.channel
        # All at the same block as the logs: else votes could be counted of which no device was heard.
        read, now_s = ledger.contract.read, ledger.network.block_time(newest)
        word = ChannelWord.decode(int(read("word", channel, block=newest)))
        published_at = self.publication.word.published_at
        head = bytes(read("head", channel, block=newest))
        current = (word.published_at, head) == (published_at, release)
        if not current:
            word = self.publication.word
        share = share_bps(word, now_s)
        mine = [
            device
            for device, (group, retired) in self._placed.items()
            if not retired and self._groups.get(group) == channel
        ]
        reached = [device for device in mine if cohort(release, device) < share or device in self._said]
        said = {device: self._said[device] for device in reached if device in self._said}
        bad = tuple(
            Failure(device, one.kind.name.lower(), one.time_s, one.counted)
            for device, one in said.items()
            if one.kind in _BAD
        )
        confirmed = sum(one.kind in _DONE for one in said.values())
        # A device votes once. Where its last word hides that it did, it counts as left: better one too many.
        voted = sum(one.counted and one.kind in _VOTES for one in said.values())
        installed = len(said) - confirmed - len(bad)
        tally = Tally.decode(int(self.journal.contract.read("tally", release, published_at, block=newest)))
        decided = confirmed + len(bad)
        if not current:
            course = Course.SUPERSEDED
        elif int(read("revoked", release, block=newest)):
            course = Course.REVOKED
        elif word.halted:
            course = Course.HALTED
        elif mine and share >= ALL_BPS and decided == len(mine):
            course = Course.COMPLETE
        else:
            course = Course.RUNNING
        return Snapshot(
            release=release,
            channel=channel,
            block=newest,
            time_s=now_s,
            course=course,
            word=word,
            share_bps=share,
            devices=len(mine),
            reached=len(reached),
            installed=installed,
            confirmed=confirmed,
            silent=len(reached) - len(said),
            failures=bad,
            tally=tally,
            forecast=forecast(
                word,
                tally,
                now_s=now_s,
                decided=decided,
                reached=len(reached),
                devices=len(mine),
                left=len(mine) - voted,
            ),
        )

    def _read(self, first: int, last: int) -> None:
        """Take in the logs of some blocks."""
        for log in self.ledger.contract.logs("GroupAssigned", from_block=first, to_block=last):
            self._groups[int(log.values["group"])] = bytes(log.values["channel"])
        placed = [
            log
            for event in ("Enrolled", "Placed")
            for log in self.journal.contract.logs(event, from_block=first, to_block=last)
        ]
        for log in sorted(placed, key=_place):
            self._placed[log.values["device"]] = (int(log.values["group"]), bool(log.values.get("retired")))
        since = max(first, self.publication.log.block_number)
        if since > last:
            return
        match = {"release": self.publication.release}
        told = list(self.journal.contract.logs("Recorded", from_block=since, to_block=last, match=match))
        told += self.journal.contract.logs("QueueRecorded", from_block=since, to_block=last)
        for log in sorted(told, key=_place):
            for said in _statements(log, self.publication.release):
                self._said[log.values["device"]] = said


def find_publication(
    ledger: Ledger, *, from_block: int, channel: bytes | None, release: bytes | None
) -> Publication:
    """The newest publication of a channel, of a release, or of both. Raises UsageError where there is none,
    or where a release is on several channels and none is named.
    """
    found = list(
        ledger.publications(
            from_block=from_block,
            to_block=ledger.network.block_number(),
            channel=channel,
            release=release,
        )
    )
    if not found:
        raise UsageError("nothing was published there", hint="`fwledger release list` shows what was")
    if len({one.channel for one in found}) > 1:
        raise UsageError("this release is on several channels", hint="--channel NAME")
    return found[-1]


def _statements(log: Log, release: bytes) -> Iterator[_Said]:
    """What a log says about a release, in order."""
    if log.event == "Recorded":
        stamp = int(log.values["stamp"])
        yield _said(stamp, counted=bool(stamp >> _VOTED_AT & 1))
        return
    releases, state = log.values["releases"], int(log.values["state"])
    for position, (stamp, _) in enumerate(map(_pair, log.values["reports"])):
        if bytes(releases[stamp >> _RELEASE_AT & _U8]) == release:
            yield _said(stamp, counted=bool(state >> (_VOTED_AT + position) & 1))


def _pair(report: Any) -> tuple[int, bytes]:
    """A queued report, which web3 gives as a tuple or as names."""
    return (report["stamp"], report["detail"]) if hasattr(report, "keys") else (report[0], report[1])


def _said(stamp: int, *, counted: bool) -> _Said:
    return _Said(EventKind(stamp >> _KIND_AT & _U8), stamp >> _TIME_AT & _U40, counted)


def _place(log: Log) -> tuple[int, int]:
    return log.block_number, log.log_index
