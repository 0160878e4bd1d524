"""A pytest plugin: the fixture ``fwledger_chain`` is a chain of the test's own.

def test_a_transfer(fwledger_chain):
web3 = Web3(Web3.HTTPProvider(fwledger_chain.url))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_chain.library import LocalChain


@pytest.fixture
def fwledger_chain() -> Iterator[LocalChain]:
    """A development chain in memory, fresh for each test, served on a free port of this machine."""
    from local_chain.library import LocalChain  # noqa: PLC0415 - importing the EVM takes a second: only who asks pays

    with LocalChain() as chain:
        yield chain
