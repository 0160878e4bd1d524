"""``fwledger-chain``: parse, start, print. The work is done elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from local_chain import server
from local_chain.announcing import Output, announce, journal
from local_chain.errors import ChainError, UpstreamError
from local_chain.forks import Fork
from local_chain.opening import (
    DEFAULT_FORK,
    DEFAULT_ROUND_JITTER,
    DEFAULT_VALIDATORS,
    Settings,
    dump,
    open_follower,
    open_node,
    validators_json,
)
from local_chain.rpc.reference import page
from local_chain.sealing import MAX_VALIDATORS, Sealer, read_keys
from local_chain.storage import KEYS_NAME
from local_chain.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PORT = 8545
EXIT_USAGE, EXIT_UNREACHABLE = 2, 3

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


_HELP = """A development chain: a real EVM, sealed like a QBFT network, in one process.

\b
fwledger-chain up                        start one in memory
fwledger-chain up --state ./chain        keep it on disk
fwledger-chain validators --state ./chain --json > validators.json
fwledger-chain follow --upstream http://127.0.0.1:8545 --pin validators.json
"""


_UP_HELP = """Start a chain and serve JSON-RPC until stopped.

\b
fwledger-chain up                              ten rich accounts, a block a transaction
fwledger-chain up --state ./chain              the same chain after every start
fwledger-chain up --block-time 2               a block every two seconds
fwledger-chain up --fork berlin --gas-limit 60000000
fwledger-chain up --seal none                  short headers, for tools that refuse long ones
fwledger-chain up --dump-state chain.dump      write the whole chain there at the end
fwledger-chain up --json-log | jq .            one JSON object a line
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fwledger")
def main() -> None:
    """Start, follow and describe development chains."""


