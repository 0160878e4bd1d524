"""`fwledger release`: what speaks to the ledger: approve, publish, show, list, revoke."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import (
    approval_document,
    approval_options,
    rollout_of,
    rollout_options,
    settle,
)
from ledger_client.cli.advice import warn
from ledger_client.cli.app import PATH, App, command, short
from ledger_client.cli.progress import Progress
from ledger_client.cli.words import read_release_id, release_lines, release_of, utc
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from ledger_client.acts import Act, Rollout
    from ledger_client.releases import Release


@click.command("publish")
@command(
    "fwledger release publish releases/1.2.0 --channel stable --initial-bps 500 --ramp-hours 72",
    sends=True,
)
@click.argument("folder", type=PATH)
@click.option("--channel", required=True, help="the channel's name")
@rollout_options
@approval_options
def publish(app: App, folder: Path, channel: str, **options: Any) -> None:
    """Push a release to IPFS and make it the head of a channel, in one transaction.

    Signatures, channel, sequence numbers and approvals are checked before anything is sent anywhere.
    """
    from ledger_client.acts import Rollout
    from ledger_client.content.node.store import BlockStore
    from ledger_client.publishing import push_release, release_bytes
    from ledger_client.releases import load_release, plan_publication, publication_act

    found = load_release(folder)
    share_said = options["initial_bps"] is not None
    given = rollout_of(options)
    if given is not None and options["approvals"]:
        raise UsageError("the approvals say the rollout already")

    def plan(deadline: int, approved: Rollout | None) -> Act:
        rollout = approved or given or Rollout()
        act = plan_publication(
            app.ledger, found, root=app.root.root, channel=channel, rollout=rollout, deadline=deadline
        )
        if approved is None:
            warn(app, rollout, channel=channel, share_said=share_said)
        return act

    def push() -> None:
        # Before the transaction: devices that learn of the head a second later must find its blocks.
        store = BlockStore(app.config.release.blocks)
        what = f"pushing {found.manifest.version} to IPFS"
        with app.ipfs() as client, Progress(app, what, release_bytes(found)) as progress:
            push_release(client, store, found, progress=progress)

    def subject() -> str:
        return publication_act(
            app.ledger, found, channel=channel, rollout=given or Rollout(), epoch=0, deadline=0
        ).subject

    receipt = settle(app, plan, first=push, subject=subject, **options)
    if receipt is None:
        app.emit("release-publish", *approval_document(app, options["approve_only"]))
        return
    app.remember_channel(channel)
    document = {
        "release": "0x" + found.id.hex(),
        "channel": channel,
        "sequence": found.manifest.sequence,
        "envelope": str(found.envelope.cid),
        "block": receipt.block_number,
    }
    app.emit(
        "release-publish",
        document,
        [
            f"release   {found.id.hex()}",
            f"channel   {channel}",
            f"envelope  {found.envelope.cid}",
            f"block     {receipt.block_number}",
        ],
    )


@click.command("show")
@command("fwledger release show releases/1.2.0")
@click.argument("release", metavar="FOLDER|ID")
def show(app: App, release: str) -> None:
    """Show a release: what it is, who signed it, and what the ledger says of it. By ID it is fetched from
    IPFS.
    """
    from ledger_client.releases import load_release, signers_of

    found = load_release(Path(release)) if Path(release).exists() else _fetch(app, read_release_id(release))
    root = app.root.root
    good, others = signers_of(found, root.release_keys.keys)
    threshold = root.release_keys.threshold
    revocation = app.ledger.revoked(found.id)
    published = list(
        app.ledger.publications(
            from_block=app.config.chain.from_block, to_block=app.network.block_number(), release=found.id
        )
    )
    channels = {app.channel_name(p.channel): p for p in published}
    heads = [name for name, p in channels.items() if app.ledger.head(p.channel) == found.id]
    document = {
        "release": "0x" + found.id.hex(),
        "version": found.manifest.version,
        "sequence": found.manifest.sequence,
        "security_version": found.manifest.security_version,
        "channels": list(found.manifest.channels),
        "signers": [key.key_id.hex() for key in good],
        "threshold": threshold,
        "signed": len(good) >= threshold,
        "published_on": list(channels),
        "head_of": heads,
        "revoked": None
        if revocation is None
        else {"time": revocation.time, "reason": revocation.reason, "mandatory": revocation.mandatory},
    }
    lines = [
        *release_lines(found),
        f"signed      by {len(good)} of {len(root.release_keys.keys)} release keys, {threshold} needed"
        + (f"; {others} other signatures" if others else ""),
        *(f"            {key.key_id.hex()}" for key in good),
        f"published   {', '.join(channels) or 'nowhere'}"
        + (f"; head of {', '.join(heads)}" if heads else ""),
        "revoked     no"
        if revocation is None
        else f"revoked     {utc(revocation.time)}, reason {revocation.reason}"
        + (", mandatory" if revocation.mandatory else ""),
    ]
    app.emit("release-show", document, lines)


@click.command("list")
@command("fwledger release list --channel stable")
@click.option("--channel", help="only this channel's")
def list_releases(app: App, channel: str | None) -> None:
    """List publications, oldest first, from the ledger's log."""
    from ledger_protocol.release.manifest import channel_id

    found = app.ledger.publications(
        from_block=app.config.chain.from_block,
        to_block=app.network.block_number(),
        channel=channel_id(channel) if channel else None,
    )
    rows = [
        {
            "channel": app.channel_name(one.channel),
            "sequence": one.word.sequence,
            "security_version": one.word.security_version,
            "release": "0x" + one.release.hex(),
            "published_at": one.word.published_at,
            "block": one.log.block_number,
            "head": app.ledger.head(one.channel) == one.release,
            "revoked": app.ledger.revoked(one.release) is not None,
        }
        for one in found
    ]
    lines = [_publication_line(row) for row in rows]
    app.emit("release-list", {"publications": rows}, lines or ["nothing was published yet"])


