"""What the rollout flags say is what goes to the ledger; 0 is not "left out"."""

from ledger_client.cli.acts import rollout_of

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
