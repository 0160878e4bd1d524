"""kill -9 at random moments under load: no acknowledged block is lost. 200 times in ``make soak``."""

import pytest

from tests.chain.crashes import crash_and_check

CRASHES = 20


@pytest.mark.timeout(400)
def test_a_chain_that_is_killed_twenty_times_loses_nothing_that_it_acknowledged(tmp_path) -> None:
    assert crash_and_check(tmp_path / "state", CRASHES, seed=1) > CRASHES
