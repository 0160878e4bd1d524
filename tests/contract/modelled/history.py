"""What was recorded, at two moments: nothing of it may be gone, changed or smaller, whoever acted between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contract.modelled.state import State


@dataclass(frozen=True)
class Entry:
    """`fixed` never changes, `risen` only rises, and all of what is `told` changes by devices' events alone."""

    fixed: tuple[object, ...] = ()
    risen: tuple[int, ...] = ()
    told: tuple[object, ...] = ()


History = dict[tuple[object, ...], Entry]


def history(state: State) -> History:
    """All that was recorded so far, by what it is and its name."""
    found = {
        ("root",): Entry(risen=(state.root[1],)),
        ("rules",): Entry(risen=(state.govern_epoch, state.era, state.next_seat)),
    }
    for release, entry in state.revoked.items():
        found["revoked", release] = Entry((entry.time, entry.reason), (entry.mandatory,))
    for named, time in state.operators.items():
        found["approval", *named] = Entry((time,))
    for name, channel in state.channels.items():
        rising = channel.sequence, channel.security_version, channel.epoch, channel.published_at
        found["channel", name] = Entry(risen=rising)
    for change, queued in state.queue.items():
        fixed = queued.ready_at, queued.era, queued.removed
        found["change", change] = Entry(fixed, (queued.executed, queued.cancelled))
    for account, member in state.members.items():
        # Who has no seat has the highest number; a seat is for good.
        found["member", account] = Entry(risen=(-member.seat,))
    for device, word in state.devices.items():
        told = word.sequence, word.head, word.counted, word.open_vote
        found["device", device] = Entry(risen=(word.sequence, word.counted), told=told)
    for named, votes in state.tallies.items():
        counts = votes.installed, votes.confirmed, votes.failed
        found["tally", *named] = Entry((votes.channel,), counts, counts)
    return found


def lost(before: History, after: History, *, by_devices: bool) -> list[tuple[object, ...]]:
    """The names of what is gone, was changed or fell; and, where no device spoke, of what devices had said."""
    return [name for name, held in before.items() if not _kept(held, after.get(name), by_devices)]


def _kept(held: Entry, now: Entry | None, by_devices: bool) -> bool:
    return (
        now is not None
        and now.fixed == held.fixed
        and all(new >= old for old, new in zip(held.risen, now.risen, strict=True))
        and (by_devices or now.told == held.told)
    )
