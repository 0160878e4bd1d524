"""`install` and `run`."""

import argparse
import random
import time

from device_verifier import updater
from device_verifier.assembly import network_sources, open_agent
from device_verifier.cli.checking import (
    decision_code,
    decision_document,
    explain_error,
    explained,
    hex_text,
    old_view,
    open_sources,
)
from device_verifier.cli.output import Answer
from device_verifier.cli.reporting import report_if_possible
from device_verifier.cli.views import is_old_view
from device_verifier.config import DeviceConfig
from device_verifier.errors import DeviceError, UsageError
from device_verifier.progress import Progress
from device_verifier.updater import Outcome

__all__ = ["install", "run"]


def install(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Install the newest release, and tell the ledger before the reboot where a relay can be reached."""
    with open_agent(config, progress=progress) as agent:
        with open_sources(config, arguments) as sources:
            try:
                outcome = updater.install(agent, sources, override=arguments.now)
            except DeviceError as error:
                if is_old_view(error):
                    return old_view(error, arguments, "fwledger/device-install/1")
                explain_error(arguments, error)
                raise
        if arguments.bundle is None:
            report_if_possible(agent)
    return _installed(
        outcome, explained(arguments, () if outcome.decision is None else outcome.decision.steps)
    )


def run(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Check, install and report, then sleep for the poll interval and a random part of its jitter, for
    ever.
    """
    rounds = 0
    while True:
        rounds += 1
        try:
            with open_agent(config, progress=progress) as agent:
                outcome = updater.install(agent, network_sources(config))
                report_if_possible(agent)
        except UsageError:
            raise
        except DeviceError as error:
            progress.step(f"round {rounds}: {error} [{error.reason.value}]")
        else:
            progress.step(f"round {rounds}: {_installed(outcome, []).text}")
            if outcome.armed:
                return _installed(outcome, [])
        if arguments.rounds is not None and rounds >= arguments.rounds:
            return Answer({"schema": "fwledger/device-run/1", "rounds": rounds}, f"{rounds} rounds done")
        # Devices that were switched on together must not ask together.
        time.sleep(config.poll.interval_s + random.uniform(0, config.poll.jitter_s))  # noqa: S311 - no secret


def _installed(outcome: Outcome, explained: list[str]) -> Answer:
    document: dict[str, object] = {
        "schema": "fwledger/device-install/1",
        "armed": outcome.armed,
        "release": None if outcome.release is None else hex_text(outcome.release),
        "version": outcome.version,
        "slot": outcome.slot,
    }
    decision = outcome.decision
    if decision is not None:
        document |= decision_document(decision)
    if outcome.armed:
        text = f"version {outcome.version} is in slot {outcome.slot} and starts at the next boot"
        return Answer(document, "\n".join([*explained, text]))
    if decision is None:
        raise RuntimeError("an install that does not arm has a decision")
    text = f"nothing installed: {decision.reason.value}: {decision.reason.meaning}"
    return Answer(document, "\n".join([*explained, text]), decision_code(decision))
