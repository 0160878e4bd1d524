"""What a publisher is told about the numbers of a rollout, before anybody approves or sends it.

Advice, never a refusal: a fleet of ten is published to at once by people who know its ten devices.
"""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.errors import UnreachableError
from ledger_protocol.ledger.rollout import ALL_BPS

if TYPE_CHECKING:
    from ledger_client.acts import Rollout
    from ledger_client.cli.app import App

# docs/rollouts.md: what was simulated, and what other numbers would have done.
ADVISED = "--initial-bps 500 --hold-hours 36 --ramp-hours 48"


def warn(app: App, rollout: Rollout, *, channel: str, share_said: bool) -> None:
    """Tell whoever chooses a rollout what `warnings` says of it and of the channel's fleet."""
    from ledger_client.fleet import count_devices
    from ledger_protocol.release.manifest import channel_id

    try:
        devices = count_devices(
            app.ledger,
            app.journal,
            channel_id(channel),
            from_block=app.config.chain.from_block,
            enough=max(rollout.min_reports, 1),
        )
    except UnreachableError:
        devices = None  # a node that keeps no old logs: no reason to stop anybody
    app.say(*warnings(rollout, devices=devices, share_said=share_said))


def warnings(rollout: Rollout, *, devices: int | None, share_said: bool) -> list[str]:
    """Lines about a rollout for so many devices (None = not known; none at all can be harmed by nothing).

    `share_said` = the person named the first share, so that all of them is no accident.
    """
    if devices == 0:
        return []
    lines = []
    if rollout.initial_bps == ALL_BPS and not rollout.immediate and not share_said:
        lines += [
            "warning: to all devices at once: failures that are told hours late are told too late to stop it",
            f"hint: {ADVISED} begins with 5 %; --initial-bps {ALL_BPS} says that all are meant",
        ]
    if rollout.halt_bps == 0:
        return lines
    if devices is not None and devices < rollout.min_reports:
        follow = "1 device follows" if devices == 1 else f"{devices} devices follow"
        waits = f"it waits for {rollout.min_reports} reports"
        lines += [
            f"warning: the breaker cannot trip: {follow} the channel, {waits}",
            f"hint: --min-reports {max(devices // 2, 1)} would do; without it only people can halt",
        ]
    return lines
