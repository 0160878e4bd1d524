"""The plain model and the contracts agree on every engine too: few games, since py-evm has played many."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.test_model import Pair

FEW = settings(max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_model_and_the_contracts_agree(engine):
    run_state_machine_as_test(Pair, settings=FEW)