def _serving(default_port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that every serving command has."""
    options = (
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
        click.option("--port", default=default_port, show_default=True, help="Port; 0 picks a free one."),
        click.option("--state", type=_DIRECTORY, help="Directory that keeps the chain; without it, memory."),
        click.option("--silent", is_flag=True, help="Print nothing on standard output."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready, nothing else."),
        click.option(
            "--json-log", is_flag=True, help="Print JSON lines: ready, blocks, transactions, failures."
        ),
        click.option("--ready-file", type=_FILE, help="Write that JSON there, once requests are answered."),
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@main.command(help=_UP_HELP)
@_serving(DEFAULT_PORT)
@click.option("--chain-id", type=click.IntRange(1, 2**53), help="Chain id.  [default: 31337]")
@click.option("--fork", type=click.Choice([f.label for f in Fork]), help=f"[default: {DEFAULT_FORK.label}]")
@click.option(
    "--validators",
    type=click.IntRange(1, MAX_VALIDATORS),
    help=f"How many validators seal.  [default: {DEFAULT_VALIDATORS}]",
)
@click.option(
    "--seal",
    type=click.Choice(["qbft", "none"]),
    help="Seal like a QBFT network, or not, for tools that refuse long extra data.  [default: qbft]",
)
@click.option("--seed", help="Derive the validators' keys from this text (known keys: for tests only).")
@click.option(
    "--round-jitter",
    type=click.FloatRange(0, 1),
    default=DEFAULT_ROUND_JITTER,
    show_default=True,
    help="Share of blocks that are sealed in a round above 0.",
)
@click.option("--gas-limit", type=click.IntRange(5_000_000, 2**40), help="Of a block.  [default: 30000000]")
@click.option("--load-state", type=_FILE, help="Begin with the chain that --dump-state wrote there.")
@click.option("--dump-state", type=_FILE, help="Write the chain, keys included, there when stopped.")
@click.option("--block-time", type=click.FloatRange(0.05), help="Seal every so many seconds, not at once.")
def up(
    host: str,
    port: int,
    state: Path | None,
    silent: bool,
    as_json: bool,
    json_log: bool,
    ready_file: Path | None,
    chain_id: int | None,
    fork: str | None,
    validators: int | None,
    seal: str | None,
    seed: str | None,
    round_jitter: float,
    gas_limit: int | None,
    load_state: Path | None,
    dump_state: Path | None,
    block_time: float | None,
) -> None:
    """Start a chain and serve JSON-RPC until stopped."""
    output = _output(silent=silent, as_json=as_json, json_log=json_log, ready_file=ready_file)
    settings = Settings(
        chain_id=chain_id,
        fork=None if fork is None else Fork.from_label(fork),
        validators=validators,
        gas_limit=gas_limit,
        sealed=None if seal is None else seal == "qbft",
        seed=seed,
        round_jitter=round_jitter,
        instant=block_time is None,
    )
    loopback = server.is_loopback(host)
    try:
        listener = server.listen(host, port)
        node = open_node(settings, state=state, unlocked=loopback, load=load_state)
    except ChainError as error:
        _fail(error)
    worker = server.Worker()
    node.block_time_s = block_time
    written = journal(node, output)

    def at_end() -> None:
        if written is not None:
            written.close()
        if dump_state is not None:
            dump(node, dump_state)

    app = server.application(node, worker, loopback=loopback, at_end=at_end)
    server.run(app, listener, ready=lambda: announce(node, listener, output, state=state))


@main.command()
@_serving(0)
@click.option("--upstream", required=True, help="Address of the node to follow, http://...")
@click.option("--pin", type=_FILE, help="The validators to trust, as the validators command prints them.")
@click.option("--keys", type=_FILE, help="The validators' keys, to be able to take over.")
@click.option(
    "--takeover",
    type=click.FloatRange(0),
    help="Seal once nobody listens at the upstream's address for so many seconds.",
)
def follow(
    host: str,
    port: int,
    state: Path | None,
    silent: bool,
    as_json: bool,
    json_log: bool,
    ready_file: Path | None,
    upstream: str,
    pin: Path | None,
    keys: Path | None,
    takeover: float | None,
) -> None:
    """Serve a copy of another node's chain, checking every block; take over when told to."""
    output = _output(silent=silent, as_json=as_json, json_log=json_log, ready_file=ready_file)
    loopback = server.is_loopback(host)
    try:
        listener = server.listen(host, port)
        node, follower = open_follower(
            Upstream(upstream), state=state, pins=pin, keys=keys, takeover_s=takeover
        )
    except ChainError as error:
        _fail(error)
    worker = server.Worker()
    written = journal(node, output)
    app = server.application(
        node,
        worker,
        loopback=loopback,
        tasks=(lambda: follower.follow(worker),),
        at_end=None if written is None else written.close,
    )
    server.run(app, listener, ready=lambda: announce(node, listener, output, state=state))


@main.command()
@click.option("--state", type=_DIRECTORY, required=True, help="Directory that keeps the chain.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validators(state: Path, as_json: bool) -> None:
    """Print the validators' addresses and public keys, for a trust root to pin."""
    try:
        listed = validators_json(Sealer(read_keys(state / KEYS_NAME)).identities)
    except ChainError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps({"schema": "fwledger-chain/validators/1", "validators": listed}))
        return
    for entry in listed:
        click.echo(f"{entry['address']}  {entry['publicKey']}")


@main.command()
def methods() -> None:
    """Print the JSON-RPC methods as a page of Markdown."""
    click.echo(page(), nl=False)


def _output(*, silent: bool, as_json: bool, json_log: bool, ready_file: Path | None) -> Output:
    if silent + as_json + json_log > 1:
        raise click.UsageError("--silent, --json and --json-log exclude each other")
    return Output(silent=silent, as_json=as_json, logs=json_log, ready_file=ready_file)


def _fail(error: ChainError) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    sys.exit(EXIT_UNREACHABLE if isinstance(error, UpstreamError) else EXIT_USAGE)


if __name__ == "__main__":
    main()
