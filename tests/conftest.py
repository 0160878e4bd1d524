"""What all tests share: fixtures of real engines, and which engines there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.ipfs import embedded_node, ipfs_node, kubo_node  # noqa: F401 (fixtures)

if TYPE_CHECKING:
    import pytest

# name in @pytest.mark.engines(name): variable with the path of its binary (loop: losetup, as root; javascript: the
# node_modules folder with viem and ethers)
ENGINES = {
    "kubo": "FWLEDGER_KUBO",
    "geth": "FWLEDGER_GETH",
    "anvil": "FWLEDGER_ANVIL",
    "cast": "FWLEDGER_CAST",
    "javascript": "FWLEDGER_JAVASCRIPT",
    "loop": "FWLEDGER_LOOP",
}


def pytest_configure(config: pytest.Config) -> None:
    # ipfshttpclient hands urllib3 2 an argument of version 1; pytest would print it for every test.
    config.addinivalue_line(
        "filterwarnings", "ignore:The 'strict' parameter is no longer needed:FutureWarning"
    )


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes and objects by what they are: a fresh key or an address in memory differs between workers."""
    if isinstance(val, bytes | bytearray):
        return "bytes"
    if type(val).__repr__ is object.__repr__:
        return type(val).__name__
    return None


def pytest_report_header() -> list[str]:
    return [_state(name) for name in ENGINES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, variable in ENGINES.items():
        if not os.environ.get(variable):
            terminalreporter.write_line(_state(name))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of engines that are not here: deselected in the summary, never passed or skipped."""
    absent = [item for item in items if _missing_engine(item)]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]


def _missing_engine(item: pytest.Item) -> bool:
    names = [name for mark in item.iter_markers("engines") for name in mark.args or ("kubo",)]
    return any(not os.environ.get(ENGINES[name]) for name in names)


def _state(name: str) -> str:
    variable = ENGINES[name]
    if path := os.environ.get(variable):
        return f"engine {name}: {path}"
    return f"engine {name}: NOT TESTED, {variable} is not set (CI=true .ci/run sets it)"
