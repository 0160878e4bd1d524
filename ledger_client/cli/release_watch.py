"""`fwledger release watch`: a rollout, live."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import App, command
from ledger_client.cli.words import percent, release_of, utc
from ledger_client.config import checksum_address
from ledger_client.errors import EXIT_NOT_TRUSTED, UnreachableError, UsageError
from ledger_protocol.release.manifest import channel_id

if TYPE_CHECKING:
    from ledger_client.watching import Failure, Snapshot

SCHEMA = "fwledger/cli/release-watch/1"


@click.command("watch")
@command("fwledger release watch --channel stable")
@click.argument("release", required=False, metavar="[FOLDER|ID]")
@click.option("--channel", help="the channel's name; its head where no release is given")
@click.option("--once", is_flag=True, help="tell how it stands, and end")
@click.option(
    "--interval-s",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="how often to look (seconds)",
)
def watch(app: App, release: str | None, channel: str | None, once: bool, interval_s: float) -> int | None:
    """Watch a rollout: share reached, devices that installed, confirmed, failed (each by name) or are silent,
    and where it is heading.

    Tells what changed; with --json one line of JSON a change. Ends with 0 when every device has confirmed or
    failed, with 1 when the release is halted, revoked or superseded.
    """
    from ledger_client.watching import Course, Watch, find_publication

    if release is None and channel is None:
        raise UsageError("watch what?", hint="a release's folder or id, or --channel NAME")
    from_block = app.config.chain.from_block
    publication = find_publication(
        app.ledger,
        from_block=from_block,
        channel=channel_id(channel) if channel else None,
        release=release_of(release) if release else None,
    )
    watched = Watch(app.ledger, app.journal, publication, from_block=from_block)
    before: tuple[object, ...] = ()
    known: set[Failure] = set()
    while True:
        try:
            found = watched.look()
        except UnreachableError as error:
            if once:
                raise
            app.say(f"no answer, trying again: {error}")
        else:
            if (now := _shown(found)) != before:
                _tell(app, found, known)
                before, known = now, set(found.failures)
            if once:
                return None
            if found.course is not Course.RUNNING:
                return None if found.course is Course.COMPLETE else EXIT_NOT_TRUSTED
        time.sleep(interval_s)


def _shown(found: Snapshot) -> tuple[object, ...]:
    """What makes a change worth telling: not the block, nor the forecast that moves with the clock."""
    counts = (found.devices, found.reached, found.installed, found.confirmed, found.silent)
    return found.course, found.share_bps, counts, found.failures, found.tally


def _tell(app: App, found: Snapshot, known: set[Failure]) -> None:
    if app.as_json:
        channel = app.channel_name(found.channel)
        click.echo(json.dumps({"schema": SCHEMA, "channel": channel, **found.document()}))
        return
    forecast = found.forecast
    click.echo(
        f"{utc(found.time_s)}  {found.course}  {percent(found.share_bps)}: {found.reached} of {found.devices}"
        f" devices; {found.installed} installed, {found.confirmed} confirmed, {len(found.failures)} failed,"
        f" {found.silent} silent"
    )
    for one in found.failures:
        if one not in known:
            how = "counted" if one.counted else "not counted"
            click.echo(f"  {checksum_address(one.device)}  {one.kind} at {utc(one.time_s)}, {how}")
    if found.course == "running":
        told = []
        if forecast.all_reached_at is not None and found.reached < found.devices:
            told.append(f"all reached by {utc(forecast.all_reached_at)}")
        if forecast.complete_at is not None:
            told.append(f"complete about {utc(forecast.complete_at)}")
        if forecast.failures_to_halt == 1:
            told.append("1 more failure halts it")
        elif forecast.failures_to_halt is not None:
            told.append(f"{forecast.failures_to_halt} more failures in a row halt it")
        elif found.word.halt_bps:
            told.append("too few devices are left for the breaker to halt it")
        if told:
            click.echo(f"  forecast: {'; '.join(told)}")
