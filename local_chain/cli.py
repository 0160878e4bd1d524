"""``fwledger-chain``: parse, start, print. The work is done elsewhere."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from local_chain import server
from local_chain.accounts import dev_accounts
from local_chain.errors import ChainError
from local_chain.forks import Fork
from local_chain.opening import DEFAULT_FORK, DEFAULT_ROUND_JITTER, DEFAULT_VALIDATORS, Settings, open_node
from local_chain.sealing import MAX_VALIDATORS, Sealer, read_keys
from local_chain.storage import KEYS_NAME

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from local_chain.node import Node

DEFAULT_PORT = 8545
READY_SCHEMA = "fwledger-chain/ready/1"
EXIT_USAGE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fwledger")
def main() -> None:
    r"""A development chain: a real EVM, sealed like a QBFT network, in one process.

    \b
    fwledger-chain up                       start one in memory
    fwledger-chain up --state ./chain       keep it on disk
    fwledger-chain validators --state ./chain --json
    """


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=DEFAULT_PORT, show_default=True, help="Port to listen on; 0 picks a free one."
)
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Directory that keeps the chain."
)
@click.option("--chain-id", type=click.IntRange(1, 2**53), help="Chain id.  [default: 31337]")
@click.option(
    "--fork",
    type=click.Choice([fork.label for fork in Fork]),
    help=f"Rules.  [default: {DEFAULT_FORK.label}]",
)
@click.option(
    "--validators",
    type=click.IntRange(1, MAX_VALIDATORS),
    help=f"How many validators seal.  [default: {DEFAULT_VALIDATORS}]",
)
@click.option("--seed", help="Derive the validators' keys from this text (known keys: for tests only).")
@click.option(
    "--round-jitter",
    type=click.FloatRange(0, 1),
    default=DEFAULT_ROUND_JITTER,
    show_default=True,
    help="Share of blocks that are sealed in a round above 0.",
)
@click.option(
    "--gas-limit", type=click.IntRange(5_000_000, 2**40), help="Gas of a block.  [default: 30000000]"
)
@click.option(
    "--block-time", type=click.FloatRange(0.05), help="Seal every so many seconds instead of at once."
)
@click.option("--silent", is_flag=True, help="Print nothing on standard output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready, and nothing else.")
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="Write that JSON there, once requests are answered."
)
def up(
    host: str,
    port: int,
    state: Path | None,
    chain_id: int | None,
    fork: str | None,
    validators: int | None,
    seed: str | None,
    round_jitter: float,
    gas_limit: int | None,
    block_time: float | None,
    silent: bool,
    as_json: bool,
    ready_file: Path | None,
) -> None:
    """Start a chain and serve JSON-RPC until stopped."""
    settings = Settings(
        chain_id=chain_id,
        fork=None if fork is None else Fork.from_label(fork),
        validators=validators,
        gas_limit=gas_limit,
        seed=seed,
        round_jitter=round_jitter,
        instant=block_time is None,
    )
    loopback = server.is_loopback(host)
    try:
        listener = server.listen(host, port)
        node = open_node(settings, state=state, unlocked=loopback)
    except ChainError as error:
        _fail(error)
    worker = server.Worker()
    tasks: tuple[Callable[[], AsyncIterator[None]], ...] = ()
    if block_time is not None:
        tasks = (lambda: server.every(block_time, worker, node.seal_interval_block),)
    app = server.application(node, worker, loopback=loopback, tasks=tasks)
    server.run(
        app,
        listener,
        ready=lambda: _announce(node, listener, silent=silent, as_json=as_json, ready_file=ready_file),
    )


@main.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Directory that keeps the chain.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validators(state: Path, as_json: bool) -> None:
    """Print the validators' addresses and public keys, for a trust root to pin."""
    try:
        identities = Sealer(read_keys(state / KEYS_NAME)).identities
    except ChainError as error:
        _fail(error)
    listed = [{"address": _hex(v.address), "publicKey": _hex(v.public_key)} for v in identities]
    if as_json:
        click.echo(json.dumps({"schema": "fwledger-chain/validators/1", "validators": listed}))
        return
    for entry in listed:
        click.echo(f"{entry['address']}  {entry['publicKey']}")


def _announce(
    node: Node, listener: socket.socket, *, silent: bool, as_json: bool, ready_file: Path | None
) -> None:
    host, port = listener.getsockname()[:2]
    document = {
        "schema": READY_SCHEMA,
        "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "chainId": node.chain.genesis.chain_id,
        "pid": os.getpid(),
        "genesisHash": _hex(node.chain.block_at(0).hash),
        "validators": [
            {"address": _hex(v.address), "publicKey": _hex(v.public_key)} for v in node.identities
        ],
    }
    if ready_file is not None:
        _write_whole(ready_file, json.dumps(document))
    if as_json:
        click.echo(json.dumps(document))
    elif not silent:
        _banner(node, str(document["url"]))


def _banner(node: Node, url: str) -> None:
    chain = node.chain
    if node.accounts:
        click.echo("accounts, 10000 ETH each at the start (their keys are public: for development only)")
        for index, account in enumerate(dev_accounts()):
            click.echo(f"  ({index}) {_hex(account.address)}  {_hex(account.secret_key)}")
    click.echo(f"validators  {len(chain.genesis.validators)}")
    click.echo(
        f"chain id    {chain.genesis.chain_id}, {chain.genesis.fork.label}, at block {chain.head.number}"
    )
    click.echo(f"listening   {url}")


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _fail(error: ChainError) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    sys.exit(EXIT_USAGE)


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()


if __name__ == "__main__":
    main()
