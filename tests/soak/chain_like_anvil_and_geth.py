"""Some twenty times the random transactions of tests/engines/test_chain_like_anvil_and_geth.py, with seeds of their own; a quarter of an hour."""

from __future__ import annotations

import pytest

from tests.support.differential import beside_anvil, beside_geth
from tests.support.random_programs import FORKS, TIDY, UNREFUNDED, WILD

SEEDS = range(12)


@pytest.mark.engines("anvil")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fork", FORKS)
def test_receipts_headers_and_the_whole_state_are_anvils(fork, seed):
    assert beside_anvil(fork, f"soak {seed}", 200, habits=UNREFUNDED if fork == "berlin" else WILD)["log"]


@pytest.mark.engines("anvil")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fork", ["berlin", "london", "paris", "shanghai"])
def test_state_roots_and_proofs_are_anvils_where_its_tries_are_ethereums(fork, seed):
    seen = beside_anvil(fork, f"soak {seed}", 100, habits=TIDY)
    assert seen["same state root"] == seen["block"]


@pytest.mark.engines("geth")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fork", ["berlin", "paris", "shanghai", "cancun"])
def test_geth_takes_every_block_and_gives_the_same_proofs(fork, seed):
    # 38 blocks are all that geth makes under Berlin's rules (tests/support/merged.py).
    assert beside_geth(fork, f"soak {seed}", 150)["same proof"]
