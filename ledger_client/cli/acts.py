"""What commands that publishers or governors approve have in common: rollouts, approval files, sending."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ledger_client.acts import Rollout
from ledger_client.cli.app import PATH, App
from ledger_client.cli.words import utc
from ledger_client.config import checksum_address, parse_address
from ledger_client.config_file import replace_file
from ledger_client.errors import DeclinedError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger_client.acts import Act
    from ledger_client.approvals import Approval
    from ledger_client.network import Receipt

_ALL_BPS = 10_000


def rollout_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How a release spreads; `rollout_of` makes a Rollout of them."""
    for option in reversed(
        [
            click.option("--immediate", is_flag=True, help="to all devices at once (security)"),
            click.option(
                "--initial-bps", type=int, metavar="BPS", help="share at once, in 1/10,000 [default: all]"
            ),
            click.option(
                "--hold-hours", type=int, metavar="H", help="how long to hold that share [default: 0]"
            ),
            click.option(
                "--ramp-hours", type=int, metavar="H", help="then to all in so many hours [default: 0]"
            ),
            click.option(
                "--halt-bps", type=int, metavar="BPS", help="breaker: share of failures [default: 300]"
            ),
            click.option(
                "--min-reports", type=int, metavar="N", help="breaker: fewest reports [default: 300]"
            ),
        ]
    ):
        function = option(function)
    return function


def rollout_of(options: dict[str, Any], *, kept: Rollout | None = None) -> Rollout | None:
    """Take the rollout options out of `options`; None where none was given and there is nothing to keep.

    What was not given stays as in `kept`. Raises UsageError for a share that would be all at once in truth.
    """
    names = ("immediate", "initial_bps", "hold_hours", "ramp_hours", "halt_bps", "min_reports")
    given = {name: options.pop(name) for name in names}
    # 0 is an answer: a share of nobody, a breaker that is off.
    given = {name: value for name, value in given.items() if value is not None and value is not False}
    if not given:
        return kept
    rollout = replace(kept or Rollout(), **given)
    _check_curve(rollout, given)
    return rollout


def _check_curve(rollout: Rollout, given: dict[str, Any]) -> None:
    """A share counts only while it is held or rises: with 0 hours of both, all follow at once (ledger.md)."""
    curve = [name for name in ("initial_bps", "hold_hours", "ramp_hours") if given.get(name)]
    if rollout.immediate:
        if curve:
            raise UsageError(
                "--immediate is to all at once",
                got=f"--{curve[0].replace('_', '-')} too",
                hint="give one of them",
            )
    elif curve and rollout.initial_bps == _ALL_BPS and "initial_bps" not in given:
        raise UsageError(
            f"--{curve[0].replace('_', '-')} without a share begins with all",
            hint="--initial-bps says with whom",
        )
    elif 0 < rollout.initial_bps < _ALL_BPS and not (rollout.hold_hours or rollout.ramp_hours):
        raise UsageError(
            "a share that is held for 0 hours and rises in 0 hours is all at once",
            hint="--hold-hours or --ramp-hours says how it spreads; --immediate says all at once",
        )


