"""`check`, `install`, `consent` and `run`."""

import argparse
import random
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from device_verifier import updater
from device_verifier.assembly import network_sources, open_agent, open_bundle_sources
from device_verifier.cli.output import Answer
from device_verifier.cli.reporting import report_if_possible
from device_verifier.cli.views import is_old_view, seen_document, seen_sentence
from device_verifier.config import DeviceConfig
from device_verifier.errors import DeviceError, UsageError
from device_verifier.inquiry import Consultation
from device_verifier.policy import Action, Decision
from device_verifier.progress import Progress
from device_verifier.steps import Step
from device_verifier.updater import Outcome, Sources
from ledger_protocol.report.reasons import Reason

__all__ = ["check", "consent", "install", "run"]

EXIT_REFUSED: Final = 1
EXIT_UPDATE_AVAILABLE: Final = 10


def check(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Say whether there is an update: exit code 10 if it may be installed now."""
    with open_agent(config, progress=progress) as agent, _sources(config, arguments) as sources:
        try:
            consultation = updater.check(agent, sources, override=arguments.now)
        except DeviceError as error:
            if is_old_view(error):
                return _old(error, arguments, "fwledger/device-check/1")
            _explain_error(arguments, error)
            raise
    decision = consultation.decision
    document = {"schema": "fwledger/device-check/1", **_decision(decision), **_learned(consultation)}
    if consultation.release is not None:
        document["version"] = consultation.release.manifest.version
    seen = seen_sentence(consultation.learned.view.header, bundle=arguments.bundle is not None)
    lines = [*_explained(arguments, decision.steps), seen, _sentence(decision, consultation)]
    # A source may be asked twice; one line says it.
    for note in dict.fromkeys(str(refusal.error) for refusal in consultation.learned.refusals):
        print(f"note: a source was not used: {note}", file=sys.stderr)
    text = "\n".join(filter(None, lines))
    return Answer(document, text, EXIT_UPDATE_AVAILABLE if decision.installs else _code(decision))


def install(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Install the newest release, and tell the ledger before the reboot where a relay can be reached."""
    with open_agent(config, progress=progress) as agent:
        with _sources(config, arguments) as sources:
            try:
                outcome = updater.install(agent, sources, override=arguments.now)
            except DeviceError as error:
                if is_old_view(error):
                    return _old(error, arguments, "fwledger/device-install/1")
                _explain_error(arguments, error)
                raise
        if arguments.bundle is None:
            report_if_possible(agent)
    return _installed(
        outcome, _explained(arguments, () if outcome.decision is None else outcome.decision.steps)
    )


def consent(config: DeviceConfig, _arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Agree to the head that waits for consent; UsageError where none does."""
    with open_agent(config, progress=progress) as agent:
        consultation = updater.check(agent, network_sources(config))
        head = consultation.learned.view.head
        if consultation.decision.reason is not Reason.NEEDS_CONSENT or head is None:
            raise UsageError(
                "nothing waits for consent",
                reason=Reason.USAGE,
                expected="a release that may be installed once someone agrees",
                got=consultation.decision.reason.value,
                hint="see `fwledger-device check --explain`",
            )
        with agent.store.change() as change:
            change.set_note("consent", head)
            agent.log(change, "consent", release=head)
    document = {"schema": "fwledger/device-consent/1", "release": _hex(head)}
    return Answer(document, f"agreed to release {_hex(head)}: `fwledger-device install` takes it now")


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


@contextmanager
def _sources(config: DeviceConfig, arguments: argparse.Namespace) -> Generator[Sources]:
    if arguments.bundle is None:
        yield network_sources(config)
        return
    with open_bundle_sources(arguments.bundle) as sources:
        yield sources


def _old(error: DeviceError, arguments: argparse.Namespace, schema: str) -> Answer:
    """What is on offer is real, and too old to act on: a state of the device, with what it saw."""
    if error.header is None:
        raise RuntimeError("a view that is old has a header")
    document = {
        "schema": schema,
        "action": Action.REFUSE.value,
        "reason": error.reason.value,
        "target": None,
        "steps": _steps(error.steps),
        **seen_document(error.header),
    }
    lines = [
        *_explained(arguments, error.steps),
        f"nothing to install: {error.reason.value}: {error.reason.meaning}",
        seen_sentence(error.header, bundle=arguments.bundle is not None),
        f"expected {error.expected}, got {error.got}",
        f"hint: {error.hint}",
    ]
    return Answer(document, "\n".join(filter(None, lines)), EXIT_REFUSED)


def _installed(outcome: Outcome, explained: list[str]) -> Answer:
    document: dict[str, object] = {
        "schema": "fwledger/device-install/1",
        "armed": outcome.armed,
        "release": None if outcome.release is None else _hex(outcome.release),
        "version": outcome.version,
        "slot": outcome.slot,
    }
    decision = outcome.decision
    if decision is not None:
        document |= _decision(decision)
    if outcome.armed:
        text = f"version {outcome.version} is in slot {outcome.slot} and starts at the next boot"
        return Answer(document, "\n".join([*explained, text]))
    if decision is None:
        raise RuntimeError("an install that does not arm has a decision")
    text = f"nothing installed: {decision.reason.value}: {decision.reason.meaning}"
    return Answer(document, "\n".join([*explained, text]), _code(decision))


def _sentence(decision: Decision, consultation: Consultation) -> str:
    if decision.installs and consultation.release is not None:
        manifest = consultation.release.manifest
        urgent = ", at once: what runs is revoked" if decision.action is Action.MANDATORY else ""
        return (
            f"version {manifest.version} ({_hex(consultation.release.release_id)}) may be installed{urgent}"
        )
    return f"nothing to install: {decision.reason.value}: {decision.reason.meaning}"


def _decision(decision: Decision) -> dict[str, object]:
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "target": None if decision.target is None else _hex(decision.target),
        "steps": _steps(decision.steps),
    }


def _steps(steps: tuple[Step, ...]) -> list[dict[str, object]]:
    return [
        {"check": s.check, "what": s.what, "expected": s.expected, "found": s.found, "ok": s.ok}
        for s in steps
    ]


def _learned(consultation: Consultation) -> dict[str, object]:
    view = consultation.learned.view
    return {
        "source": consultation.learned.source,
        "head": None if view.head is None else _hex(view.head),
        **seen_document(view.header),
        "trust_root_version": view.root.version,
    }


def _explained(arguments: argparse.Namespace, steps: tuple[Step, ...]) -> list[str]:
    if not arguments.explain:
        return []
    return [
        f"{s.check:<3} {'ok' if s.ok else 'NO':<2}  {s.what}: expected {s.expected}, found {s.found}"
        for s in steps
    ]


def _explain_error(arguments: argparse.Namespace, error: DeviceError) -> None:
    for line in _explained(arguments, error.steps):
        print("".join(c if c.isprintable() else " " for c in line), file=sys.stderr)


def _code(decision: Decision) -> int:
    return EXIT_REFUSED if decision.action is Action.REFUSE else 0


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
