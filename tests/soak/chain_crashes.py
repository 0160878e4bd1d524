"""kill -9 of the development chain, 200 times under load; some ten minutes: pytest tests/soak/chain_crashes.py"""

from tests.chain.crashes import crash_and_check

CRASHES = 200


def test_a_chain_that_is_killed_two_hundred_times_loses_nothing_that_it_acknowledged(tmp_path):
    assert crash_and_check(tmp_path / "state", CRASHES, seed=2) > CRASHES
