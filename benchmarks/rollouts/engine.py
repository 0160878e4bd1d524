"""A rollout from publication to its end, tick by tick, on whatever side answers: the chain or the model.

Devices look once a day, as their default configuration has it, and install when the side says so. A relay
carries what they report every half an hour, in batches of at most 512. Each side writes down what it was told
and what came of it, so that two sides can be compared line by line.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmarks.rollouts.plan import HOUR_S, JITTER_S, POLL_S
from ledger_client.journal import MAX_BATCH, MAX_QUEUE
from ledger_protocol.report.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.rollouts.plan import Plan

TICK_S = HOUR_S // 2
# No scenario lasts longer; a run that does not end is a defect.
MAX_TICKS = 60 * 24 * HOUR_S // TICK_S
# How often the rooted device speaks after its first burst, and with how many events a batch.
ROOTED_EVERY_TICKS = 12
ROOTED_BATCH = 48

Said = tuple[int, EventKind]  # a device's number, and what it says


@dataclass(frozen=True)
class Seen:
    """What devices saw at a tick: the time of the newest block (Unix s), the channel's word, the votes."""

    time: int
    epoch: int
    halted: bool
    share_bps: int
    votes: tuple[int, int, int]


class Side(Protocol):
    """Who keeps the votes. Times are Unix seconds, and rise."""

    log: list[object]

    def publish(self) -> int:
        """Publish the plan's release; the publication's time."""
        ...

    def batch(self, at_s: int, said: Sequence[Said]) -> None:
        """Record one event each, in one transaction of a block of this time."""
        ...

    def queue(self, at_s: int, device: int, kinds: Sequence[EventKind]) -> None:
        """Record a device's own events under one signature."""
        ...

    def replay(self, at_s: int, device: int) -> None:
        """Send the device's last event of a batch once more."""
        ...

    def look(self, at_s: int) -> Seen:
        """The newest state; of a new block of this time where nothing was sent in it."""
        ...

    def installs(self, device: int) -> bool:
        """Whether a device that sees what was last looked at installs the release."""
        ...

    def missing(self) -> tuple[int, int]:
        """What a guardian reads: devices that installed, and those of them that said nothing since."""
        ...

    def halt(self, at_s: int) -> None:
        """A guardian halts the channel."""
        ...


@dataclass(frozen=True)
class Result:
    """How it ended. Seconds and counts are since the publication; `halted_s` None = it went through.

    `failed_at_halt` are the devices that had failed when the channel was halted, whether they had said so or
    not; `failed` those that had in the end, the ones in the middle of an install included.
    """

    scenario: str
    seed: int
    halted_s: int | None
    failed_at_halt: int
    failed: int
    installed: int
    votes: tuple[int, int, int]
    reports: int
    lasted_s: int


def run(plan: Plan, side: Side, *, tell: Callable[[str], None] = lambda _: None) -> Result:
    """Run a plan to its end: halted, or installed everywhere, and every report in."""
    return _Run(plan, side, tell).to_the_end()


