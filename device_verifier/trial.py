"""V12 and V13: what the boot loader did, whether the new slot is healthy, and then confirm or fall back.

Two things survive a power cut, the boot loader's state and ours, and they change one after the other.
`settle` runs first in every command and closes whatever gap a cut left between them; it never guesses, it
reads both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from device_verifier.agent import Agent
from device_verifier.bootloaders import SlotState
from device_verifier.errors import SlotFailure
from device_verifier.evidence import update_path
from device_verifier.facts import InstalledRelease
from device_verifier.health import HealthReport, HealthResult, check_health
from device_verifier.hooks import HookStage, run_hooks
from device_verifier.records import Install, Phase, Refusal
from device_verifier.reporter import Statement
from device_verifier.slots import hash_slot, other_slot
from device_verifier.sources import BlockSource, LedgerSource
from device_verifier.withdrawn import ask_again, why_withdrawn
from ledger_protocol.release.manifest import Manifest
from ledger_protocol.report.document import Stage
from ledger_protocol.report.event import EventKind
from ledger_protocol.report.reasons import Reason

__all__ = ["Trial", "disarm_if_revoked", "examine", "mark_good", "note_armed", "settle"]

# Seconds. A revert for reachability alone is tried again, first after an hour, then ever later: an outage
# must not freeze a fleet, nor make every device reboot every hour while it lasts.
FIRST_RETRY_S: Final = 3_600
LONGEST_RETRY_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Trial:
    """How an examination ended. `reboot` says that the device must restart to reach its good slot."""

    phase: Phase
    reason: Reason | None
    report: HealthReport | None
    reboot: bool


def settle(agent: Agent) -> Phase:
    """Bring our state in line with what the boot loader did meanwhile; return where the state machine
    stands.
    """
    install = agent.store.install()
    if install is None:
        return Phase.IDLE
    loader, running = agent.bootloader, agent.running
    boot = loader.get_state(install.slot)
    if install.phase is Phase.STAGED and boot.state is not SlotState.BAD:
        # Armed, and cut before we wrote it down: a staged slot is bad until it is armed.
        note_armed(agent, install)
        return settle(agent)
    if install.phase is Phase.ARMED and running == install.slot:
        with agent.store.change() as change:
            change.move(Phase.TRIAL)
            agent.log(change, "trial", release=install.release, detail=f"slot {install.slot} runs")
        return Phase.TRIAL
    if install.phase in {Phase.ARMED, Phase.TRIAL} and running != install.slot:
        reason = install.reason or _why_not_running(agent, install.slot)
        if reason is not None:
            _write_down_revert(agent, install, reason)
            return Phase.REVERTED
    if install.phase is Phase.REVERTED and running != install.slot and boot.state is SlotState.TRIAL:
        loader.mark_bad(install.slot)
    if install.phase is Phase.CONFIRMED:
        _bar_fallback(agent)
    return install.phase


def examine(agent: Agent, *, ledgers: Sequence[LedgerSource], blocks: Sequence[BlockSource]) -> Trial:
    """Judge a slot on trial: confirm it, or note the verdict and hand the device back to its good slot.

    Does nothing when no slot that runs is on trial. `ledgers` and `blocks` are what the device may ask
    whether it can still be updated. Raises SlotFailure where boot loader or state cannot be changed.
    """
    phase = settle(agent)
    install = agent.store.install()
    if phase is not Phase.TRIAL or install is None or agent.running != install.slot:
        return Trial(phase, None if install is None else install.reason, None, reboot=False)
    if install.reason is not None:
        # A verdict that a cut kept from being carried out.
        agent.bootloader.mark_bad(install.slot)
        return Trial(Phase.TRIAL, install.reason, None, reboot=True)
    report = _health(agent, install, ledgers, blocks)
    reason, detail = report.reason, "; ".join(f"{each.name}: {each.detail}" for each in report.failed)[:1000]
    if reason is None:
        # A slot that confirmed could not be left by itself any more: the last moment to ask.
        ask_again(agent, install, ledgers=ledgers)
        detail = why_withdrawn(agent, install)
        if not detail:
            _confirm(agent, install)
            return Trial(Phase.CONFIRMED, None, report, reboot=False)
        reason = Reason.REVOKED
    _condemn(agent, install, reason, detail)
    return Trial(Phase.TRIAL, reason, report, reboot=True)


def disarm_if_revoked(agent: Agent) -> None:
    """Take an armed slot back whose release was proven revoked since; the running slot goes on.

    Call it after a proof was accepted. Raises SlotFailure where the boot loader cannot be changed.
    """
    install = agent.store.install()
    if install is None or install.phase is not Phase.ARMED or agent.running == install.slot:
        return
    detail = why_withdrawn(agent, install)
    if detail:
        _condemn(agent, install, Reason.REVOKED, detail)
        settle(agent)


def mark_good(agent: Agent, *, ledgers: Sequence[LedgerSource], blocks: Sequence[BlockSource]) -> None:
    """Confirm the running slot by hand, after the very checks that it would pass by itself.

    Raises SlotFailure: `health-failed`, `connectivity-lost` or `revoked` (nothing changes; the next boot
    decides), `rollback` for a slot below the floor.
    """
    install = agent.store.install()
    if settle(agent) is Phase.TRIAL and install is not None and agent.running == install.slot:
        report = _health(agent, install, ledgers, blocks)
        if install.reason is not None or report.reason is not None:
            first = next(iter(report.failed), None)
            raise SlotFailure(
                f"slot {install.slot} is not healthy",
                reason=install.reason or report.reason or Reason.HEALTH_FAILED,
                expected="every health check passes",
                got=install.detail if first is None else f"{first.name}: {first.detail or 'failed'}",
                hint="mend it, then mark it good; or reboot to fall back",
            )
        ask_again(agent, install, ledgers=ledgers)
        withdrawn = why_withdrawn(agent, install)
        if withdrawn:
            raise SlotFailure(
                f"the release in slot {install.slot} was revoked after it was armed",
                reason=Reason.REVOKED,
                expected="a release that may be installed",
                got=withdrawn,
                hint="reboot: the device falls back to its other slot",
            )
        _confirm(agent, install)
        return
    floor, runs = agent.store.security_floor(), agent.installed()
    if runs is not None and runs.security_version < floor and not agent.config.install.keep_fallback:
        raise SlotFailure(
            f"slot {agent.running} is below the rollback floor",
            reason=Reason.ROLLBACK,
            expected=f"security version {floor} or higher",
            got=runs.security_version,
            hint="install a newer release, or set keep_fallback in device.toml",
        )
    if agent.bootloader.get_state(agent.running).state is not SlotState.GOOD:
        agent.bootloader.mark_good(agent.running)


def note_armed(agent: Agent, install: Install) -> None:
    """Write down that the boot loader is armed, with the event that makes a silent brick visible."""
    before = agent.store.installed(other_slot(install.slot))
    manifest = Manifest.decode(install.manifest)
    with agent.store.change() as change:
        change.move(Phase.ARMED)
        change.set_armed_at(agent.at_s())
        agent.say(
            change,
            Statement(
                kind=EventKind.INSTALLED,
                release=install.release,
                stage=Stage.ARM,
                reason=Reason.INSTALLED,
                found="override: install --now" if install.overridden else "",
                version_before="" if before is None else before.version,
                version_after=manifest.version,
            ),
        )
        agent.log(change, "armed", release=install.release, detail=f"slot {install.slot}")


def _condemn(agent: Agent, install: Install, reason: Reason, detail: str) -> None:
    """Write down why the slot must not stay, then tell the boot loader: the other slot reports it."""
    with agent.store.change() as change:
        change.set_verdict(reason, detail)
        what = "withdrawn" if reason is Reason.REVOKED else "unhealthy"
        agent.log(change, what, release=install.release, reason=reason, detail=detail)
    agent.bootloader.mark_bad(install.slot)


def _health(
    agent: Agent, install: Install, ledgers: Sequence[LedgerSource], blocks: Sequence[BlockSource]
) -> HealthReport:
    environment = agent.environment(install.slot, install.release)
    decision = {"release": install.release.hex(), "slot": install.slot}
    hooks = run_hooks(agent.config.hooks_dir, HookStage.HEALTH, decision, environment=environment)
    found = [HealthResult(f"hook {hook.name}", hook.passed, hook.detail) for hook in hooks]
    return check_health(
        agent.config.health,
        update_path=lambda: update_path(agent, install, ledgers=ledgers, blocks=blocks),
        environment=environment,
        more=[*found, *_unchanged(agent, install)],
    )


def _unchanged(agent: Agent, install: Install) -> list[HealthResult]:
    """Hash again the components that the running system must not change; one read-write mount changes
    others.
    """
    results = []
    for component in Manifest.decode(install.manifest).components:
        if component.read_only:
            target = agent.config.slots.target(install.slot, component.slot_class)
            same = hash_slot(target, size_bytes=component.size) == component.sha256
            detail = "" if same else "the slot no longer holds the signed image"
            results.append(HealthResult(f"image {component.name}", same, detail))
    return results


def _confirm(agent: Agent, install: Install) -> None:
    """V13: mark good, then raise the floor, then report. Only now is there no way back below the floor."""
    agent.bootloader.mark_good(install.slot)
    manifest = Manifest.decode(install.manifest)
    before = agent.store.installed(other_slot(install.slot))
    with agent.store.change() as change:
        change.move(Phase.CONFIRMED)
        change.set_installed(install.slot, installed_release(install))
        change.raise_security_floor(manifest.security_version)
        change.clear_refusal(install.release)
        agent.say(
            change,
            Statement(
                kind=EventKind.CONFIRMED,
                release=install.release,
                stage=Stage.CONFIRM,
                reason=Reason.CONFIRMED,
                version_before="" if before is None else before.version,
                version_after=manifest.version,
                downtime_s=_downtime(agent, install),
            ),
        )
        agent.log(change, "confirmed", release=install.release, detail=f"version {manifest.version}")
    _bar_fallback(agent)
    _run_after(agent, install, HookStage.POST_CONFIRM)


def _bar_fallback(agent: Agent) -> None:
    """Take the tries from an old slot that is below the floor, unless the owner wants to keep it."""
    spare = agent.spare
    old = agent.store.installed(spare)
    if old is None or agent.config.install.keep_fallback:
        return
    boots = agent.bootloader.get_state(spare).state is not SlotState.BAD
    if boots and old.security_version < agent.store.security_floor():
        agent.bootloader.mark_bad(spare)


def _why_not_running(agent: Agent, slot: str) -> Reason | None:
    """Say why the armed `slot` does not run, without a verdict of ours; None while its boot is still to
    come.
    """
    boot = agent.bootloader.get_state(slot)
    if boot.state is SlotState.TRIAL and not boot.tries_left:
        return Reason.BOOT_FAILED
    if boot.state is SlotState.BAD or agent.bootloader.get_primary() != slot:
        # We tell the boot loader only after we have written down why: somebody else disarmed it.
        return Reason.BOOT_LOADER
    return None


def _write_down_revert(agent: Agent, install: Install, reason: Reason) -> None:
    """The boot loader fell back: say so, and remember the release as one that failed here."""
    kind = {
        Reason.BOOT_FAILED: EventKind.FAILED,
        Reason.CONNECTIVITY_LOST: EventKind.UNREACHABLE,
    }.get(reason, EventKind.REVERTED)
    manifest = Manifest.decode(install.manifest)
    runs = agent.installed()
    count = 1 + sum(old.count for old in agent.store.refusals() if old.release == install.release)
    retry_at_s = None
    if reason is Reason.CONNECTIVITY_LOST:
        retry_at_s = agent.at_s() + min(LONGEST_RETRY_S, FIRST_RETRY_S << min(count - 1, 16))
    detail = install.detail or reason.meaning
    revoked = reason is Reason.REVOKED
    stage = Stage.CONFIRM if revoked else Stage.BOOT if install.reason is None else Stage.HEALTH
    with agent.store.change() as change:
        change.move(Phase.REVERTED, reason=reason, detail=detail)
        if reason is not Reason.BOOT_LOADER:
            change.refuse(
                Refusal(install.release, reason, detail, agent.at_s(), count, retry_at_s, by_policy=False)
            )
        agent.say(
            change,
            Statement(
                kind=kind,
                release=install.release,
                stage=Stage.ARM if revoked and install.phase is Phase.ARMED else stage,
                reason=reason,
                expected="a release that is not revoked"
                if revoked
                else "a slot that starts and passes every health check",
                found=detail,
                version_before=manifest.version,
                version_after="" if runs is None else runs.version,
                downtime_s=_downtime(agent, install),
            ),
        )
        agent.log(change, "reverted", release=install.release, reason=reason, detail=detail)
    # Ours is written first: a boot loader that was told first could not say why any more.
    agent.bootloader.mark_bad(install.slot)
    _run_after(agent, install, HookStage.POST_REVERT)


def _run_after(agent: Agent, install: Install, stage: HookStage) -> None:
    """Run hooks that can change nothing any more; a failing one is noted."""
    results = run_hooks(
        agent.config.hooks_dir,
        stage,
        {"release": install.release.hex(), "slot": install.slot},
        environment=agent.environment(agent.running, install.release),
    )
    failed = [f"{result.name}: {result.detail}" for result in results if not result.passed]
    if failed:
        with agent.store.change() as change:
            agent.log(
                change,
                f"{stage.value} hook failed",
                release=install.release,
                reason=Reason.HOOK_FAILED,
                detail="; ".join(failed),
            )


def installed_release(install: Install) -> InstalledRelease:
    """Return what a slot holds once `install` is whole."""
    manifest = Manifest.decode(install.manifest)
    return InstalledRelease(
        release=install.release,
        sequence=manifest.sequence,
        security_version=manifest.security_version,
        version=manifest.version,
    )


def _downtime(agent: Agent, install: Install) -> int | None:
    """Return the seconds since the boot loader was armed, where a clock can tell."""
    if install.armed_at_s is None or agent.clock() is None:
        return None
    return max(0, agent.at_s() - install.armed_at_s)
