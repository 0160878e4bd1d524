"""Telling that a node is ready: to people on standard output, to programs as one JSON document."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from eth_utils.address import to_checksum_address

from local_chain.accounts import MNEMONIC, dev_accounts
from local_chain.journal import Journal, as_json, plain
from local_chain.opening import validators_json

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from local_chain.node import Node

READY_SCHEMA = "fwledger-chain/ready/1"


@dataclass(frozen=True, slots=True)
class Output:
    """Where to tell it: a readable screen, one JSON line or nothing on standard output, and a file.

    ``logs`` goes on in JSON with what happens.
    """

    silent: bool
    as_json: bool
    logs: bool
    ready_file: Path | None


def journal(node: Node, output: Output) -> Journal | None:
    """Whoever tells what happens on the node, if anybody is to."""
    if output.logs:
        return Journal(node, as_json)
    return None if output.silent or output.as_json else Journal(node, plain)


def announce(node: Node, listener: socket.socket, output: Output, *, state: Path | None) -> None:
    """Tell that the node, whose chain ``state`` keeps, answers on ``listener``."""
    document = _document(node, listener)
    if output.ready_file is not None:
        _write_whole(output.ready_file, json.dumps(document))
    if output.logs:
        click.echo(json.dumps(document | {"event": "ready"}))
    elif output.as_json:
        click.echo(json.dumps(document))
    elif not output.silent:
        click.echo("\n".join(_screen(node, str(document["url"]), state)))


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


def _screen(node: Node, url: str, state: Path | None) -> Iterator[str]:
    chain, genesis = node.chain, node.chain.genesis
    if node.accounts:
        yield "accounts, 10000 ETH each at the start (their keys are public: for development only)"
        for index, account in enumerate(dev_accounts()):
            yield f"  ({index}) {to_checksum_address(account.address)}  {_hex(account.secret_key)}"
        yield f"mnemonic    {MNEMONIC}"
    if chain.sealer is None:
        yield "sealing     no: it follows another node"
    elif node.block_time_s is None:
        yield "sealing     as soon as a transaction waits"
    else:
        yield f"sealing     every {node.block_time_s:g} s"
    yield f"state       {'in memory: gone when it stops' if state is None else state}"
    yield f"gas limit   {genesis.gas_limit} a block"
    yield f"validators  {len(genesis.validators) or 'none: no device trusts this chain'}"
    yield f"chain       id {genesis.chain_id}, {genesis.fork.label}, block {chain.head.number}"
    yield f"listening   {url} and {url.replace('http', 'ws', 1)}"


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()
