"""`fwledger relay`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.errors import DeclinedError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.network import Call, Receipt

# Requests at once: each may hold a body of 17 MiB.
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
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger
    from ledger_client.network import connect
    from ledger_client.relay.app import build_app
    from ledger_client.relay.service import Relay
    from ledger_client.rotation import RootShelf
    from ledger_client.serving import listening_socket, serve, url_of
    from ledger_client.transactions import prepare, send
    from ledger_client.witness.notes import needs_note, no_sources

    if not app.yes:
        raise DeclinedError(
            f"a relay pays with {app.account.text} without asking",
            hint="--yes agrees to that; use an account of its own",
        )

    def pay(call: Call) -> Receipt:
        receipt = send(
            app.network, prepare(app.network, call, app.account), app.account, outbox=app.outbox, told=app.say
        )
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
        notes=app.notes,
        shelf=RootShelf(app.config.release.trust_root),
    )
    if needs_note(app.root.root) and not app.config.witness.sources:
        raise no_sources()
    bound = listening_socket(listen or app.config.relay.listen)
    ready = {"schema": "fwledger/relay-ready/1", "url": url_of(bound), "account": app.account.text}
    serve(
        build_app(service),
        bound,
        max_requests=_MAX_REQUESTS,
        ready=ready,
        ready_file=ready_file,
        say=click.echo,
    )
