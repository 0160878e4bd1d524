"""Checks V5, V8 and V9: from proven state, a verified release and a device's facts to a decision. Pure.

The publisher's `release check` runs these same functions, so a device never surprises who published.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from device_verifier.facts import DeviceFacts, InstallMode
from device_verifier.gates import Action, Gate, fit_gates, gate
from device_verifier.ledger_view import LedgerView
from device_verifier.release import VerifiedRelease
from device_verifier.steps import Step
from ledger_protocol.ledger import rollout
from ledger_protocol.ledger.contract_state import ChannelWord, Revocation
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.report.reasons import Reason

__all__ = ["Action", "Decision", "decide", "judge_fit", "judge_release", "judge_via"]


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
    steps = view.steps + tuple(each.step for each in gates)
    shut = next((each for each in gates if not each.step.ok), None)
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
        gate(
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
        gate(
            "V5",
            "stepping stone on this device",
            "not failed before",
            "failed before" if tried else "not failed before",
            ok=not tried or facts.override,
            reason=Reason.ALREADY_FAILED,
        ),
        gate(
            "V9",
            "stepping stone's revocation",
            "none",
            "none" if revoked is None else f"revoked at {revoked.time}",
            ok=revoked is None,
            reason=Reason.UNREACHABLE_FROM,
        ),
        gate(
            "V9",
            "stepping stone's sequence",
            f"below {parent.manifest.sequence}",
            str(via.manifest.sequence),
            ok=via.manifest.sequence < parent.manifest.sequence,
            reason=Reason.UNREACHABLE_FROM,
        ),
        gate(
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


def _standing_gates(view: LedgerView, facts: DeviceFacts, head: bytes, word: ChannelWord) -> Iterable[Gate]:
    """The gates that nothing overrides."""
    if view.device is not None:
        yield gate(
            "V5",
            "this device in the journal",
            "not retired",
            "retired" if view.device.retired else "not retired",
            ok=not view.device.retired,
            reason=Reason.RETIRED,
            action=Action.NONE,
        )
    revoked = view.head_revoked
    yield gate(
        "V5",
        "head's revocation",
        "none",
        "none" if revoked is None else f"revoked at {revoked.time}, reason {revoked.reason}",
        ok=revoked is None,
        reason=Reason.REVOKED,
    )
    yield gate(
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
        yield gate(
            "V5",
            "head's sequence",
            f"above {installed.sequence} (installed)",
            str(word.sequence),
            ok=word.sequence > installed.sequence,
            reason=Reason.NOT_NEWER,
            action=Action.NONE,
        )
    yield gate(
        "V9",
        "head's security version",
        f"{facts.security_floor} (floor) or higher",
        str(word.security_version),
        ok=word.security_version >= facts.security_floor,
        reason=Reason.ROLLBACK,
    )
    if view.root.operator is not None:
        yield gate(
            "V5",
            "operator's approval",
            "given",
            "none" if view.approved_at is None else f"given at {view.approved_at}",
            ok=view.approved_at is not None,
            reason=Reason.NOT_APPROVED,
            action=Action.WAIT,
        )
    tried = head in facts.failed
    yield gate(
        "V5",
        "head on this device",
        "not failed before",
        "failed before" if tried else "not failed before",
        ok=not tried or facts.override,
        reason=Reason.ALREADY_FAILED,
    )


def _timing_gates(view: LedgerView, facts: DeviceFacts, head: bytes, word: ChannelWord) -> Iterable[Gate]:
    """The gates that a mandatory revocation of what runs, or a technician at the device, opens."""
    share_bps = rollout.share_bps(word, view.header.time)
    reached = rollout.in_cohort(word, release=head, address=facts.address, at_s=view.header.time)
    yield gate(
        "V5",
        "rollout cohort",
        f"this device among the first {share_bps / 100:g} %",
        "overridden here" if facts.override else "reached" if reached else "not reached yet",
        ok=reached or facts.override,
        reason=Reason.NOT_IN_COHORT,
        action=Action.WAIT,
    )
    if facts.windows:
        # Without a clock, or with one behind it, the proven header's time stands in: it is never ahead of the
        # truth by more than its quorum lies.
        at_s = max(view.header.time, facts.now_s or 0)
        inside = any(window.holds(at_s) for window in facts.windows)
        yield gate(
            "V5",
            "maintenance window",
            "inside one",
            "overridden here" if facts.override else "inside" if inside else f"outside at {at_s}",
            ok=inside or facts.override,
            reason=Reason.OUTSIDE_WINDOW,
            action=Action.WAIT,
        )


def _consent_gate(facts: DeviceFacts, head: bytes) -> Gate:
    given = facts.mode is InstallMode.AUTOMATIC or facts.override or head in facts.consented
    return gate(
        "V5",
        "consent",
        "given, or not needed",
        "given, or not needed" if given else "not given",
        ok=given,
        reason=Reason.NEEDS_CONSENT,
        action=Action.WAIT,
    )


def _channel_gate(release: VerifiedRelease, view: LedgerView) -> Gate:
    names = release.manifest.channels
    return gate(
        "V8",
        "channel",
        "named by the manifest",
        "named"
        if any(channel_id(name) == view.channel for name in names)
        else f"it names {', '.join(names)}",
        ok=any(channel_id(name) == view.channel for name in names),
        reason=Reason.WRONG_CHANNEL,
    )


def _conclude(release: VerifiedRelease, facts: DeviceFacts, gates: list[Gate], so_far: Decision) -> Decision:
    """Add V9's gates for `release`; carry `so_far` on, or turn to the stepping stone, or refuse."""
    gates = gates + list(fit_gates(release, facts))
    steps = so_far.steps + release.steps + tuple(each.step for each in gates)
    shut = next((each for each in gates if not each.step.ok), None)
    if shut is not None and shut.reason is not Reason.INSTALL_VIA:
        return Decision(shut.action, shut.reason, None, steps)
    if shut is not None:
        assert release.manifest.min_from is not None
        return Decision(so_far.action, Reason.INSTALL_VIA, release.manifest.min_from.via, steps)
    return Decision(so_far.action, so_far.reason, release.release_id, steps)
