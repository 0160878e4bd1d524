"""The reference page of the methods is what the table of methods says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from local_chain.cli import main
from local_chain.rpc.registry import METHODS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rpc.md"


def test_the_page_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(main, ["methods"]).stdout
    assert PAGE.read_text() == printed, "run: fwledger-chain methods > docs/reference/rpc.md"


def test_every_method_stands_on_the_page_once() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(METHODS)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_says_what_it_does(name: str) -> None:
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |"))
    does = row.split(" |")[2].strip()
    assert does.endswith(".")
    assert does[0].isupper()