class _Run:
    def __init__(self, plan: Plan, side: Side, tell: Callable[[str], None]) -> None:
        self.plan, self.side, self.tell = plan, side, tell
        self.polls: defaultdict[int, list[int]] = defaultdict(list)
        self.due: defaultdict[int, list[Said]] = defaultdict(list)
        self.fails_at: list[int] = []  # when devices fail, in seconds since the publication
        self.installed = self.reports = 0
        self.halted_s: int | None = None
        self.honest = len(plan.cohorts) - (plan.rooted is not None)
        for device, first_s in enumerate(plan.first_poll_s):
            if device != plan.rooted:
                self.polls[1 + first_s // TICK_S].append(device)

    def to_the_end(self) -> Result:
        published_at = self.side.publish()
        for tick in range(1, MAX_TICKS):
            at_s = published_at + tick * TICK_S
            sent = self._carry(at_s, self.due.pop(tick, []))
            for act in self._rooted(tick):
                act(at_s + sent)
                sent += 1
            seen = self.side.look(at_s)
            if self._guardian_halts(tick):
                self.side.halt(at_s + max(sent, 1))
                seen = self.side.look(at_s)
            self.side.log.append(seen)
            if seen.halted and self.halted_s is None:
                self.halted_s = tick * TICK_S
            self._poll(tick)
            if tick * TICK_S % (24 * HOUR_S) == 0:
                self.tell(
                    f"hour {tick * TICK_S // HOUR_S}: share {seen.share_bps / 100:g} %, votes {seen.votes}"
                )
            if not self.due and (self.halted_s is not None or self.installed == self.honest):
                return self._result(tick, seen)
        raise RuntimeError(f"{self.plan.scenario.name}, seed {self.plan.seed}: the rollout does not end")

    def _carry(self, at_s: int, waiting: Sequence[Said]) -> int:
        """The relay sends what waits; how many blocks it took."""
        self.reports += len(waiting)
        starts = range(0, len(waiting), MAX_BATCH)
        for number, start in enumerate(starts):
            self.side.batch(at_s + number, waiting[start : start + MAX_BATCH])
        return len(starts)

    def _poll(self, tick: int) -> None:
        """Devices look at the ledger; those that install will say how it went."""
        plan, scenario = self.plan, self.plan.scenario
        for device in self.polls.pop(tick, ()):
            if not self.side.installs(device):
                wait_s = POLL_S + plan.rng.randrange(JITTER_S)
                self.polls[tick + wait_s // TICK_S].append(device)
                continue
            self.installed += 1
            self.due[tick + 1].append((device, EventKind.INSTALLED))
            told_s = tick * TICK_S + plan.report_after_s[device]
            kind = EventKind.CONFIRMED
            if device in plan.failing:
                self.fails_at.append(told_s)
                told_s += scenario.late_s
                kind = EventKind.FAILED
                if scenario.silent:
                    continue
            self.due[1 + max(told_s // TICK_S, tick + 1)].append((device, kind))

    def _guardian_halts(self, tick: int) -> bool:
        """Whether a guardian who looks when the hold ends finds more devices missing than the breaker allows
        to fail.
        """
        rollout = self.plan.scenario.rollout
        if not self.plan.scenario.watched or tick * TICK_S != rollout.hold_hours * HOUR_S - TICK_S:
            return False
        installed, missing = self.side.missing()
        return missing * 10_000 > rollout.halt_bps * installed

    def _rooted(self, tick: int) -> Iterator[Callable[[int], None]]:
        """What the rooted device sends: a whole batch of its own, then smaller ones, queues and replays.

        It wants a good release halted, and a bad one to go on.
        """
        device, side = self.plan.rooted, self.side
        if device is None or tick % ROOTED_EVERY_TICKS != 1 or (tick > 1 and self.halted_s is not None):
            return
        lie = EventKind.CONFIRMED if self.plan.scenario.bad else EventKind.FAILED
        again = (lie, EventKind.INSTALLED, lie, EventKind.REVERTED)
        size = MAX_BATCH if tick == 1 else ROOTED_BATCH
        yield lambda at_s: side.batch(at_s, [(device, again[n % len(again)]) for n in range(size)])
        yield lambda at_s: side.replay(at_s, device)
        yield lambda at_s: side.queue(at_s, device, [again[n % len(again)] for n in range(MAX_QUEUE)])

    def _result(self, tick: int, seen: Seen) -> Result:
        halted_s = self.halted_s
        return Result(
            scenario=self.plan.scenario.name,
            seed=self.plan.seed,
            halted_s=halted_s,
            failed_at_halt=sum(1 for at in self.fails_at if halted_s is None or at <= halted_s),
            failed=len(self.fails_at),
            installed=self.installed,
            votes=seen.votes,
            reports=self.reports,
            lasted_s=tick * TICK_S,
        )
