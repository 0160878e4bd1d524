from __future__ import annotations

import pytest

from tests.contract.actors import World, fresh


@pytest.fixture
def world() -> World:
    return fresh()


@pytest.fixture
def quorum() -> World:
    return fresh(threshold=2)
