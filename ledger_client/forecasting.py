"""Where a rollout is heading: when it reaches all, when the last has answered, how near the breaker is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.ledger.rollout import ALL_BPS, share_bps

if TYPE_CHECKING:
    from ledger_protocol.ledger.contract_state import ChannelWord, Tally


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where it is heading. Times are Unix seconds, None where nothing can be said.

    `complete_at` is when the last will have confirmed or failed, at the pace so far; `failures_to_halt` is
    how many counted failures in a row would trip the breaker now, None where it is off or where fewer devices
    are left that may vote.
    """

    all_reached_at: int | None
    complete_at: int | None
    failures_to_halt: int | None


def forecast(
    word: ChannelWord, tally: Tally, *, now_s: int, decided: int, reached: int, devices: int, left: int
) -> Forecast:
    """Where a rollout is heading: of its `devices` it reached so many, of whom `decided` confirmed or failed;
    `left` have not voted yet.

    The curve says when the last are reached. They take as long then as others did: since the curve passed the
    share that has decided by now, or at the pace so far while that is still the first share.
    """
    end = word.rollout_from + (word.hold_hours + word.ramp_hours) * 3600
    all_at: int | None = None
    if share_bps(word, now_s) >= ALL_BPS:
        all_at = now_s
    elif not word.halted and word.initial_bps:
        all_at = end
    complete_at: int | None = None
    if all_at is not None and decided:
        ramped = decided * ALL_BPS // devices - word.initial_bps
        if decided == reached:
            complete_at = all_at
        elif ramped >= 0 and word.ramp_hours and now_s > end - word.ramp_hours * 3600 and not word.immediate:
            ramp_s = word.ramp_hours * 3600
            passed = end - ramp_s + ramp_s * ramped // (ALL_BPS - word.initial_bps)
            complete_at = max(end + now_s - passed, now_s)
        else:
            complete_at = all_at + (reached - decided) * (now_s - word.published_at) // decided
    more = None if word.halted else failures_to_halt(word, tally)
    if more is not None and more > left:
        more = None
    return Forecast(all_at, complete_at, more)


def failures_to_halt(word: ChannelWord, tally: Tally) -> int | None:
    """How many counted failures in a row would trip the breaker (ledger.md, Breaker); None where none can."""
    if not 0 < word.halt_bps < ALL_BPS:
        return None
    reports = tally.confirmed + tally.failed
    short = word.halt_bps * reports - ALL_BPS * tally.failed
    by_share = short // (ALL_BPS - word.halt_bps) + 1
    return max(by_share, word.min_reports - reports, 1)
