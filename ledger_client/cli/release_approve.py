"""`fwledger release approve`: one member's approval of an act, by a keystore or by a wallet of its own."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import act_lines, rollout_of, rollout_options, write_approval
from ledger_client.cli.app import PATH, App, command
from ledger_client.config import checksum_address, parse_address
from ledger_client.config_file import replace_file
from ledger_client.errors import DeclinedError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.acts import Act, Rollout


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
@click.option("--out", required=True, type=PATH, metavar="FILE", help="the approval to pass on")
@click.option("--typed-data", is_flag=True, help="write only the typed data to FILE, for a wallet to sign")
@click.option("--signature", metavar="HEX", help="the signature that a wallet made over the typed data")
@click.option("--signer", metavar="ADDRESS", help="whose signature that is")
@rollout_options
def approve(app: App, source: Path, folder: Path | None, **options: Any) -> None:
    """Approve a publication, or any act in another member's approval file, as EIP-712 typed data.

    The first approver gives the release's FOLDER and the rollout; the others give the first one's APPROVAL
    and sign the very same act. A hardware wallet signs what --typed-data writes; --signature and --signer
    bring it back.
    `release publish --approval ...` carries it out.
    """
    from ledger_client.acting import approve_as_member, check_act, check_member
    from ledger_client.approvals import read_act, read_signature, verify_approval

    out, signature, signer = options["out"], options["signature"], options["signer"]
    if (signature is None) != (signer is None):
        raise UsageError("--signature and --signer belong together")
    rollout = rollout_of(options)
    if source.is_dir():
        act = _planned(app, source, options["channel"], rollout, options["valid_hours"])
    elif rollout is not None or options["channel"] is not None:
        raise UsageError("an approval file says channel and rollout already")
    else:
        act = read_act(source)
        check_act(app.ledger, act)
        _check_release(app, act, source, folder)
    if options["typed_data"]:
        replace_file(out, json.dumps(act.typed_data(), indent=2).encode() + b"\n")
        app.emit("release-approve", {"typed_data": str(out), "act": act.name}, [f"typed data  {out}"])
        return
    if signature is not None:
        address = parse_address(signer, where="--signer")
        check_member(app.ledger, act, address)
        approval = verify_approval(act, address, read_signature(signature), where="--signature")
    else:
        if not source.is_dir():
            _ask(app, act, "approve this?")
        approval = approve_as_member(app.ledger, act, app.account)
    write_approval(app, approval, out)
    by = checksum_address(approval.signer)
    app.emit("release-approve", {"approval": str(out), "signer": by}, [f"approval  {out}", f"by        {by}"])


def _planned(app: App, folder: Path, channel: str | None, rollout: Rollout | None, valid_hours: int) -> Act:
    from ledger_client.acts import Rollout as Given
    from ledger_client.releases import load_release, plan_publication

    if channel is None:
        raise UsageError("which channel?", hint="--channel NAME")
    return plan_publication(
        app.ledger,
        load_release(folder),
        root=app.root.root,
        channel=channel,
        rollout=rollout or Given(),
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


def _ask(app: App, act: Act, question: str) -> None:
    """A person's yes, unless --yes said it already. Who is asked is shown what about, with --quiet too."""
    if app.yes:
        app.say(*act_lines(app, act))
        return
    for line in act_lines(app, act):
        click.echo(line, err=True)
    if not app.interactive or not click.confirm(question, default=False, err=True):
        raise DeclinedError("nothing was approved", hint="--yes approves without asking")
