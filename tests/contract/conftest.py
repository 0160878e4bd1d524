"""Every scenario runs on py-evm, and again on each engine in step with py-evm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.actors import World, fresh
from tests.contract.evm import MACHINES
from tests.contract.lockstep import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Modules whose tests call contracts: the others read sources and artifacts, or compare pure functions.
SCENARIOS = (
    *("approvals", "batches", "channels", "deploy", "devices", "events", "gas", "governance", "groups"),
    *("refusals", "revocations", "trust_roots", "votes"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".test_")[2] in SCENARIOS:
        marked = [
            pytest.param(name, marks=pytest.mark.engines(*needed)) if needed else name
            for name, (needed, _) in ENGINES.items()
        ]
        metafunc.parametrize("engine", ["py-evm", *marked], indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the machines of this test run on one engine."""
    name = getattr(request, "param", "py-evm")
    if name == "py-evm":
        yield name
    else:
        with MACHINES.made_by(name, ENGINES[name][1]):
            yield name


@pytest.fixture
def world(engine: str) -> World:
    return fresh()


@pytest.fixture
def quorum(engine: str) -> World:
    return fresh(threshold=2)
