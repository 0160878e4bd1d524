"""`fwledger channel`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import approval_document, approval_options, rollout_of, rollout_options, settle
from ledger_client.cli.app import App, command
from ledger_client.cli.words import percent, utc
from ledger_client.errors import UsageError
from ledger_protocol.ledger.rollout import ALL_BPS, share_bps
from ledger_protocol.release.manifest import channel_id

if TYPE_CHECKING:
    from ledger_client.acts import Act, Rollout
    from ledger_protocol.ledger.contract_state import ChannelWord


@click.group()
def channel() -> None:
    """Create, halt, resume and look at channels. The ledger knows a channel by the SHA-256 of its name."""


@channel.command("create")
@command("fwledger channel create stable --group 1", sends=True)
@click.argument("name")
@click.option(
    "--group", type=click.IntRange(0, 2**24 - 1), required=True, help="group of devices that follows it"
)
@approval_options
def create(app: App, name: str, group: int, **options: Any) -> None:
    """Let a group of devices follow a channel, and keep the channel's name in fwledger.toml.

    A group that follows another channel moves to this one. Give the command once for each group.
    """
    target = channel_id(name)
    current = app.ledger.channel_of(group)
    if current == target:
        app.remember_channel(name)
        app.emit(
            "channel-create",
            {"channel": name, "group": group, "changed": False},
            [f"group {group} follows {name} already"],
        )
        return

    def plan(deadline: int, _: Rollout | None) -> Act:
        epoch = app.ledger.word(current or target).epoch
        return app.ledger.new_act(
            "AssignGroup",
            group=group,
            leaves=current or bytes(32),
            channel=target,
            epoch=epoch,
            deadline=deadline,
        )

    if settle(app, plan, **options) is None:
        app.emit("channel-create", *approval_document(app, options["approve_only"]))
        return
    app.remember_channel(name)
    app.emit(
        "channel-create",
        {"channel": name, "group": group, "changed": True, "id": "0x" + target.hex()},
        [f"group {group} follows {name}", f"channel id {target.hex()}"],
    )


@channel.command("halt")
@command("fwledger channel halt stable", sends=True)
@click.argument("name")
def halt(app: App, name: str) -> None:
    """Stop all installs of a channel's head. A guardian may, alone."""
    app.send(app.ledger.halt(channel_id(name)))
    app.emit("channel-halt", {"channel": name, "halted": True}, [f"halted  {name}"])


@channel.command("resume")
@command("fwledger channel resume stable --initial-bps 1000 --ramp-hours 48", sends=True)
@click.argument("name")
@rollout_options
@approval_options
def resume(app: App, name: str, **options: Any) -> None:
    """Clear a halt. The rollout goes on from the frozen share with the hours and the breaker that it had, or
    with those given here; not with a lower share. Needs publishers.
    """
    from ledger_client.acts import Rollout

    target = channel_id(name)
    word = app.ledger.word(target)
    # What is not said stays as it was: the share that the halt froze, the hours, the breaker's bars.
    kept = Rollout(
        initial_bps=word.initial_bps,
        hold_hours=word.hold_hours,
        ramp_hours=word.ramp_hours,
        halt_bps=word.halt_bps,
        min_reports=word.min_reports,
    )
    rollout_kept = rollout_of(options, kept=kept) or kept

    def plan(deadline: int, approved: Rollout | None) -> Act:
        rollout = approved or rollout_kept
        values = {"channel": target, "sequence": word.sequence, "epoch": word.epoch, "deadline": deadline}
        return app.ledger.new_act("Resume", **values, **rollout.fields())

    if settle(app, plan, **options) is None:
        app.emit("channel-resume", *approval_document(app, options["approve_only"]))
        return
    app.emit("channel-resume", {"channel": name, "halted": False}, [f"resumed  {name}"])


