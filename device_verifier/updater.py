"""From "is there something for me?" to an armed boot loader: V0 to V11, in durable steps that a cut can
only interrupt.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from device_verifier import policy
from device_verifier.agent import Agent
from device_verifier.bootloaders import SlotState
from device_verifier.errors import DeviceError, NotTrusted, SlotFailure, SourceUnreachable
from device_verifier.evidence import keep_sample
from device_verifier.held import HeldBlocks
from device_verifier.hooks import HookStage, run_hooks
from device_verifier.inquiry import Consultation, consult, learn
from device_verifier.policy import Action, Decision
from device_verifier.records import BUSY_PHASES, Install, Origin, Phase, Refusal
from device_verifier.release import VerifiedRelease
from device_verifier.reporter import Statement
from device_verifier.slots import SlotTarget
from device_verifier.sources import BlockSource, LedgerSource
from device_verifier.sources.bundle import Bundle
from device_verifier.staging import read_back, stage_component
from device_verifier.trial import disarm_if_revoked, installed_release, note_armed, settle
from ledger_protocol.release.manifest import Component, Manifest
from ledger_protocol.release.trust_root import KeySet
from ledger_protocol.report.document import Stage
from ledger_protocol.report.event import EventKind
from ledger_protocol.report.reasons import Reason

__all__ = ["LAST_CHECK", "STATE_NAME", "Outcome", "Sources", "check", "install"]

STATE_NAME = "state.db"
# The note of the newest check: JSON with at (Unix seconds), reason and head.
LAST_CHECK = "last-check"
# Failures here that say something about the release itself, not about this device's disk or network.
_RELEASE_FAULTS = frozenset({Reason.BAD_MANIFEST})


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom to ask: ledger and block sources, and the bundle that is both, if it is one."""

    ledgers: Sequence[LedgerSource]
    blocks: Sequence[BlockSource]
    bundle: Bundle | None = None

    @property
    def origin(self) -> Origin:
        """Where an install from these comes from."""
        return Origin.NETWORK if self.bundle is None else Origin.BUNDLE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an install came to. `armed` says that a reboot starts the new slot `slot`."""

    armed: bool
    decision: Decision | None
    release: bytes | None
    slot: str | None
    version: str


def check(agent: Agent, sources: Sources, *, override: bool = False) -> Consultation:
    """V0 to V9, touching no slot. Raises NotTrusted or SourceUnreachable; a refusal is remembered."""
    settle(agent)
    agent.progress.step("asking for the newest proof")
    _meet(agent, sources)
    try:
        consultation = consult(
            agent.facts(override=override),
            ledgers=sources.ledgers,
            blocks=sources.blocks,
            memory=agent.memory,
        )
    except DeviceError as error:
        disarm_if_revoked(agent)
        _note_check(agent, error.reason, error.release)
        if isinstance(error, NotTrusted):
            _remember(agent, error.release, error.reason, str(error), Stage.VERIFY)
        raise
    disarm_if_revoked(agent)
    decision, head = consultation.decision, consultation.learned.view.head
    _note_check(agent, decision.reason, head)
    if decision.action is Action.REFUSE:
        shut = next((step for step in decision.steps if not step.ok), None)
        detail = "" if shut is None else f"{shut.what}: expected {shut.expected}, got {shut.found}"
        _remember(agent, head, decision.reason, detail, Stage.VERIFY)
    return consultation


def install(agent: Agent, sources: Sources, *, override: bool = False) -> Outcome:
    """Bring the newest release into the spare slots and arm the boot loader, or say why not.

    `override` is a technician's `--now`. Raises NotTrusted, SourceUnreachable or SlotFailure; whatever it
    raises, the running slot is untouched and the next call goes on from the last durable step.
    """
    _require_confirmed(agent)
    under_way = agent.store.install()
    if under_way is not None and under_way.phase is Phase.ARMED and _still_armed(agent, under_way, sources):
        return _outcome(under_way, None)
    consultation = check(agent, sources, override=override)
    release, view = consultation.release, consultation.learned.view
    if release is None or view.head is None:
        _let_go(agent, consultation.decision)
        return Outcome(armed=False, decision=consultation.decision, release=None, slot=None, version="")
    resumed = _offer(agent, release, view.head, sources, override=override)
    fresh = _stage(agent, release, sources)
    waits = _arm(
        agent, sources, signers=view.root.release_keys, fresh=fresh and not resumed, override=override
    )
    return _outcome(_under_way(agent), waits or consultation.decision)


def _still_armed(agent: Agent, install: Install, sources: Sources) -> bool:
    """Ask whether the armed release was revoked since, and disarm it if so; whoever is silent changes
    nothing.
    """
    for also_revoked in ((install.release,), ()):
        # Not every source's proof covers a release that is not the head: then ask for the head alone.
        with contextlib.suppress(DeviceError):
            learn(agent.outline(), sources=sources.ledgers, memory=agent.memory, also_revoked=also_revoked)
            break
    disarm_if_revoked(agent)
    return agent.store.phase() is Phase.ARMED


def _note_check(agent: Agent, reason: Reason, head: bytes | None) -> None:
    """Keep why the newest check ended as it did: "why was this update not taken" must have an answer."""
    note = {"at": agent.at_s(), "reason": reason.value, "head": None if head is None else "0x" + head.hex()}
    with agent.store.change() as change:
        change.set_note(LAST_CHECK, json.dumps(note).encode())


def _meet(agent: Agent, sources: Sources) -> None:
    """Before anything is said: learn from the journal whether this device, under this key, has spoken
    before.
    """
    if sources.bundle is None and not agent.reporter().begun():
        try:
            learned = learn(agent.outline(), sources=sources.ledgers, memory=agent.memory, with_device=True)
        except DeviceError:
            # Whoever asks next says why; what has to be said meanwhile begins a chain of its own.
            return
        agent.introduce(learned.view.device)


def _require_confirmed(agent: Agent) -> None:
    """Never write the spare slot while the running one may have to fall back to it."""
    phase = settle(agent)
    running = agent.running
    if phase is Phase.TRIAL or agent.bootloader.get_state(running).state is not SlotState.GOOD:
        raise SlotFailure(
            f"slot {running} is not confirmed yet",
            reason=Reason.TRIAL_PENDING,
            expected="a confirmed running slot",
            got=f"state {phase.value}, boot loader {agent.bootloader.get_state(running).state.value}",
            hint="let the health check finish (`fwledger-device mark-good`), or reboot",
        )


def _offer(agent: Agent, release: VerifiedRelease, head: bytes, sources: Sources, *, override: bool) -> bool:
    """Make `release` the install under way; return whether it was already, from before a cut."""
    held = agent.store.install()
    if sources.bundle is not None:
        keep_sample(sources.bundle, agent.config.state_dir, steps=agent.steps)
    if held is not None and held.phase in BUSY_PHASES:
        if (held.release, held.slot) == (release.release_id, agent.spare):
            # It may go on from another kind of source than it began with.
            with agent.store.change() as change:
                change.set_terms(sources.origin, overridden=held.overridden or override)
            return True
        _drop(agent, Reason.DECISION_CHANGED, f"superseded by 0x{release.release_id.hex()}")
    offer = Install(
        phase=Phase.OFFERED,
        release=release.release_id,
        head=head,
        slot=agent.spare,
        origin=sources.origin,
        overridden=override,
        started_at_s=agent.at_s(),
        armed_at_s=None,
        manifest=release.manifest.encode(),
        reason=None,
        detail="",
    )
    with agent.store.change() as change:
        change.begin(offer)
        agent.log(
            change,
            "offered",
            release=offer.release,
            detail=f"version {release.manifest.version}" + (", --now" if override else ""),
        )
    return False


def _stage(agent: Agent, release: VerifiedRelease, sources: Sources) -> bool:
    """Write every component; return whether all of them were written now."""
    install = _under_way(agent)
    targets = _targets(agent, install, release.manifest)
    if install.phase is Phase.OFFERED:
        _run_hooks(agent, HookStage.PRE_INSTALL, install)
        # From here on the spare slot is nobody's fallback: first the boot loader hears of it, then the
        # bytes go.
        if agent.bootloader.get_state(install.slot).state is not SlotState.BAD:
            agent.bootloader.mark_bad(install.slot)
        with agent.store.change() as change:
            change.move(Phase.DOWNLOADING)
            change.forget_slot(install.slot)
            agent.log(change, "downloading", release=install.release, detail=f"into slot {install.slot}")
    staged = agent.store.staged_components()
    held = HeldBlocks(agent.config.state_dir / STATE_NAME, agent.config.slots)
    try:
        for component, _ in targets:
            if component.name not in staged:
                agent.progress.step(f"fetching {component.name} ({component.size} bytes)")
                stage_component(agent, component, slot=install.slot, sources=sources.blocks, held=held)
    except DeviceError as error:
        _note_stop(agent, install, error)
        raise
    finally:
        held.close()
    if agent.store.phase() is Phase.DOWNLOADING:
        with agent.store.change() as change:
            change.move(Phase.STAGED)
            change.set_installed(install.slot, installed_release(install))
    return not staged


def _arm(agent: Agent, sources: Sources, *, signers: KeySet, fresh: bool, override: bool) -> Decision | None:
    """V11: what was true when it was offered must be true now, of the ledger and of the slot.

    `signers` are the release keys that the release was verified with. Returns a decision that only makes it
    wait, staged as it is; None once the boot loader is armed.
    """
    install = _under_way(agent)
    manifest = Manifest.decode(install.manifest)
    if not fresh:
        # Staged in an earlier run: check and use must be the same bytes.
        _read_back_all(agent, install, manifest)
    _run_hooks(agent, HookStage.POST_INSTALL, install)
    agent.progress.step("asking again for the newest proof")
    waits = _decide_again(agent, install, sources, signers=signers, override=override or install.overridden)
    if waits is not None:
        return waits
    _run_hooks(agent, HookStage.PRE_REBOOT, install)
    agent.bootloader.arm(install.slot, agent.config.bootloader.tries)
    note_armed(agent, install)
    agent.progress.step(f"slot {install.slot} is armed: version {manifest.version} starts at the next boot")
    return None


def _decide_again(
    agent: Agent, install: Install, sources: Sources, *, signers: KeySet, override: bool
) -> Decision | None:
    """V0 to V5 on the newest reachable proof: None to arm, or the decision to wait; NotTrusted if it is
    over.
    """
    facts = agent.outline(override=override)
    learned = learn(facts, sources=sources.ledgers, memory=agent.memory, also_revoked=(install.release,))
    decision = policy.decide(learned.view, facts)
    revoked = learned.view.revocation_of(install.release) is not None
    # A newer trust root may have withdrawn a stolen key: then V7 has to be asked again, from the start.
    withdrawn = learned.view.root.release_keys != signers
    same = learned.view.head == install.head and not revoked and not withdrawn
    if same and decision.target == install.head:
        return None
    if same and decision.action is Action.WAIT:
        return decision
    got = "revoked" if revoked else "other release keys" if withdrawn else decision.reason.value
    _drop(agent, Reason.DECISION_CHANGED, got)
    _remember(agent, install.release, Reason.DECISION_CHANGED, got, Stage.ARM)
    raise NotTrusted(
        "the ledger changed its mind while the release was fetched",
        reason=Reason.DECISION_CHANGED,
        expected=f"0x{install.head.hex()} may be installed",
        got=got,
        hint="nothing was armed; the next check starts afresh",
    )


def _read_back_all(agent: Agent, install: Install, manifest: Manifest) -> None:
    try:
        for component, target in _targets(agent, install, manifest):
            read_back(component, target)
    except SlotFailure:
        with agent.store.change() as change:
            change.move(Phase.DOWNLOADING)
            change.forget_slot(install.slot)
            agent.log(change, "slot changed since it was staged", release=install.release)
        raise


def _targets(agent: Agent, install: Install, manifest: Manifest) -> list[tuple[Component, SlotTarget]]:
    """Pair components with their slots, before the first is written: together or not at all."""
    return [(c, agent.config.slots.target(install.slot, c.slot_class)) for c in manifest.components]


def _run_hooks(agent: Agent, stage: HookStage, install: Install) -> None:
    results = run_hooks(
        agent.config.hooks_dir,
        stage,
        {"release": install.release.hex(), "slot": install.slot, "origin": install.origin.value},
        environment=agent.environment(install.slot, install.release),
    )
    for result in results:
        if not result.passed:
            with agent.store.change() as change:
                agent.log(
                    change,
                    f"{stage.value} hook refused",
                    release=install.release,
                    reason=Reason.HOOK_FAILED,
                    detail=f"{result.name}: {result.detail}",
                )
            raise SlotFailure(
                f"{stage.value} hook {result.name}",
                reason=Reason.HOOK_FAILED,
                expected="exit code 0",
                got=result.detail,
                hint="the hook holds the update back; it is asked again next time",
            )


def _note_stop(agent: Agent, install: Install, error: DeviceError) -> None:
    """Remember why staging stopped; a source that could not be reached is no news about the release."""
    if isinstance(error, SourceUnreachable):
        with agent.store.change() as change:
            agent.log(change, "interrupted", release=install.release, reason=error.reason, detail=str(error))
        return
    stage = Stage.WRITE if isinstance(error, SlotFailure) else Stage.FETCH
    if error.reason in _RELEASE_FAULTS:
        _drop(agent, error.reason, str(error))
    _remember(agent, install.release, error.reason, str(error), stage)


def _let_go(agent: Agent, decision: Decision) -> None:
    """Forget an install under way that the ledger no longer wants; one that only has to wait is kept."""
    if agent.store.phase() in BUSY_PHASES and decision.action is not Action.WAIT:
        _drop(agent, Reason.DECISION_CHANGED, decision.reason.value)


def _drop(agent: Agent, reason: Reason, detail: str) -> None:
    install = _under_way(agent)
    with agent.store.change() as change:
        change.move(Phase.IDLE, reason=reason, detail=detail)
        agent.log(change, "dropped", release=install.release, reason=reason, detail=detail)


def _remember(agent: Agent, release: bytes | None, reason: Reason, detail: str, stage: Stage) -> None:
    """Note a refusal, and report it once: the same answer every day is one event, not a thousand."""
    if release is None:
        with agent.store.change() as change:
            agent.log(change, "refused", reason=reason, detail=detail)
        return
    known = [old for old in agent.store.refusals() if old.release == release]
    if any(not old.by_policy for old in known) or any(old.reason is reason for old in known):
        return
    runs = agent.installed()
    faulty = reason in _RELEASE_FAULTS and stage is not Stage.VERIFY
    with agent.store.change() as change:
        change.refuse(Refusal(release, reason, detail[:1000], agent.at_s(), 1, None, by_policy=not faulty))
        agent.say(
            change,
            Statement(
                kind=EventKind.REJECTED,
                release=release,
                stage=stage,
                reason=reason,
                found=detail,
                version_before="" if runs is None else runs.version,
            ),
        )
        agent.log(change, "refused", release=release, reason=reason, detail=detail)


def _under_way(agent: Agent) -> Install:
    install = agent.store.install()
    if install is None:
        raise RuntimeError("an install is under way here")
    return install


def _outcome(install: Install, decision: Decision | None) -> Outcome:
    version = Manifest.decode(install.manifest).version
    return Outcome(
        armed=install.phase is Phase.ARMED,
        decision=decision,
        release=install.release,
        slot=install.slot,
        version=version,
    )
