"""`fwledger ipfs`: the embedded IPFS node."""

from __future__ import annotations

from pathlib import Path

import click

from ledger_client.content.node.server import LOOPBACK, NodeAddress, run_node, write_ready_file
from ledger_client.content.node.store import BlockStore


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def ipfs() -> None:
    """Serve and look after blocks without installing Kubo."""


@ipfs.command()
@click.option(
    "--store", required=True, type=click.Path(path_type=Path), help="Directory of blocks; made if missing."
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=5001,
    show_default=True,
    help="RPC, on loopback; 0: any.",
)
@click.option(
    "--gateway-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Gateway; 0: any.",
)
@click.option(
    "--gateway-host", default=LOOPBACK, show_default=True, help="Interface of the gateway, e.g. 0.0.0.0."
)
@click.option(
    "--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Written once both ports answer."
)
@click.option("--json", is_flag=True, expose_value=False, help="What it prints is JSON anyway.")
def up(store: Path, api_port: int, gateway_port: int, gateway_host: str, ready_file: Path | None) -> None:
    """Run the node until it is interrupted. Prints one line of JSON when it answers.

    \b
    Example:
      fwledger ipfs up --store blocks --gateway-host 0.0.0.0

    Exit codes: 0 stopped, 2 usage: a port that is taken, a directory that is no store.
    """  # noqa: D301 - click reads the character itself

    def on_ready(address: NodeAddress) -> None:
        if ready_file:
            write_ready_file(ready_file, address)
        click.echo(address.as_json())

    run_node(
        BlockStore(store),
        api_port=api_port,
        gateway_port=gateway_port,
        gateway_host=gateway_host,
        on_ready=on_ready,
    )
