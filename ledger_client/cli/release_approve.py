"""`fwledger release approve`: one member's approval of an act, by a keystore or by a wallet of its own."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.acts import Rollout
from ledger_client.cli.acts import approve_file, rollout_of, rollout_options, signing_options
from ledger_client.cli.advice import warn
from ledger_client.cli.app import PATH, App, command
from ledger_client.errors import NotTrustedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.acts import Act


@click.command("approve")
@command("fwledger release approve releases/1.2.0 --channel stable --out bob.approval", sends=True)
@click.argument("source", type=PATH, metavar="FOLDER|APPROVAL|TYPED-DATA")
@click.option("--channel", help="with a FOLDER: the channel to publish on")
@click.option("--release", "folder", type=PATH, metavar="FOLDER", help="else: the release that it must name")
@click.option(
    "--valid-hours",
    type=click.IntRange(1, 24 * 365),
    default=168,
    show_default=True,
    help="how long it counts",
)
@signing_options
@rollout_options
def approve(app: App, source: Path, folder: Path | None, **options: Any) -> None:
    """Approve a publication, or any act in another member's approval file, as EIP-712 typed data.

    The first approver gives the release's FOLDER and the rollout; the others give the first one's APPROVAL
    and sign the very same act. A hardware wallet signs what --typed-data writes; --signature and --signer
    bring it back.
    `release publish --approval ...` carries it out.
    """
    from ledger_client.acting import check_act
    from ledger_client.approvals import read_act

    share_said = options["initial_bps"] is not None
    rollout = rollout_of(options)
    channel, valid_hours = options.pop("channel"), options.pop("valid_hours")
    if source.is_dir():
        act = _planned(app, source, channel, rollout or Rollout(), valid_hours)
        warn(app, rollout or Rollout(), channel=channel, share_said=share_said)
    elif rollout is not None or channel is not None:
        raise UsageError("an approval file says channel and rollout already")
    else:
        act = read_act(source)
        check_act(app.ledger, act)
        _check_release(app, act, source, folder)
    approve_file(app, act, schema="release-approve", seen=source.is_dir(), **options)


def _planned(app: App, folder: Path, channel: str | None, rollout: Rollout, valid_hours: int) -> Act:
    from ledger_client.releases import load_release, plan_publication

    if channel is None:
        raise UsageError("which channel?", hint="--channel NAME")
    return plan_publication(
        app.ledger,
        load_release(folder),
        root=app.root.root,
        channel=channel,
        rollout=rollout,
        deadline=app.deadline(valid_hours),
    )


def _check_release(app: App, act: Act, source: Path, folder: Path | None) -> None:
    """Hold an act against the release that the approver has seen."""
    from ledger_client.releases import load_release, verify
    from ledger_protocol.release.manifest import channel_id

    if folder is None:
        return
    found = load_release(folder)
    verify(found, root=app.root.root)
    if act.name != "Publish" or act["release"] != found.id:
        named = act["release"].hex() if act.name == "Publish" else act.name
        raise NotTrustedError(f"{source} is not about {folder}", expected=found.id.hex(), got=named)
    manifest = found.manifest
    for what, expected, got in (
        ("sequence", manifest.sequence, act["sequence"]),
        ("security version", manifest.security_version, act["securityVersion"]),
    ):
        if got != expected:
            raise NotTrustedError(f"{source}: {what} of {folder}", expected=expected, got=got)
    if act["channel"] not in map(channel_id, manifest.channels):
        raise NotTrustedError(
            f"{source}: channel",
            expected="one of " + ", ".join(manifest.channels),
            got=app.channel_name(act["channel"]),
        )
