"""Every command has `--json`, and what it prints then names its schema."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import ledger_client.cli
from ledger_client.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

# Commands whose schema is not their name: servers print one line when they answer, streams are NDJSON, and
# one kind of change is like another.
OTHERS = {
    "relay up": "fwledger/relay-ready/1",
    "ipfs up": "fwledger/ipfs-node/1",
    "witness run": "fwledger/witness-ready/1",
    "release watch": "fwledger/cli/release-watch/1",
    "audit export": "fwledger/audit-receipt/1",
    "governance propose member": "governance-propose",
    "governance propose successor": "governance-propose",
    "governance propose thresholds": "governance-propose",
    "governance propose trust-root": "governance-propose",
}


def leaves(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


COMMANDS = dict(leaves())
LITERALS = {
    node.value
    for folder in (Path(ledger_client.cli.__file__).parent, Path(ledger_client.cli.__file__).parents[1])
    for source in folder.rglob("*.py")
    for node in ast.walk(ast.parse(source.read_text()))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_with_a_schema_of_its_own(name: str) -> None:
    assert any("--json" in option.opts for option in COMMANDS[name].params)
    assert OTHERS.get(name, name.replace(" ", "-")) in LITERALS


def test_no_exception_is_listed_for_a_command_that_is_gone() -> None:
    assert set(OTHERS) <= set(COMMANDS)
