"""`fwledger bundle`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.cli.progress import Progress
from ledger_client.cli.words import utc
from ledger_client.config import parse_address
from ledger_client.errors import UsageError
from ledger_protocol.release.manifest import channel_id

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.content.node.store import BlockStore
    from ledger_protocol.content.cid import Cid


@click.group()
def bundle() -> None:
    """Make and show offline bundles: proof, signatures and images as CAR files for a stick."""


@bundle.command("make")
@command("fwledger bundle make --channel stable --out stick/stable.car")
@click.option("--channel", required=True, help="the channel whose head it carries")
@click.option(
    "--out", required=True, type=PATH, metavar="FILE.car", help="the first part; further ones are numbered"
)
@click.option("--component", "components", multiple=True, help="only this image; repeatable")
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
def make(
    app: App,
    channel: str,
    out: Path,
    components: tuple[str, ...],
    devices: tuple[str, ...],
    note: Path | None,
) -> None:
    """Write the head of a channel as a bundle. Blocks come from this machine's store, else from IPFS."""
    from ledger_client.bundles import Content, make_bundle
    from ledger_client.content.node.store import BlockStore
    from ledger_client.rotation import RootShelf

    if out.suffix != ".car":
        raise UsageError("name of the bundle", expected="FILE.car", got=out.name)
    since = app.config.chain.from_block
    vouched = app.vouched(note)
    groups = app.ledger.groups(from_block=since, to_block=vouched.number)
    target = channel_id(channel)
    store = BlockStore(app.config.release.blocks)
    with (
        app.ipfs() as client,
        Progress(app, f"writing {out.name}", None) as progress,
    ):
        paths = make_bundle(
            app.ledger,
            held=app.root,
            shelf=RootShelf(app.config.release.trust_root),
            vouched=vouched,
            channel=channel,
            groups=[group for group, followed in groups.items() if followed == target],
            devices=[parse_address(text, where="device") for text in devices],
            journal=app.journal.address,
            content=Content(lambda cid: _block(store, client, cid)),
            out=out,
            from_block=since,
            components=components,
            progress=progress,
        )
    sizes = [path.stat().st_size for path in paths]
    app.emit(
        "bundle-make",
        {
            "channel": channel,
            "parts": [{"path": str(p), "bytes": s} for p, s in zip(paths, sizes, strict=True)],
        },
        [f"{path}  {size:,} bytes" for path, size in zip(paths, sizes, strict=True)],
    )


@bundle.command("show")
@command("fwledger bundle show stick/stable.car")
@click.argument("path", type=PATH)
@click.option("--channel", help="the channel to check it for [default: the release's]")
def show(app: App, path: Path, channel: str | None) -> None:
    """Check a bundle as a device does, without any network, and show what it is and how old."""
    from ledger_client.bundles import show_bundle

    now_s = int(time.time())
    found = show_bundle(path, held=app.root, channel=channel, now_s=None)
    manifest = found.release.manifest
    age_hours = max(now_s - found.view.header.time, 0) / 3600
    revoked = found.view.head_revoked is not None
    halted = found.view.word is not None and found.view.word.halted
    document = {
        "release": "0x" + found.release.release_id.hex(),
        "version": manifest.version,
        "channels": list(found.channels),
        "block": found.view.header.number,
        "block_time": found.view.header.time,
        "signers": sorted(key_id.hex() for key_id in found.release.signers),
        "revoked": revoked,
        "halted": halted,
        "blocks": found.blocks,
        "bytes": found.image_bytes,
    }
    state = "revoked" if revoked else "halted" if halted else "in force"
    lines = [
        f"release   {found.release.release_id.hex()}",
        f"version   {manifest.version} for {manifest.compatible}",
        f"channel   {', '.join(found.channels)}",
        f"proved    block {found.view.header.number}, {utc(found.view.header.time)}, {age_hours:.1f} h ago",
        f"state     {state}, signed by {len(found.release.signers)} release keys",
        f"content   {found.blocks} blocks, {found.image_bytes:,} bytes, all as their addresses say",
    ]
    app.emit("bundle-show", document, lines)


def _block(store: BlockStore, client: IpfsClient, cid: Cid) -> bytes:
    return store.get(cid) if store.has(cid) else client.get_block(cid)
