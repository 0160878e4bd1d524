"""The scenarios, and the bars that they are held to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.rollouts.plan import AT_ONCE, HOUR_S, STAGED, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rollouts.engine import Result
    from ledger_client.acts import Rollout

LATE_S = 6 * HOUR_S
BAD_BPS, GOOD_BPS = 700, 100
# A bad release is halted before this much of the fleet has failed; a good one goes through this often.
MAX_FAILED_PERCENT, MIN_THROUGH_PERCENT = 1, 98

# Those with a bar, in the order of the page.
SCENARIOS = (
    Scenario("7 % fail, prompt reports", BAD_BPS),
    Scenario("7 % fail, failures told 6 h late", BAD_BPS, late_s=LATE_S),
    Scenario("7 % are silent bricks, a guardian looks once", BAD_BPS, silent=True, watched=True),
    Scenario("7 % fail, one rooted device", BAD_BPS, rooted=True),
    Scenario("1 % fail, prompt reports", GOOD_BPS),
    Scenario("1 % fail, failures told 6 h late", GOOD_BPS, late_s=LATE_S),
    Scenario("1 % fail, one rooted device", GOOD_BPS, rooted=True),
)
# What happens where the rollout is not asked to begin small, or nobody looks: shown, and held to nothing.
UNHELD = (
    Scenario("all at once: 7 % fail, prompt reports", BAD_BPS, AT_ONCE),
    Scenario("all at once: 7 % fail, told 6 h late", BAD_BPS, AT_ONCE, late_s=LATE_S),
    Scenario("7 % are silent bricks, nobody looks", BAD_BPS, silent=True),
)
# On the chain: all with a bar, and one that shows late failures overtaking the breaker.
ON_CHAIN = (*SCENARIOS, UNHELD[1])


def _variants() -> dict[str, Rollout]:
    def but(**changes: Any) -> Rollout:
        return replace(STAGED, **changes)

    return {
        "as advised": STAGED,
        "initial_bps 100": but(initial_bps=100),
        "initial_bps 1,500": but(initial_bps=1_500),
        "hold_hours 0": but(hold_hours=0),
        "hold_hours 24": but(hold_hours=24),
        "ramp_hours 24": but(ramp_hours=24),
        "ramp_hours 168": but(ramp_hours=168),
        "halt_bps 150": but(halt_bps=150),
        "halt_bps 500": but(halt_bps=500),
        "min_reports 50": but(min_reports=50),
        "min_reports 1,000": but(min_reports=1_000),
        "all at once": AT_ONCE,
    }


VARIANTS = _variants()


def missed_bars(found: Mapping[str, Sequence[Result]], *, devices: int) -> list[str]:
    """Name what is not as it has to be, of the results of scenarios by name."""
    missed = []
    for scenario in SCENARIOS:
        results = found[scenario.name]
        through = [r for r in results if r.halted_s is None]
        if scenario.bad:
            # Held to all that failed in the end, which is more than had when it was halted.
            over = [r for r in results if 100 * r.failed >= MAX_FAILED_PERCENT * devices]
            if through:
                missed.append(f"{scenario.name}: seed {through[0].seed} was not halted")
            if over:
                missed.append(f"{scenario.name}: seed {over[0].seed} had {over[0].failed} failures")
        elif 100 * len(through) < MIN_THROUGH_PERCENT * len(results):
            missed.append(f"{scenario.name}: {len(through)} of {len(results)} went through")
        told = 1 if scenario.rooted else 0
        swayed = [r for r in results if r.votes[0] > r.installed + told]
        if swayed:
            missed.append(
                f"{scenario.name}: seed {swayed[0].seed} counted {swayed[0].votes[0]} devices,"
                f" {swayed[0].installed + told} voted"
            )
    return missed
