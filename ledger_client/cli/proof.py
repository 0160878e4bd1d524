"""`fwledger proof`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.config import checksum_address, parse_address
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
    "--note",
    type=PATH,
    metavar="FILE",
    help="note of `fwledger witness collect`; the proof is of its block [default: from witness.sources]",
)
def channel(app: App, name: str, out: Path, devices: tuple[str, ...], note: Path | None) -> None:
    """Write the proof of a channel's state: head, rollout, revocations, trust root, groups."""
    from ledger_client.proofs import channel_proof

    vouched = app.vouched(note)
    target, since = channel_id(name), app.config.chain.from_block
    groups = app.ledger.groups(from_block=since, to_block=vouched.number)
    proved = channel_proof(
        app.ledger,
        target,
        groups=[group for group, followed in groups.items() if followed == target],
        devices=[parse_address(text, where="device") for text in devices],
        journal=app.journal.address,
        from_block=since,
        block=vouched.number,
    )
    made = vouched.attach(proved, app.root.root).encode()
    replace_file(out, made)
    document = {"path": str(out), "bytes": len(made), "block": vouched.number}
    app.emit("proof-channel", document, [f"{out}  {len(made):,} bytes"])


@proof.command("receipt")
@command("fwledger proof receipt 0x6c1f... --out receipt.proof")
@click.argument("transaction")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="the proof")
def receipt(app: App, transaction: str, out: Path) -> None:
    """Write the proof of a transaction's receipt and logs, with the header of its block and, where the trust
    root pins witnesses, their note of it.
    """
    from ledger_client.proofs import receipt_proof

    pinned = app.config.witness.sources and app.config.release.trust_root.exists()
    root = app.root.root if pinned else None
    made = receipt_proof(
        app.network,
        _digest(transaction),
        note_at=lambda number: None if root is None else app.notes.at(number, root),
    ).encode()
    replace_file(out, made)
    app.emit("proof-receipt", {"path": str(out), "bytes": len(made)}, [f"{out}  {len(made):,} bytes"])


@proof.command("anchor")
@command("fwledger proof anchor 0x6c1f... --device 0xd8dA6BF2... --out device.anchored")
@click.argument("transaction")
@click.option("--device", required=True, metavar="ADDRESS", help="whose events")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="the proof")
@click.option("--note", type=PATH, metavar="FILE", help="note of `fwledger witness collect` of that block")
def anchor(app: App, transaction: str, device: str, out: Path, note: Path | None) -> None:
    """Write the proof that an anchor holds a device's events: receipt, paths and leaves.

    The batch comes from the configured IPFS node. The device lets go of these events then
    (`fwledger-device receipts anchored`), and an auditor can check them (`fwledger audit anchored`).
    """
    from dataclasses import replace

    from ledger_client.anchoring import fetch_batch, find_anchor, places_of, prove
    from ledger_client.proofs import read_note

    address, journal = parse_address(device, where="device"), app.journal.address
    shown, log, anchored = find_anchor(app.network, _digest(transaction), journal=journal)
    if note is not None:
        shown = replace(shown, note=read_note(note, app.root.root)[0])
    with app.ipfs() as ipfs:
        batch = fetch_batch(ipfs, anchored, chain_id=app.network.chain_id, journal=journal)
    places = places_of(batch, address)
    if not places:
        raise UsageError(f"this anchor holds no event of {checksum_address(address)}")
    written = []
    for number, made in enumerate(prove(batch, places, receipt=shown, log=log)):
        path = out if not number else out.with_name(f"{out.stem}-{number + 1}{out.suffix}")
        replace_file(path, made.encode())
        written.append(str(path))
    document = {"device": checksum_address(address), "events": len(places), "paths": written}
    app.emit("proof-anchor", document, [f"{path}" for path in written])


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError("transaction", expected="64 hex digits", got=text[:80])
    return digest