@channel.command("rollout")
@command("fwledger channel rollout stable --initial-bps 2500 --ramp-hours 24", sends=True)
@click.argument("name")
@rollout_options
@approval_options
def rollout(app: App, name: str, **options: Any) -> None:
    """Give a running release another rollout, at no lower share than the one reached. Needs publishers."""
    from ledger_client.acts import Rollout

    target = channel_id(name)
    now = app.ledger.word(target)
    # What is not said stays as it is: the share reached, the hours, the breaker's bars.
    kept = Rollout(
        initial_bps=share_bps(now, app.network.block_time()),
        hold_hours=now.hold_hours,
        ramp_hours=now.ramp_hours,
        halt_bps=now.halt_bps,
        min_reports=now.min_reports,
    )
    given = rollout_of(options, kept=kept) or kept
    if given == kept and not options["approvals"]:
        raise UsageError("which rollout?", hint="--initial-bps, --ramp-hours, --immediate: see --help")

    def plan(deadline: int, approved: Rollout | None) -> Act:
        word = app.ledger.word(target)
        values = {"channel": target, "sequence": word.sequence, "epoch": word.epoch, "deadline": deadline}
        chosen = approved or given
        return app.ledger.new_act("SetRollout", **values, **chosen.fields())

    if settle(app, plan, **options) is None:
        app.emit("channel-rollout", *approval_document(app, options["approve_only"]))
        return
    share = share_bps(app.ledger.word(target), app.network.block_time())
    app.emit(
        "channel-rollout",
        {"channel": name, "share_bps": share},
        [f"rollout  {name}: {percent(share)} of devices"],
    )


@channel.command("status")
@command("fwledger channel status stable")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def status(app: App, names: tuple[str, ...]) -> None:
    """Show head, rollout and votes of channels; of all that fwledger.toml names where none is given."""
    names = names or app.config.release.channels
    if not names:
        raise UsageError("no channel is known", hint="name one, or `fwledger channel create`")
    now_s = app.network.block_time()
    groups = app.ledger.groups(from_block=app.config.chain.from_block, to_block=app.network.block_number())
    rows, lines = [], []
    for name in names:
        target = channel_id(name)
        head, word = app.ledger.head(target), app.ledger.word(target)
        mine = sorted(group for group, followed in groups.items() if followed == target)
        row: dict[str, Any] = {"channel": name, "groups": mine, "head": None}
        lines.append(f"{name}: groups {', '.join(map(str, mine)) or 'none'}")
        if head is not None:
            tally = app.journal.tally(head, word.published_at)
            share = share_bps(word, now_s)
            row |= {
                "head": "0x" + head.hex(),
                "sequence": word.sequence,
                "security_version": word.security_version,
                "published_at": word.published_at,
                "halted": word.halted,
                "share_bps": share,
                "immediate": word.immediate,
                "hold_hours": word.hold_hours,
                "ramp_hours": word.ramp_hours,
                "halt_bps": word.halt_bps,
                "min_reports": word.min_reports,
                "installed": tally.installed,
                "confirmed": tally.confirmed,
                "failed": tally.failed,
            }
            lines += [
                f"  head       {head.hex()}",
                f"  sequence   {word.sequence}, security version {word.security_version}",
                f"  published  {utc(word.published_at)}",
                f"  rollout    {_reach(word, share)}",
                f"  breaker    over {percent(word.halt_bps)} failed of {word.min_reports} or more"
                if word.halt_bps
                else "  breaker    off",
                f"  votes      {tally.installed} installed, {tally.confirmed} ok, {tally.failed} failed",
            ]
        rows.append(row)
    app.emit("channel-status", {"channels": rows}, lines)


def _reach(word: ChannelWord, share: int) -> str:
    """How far a rollout is, and when it will have reached everybody."""
    if word.halted:
        return f"halted at {percent(share)} of devices"
    if share >= ALL_BPS:
        return "all devices"
    if word.initial_bps == 0:
        return "no device: it began with a share of 0"
    whole = word.rollout_from + (word.hold_hours + word.ramp_hours) * 3600
    return f"{percent(share)} of devices, all by {utc(whole)}"
