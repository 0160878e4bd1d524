"""`fwledger receipts`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def receipts() -> None:
    """Record what devices did, from the files that they export."""


@receipts.command("submit")
@command("fwledger receipts submit /media/stick/receipts", sends=True)
@click.argument("path", type=PATH)
@click.option("--skip-reports", is_flag=True, help="record events only; reports are not kept on IPFS")
def submit(app: App, path: Path, skip_reports: bool) -> None:
    """Record a receipts file, or every *.receipts file of a folder. What is recorded already is left out.

    Anyone may carry receipts: the devices' signatures are what counts. Reports go to the configured IPFS
    node.
    """
    from ledger_client.receipts import read_receipts
    from ledger_client.receipts import submit as record

    files = sorted(path.glob("*.receipts")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"no *.receipts file in {path}")
    found = [read_receipts(file) for file in files]
    with contextlib.ExitStack() as stack:
        client = None
        if not skip_reports:
            client = stack.enter_context(app.ipfs())
        outcomes = [record(app.journal, raw, send=app.send, ipfs=client) for raw in found]
    app.emit(
        "receipts-submit",
        {"files": [{"file": str(f), **o.document()} for f, o in zip(files, outcomes, strict=True)]},
        [outcome.line() for outcome in outcomes],
    )
