"""`fwledger receipts`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command, near
from ledger_client.config import checksum_address
from ledger_client.config_file import replace_file
from ledger_client.errors import EXIT_NOT_TRUSTED, ClientError, NotTrustedError, UsageError
from ledger_protocol.content.cid import DAG_CBOR
from ledger_protocol.report.event import EventKind

if TYPE_CHECKING:
    from ledger_client.anchoring import Gathered, Made

_KINDS = tuple(kind.name.lower() for kind in EventKind)
_OUT = click.Path(file_okay=False, path_type=Path)


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

    files = _files(path)
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


@receipts.command("anchor")
@command("fwledger receipts anchor /media/stick/receipts --proofs /media/stick/anchored", sends=True)
@click.argument("path", type=PATH)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([*_KINDS, "all"]),
    help="kind of event, repeatable [default: checked]",
)
@click.option("--proofs", type=_OUT, metavar="FOLDER", help="write each device the proof that lets it forget")
@click.option("--skip-reports", is_flag=True, help="anchor events only; reports are not kept on IPFS")
def anchor_events(
    app: App, path: Path, kinds: tuple[str, ...], proofs: Path | None, skip_reports: bool
) -> int | None:
    """Anchor events of a receipts file, or of every *.receipts file of a folder: they stay off the chain.

    Up to 4,096 events share one transaction: their batch goes to the configured IPFS node, and the root of
    the tree over it into the journal's log. The account must be a gateway. An anchored event counts for no
    rollout. A batch that is anchored already is not sent again; a file that is refused stops no other, and
    the command then ends with 1.
    """
    from ledger_client.anchoring import anchor, batches, gather
    from ledger_client.receipts import read_receipts

    wanted = frozenset(EventKind) if "all" in kinds else {EventKind[kind.upper()] for kind in kinds}
    taken: list[Gathered] = []
    refused: list[dict[str, str]] = []
    for file in _files(path):
        try:
            taken.append(gather(app.journal, read_receipts(file), kinds=wanted or {EventKind.CHECKED}))
        except (NotTrustedError, UsageError) as error:
            refused.append({"file": str(file), "refused": str(error), "hint": error.hint})
    made: list[Made] = []
    with app.ipfs() as ipfs:
        for report in () if skip_reports else (report for one in taken for report in one.reports):
            ipfs.put_block(report, DAG_CBOR, pin=True)
        made += [
            anchor(app.journal, batch, send=app.send, ipfs=ipfs, from_block=app.config.chain.from_block)
            for batch in batches(app.journal, taken)
        ]
    written = [] if proofs is None else _write_proofs(app, made, taken, proofs)
    document = {
        "anchors": [
            {
                "root": "0x" + one.batch.root.hex(),
                "events": len(one.batch.events),
                "content": str(one.content),
                "transaction": "0x" + one.transaction.hex(),
                "block": one.block,
                "already": one.already,
            }
            for one in made
        ],
        "proofs": written,
        "refused": refused,
    }
    lines = [
        f"{'already ' if one.already else 'anchored'}  {len(one.batch.events)} events in block {one.block},"
        f" transaction 0x{one.transaction.hex()}"
        for one in made
    ]
    lines += [f"proof     {name}" for name in written]
    lines += [f"{row['file']}: refused: {row['refused']}" for row in refused]
    app.emit("receipts-anchor", document, lines or ["nothing to anchor"])
    return EXIT_NOT_TRUSTED if refused else None


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.receipts")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"no *.receipts file in {path}")
    return files


def _write_proofs(app: App, made: list[Made], taken: list[Gathered], folder: Path) -> list[str]:
    """One proof a device and anchor, named after the device; the paths."""
    from ledger_client.anchoring import find_anchor, prove

    folder.mkdir(parents=True, exist_ok=True)
    devices = {signed: one.device for one in taken for signed in one.events}
    written: list[str] = []
    for one in made:
        receipt, log, _ = find_anchor(app.network, one.transaction, journal=app.journal.address)
        places: dict[bytes, list[int]] = {}
        for place, signed in enumerate(one.batch.events):
            places.setdefault(devices[signed], []).append(place)
        for device, indexes in places.items():
            for number, proof in enumerate(prove(one.batch, indexes, receipt=receipt, log=log)):
                part = f"-{number + 1}" if number else ""
                name = f"{checksum_address(device)}-{one.batch.root.hex()[:8]}{part}.anchored"
                replace_file(folder / name, proof.encode())
                written.append(near((folder / name).absolute()))
    return written
