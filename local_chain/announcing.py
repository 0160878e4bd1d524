"""Telling that a node is ready: to people on standard output, to programs as one JSON document."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from local_chain.accounts import dev_accounts
from local_chain.opening import validators_json

if TYPE_CHECKING:
    import socket

    from local_chain.node import Node

READY_SCHEMA = "fwledger-chain/ready/1"


@dataclass(frozen=True, slots=True)
class Output:
    """Where to tell it: a readable screen, one JSON line or nothing on standard output, and a file."""

    silent: bool
    as_json: bool
    ready_file: Path | None


def announce(node: Node, listener: socket.socket, output: Output) -> None:
    """Tell that the node answers on ``listener``."""
    document = _document(node, listener)
    if output.ready_file is not None:
        _write_whole(output.ready_file, json.dumps(document))
    if output.as_json:
        click.echo(json.dumps(document))
    elif not output.silent:
        _screen(node, str(document["url"]))


def _document(node: Node, listener: socket.socket) -> dict[str, object]:
    host, port = listener.getsockname()[:2]
    return {
        "schema": READY_SCHEMA,
        "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "chainId": node.chain.genesis.chain_id,
        "pid": os.getpid(),
        "genesisHash": _hex(node.chain.block_at(0).hash),
        "validators": validators_json(node.identities),
    }


def _screen(node: Node, url: str) -> None:
    chain = node.chain
    if node.accounts:
        click.echo("accounts, 10000 ETH each at the start (their keys are public: for development only)")
        for index, account in enumerate(dev_accounts()):
            click.echo(f"  ({index}) {_hex(account.address)}  {_hex(account.secret_key)}")
    click.echo(f"validators  {len(chain.genesis.validators)}")
    click.echo(
        f"chain       id {chain.genesis.chain_id}, {chain.genesis.fork.label}, block {chain.head.number}"
    )
    click.echo(f"listening   {url}")


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()
