"""`report`, `receipts export` and `receipts anchored`."""

import argparse
import sys
from pathlib import Path

from device_verifier.agent import Agent
from device_verifier.anchors import anchored_events, read_anchor_proof
from device_verifier.assembly import network_sources, open_agent
from device_verifier.cli.output import Answer
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps, replace_file
from device_verifier.errors import DeviceError, SlotFailure, UsageError
from device_verifier.inquiry import learn
from device_verifier.progress import Progress
from device_verifier.reporter import EVENTS_PER_POST, send_receipts
from ledger_protocol.report.reasons import Reason

__all__ = ["receipts", "report", "report_if_possible"]

EXIT_NOT_YET = 3
# Receipts hold only what is public on the ledger anyway, and go to a stick that others read.
RECEIPTS_MODE = 0o644


def report(config: DeviceConfig, _arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Send what is queued and prove what arrived; exit code 3 while the ledger does not have all of it."""
    with open_agent(config, progress=progress) as agent:
        proven, pending = send_and_prove(agent)
    document = {"schema": "fwledger/device-report/1", "proven": proven, "pending": pending}
    text = f"{counted(proven)} proven to be on the ledger, {pending} pending"
    return Answer(document, text, EXIT_NOT_YET if pending else 0)


def receipts(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """`receipts export` or `receipts anchored`."""
    return (_export if arguments.verb == "export" else _anchored)(config, arguments, progress)


def _anchored(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Let go of the events that an anchor is proved to hold; the others stay queued."""
    raw = read_anchor_proof(Path(arguments.file))
    with open_agent(config, progress=progress) as agent:
        reporter = agent.reporter()
        proven = reporter.settle_anchored(anchored_events(raw, root=agent.memory.root()))
        pending = reporter.pending()
    document = {"schema": "fwledger/device-anchored/1", "proven": proven, "pending": pending}
    return Answer(document, f"{counted(proven)} proven to be anchored, {pending} pending")


def _export(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Write the queued events to a file; they stay queued until the ledger is proven to hold them."""
    file = Path(arguments.file)
    with open_agent(config, progress=progress) as agent:
        queued = agent.reporter().receipts()
    try:
        replace_file(file.absolute(), queued.encode(), steps=DurableSteps(), mode=RECEIPTS_MODE)
    except OSError as error:
        raise SlotFailure(
            f"receipts file {file}",
            reason=Reason.USAGE,
            expected="a file that can be written",
            got=error.strerror or str(error),
            hint="name another file; the events stay queued",
        ) from error
    count = len(queued.items)
    document = {"schema": "fwledger/device-receipts/1", "file": str(file), "events": count}
    return Answer(document, f"{counted(count)} in {file}: carry it home (`fwledger receipts submit {file}`)")


def counted(events: int) -> str:
    """A number of events, for people."""
    return f"{events} event" if events == 1 else f"{events} events"


def report_if_possible(agent: Agent) -> None:
    """Report where a relay is configured; what cannot be sent now stays queued and is no failure."""
    if agent.config.relay_url is None:
        return
    try:
        send_and_prove(agent)
    except DeviceError as error:
        print(f"note: not reported yet: {error} [{error.reason.value}]", file=sys.stderr)


def send_and_prove(agent: Agent) -> tuple[int, int]:
    """Return how many events were proven just now, and how many are still pending.

    Raises UsageError (not-enrolled, or no relay to send to), NotTrusted (foreign-head), SourceUnreachable.
    """
    proven = _prove(agent)
    reporter = agent.reporter()
    url = agent.config.relay_url
    while reporter.pending():
        if url is None:
            raise UsageError(
                "nobody takes the receipts",
                reason=Reason.USAGE,
                expected="a relay in device.toml",
                got="none",
                hint="add one, or carry them with `fwledger-device receipts export FILE`",
            )
        part = reporter.receipts(limit=EVENTS_PER_POST)
        agent.progress.step(f"sending {counted(len(part.items))}")
        send_receipts(url, part)
        arrived = _prove(agent)
        proven += arrived
        if not arrived:
            # Taken, but not on the ledger yet: the next report looks again.
            break
    return proven, reporter.pending()


def _prove(agent: Agent) -> int:
    sources = network_sources(agent.config)
    learned = learn(agent.outline(), sources=sources.ledgers, memory=agent.memory, with_device=True)
    word = learned.view.device
    if word is None or not word.enrolled:
        raise UsageError(
            "the journal does not know this device",
            reason=Reason.NOT_ENROLLED,
            expected=f"device 0x{agent.identity.address.hex()} enrolled",
            got="no word of it",
            hint="give the request of `fwledger-device enrol` to the manufacturer",
        )
    agent.introduce(word)
    return agent.reporter().settle(word)
