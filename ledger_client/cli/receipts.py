"""`fwledger receipts`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.errors import EXIT_NOT_TRUSTED, ClientError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def receipts() -> None:
    """Record what devices did, from the files that they export."""


@receipts.command("submit")
@command("fwledger receipts submit /media/stick/receipts", sends=True)
@click.argument("path", type=PATH)
@click.option("--skip-reports", is_flag=True, help="record events only; reports are not kept on IPFS")
def submit(app: App, path: Path, skip_reports: bool) -> int | None:
    """Record a receipts file, or every *.receipts file of a folder. What is recorded already is left out.

    Events of several devices about one release share a transaction. A file that is refused stops no other;
    the command then ends with 1.

    Anyone may carry receipts: the devices' signatures are what counts. Reports go to the configured IPFS
    node.
    """
    from ledger_client.carrying import submit_many
    from ledger_client.receipts import Outcome, read_receipts

    files = sorted(path.glob("*.receipts")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"no *.receipts file in {path}")
    found = [read_receipts(file) for file in files]
    with contextlib.ExitStack() as stack:
        client = None
        if not skip_reports:
            client = stack.enter_context(app.ipfs())
        outcomes = submit_many(app.journal, found, send=app.send, ipfs=client)
    if len(outcomes) == 1 and isinstance(outcomes[0], ClientError):
        raise outcomes[0]
    rows, lines, bad = [], [], False
    for file, one in zip(files, outcomes, strict=True):
        if isinstance(one, Outcome):
            rows.append({"file": str(file), **one.document()})
            lines.append(one.line())
            bad |= bool(one.skipped)
        else:
            rows.append({"file": str(file), "refused": str(one), "hint": one.hint})
            lines.append(f"{file}: refused: {one}" + (f" ({one.hint})" if one.hint else ""))
            bad = True
    app.emit("receipts-submit", {"files": rows}, lines)
    return EXIT_NOT_TRUSTED if bad else None
