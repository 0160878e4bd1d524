"""What the rollout flags say is what goes to the ledger; 0 is not "left out"."""

import pytest

from ledger_client.acts import Rollout
from ledger_client.cli.acts import rollout_of
from ledger_client.errors import UsageError

NAMES = ("immediate", "initial_bps", "hold_hours", "ramp_hours", "halt_bps", "min_reports")


def options(**given):
    return {name: given.get(name, False if name == "immediate" else None) for name in NAMES}


def test_no_flag_is_no_rollout():
    assert rollout_of(options()) is None


def test_a_share_of_nobody_is_not_a_share_of_all():
    rollout = rollout_of(options(initial_bps=0, ramp_hours=48))
    assert rollout is not None
    assert (rollout.initial_bps, rollout.ramp_hours) == (0, 48)


def test_a_breaker_that_is_off_stays_off():
    rollout = rollout_of(options(halt_bps=0))
    assert rollout is not None
    assert rollout.halt_bps == 0


@pytest.mark.parametrize(
    "given",
    [
        {"initial_bps": 500},
        {"initial_bps": 500, "hold_hours": 0, "ramp_hours": 0},
        {"ramp_hours": 72},
        {"hold_hours": 24},
        {"immediate": True, "initial_bps": 500, "hold_hours": 1},
        {"immediate": True, "ramp_hours": 72},
    ],
)
def test_a_part_of_the_fleet_is_never_all_of_it_by_default(given):
    """A share without hours, or hours without a share, would reach everybody in the same second."""
    with pytest.raises(UsageError):
        rollout_of(options(**given))


@pytest.mark.parametrize(
    "given",
    [
        {"immediate": True}, {"initial_bps": 0}, {"initial_bps": 10_000}, {"initial_bps": 500, "ramp_hours": 1},
        {"initial_bps": 500, "hold_hours": 1}, {"halt_bps": 100}, {"immediate": True, "halt_bps": 0},
    ],
)  # fmt: skip
def test_what_says_all_or_how_is_taken(given):
    rollout = rollout_of(options(**given))
    assert rollout is not None
    assert {name: getattr(rollout, name) for name in given} == given


def test_what_is_not_said_stays_as_it_was():
    kept = Rollout(initial_bps=500, hold_hours=9, ramp_hours=72, halt_bps=6000, min_reports=3)
    assert rollout_of(options(), kept=kept) == kept
    rollout = rollout_of(options(initial_bps=700), kept=kept)
    assert rollout == Rollout(initial_bps=700, hold_hours=9, ramp_hours=72, halt_bps=6000, min_reports=3)
