"""Every scenario runs on py-evm, and again on each engine in step with py-evm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.actors import World, fresh
from tests.contract.answers import borrowed, processes
from tests.contract.engines import ENGINES, SCENARIOS
from tests.contract.evm import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".test_")[2]
    if module in SCENARIOS:
        needs = {name: needed for name, (needed, _) in ENGINES.items() if needed}
        runs = [
            pytest.param(name, marks=pytest.mark.engines(needs[name])) if name in needs else name
            for name in SCENARIOS[module]
        ]
        metafunc.parametrize("engine", runs, indirect=True)


@pytest.fixture(scope="session", autouse=True)
def _engines_end_with_the_session() -> Iterator[None]:
    with processes:
        yield


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the machines of this test run on one engine."""
    name = getattr(request, "param", "py-evm")
    if name == "py-evm":
        yield name
    else:
        with borrowed, MACHINES.made_by(name, ENGINES[name][1]):
            yield name


@pytest.fixture
def world(engine: str) -> World:
    return fresh()


@pytest.fixture
def quorum(engine: str) -> World:
    return fresh(threshold=2)
