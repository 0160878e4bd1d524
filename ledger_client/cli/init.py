"""`fwledger init`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ledger_client.cli.app import EXIT_CODES, PATH
from ledger_client.config import CONFIG_NAME, DEFAULT_RPC, check_url
from ledger_client.config_file import write_template

_HELP = f"""Write fwledger.toml, with a comment on every key. An existing file is never overwritten.

\b
Example:
  fwledger init --rpc http://127.0.0.1:8545

{EXIT_CODES}
"""


@click.command(help=_HELP)
@click.option(
    "--config", type=PATH, default=Path(CONFIG_NAME), metavar="FILE", help="file to write [./fwledger.toml]"
)
@click.option("--rpc", multiple=True, metavar="URL", help="RPC node, in order of preference; repeatable")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON with a schema id")
def init(config: Path, rpc: tuple[str, ...], as_json: bool) -> None:
    """Write fwledger.toml."""
    for url in rpc:
        check_url(url, name="--rpc")
    write_template(config, rpc=rpc or DEFAULT_RPC)
    if as_json:
        click.echo(json.dumps({"schema": "fwledger/cli/init/1", "config": str(config)}))
    else:
        click.echo(f"wrote {config}")
