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

# A stick that nobody made anew for so long is said to be old (seconds): a month.
_STALE_S = 30 * 86_400

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.content.node.store import BlockStore
    from ledger_protocol.content.cid import Cid
    from ledger_protocol.release.trust_root import TrustRoot


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
    manifest, header, root = found.release.manifest, found.view.header, found.view.root
    age_s = max(now_s - header.seen_at, 0)
    revoked = found.view.head_revoked is not None
    halted = found.view.word is not None and found.view.word.halted
    document = {
        "release": "0x" + found.release.release_id.hex(),
        "version": manifest.version,
        "channels": list(found.channels),
        "block": header.number,
        "block_time": header.time,
        "witnessed_at": header.witnessed_at,
        "age_s": age_s,
        "trust_root_version": root.version,
        "too_old_for_a_clock": root.max_checkpoint_age is not None and age_s > root.max_checkpoint_age,
        "expired_for_a_clock": root.expires is not None and now_s >= root.expires,
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
        f"proved    block {header.number}, {utc(header.time)}, {_ago(age_s)}",
        f"state     {state} then, signed by {len(found.release.signers)} release keys",
        f"content   {found.blocks} blocks, {found.image_bytes:,} bytes, all as their addresses say",
        *_since(age_s, root, now_s=now_s),
    ]
    app.emit("bundle-show", document, lines)


def _since(age_s: int, root: TrustRoot, *, now_s: int) -> list[str]:
    """What a stick cannot say: all that happened after its block, and what devices make of its age."""
    limit = root.max_checkpoint_age
    if root.expires is not None and now_s >= root.expires:
        verdict = f"a device with a clock refuses it: trust root {root.version} expired {utc(root.expires)}"
    elif limit is None:
        verdict = "a device takes it whatever its age, unless it has seen a newer block"
    elif age_s > limit:
        verdict = f"a device with a clock refuses it: no older than {_span(limit)} is accepted"
    else:
        verdict = f"a device with a clock takes it for {_span(limit - age_s)} more"
    return [
        f"since     {_span(age_s)} in which it may have been replaced, revoked or halted, and keys withdrawn",
        f"devices   {verdict}",
        *(["advice    make a new one with `fwledger bundle make`"] if age_s > _STALE_S else []),
    ]


def _ago(age_s: int) -> str:
    return f"{_span(age_s)} ago"


def _span(seconds: int) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 2 * 86_400 else f"{seconds / 3600:.1f} h"


def _block(store: BlockStore, client: IpfsClient, cid: Cid) -> bytes:
    return store.get(cid) if store.has(cid) else client.get_block(cid)
