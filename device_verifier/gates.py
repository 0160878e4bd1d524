"""What policy is made of: a gate is one check with what it means when it is shut. Here are those of V9."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from device_verifier.facts import DeviceFacts, Slot
from device_verifier.release import VerifiedRelease
from device_verifier.steps import Step
from ledger_protocol.release.manifest import Component
from ledger_protocol.report.reasons import Reason

__all__ = ["Action", "Gate", "fit_gates", "gate"]


class Action(StrEnum):
    """What the device does about a release."""

    NONE = "none"
    """Nothing to do: it runs what it should, or there is nothing it may run."""
    INSTALL = "install"
    MANDATORY = "mandatory"
    """Install now: what runs is revoked and must go, whatever the cohort and the window say."""
    WAIT = "wait"
    """Not now; the same release may be installed later."""
    REFUSE = "refuse"
    """Not this release; only another one, or an operator, changes that."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A check and what it means when it is shut."""

    step: Step
    reason: Reason
    action: Action = Action.REFUSE


def gate(
    check: str,
    what: str,
    expected: str,
    found: str,
    *,
    ok: bool,
    reason: Reason,
    action: Action = Action.REFUSE,
) -> Gate:
    """Return the gate of one check, open where `ok`."""
    return Gate(Step(check, what, expected, found, ok), reason, action)


def fit_gates(release: VerifiedRelease, facts: DeviceFacts) -> Iterable[Gate]:
    """V9: give the gates of a verified release against a device; the way to it (`min_from`) comes last."""
    manifest = release.manifest
    yield gate(
        "V9",
        "compatible",
        facts.compatible,
        manifest.compatible,
        ok=manifest.compatible == facts.compatible,
        reason=Reason.INCOMPATIBLE,
    )
    # A release that names no revision is for all of them.
    yield gate(
        "V9",
        "hardware revision",
        facts.hw_revision,
        ", ".join(manifest.hw_revisions) or "any",
        ok=not manifest.hw_revisions or facts.hw_revision in manifest.hw_revisions,
        reason=Reason.INCOMPATIBLE,
    )
    yield gate(
        "V9",
        "security version",
        f"{facts.security_floor} (floor) or higher",
        str(manifest.security_version),
        ok=manifest.security_version >= facts.security_floor,
        reason=Reason.ROLLBACK,
    )
    free = {slot.slot_class: slot for slot in facts.slots}
    for component in manifest.components:
        # Taken out, so that two components never share a slot.
        yield from _component_gates(component, free.pop(component.slot_class, None), facts)
    yield from _stepping_gates(release, facts)


def _component_gates(component: Component, slot: Slot | None, facts: DeviceFacts) -> Iterable[Gate]:
    name = f"component {component.name}"
    yield gate(
        "V9",
        f"{name}: slot",
        f"a free slot of class {component.slot_class}",
        "one" if slot else "none",
        ok=slot is not None,
        reason=Reason.SLOT_MISSING,
    )
    if slot is None:
        return
    arch = slot.arch or facts.arch
    yield gate(
        "V9", f"{name}: arch", arch, component.arch, ok=component.arch == arch, reason=Reason.INCOMPATIBLE
    )
    # A hook left out could leave data unmigrated, so what this device would not run it does not install.
    usable = component.handler in slot.handlers and component.encryption is None and not component.hooks
    yield gate(
        "V9",
        f"{name}: handler",
        f"{' or '.join(slot.handlers)}, plain" + (", without hooks" if component.hooks else ""),
        component.handler
        + ("" if component.encryption is None else ", encrypted")
        + (f", with hooks {', '.join(component.hooks)}" if component.hooks else ""),
        ok=usable,
        reason=Reason.UNSUPPORTED,
    )
    yield gate(
        "V9",
        f"{name}: size",
        f"at most {slot.size_bytes} bytes",
        str(component.size),
        ok=component.size <= slot.size_bytes,
        reason=Reason.TOO_LARGE,
    )


def _stepping_gates(release: VerifiedRelease, facts: DeviceFacts) -> Iterable[Gate]:
    """`min_from`: last of all, so that a stone is sought only for a release that otherwise fits."""
    wanted = release.manifest.min_from
    if wanted is None:
        return
    running = facts.security_floor if facts.installed is None else facts.installed.security_version
    # The stone must be another release than what runs, or the device would install itself for ever.
    stone = wanted.via is not None and (facts.installed is None or facts.installed.release != wanted.via)
    yield gate(
        "V9",
        "installs over",
        f"security version {wanted.security_version} or higher",
        f"{running}" + (f", go by way of 0x{wanted.via.hex()}" if stone and wanted.via else ""),
        ok=running >= wanted.security_version,
        reason=Reason.INSTALL_VIA if stone else Reason.UNREACHABLE_FROM,
    )