def approval_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Approvals as files between people."""
    for option in reversed(
        [
            click.option(
                "--approval",
                "approvals",
                multiple=True,
                type=PATH,
                metavar="FILE",
                help="a member's approval",
            ),
            click.option(
                "--approve-only", type=PATH, metavar="FILE", help="write my approval to FILE, send nothing"
            ),
            click.option(
                "--valid-hours",
                type=click.IntRange(1, 24 * 365),
                default=168,
                show_default=True,
                help="how long approvals made now count",
            ),
        ]
    ):
        function = option(function)
    return function


def settle(
    app: App,
    plan: Callable[[int, Rollout | None], Act],
    *,
    approvals: Sequence[Path],
    approve_only: Path | None,
    valid_hours: int,
    first: Callable[[], None] | None = None,
    subject: Callable[[], str] | None = None,
) -> Receipt | None:
    """Make the act, and either write this member's approval (None) or carry it out, after `first`.

    `plan` is given deadline and rollout: those of the first approval file where there is one, so that all
    approve the very same act. `subject` names the act to find what a killed run sent, where it cannot be
    planned any more because it is done; approvals name it themselves.
    """
    from ledger_client.acting import approve_as_member, carry_out
    from ledger_client.approvals import read_approval
    from ledger_client.cli.sending import finished

    held = [read_approval(path) for path in approvals]
    try:
        if held:
            agreed = held[0].act
            act = plan(agreed["deadline"], agreed.rollout if "immediate" in dict(agreed.describe()) else None)
        else:
            act = plan(app.deadline(valid_hours), None)
        if approve_only is not None:
            write_approval(app, approve_as_member(app.ledger, act, app.account), approve_only)
            return None
        call = carry_out(app.ledger, act, held, account=app.account)
    except (UsageError, NotTrustedError):
        wanted = held[0].act.subject if held else subject() if subject is not None else None
        done = None if wanted is None or approve_only is not None else finished(app, wanted)
        if done is None:
            raise
        return done
    return app.send(call, first=first)


def signing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where an approval goes, and how a wallet of its own makes it; `approve_file` takes them."""
    for option in reversed(
        [
            click.option("--out", required=True, type=PATH, metavar="FILE", help="the approval to pass on"),
            click.option(
                "--typed-data", is_flag=True, help="write only the typed data to FILE, for a wallet to sign"
            ),
            click.option(
                "--signature", metavar="HEX", help="the signature that a wallet made over the typed data"
            ),
            click.option("--signer", metavar="ADDRESS", help="whose signature that is"),
        ]
    ):
        function = option(function)
    return function


def approve_file(
    app: App,
    act: Act,
    *,
    schema: str,
    out: Path,
    typed_data: bool,
    signature: str | None,
    signer: str | None,
    seen: bool = False,
) -> None:
    """Approve an act, by the account or with a wallet's signature, as a file to pass on.

    `seen` = the person gave the act's content; else it is shown and asked about.
    """
    from ledger_client.acting import approve_as_member, check_member
    from ledger_client.approvals import read_signature, verify_approval

    if (signature is None) != (signer is None):
        raise UsageError("--signature and --signer belong together")
    if typed_data:
        replace_file(out, json.dumps(act.typed_data(), indent=2).encode() + b"\n")
        app.emit(schema, {"typed_data": str(out), "act": act.name}, [f"typed data  {out}"])
        return
    if signature is not None:
        address = parse_address(signer, where="--signer")
        check_member(app.ledger, act, address)
        approval = verify_approval(act, address, read_signature(signature), where="--signature")
    else:
        if not seen:
            _ask(app, act, "approve this?")
        approval = approve_as_member(app.ledger, act, app.account)
    write_approval(app, approval, out)
    by = checksum_address(approval.signer)
    app.emit(schema, {"approval": str(out), "signer": by}, [f"approval  {out}", f"by        {by}"])


def write_approval(app: App, approval: Approval, path: Path) -> None:
    """Write an approval file, and say what was approved."""
    if path.exists():
        raise UsageError(f"{path} exists already", hint="choose another name")
    app.say("approved:", *act_lines(app, approval.act))
    replace_file(path, approval.encode())


def act_lines(app: App, act: Act) -> list[str]:
    """An act as its approver reads it: where it counts, and all that it sets."""
    lines = [f"{act.name} on chain {act.chain_id}, ledger {checksum_address(act.ledger)}"]
    for name, text in act.describe():
        told = text
        if name == "deadline":
            told = f"{text} ({utc(act[name])})"
        elif name in ("channel", "leaves") and (known := app.channel_name(act[name])) != text:
            told = f"{text} ({known})"
        lines.append(f"  {name:<16} {told}")
    return lines


def approval_document(app: App, path: Path) -> tuple[dict[str, Any], list[str]]:
    """The result of a command that only approved."""
    document = {"approval": str(path), "signer": app.account.text}
    return document, [f"approval  {path}", f"by        {app.account.text}"]


def _ask(app: App, act: Act, question: str) -> None:
    """A person's yes, unless --yes said it already. Who is asked is shown what about, with --quiet too."""
    if app.yes:
        app.say(*act_lines(app, act))
        return
    for line in act_lines(app, act):
        click.echo(line, err=True)
    if not app.interactive or not click.confirm(question, default=False, err=True):
        raise DeclinedError("nothing was approved", hint="--yes approves without asking")
