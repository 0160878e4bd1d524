"""`boot`, `reboot` and `mark-good`."""

import argparse
from contextlib import suppress

from device_verifier import trial
from device_verifier.assembly import network_sources, open_agent, simulated_bootloader
from device_verifier.cli.output import Answer
from device_verifier.cli.reporting import report_if_possible
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps
from device_verifier.errors import UsageError
from device_verifier.progress import Progress
from device_verifier.records import Phase
from device_verifier.trial import Trial
from device_verifier.updater import Sources
from ledger_protocol.report.reasons import Reason

__all__ = ["boot", "mark_good", "reboot"]

EXIT_SLOT = 4


def boot(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Play a power-on: the simulated boot loader counts a try and chooses, then the slot's agent does its
    part.

    An unhealthy slot hands back at once, which is a second boot; that ends in exit code 4.
    """
    loader = simulated_bootloader(config, DurableSteps())
    slot = loader.boot()
    progress.step(f"boot: slot {slot}")
    if arguments.hang:
        return Answer(
            {"schema": "fwledger/device-boot/1", "slot": slot, "phase": None, "hung": True},
            f"slot {slot} hangs before its agent starts",
            EXIT_SLOT,
        )
    before, first = _start(config, progress)
    last = first
    if first.reboot:
        slot = loader.boot()
        progress.step(f"boot: slot {slot}")
        _, last = _start(config, progress)
    failed = () if first.report is None else first.report.failed
    document: dict[str, object] = {
        "schema": "fwledger/device-boot/1",
        "slot": slot,
        "phase": last.phase.value,
        "reason": None if last.reason is None else last.reason.value,
        "hung": False,
        "health": []
        if first.report is None
        else [{"name": r.name, "passed": r.passed, "detail": r.detail} for r in first.report.results],
    }
    lines = [f"health check {result.name} failed: {result.detail}" for result in failed]
    changed = last.phase is not before
    lines.append(_sentence(slot, last) if changed else f"slot {slot} runs")
    fell_back = changed and last.phase is Phase.REVERTED
    return Answer(document, "\n".join(lines), EXIT_SLOT if fell_back else 0)


def reboot(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Simulate a reboot; the real one is the init system's."""
    if not arguments.simulate:
        raise UsageError(
            "this command does not restart the machine",
            reason=Reason.USAGE,
            expected="--simulate",
            got="nothing",
            hint="use `systemctl reboot` on a real device",
        )
    return boot(config, arguments, progress)


def mark_good(config: DeviceConfig, _arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Confirm the running slot."""
    with open_agent(config, progress=progress) as agent:
        sources = _sources(config)
        trial.mark_good(agent, ledgers=sources.ledgers, blocks=sources.blocks)
        report_if_possible(agent)
        slot, runs = agent.running, agent.installed()
    version = "" if runs is None else runs.version
    document = {"schema": "fwledger/device-mark/1", "slot": slot, "version": version, "state": "good"}
    return Answer(document, f"slot {slot} is good" + (f" (version {version})" if version else ""))


def _start(config: DeviceConfig, progress: Progress) -> tuple[Phase, Trial]:
    """Start the agent in the slot that booted; return where it stood before, and how its trial went."""
    with open_agent(config, progress=progress) as agent:
        before = agent.store.phase()
        sources = _sources(config)
        answer = trial.examine(agent, ledgers=sources.ledgers, blocks=sources.blocks)
        if agent.store.count_events(agent.identity.address):
            report_if_possible(agent)
        return before, answer


def _sources(config: DeviceConfig) -> Sources:
    """Return whom the health check may ask; a device that lives by bundles alone has nobody."""
    with suppress(UsageError):
        return network_sources(config)
    return Sources(ledgers=[], blocks=[])


def _sentence(slot: str, last: Trial) -> str:
    match last.phase:
        case Phase.CONFIRMED:
            return f"slot {slot} runs and is confirmed"
        case Phase.REVERTED:
            reason = "" if last.reason is None else f": {last.reason.value}: {last.reason.meaning}"
            return f"fell back to slot {slot}{reason}"
        case _:
            return f"slot {slot} runs"
