"""The plain model and the contracts agree on every engine too: few games, since py-evm has played many."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.modelled.rules import GAMES
from tests.contract.test_model_council import Council
from tests.contract.test_model_fleet import Fleet

FEW = settings(GAMES, max_examples=4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("games", [Council, Fleet])
def test_the_model_and_the_contracts_agree(engine, games):
    run_state_machine_as_test(games, settings=FEW)
