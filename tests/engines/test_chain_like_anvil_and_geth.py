"""The embedded chain does what anvil and geth do: 1,000 random transactions beside anvil, and 440 that geth runs again.

docs/engines.md says what is compared and what differs. `make soak` plays more of them.
"""

from __future__ import annotations

import pytest

from tests.support.differential import beside_anvil, beside_geth
from tests.support.random_programs import FORKS, TIDY, UNREFUNDED, WILD

SEED = "ci"


def no_dull_game(seen) -> None:
    """Hold that the transactions were worth comparing."""
    for kind in (
        "creation that succeeds",
        "creation that fails",
        "call that succeeds",
        "call that fails",
        "log",
    ):
        assert seen[kind], (kind, seen)


@pytest.mark.engines("anvil")
@pytest.mark.parametrize("fork", FORKS)
def test_receipts_headers_and_the_whole_state_are_anvils(fork):
    # Under Berlin's rules anvil 1.7.1 gives gas back as London does; geth does not, as the last test shows.
    seen = beside_anvil(fork, SEED, 110, habits=UNREFUNDED if fork == "berlin" else WILD)
    no_dull_game(seen)
    assert seen["type 4"] if fork == "prague" else not seen["type 4"]
    assert seen["same values"] + seen["same proof"] == 22


@pytest.mark.engines("anvil")
@pytest.mark.parametrize("fork", ["berlin", "london", "paris", "shanghai"])
def test_state_roots_and_proofs_are_anvils_where_its_tries_are_ethereums(fork):
    seen = beside_anvil(fork, SEED, 90, habits=TIDY)
    assert seen["same state root"] == seen["block"] >= 8
    assert seen["same proof"] == 18


@pytest.mark.engines("geth")
@pytest.mark.parametrize("fork", ["berlin", "paris", "shanghai", "cancun"])
def test_geth_takes_every_block_and_gives_the_same_proofs(fork):
    seen = beside_geth(fork, SEED, 110)
    no_dull_game(seen)
    assert seen["same proof"] == 22
