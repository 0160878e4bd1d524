"""Checks V5, V8 and V9: from proven state, a verified release and a device's facts to a decision. Pure.

The publisher's `release check` runs these same functions, so a device never surprises who published.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from device_verifier.facts import DeviceFacts, InstallMode, Slot
from device_verifier.release import VerifiedRelease
from device_verifier.steps import Step
from device_verifier.trusted_ledger import LedgerView
from ledger_protocol.ledger import rollout
from ledger_protocol.ledger.contract_state import ChannelWord, Revocation
from ledger_protocol.release.manifest import Component, channel_id
from ledger_protocol.report.reasons import Reason

__all__ = ["Action", "Decision", "decide", "judge_fit", "judge_release", "judge_via"]


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
class Decision:
    """What to do, the one reason for it, and every check that led there."""

    action: Action
    reason: Reason
    target: bytes | None
    """Release id to install: the head, or the stepping stone `min_from.via`. None unless the action installs.
    """
    steps: tuple[Step, ...]

    @property
    def installs(self) -> bool:
        """Whether the device goes on to fetch and install `target`."""
        return self.action in {Action.INSTALL, Action.MANDATORY}


def decide(view: LedgerView, facts: DeviceFacts) -> Decision:
    """V5: say whether the channel's head may be fetched and installed now, from the proven state alone.

    Every gate is looked at, so that an explanation is whole; the first that is shut gives the reason. When
    the decision installs, fetch its target, `verify_release` it, and ask `judge_release`.
    """
    head, word = view.head, view.word
    if head is None or word is None:
        return _nothing_to_run(view, facts)
    if facts.installed is not None and facts.installed.release == head:
        return _runs_the_head(view)
    gates = list(_standing_gates(view, facts, head, word))
    revoked = view.installed_revoked
    if revoked is None or not revoked.mandatory:
        gates += _timing_gates(view, facts, head, word)
    gates.append(_consent_gate(facts, head))
    steps = view.steps + tuple(gate.step for gate in gates)
    shut = next((gate for gate in gates if not gate.step.ok), None)
    if shut is None:
        if revoked is not None and revoked.mandatory:
            return Decision(Action.MANDATORY, Reason.MANDATORY, head, steps)
        return Decision(Action.INSTALL, Reason.UPDATE_AVAILABLE, head, steps)
    # What runs is revoked and there is nothing better to run: keep running, and say so loudly.
    if revoked is not None and shut.reason in {Reason.HALTED, Reason.REVOKED}:
        return Decision(Action.NONE, Reason.REVOKED_NO_SUCCESSOR, None, steps)
    return Decision(shut.action, shut.reason, None, steps)


def judge_release(
    release: VerifiedRelease, view: LedgerView, facts: DeviceFacts, *, so_far: Decision
) -> Decision:
    """V8 and V9: say whether the verified head is what the ledger's word says and fits this device.

    `so_far` is `decide`'s decision, whose action and steps are carried on. The answer's target is the release
    itself, or its `min_from.via` (reason install-via): fetch and verify that one, and ask `judge_via`. Raises
    ValueError when `release` is not the view's head.
    """
    word = view.word
    if release.release_id != view.head or word is None:
        raise ValueError("judge_release wants the release that the view proves to be the head")
    manifest = release.manifest
    gates = [
        _channel_gate(release, view),
        _gate(
            "V8",
            "sequence and security version",
            f"{word.sequence}, {word.security_version} (the ledger's word)",
            f"{manifest.sequence}, {manifest.security_version}",
            ok=(manifest.sequence, manifest.security_version) == (word.sequence, word.security_version),
            reason=Reason.WORD_MISMATCH,
        ),
    ]
    return _conclude(release, facts, gates, so_far)


def judge_via(
    via: VerifiedRelease,
    parent: VerifiedRelease,
    *,
    revoked: Revocation | None,
    view: LedgerView,
    facts: DeviceFacts,
    so_far: Decision,
) -> Decision:
    """V8 and V9 for the stepping stone that `parent` names: unrevoked, of this channel, below it, far enough,
    and it fits.

    The answer may name a further stone; each lies below the one before, so asking again ends. `revoked` is
    the proven revocation of `via`. Raises ValueError when `via` is not the stone that `parent` names.
    """
    wanted = parent.manifest.min_from
    if wanted is None or wanted.via != via.release_id:
        raise ValueError("judge_via wants the release that its parent names")
    tried = via.release_id in facts.failed
    gates = [
        _channel_gate(via, view),
        _gate(
            "V5",
            "stepping stone on this device",
            "not failed before",
            "failed before" if tried else "not failed before",
            ok=not tried or facts.override,
            reason=Reason.ALREADY_FAILED,
        ),
        _gate(
            "V9",
            "stepping stone's revocation",
            "none",
            "none" if revoked is None else f"revoked at {revoked.time}",
            ok=revoked is None,
            reason=Reason.UNREACHABLE_FROM,
        ),
        _gate(
            "V9",
            "stepping stone's sequence",
            f"below {parent.manifest.sequence}",
            str(via.manifest.sequence),
            ok=via.manifest.sequence < parent.manifest.sequence,
            reason=Reason.UNREACHABLE_FROM,
        ),
        _gate(
            "V9",
            "stepping stone's security version",
            f"{wanted.security_version} or higher",
            str(via.manifest.security_version),
            ok=via.manifest.security_version >= wanted.security_version,
            reason=Reason.UNREACHABLE_FROM,
        ),
    ]
    return _conclude(via, facts, gates, so_far)


def judge_fit(release: VerifiedRelease, facts: DeviceFacts) -> Decision:
    """V9 alone: say whether a verified release fits a device, whatever the ledger says (`release check`)."""
    asked = Decision(Action.INSTALL, Reason.UPDATE_AVAILABLE, release.release_id, ())
    return _conclude(release, facts, [], asked)


@dataclass(frozen=True, slots=True)
class _Gate:
    """A check and what it means when it is shut."""

    step: Step
    reason: Reason
    action: Action = Action.REFUSE


def _gate(
    check: str,
    what: str,
    expected: str,
    found: str,
    *,
    ok: bool,
    reason: Reason,
    action: Action = Action.REFUSE,
) -> _Gate:
    return _Gate(Step(check, what, expected, found, ok), reason, action)


def _nothing_to_run(view: LedgerView, facts: DeviceFacts) -> Decision:
    if facts.channel is None and facts.group is None and view.device is None:
        reason, found = Reason.NOT_ENROLLED, "the journal does not know this device"
    elif view.channel is None:
        reason, found = Reason.NO_GROUP, "the group has no channel"
    else:
        reason, found = Reason.NO_RELEASE, "the channel has no release"
    if view.installed_revoked is not None:
        reason = Reason.REVOKED_NO_SUCCESSOR
    step = Step("V5", "head", "a release of the followed channel", found, ok=False)
    return Decision(Action.NONE, reason, None, (*view.steps, step))


def _runs_the_head(view: LedgerView) -> Decision:
    revoked = view.head_revoked is not None
    step = Step(
        "V5",
        "installed release",
        "the head, not revoked",
        "the head, revoked" if revoked else "the head",
        ok=not revoked,
    )
    reason = Reason.REVOKED_NO_SUCCESSOR if revoked else Reason.UP_TO_DATE
    return Decision(Action.NONE, reason, None, (*view.steps, step))


def _standing_gates(view: LedgerView, facts: DeviceFacts, head: bytes, word: ChannelWord) -> Iterable[_Gate]:
    """The gates that nothing overrides."""
    if view.device is not None:
        yield _gate(
            "V5",
            "this device in the journal",
            "not retired",
            "retired" if view.device.retired else "not retired",
            ok=not view.device.retired,
            reason=Reason.RETIRED,
            action=Action.NONE,
        )
    revoked = view.head_revoked
    yield _gate(
        "V5",
        "head's revocation",
        "none",
        "none" if revoked is None else f"revoked at {revoked.time}, reason {revoked.reason}",
        ok=revoked is None,
        reason=Reason.REVOKED,
    )
    yield _gate(
        "V5",
        "channel",
        "not halted",
        "halted" if word.halted else "not halted",
        ok=not word.halted,
        reason=Reason.HALTED,
        action=Action.WAIT,
    )
    # A sequence rises along a product line, so a head that is not above what runs is an old release published
    # anew, or a slower channel that the device was moved to. Either way it stays, unless what runs is
    # revoked.
    installed = facts.installed
    if installed is not None and view.installed_revoked is None:
        yield _gate(
            "V5",
            "head's sequence",
            f"above {installed.sequence} (installed)",
            str(word.sequence),
            ok=word.sequence > installed.sequence,
            reason=Reason.NOT_NEWER,
            action=Action.NONE,
        )
    yield _gate(
        "V9",
        "head's security version",
        f"{facts.security_floor} (floor) or higher",
        str(word.security_version),
        ok=word.security_version >= facts.security_floor,
        reason=Reason.ROLLBACK,
    )
    if view.root.operator is not None:
        yield _gate(
            "V5",
            "operator's approval",
            "given",
            "none" if view.approved_at is None else f"given at {view.approved_at}",
            ok=view.approved_at is not None,
            reason=Reason.NOT_APPROVED,
            action=Action.WAIT,
        )
    tried = head in facts.failed
    yield _gate(
        "V5",
        "head on this device",
        "not failed before",
        "failed before" if tried else "not failed before",
        ok=not tried or facts.override,
        reason=Reason.ALREADY_FAILED,
    )


def _timing_gates(view: LedgerView, facts: DeviceFacts, head: bytes, word: ChannelWord) -> Iterable[_Gate]:
    """The gates that a mandatory revocation of what runs, or a technician at the device, opens."""
    share_bps = rollout.share_bps(word, view.header.time)
    reached = rollout.in_cohort(word, release=head, address=facts.address, at_s=view.header.time)
    yield _gate(
        "V5",
        "rollout cohort",
        f"this device among the first {share_bps / 100:g} %",
        "overridden here" if facts.override else "reached" if reached else "not reached yet",
        ok=reached or facts.override,
        reason=Reason.NOT_IN_COHORT,
        action=Action.WAIT,
    )
    if facts.windows:
        # Without a clock the proven header's time stands in: it is never ahead of the truth by more than its
        # quorum lies.
        at_s = view.header.time if facts.now_s is None else facts.now_s
        inside = any(window.holds(at_s) for window in facts.windows)
        yield _gate(
            "V5",
            "maintenance window",
            "inside one",
            "overridden here" if facts.override else "inside" if inside else f"outside at {at_s}",
            ok=inside or facts.override,
            reason=Reason.OUTSIDE_WINDOW,
            action=Action.WAIT,
        )


def _consent_gate(facts: DeviceFacts, head: bytes) -> _Gate:
    given = facts.mode is InstallMode.AUTOMATIC or facts.override or head in facts.consented
    return _gate(
        "V5",
        "consent",
        "given, or not needed",
        "given, or not needed" if given else "not given",
        ok=given,
        reason=Reason.NEEDS_CONSENT,
        action=Action.WAIT,
    )


def _channel_gate(release: VerifiedRelease, view: LedgerView) -> _Gate:
    names = release.manifest.channels
    return _gate(
        "V8",
        "channel",
        "named by the manifest",
        "named"
        if any(channel_id(name) == view.channel for name in names)
        else f"it names {', '.join(names)}",
        ok=any(channel_id(name) == view.channel for name in names),
        reason=Reason.WRONG_CHANNEL,
    )


def _conclude(release: VerifiedRelease, facts: DeviceFacts, gates: list[_Gate], so_far: Decision) -> Decision:
    """Add V9's gates for `release`; carry `so_far` on, or turn to the stepping stone, or refuse."""
    gates = gates + list(_fit_gates(release, facts))
    steps = so_far.steps + release.steps + tuple(gate.step for gate in gates)
    shut = next((gate for gate in gates if not gate.step.ok), None)
    if shut is not None and shut.reason is not Reason.INSTALL_VIA:
        return Decision(shut.action, shut.reason, None, steps)
    if shut is not None:
        assert release.manifest.min_from is not None
        return Decision(so_far.action, Reason.INSTALL_VIA, release.manifest.min_from.via, steps)
    return Decision(so_far.action, so_far.reason, release.release_id, steps)


