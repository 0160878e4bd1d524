"""Checks V5, V8 and V9: from proven state, a verified release and a device's facts to a decision. Pure.

The publisher's `release check` runs these same functions, so a device never surprises who published.
"""

from dataclasses import dataclass
from enum import StrEnum

from device_verifier.facts import DeviceFacts
from device_verifier.release import VerifiedRelease
from device_verifier.steps import Step
from device_verifier.trusted_ledger import LedgerView
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.report.reasons import Reason

__all__ = ["Action", "Decision", "decide", "judge_fit", "judge_release", "judge_via"]


class Action(StrEnum):
    """What the device does about a release."""

    NONE = "none"
    """Nothing to do: it runs what it should, or there is nothing it may run."""
    INSTALL = "install"
    MANDATORY = "mandatory"
    """Install now: what runs is revoked and must go, whatever the cohort, window or consent say."""
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
    """Release id to install: the head, or the stepping stone `min_from.via`. None unless the action installs."""
    steps: tuple[Step, ...]

    @property
    def installs(self) -> bool:
        """Whether the device goes on to fetch and install `target`."""
        return self.action in {Action.INSTALL, Action.MANDATORY}


def decide(view: LedgerView, facts: DeviceFacts) -> Decision:
    """V5: say whether the channel's head may be fetched and installed now, from the proven state alone.

    When it installs, fetch the target, `verify_release` it, and ask `judge_release`.
    """
    raise NotImplementedError


def judge_release(release: VerifiedRelease, view: LedgerView, facts: DeviceFacts, *, so_far: Decision) -> Decision:
    """V8 and V9: say whether the verified head is what the ledger's word says and fits this device.

    `so_far` is `decide`'s decision, whose action and steps are carried on. The answer's target is the release itself,
    or its `min_from.via` (reason install-via): fetch and verify that one, and ask `judge_via`.
    """
    raise NotImplementedError


def judge_via(
    via: VerifiedRelease,
    head: VerifiedRelease,
    *,
    revoked: Revocation | None,
    view: LedgerView,
    facts: DeviceFacts,
    so_far: Decision,
) -> Decision:
    """V8 and V9 for the stepping stone that `head` names: unrevoked, of this channel, below the head, and it fits."""
    raise NotImplementedError


def judge_fit(release: VerifiedRelease, facts: DeviceFacts) -> Decision:
    """V9 alone: say whether a verified release fits a device, whatever the ledger says (`release check`)."""
    raise NotImplementedError
