"""`check` and `consent`, and how a decision is told."""

import argparse
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from device_verifier import updater
from device_verifier.assembly import network_sources, open_agent, open_bundle_sources
from device_verifier.cli.output import Answer, steps_document
from device_verifier.cli.views import is_old_view, seen_document, seen_sentence
from device_verifier.config import DeviceConfig
from device_verifier.diagnostics import diagnostics
from device_verifier.errors import DeviceError, UsageError
from device_verifier.inquiry import Consultation
from device_verifier.policy import Action, Decision
from device_verifier.progress import Progress
from device_verifier.steps import Step
from device_verifier.updater import Sources
from ledger_protocol.report.reasons import Reason

__all__ = [
    "check",
    "consent",
    "decision_code",
    "decision_document",
    "explain_error",
    "explained",
    "hex_text",
    "old_view",
    "open_sources",
]

EXIT_REFUSED: Final = 1
EXIT_UPDATE_AVAILABLE: Final = 10
# What `check` goes through, by the numbers of protocol.md §8.
CHECKS: Final = (
    ("V0", "trust roots"),
    ("V1", "header"),
    ("V2", "its height and age"),
    ("V3", "ledger contract"),
    ("V4", "ledger words"),
    ("V5", "what the ledger says to this device"),
    ("V6", "manifest"),
    ("V7", "signatures"),
    ("V8", "the manifest and the ledger's word"),
    ("V9", "fit for this device"),
)


def check(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Say whether there is an update: exit code 10 if it may be installed now."""
    with open_agent(config, progress=progress) as agent, open_sources(config, arguments) as sources:
        try:
            consultation = updater.check(agent, sources, override=arguments.now)
        except DeviceError as error:
            if is_old_view(error):
                return old_view(error, arguments, "fwledger/device-check/1")
            explain_error(arguments, error)
            raise
    decision = consultation.decision
    document = {"schema": "fwledger/device-check/1", **decision_document(decision), **_learned(consultation)}
    if consultation.release is not None:
        document["version"] = consultation.release.manifest.version
    seen = seen_sentence(consultation.learned.view.header, bundle=arguments.bundle is not None)
    advised = arguments.explain and not decision.installs
    advice = f"what to do: {diagnostics(decision)[1]}" if advised else ""
    lines = [*explained(arguments, decision.steps), seen, advice, _sentence(decision, consultation)]
    # A source may be asked twice; one line says it.
    for note in dict.fromkeys(str(refusal.error) for refusal in consultation.learned.refusals):
        print(f"note: a source was not used: {note}", file=sys.stderr)
    text = "\n".join(filter(None, lines))
    return Answer(document, text, EXIT_UPDATE_AVAILABLE if decision.installs else decision_code(decision))


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
    document = {"schema": "fwledger/device-consent/1", "release": hex_text(head)}
    return Answer(document, f"agreed to release {hex_text(head)}: `fwledger-device install` takes it now")


@contextmanager
def open_sources(config: DeviceConfig, arguments: argparse.Namespace) -> Generator[Sources]:
    """Give whom the command line says to ask: the bundle that it names, else the network."""
    if arguments.bundle is None:
        yield network_sources(config)
        return
    with open_bundle_sources(arguments.bundle) as sources:
        yield sources


def old_view(error: DeviceError, arguments: argparse.Namespace, schema: str) -> Answer:
    """Answer that what is on offer is real and too old to act on: a state of the device."""
    if error.header is None:
        raise RuntimeError("a view that is old has a header")
    document = {
        "schema": schema,
        "action": Action.REFUSE.value,
        "reason": error.reason.value,
        "target": None,
        "steps": steps_document(error.steps),
        **seen_document(error.header),
    }
    lines = [
        *explained(arguments, error.steps),
        f"nothing to install: {error.reason.value}: {error.reason.meaning}",
        seen_sentence(error.header, bundle=arguments.bundle is not None),
        f"expected {error.expected}, got {error.got}",
        f"hint: {error.hint}",
    ]
    return Answer(document, "\n".join(filter(None, lines)), EXIT_REFUSED)


def _sentence(decision: Decision, consultation: Consultation) -> str:
    if decision.installs and consultation.release is not None:
        manifest = consultation.release.manifest
        urgent = ", at once: what runs is revoked" if decision.action is Action.MANDATORY else ""
        release = hex_text(consultation.release.release_id)
        return f"version {manifest.version} ({release}) may be installed{urgent}"
    return f"nothing to install: {decision.reason.value}: {decision.reason.meaning}"


def decision_document(decision: Decision) -> dict[str, object]:
    """Return a decision's fields, for programs."""
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "target": None if decision.target is None else hex_text(decision.target),
        "steps": steps_document(decision.steps),
    }


def _learned(consultation: Consultation) -> dict[str, object]:
    view = consultation.learned.view
    return {
        "source": consultation.learned.source,
        "head": None if view.head is None else hex_text(view.head),
        **seen_document(view.header),
        "trust_root_version": view.root.version,
    }


def explained(arguments: argparse.Namespace, steps: tuple[Step, ...]) -> list[str]:
    """Return a line for each check that was made, in their order, and one for each of V0 to V9 that was not
    come to; none without `--explain`.
    """
    if not arguments.explain:
        return []
    made = [
        f"{s.check:<3} {'ok' if s.ok else 'NO':<2}  {s.what}: expected {s.expected}, found {s.found}"
        for s in steps
    ]
    reached = {step.check for step in steps}
    return made + [f"{check:<3} --  {what}: not reached" for check, what in CHECKS if check not in reached]


def explain_error(arguments: argparse.Namespace, error: DeviceError) -> None:
    """Print how it came to a refusal, on stderr."""
    for line in explained(arguments, error.steps):
        print("".join(c if c.isprintable() else " " for c in line), file=sys.stderr)


def decision_code(decision: Decision) -> int:
    """Return the exit code of a decision that installs nothing."""
    return EXIT_REFUSED if decision.action is Action.REFUSE else 0


def hex_text(value: bytes) -> str:
    """Return bytes as programs and people write them."""
    return "0x" + value.hex()