def _fit_gates(release: VerifiedRelease, facts: DeviceFacts) -> Iterable[_Gate]:
    manifest = release.manifest
    yield _gate(
        "V9",
        "compatible",
        facts.compatible,
        manifest.compatible,
        ok=manifest.compatible == facts.compatible,
        reason=Reason.INCOMPATIBLE,
    )
    # A release that names no revision is for all of them.
    yield _gate(
        "V9",
        "hardware revision",
        facts.hw_revision,
        ", ".join(manifest.hw_revisions) or "any",
        ok=not manifest.hw_revisions or facts.hw_revision in manifest.hw_revisions,
        reason=Reason.INCOMPATIBLE,
    )
    yield _gate(
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


def _component_gates(component: Component, slot: Slot | None, facts: DeviceFacts) -> Iterable[_Gate]:
    name = f"component {component.name}"
    yield _gate(
        "V9",
        f"{name}: slot",
        f"a free slot of class {component.slot_class}",
        "found" if slot else "none",
        ok=slot is not None,
        reason=Reason.SLOT_MISSING,
    )
    if slot is None:
        return
    arch = slot.arch or facts.arch
    yield _gate(
        "V9", f"{name}: arch", arch, component.arch, ok=component.arch == arch, reason=Reason.INCOMPATIBLE
    )
    usable = component.handler in slot.handlers and component.encryption is None
    yield _gate(
        "V9",
        f"{name}: handler",
        f"{' or '.join(slot.handlers)}, plain",
        component.handler + ("" if component.encryption is None else ", encrypted"),
        ok=usable,
        reason=Reason.UNSUPPORTED,
    )
    yield _gate(
        "V9",
        f"{name}: size",
        f"at most {slot.size_bytes} bytes",
        str(component.size),
        ok=component.size <= slot.size_bytes,
        reason=Reason.TOO_LARGE,
    )


def _stepping_gates(release: VerifiedRelease, facts: DeviceFacts) -> Iterable[_Gate]:
    """`min_from`: last of all, so that a stone is sought only for a release that otherwise fits."""
    wanted = release.manifest.min_from
    if wanted is None:
        return
    running = facts.security_floor if facts.installed is None else facts.installed.security_version
    # The stone must be another release than what runs, or the device would install itself for ever.
    stone = wanted.via is not None and (facts.installed is None or facts.installed.release != wanted.via)
    yield _gate(
        "V9",
        "installs over",
        f"security version {wanted.security_version} or higher",
        f"{running}" + (f", go by way of 0x{wanted.via.hex()}" if stone and wanted.via else ""),
        ok=running >= wanted.security_version,
        reason=Reason.INSTALL_VIA if stone else Reason.UNREACHABLE_FROM,
    )