@click.command("revoke")
@command("fwledger release revoke releases/1.2.0 --reason 7 --mandatory", sends=True)
@click.argument("release", metavar="FOLDER|ID")
@click.option(
    "--reason", type=click.IntRange(0, 65535), default=0, show_default=True, help="your own code, for the log"
)
@click.option("--mandatory", is_flag=True, help="devices that run it must leave it at once; needs publishers")
@approval_options
def revoke(app: App, release: str, reason: int, mandatory: bool, **options: Any) -> None:
    """Revoke a release, for ever. A guardian alone stops new installs; publishers may make it mandatory."""
    target = release_of(release)
    alone = not (mandatory or options["approvals"] or options["approve_only"])
    if alone and "guardian" in app.ledger.roles(app.account.address):
        app.send(app.ledger.revoke(target, reason))
    else:

        def plan(deadline: int, _: Rollout | None) -> Act:
            return app.ledger.new_act(
                "Revoke", release=target, reason=reason, mandatory=mandatory, deadline=deadline
            )

        if settle(app, plan, **options) is None:
            app.emit("release-revoke", *approval_document(app, options["approve_only"]))
            return
    document = {"release": "0x" + target.hex(), "reason": reason, "mandatory": mandatory}
    app.emit("release-revoke", document, [f"revoked  {target.hex()}" + ("  mandatory" if mandatory else "")])


COMMANDS = (publish, show, list_releases, revoke)


def _publication_line(row: dict[str, Any]) -> str:
    marks = "  head" * row["head"] + "  revoked" * row["revoked"]
    when = utc(row["published_at"])
    return f"{row['channel']:<12} {row['sequence']:>6}  {row['release'][2:18]}  {when}{marks}"


def _fetch(app: App, wanted: bytes) -> Release:
    """A published release from the configured IPFS node, by the envelope that its log hints at."""
    from ledger_client.publishing import envelope_hint
    from ledger_client.releases import Release, merge
    from ledger_protocol.content.cid import DAG_CBOR, Cid
    from ledger_protocol.release.envelope import Envelope
    from ledger_protocol.release.manifest import Manifest

    published = list(
        app.ledger.publications(
            from_block=app.config.chain.from_block, to_block=app.network.block_number(), release=wanted
        )
    )
    if not published:
        raise UsageError(f"release {short(wanted)} was never published here", hint="give its folder instead")
    with app.ipfs() as client:
        block = client.get_block(Cid(DAG_CBOR, wanted))
        envelope = Envelope.decode(client.get_block(envelope_hint(published[-1].envelope)))
    return merge(Release(block, Manifest.decode(block), envelope), [])
