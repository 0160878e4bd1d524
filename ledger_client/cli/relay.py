"""`fwledger relay`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.config_file import replace_file
from ledger_client.errors import DeclinedError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.network import Call, Receipt

# An open connection without a request (seconds), and requests at once: each may hold a body of 17 MiB.
_IDLE_S = 30
_MAX_REQUESTS = 32


@click.group()
def relay() -> None:
    """Take receipts from devices and serve them proofs. A relay pays gas and is trusted with nothing."""


@relay.command("up")
@command("fwledger relay up --listen 127.0.0.1:8181", sends=True)
@click.option(
    "--listen", metavar="HOST:PORT", help="[default: relay.listen of fwledger.toml]; port 0 picks a free one"
)
@click.option("--skip-reports", is_flag=True, help="record events only; reports are not kept on IPFS")
@click.option(
    "--ready-file", type=PATH, metavar="FILE", help="write one line of JSON here once requests are answered"
)
def up(app: App, listen: str | None, skip_reports: bool, ready_file: Path | None) -> None:
    """Run the relay until it is interrupted. Prints one line of JSON when it answers.

    Starting it with --yes is the agreement to pay for every receipt that holds.
    """
    import uvicorn

    from ledger_client.content.node.protocol import PunctualProtocol
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger
    from ledger_client.network import connect
    from ledger_client.relay.app import build_app
    from ledger_client.relay.service import Relay
    from ledger_client.relay.sockets import listening_socket
    from ledger_client.transactions import prepare, send

    if not app.yes:
        raise DeclinedError(
            f"a relay pays with {app.account.text} without asking",
            hint="--yes agrees to that; use an account of its own",
        )

    def pay(call: Call) -> Receipt:
        receipt = send(app.network, prepare(app.network, call, app.account), app.account)
        app.say(f"{call.what}: block {receipt.block_number}, {receipt.gas_used:,} gas")
        return receipt

    reading = connect(app.config.chain)
    service = Relay(
        ledger=Ledger(reading, app.ledger.address),
        journal=Journal(reading, app.journal.address),
        carrier=app.journal,
        held=app.root,
        ipfs=None if skip_reports else app.ipfs(),
        send=pay,
        from_block=app.config.chain.from_block,
    )
    bound = listening_socket(listen or app.config.relay.listen)
    host, port = bound.getsockname()[:2]
    ready = {"schema": "fwledger/relay-ready/1", "url": f"http://{host}:{port}", "account": app.account.text}
    config = uvicorn.Config(
        build_app(service),
        http=PunctualProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_S,
        limit_concurrency=_MAX_REQUESTS,
    )

    class _Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(sockets)  # type: ignore[arg-type]
            if ready_file is not None:
                replace_file(ready_file, json.dumps(ready).encode() + b"\n")
            click.echo(json.dumps(ready))

    _Server(config).run(sockets=[bound])
