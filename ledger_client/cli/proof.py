"""`fwledger proof`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.config import parse_address
from ledger_client.config_file import replace_file
from ledger_client.errors import UsageError
from ledger_protocol.release.manifest import channel_id

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def proof() -> None:
    """Fetch proofs as files. Any server may hand them out: whoever reads them checks them."""


@proof.command("channel")
@command("fwledger proof channel stable --out stable.proof")
@click.argument("name")
@click.option(
    "--out", required=True, type=PATH, metavar="FILE", help="the proof, for a gateway or a cache to serve"
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="ADDRESS",
    help="prove this device's own word too; repeatable",
)
@click.option(
    "--note", type=PATH, metavar="FILE", help="note of `fwledger witness collect`; the proof is of its block"
)
def channel(app: App, name: str, out: Path, devices: tuple[str, ...], note: Path | None) -> None:
    """Write the proof of a channel's state: head, rollout, revocations, trust root, groups."""
    from ledger_client.proofs import channel_proof, read_note, with_note

    witnessed = None if note is None else read_note(note, app.root.root)
    target, since = channel_id(name), app.config.chain.from_block
    groups = app.ledger.groups(from_block=since, to_block=app.network.block_number())
    proved = channel_proof(
        app.ledger,
        target,
        groups=[group for group, followed in groups.items() if followed == target],
        devices=[parse_address(text, where="device") for text in devices],
        journal=app.journal.address,
        from_block=since,
        block=None if witnessed is None else witnessed[1].checkpoint.number,
    )
    if witnessed is not None:
        proved = with_note(proved, witnessed[0], app.root.root)
    made = proved.encode()
    replace_file(out, made)
    app.emit("proof-channel", {"path": str(out), "bytes": len(made)}, [f"{out}  {len(made):,} bytes"])


@proof.command("receipt")
@command("fwledger proof receipt 0x6c1f... --out receipt.proof")
@click.argument("transaction")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="the proof")
def receipt(app: App, transaction: str, out: Path) -> None:
    """Write the proof of a transaction's receipt and logs, with the sealed header of its block."""
    from ledger_client.proofs import receipt_proof

    try:
        digest = bytes.fromhex(transaction.removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError("transaction", expected="64 hex digits", got=transaction[:80])
    made = receipt_proof(app.network, digest).encode()
    replace_file(out, made)
    app.emit("proof-receipt", {"path": str(out), "bytes": len(made)}, [f"{out}  {len(made):,} bytes"])
