"""What the ledger's acts on channels do. Each gives the reason for which it is refused, or "" and changes the state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.contract.modelled.state import (
    GUARDIAN,
    OPERATOR,
    PUBLISHER,
    ZERO,
    Approval,
    Channel,
    Revoked,
    State,
)
from tests.contract.modelled.words import channel_word

if TYPE_CHECKING:
    from tests.contract.actors import Curve

LAST_EPOCH = 2**24 - 1


class Ledger(State):
    def publish(
        self,
        channel: bytes,
        release: bytes,
        envelope: bytes,
        sequence: int,
        security_version: int,
        curve: Curve,
        approval: Approval,
    ) -> str:
        held = self.channel(channel)
        if not sound(curve):
            return "terms out of range"
        if ZERO in (channel, release):
            return "zero channel or release"
        if sequence <= held.sequence:
            return "sequence not above the channel's"
        if held.sequence and sequence - held.sequence > 65_536:
            return "sequence jumps too far"
        if security_version < held.security_version:
            return "security version falls"
        if held.published_at == self.now:
            return "published in this block already"
        if release in self.revoked:
            return "release is revoked"
        if reason := self.unapproved(approval, PUBLISHER):
            return reason
        now = self.now
        made = Channel(release, sequence, security_version, held.epoch + 1, False, now, now, curve)
        self.channels[channel] = made
        self.log(
            "Published",
            channel=channel,
            release=release,
            word=channel_word(made),
            envelope=envelope,
            approvers=self.seats(approval.signers),
        )
        return ""

    def roll(self, channel: bytes, curve: Curve, approval: Approval, *, resuming: bool) -> str:
        held = self.channel(channel)
        if held.halted != resuming:
            return "channel is not halted" if resuming else "channel is halted"
        if not sound(curve):
            return "terms out of range"
        if not held.sequence:
            return "channel has no release"
        if not curve.immediate and curve.initial_bps < held.share(self.now):
            return "share below the one reached"
        if reason := self.unapproved(approval, PUBLISHER):
            return reason
        made = replace(held, epoch=held.epoch + 1, halted=False, rollout_from=self.now, curve=curve)
        self.channels[channel] = made
        self.log(
            "Resumed" if resuming else "RolloutSet",
            channel=channel,
            word=channel_word(made),
            approvers=self.seats(approval.signers),
        )
        return ""

    def halt(self, channel: bytes, caller: bytes) -> str:
        if not self.holds(caller, GUARDIAN):
            return "caller is no guardian"
        held = self.channel(channel)
        if held.halted:
            return "channel is halted"
        if not held.sequence:
            return "channel has no release"
        self.stop(channel, caller)
        return ""

    def stop(self, channel: bytes, by: bytes) -> None:
        held = self.channels[channel]
        frozen = replace(held.curve, immediate=False, initial_bps=held.share(self.now))
        made = replace(held, halted=True, epoch=held.epoch + 1, curve=frozen)
        self.channels[channel] = made
        self.log("Halted", channel=channel, by=by, word=channel_word(made))

    def revoke(self, release: bytes, code: int, caller: bytes) -> str:
        if not self.holds(caller, GUARDIAN):
            return "caller is no guardian"
        if release in self.revoked:
            return "release is revoked"
        return self._revoke(release, code, False, (caller,))

    def revoke_approved(self, release: bytes, code: int, mandatory: bool, approval: Approval) -> str:
        held = self.revoked.get(release)
        if held and (held.mandatory or not mandatory):
            return "release is revoked"
        if reason := self.unapproved(approval, PUBLISHER):
            return reason
        return self._revoke(release, code, mandatory, approval.signers)

    def _revoke(self, release: bytes, code: int, mandatory: bool, by: tuple[bytes, ...]) -> str:
        if release == ZERO:
            return "zero channel or release"
        held = self.revoked.setdefault(release, Revoked(self.now, code, mandatory))
        held.mandatory |= mandatory
        self.log("Revoked", release=release, reason=code, mandatory=mandatory, approvers=self.seats(by))
        return ""

    def assign_group(self, group: int, channel: bytes, approval: Approval) -> str:
        if channel == ZERO:
            return "zero channel or release"
        spending = self.groups.get(group, channel)
        if reason := self.unapproved(approval, PUBLISHER):
            return reason
        self.spend_epoch(spending)
        self.groups[group] = channel
        self.log("GroupAssigned", group=group, channel=channel, approvers=self.seats(approval.signers))
        return ""

    def spend_epoch(self, channel: bytes) -> None:
        held = self.channel(channel)
        self.channels[channel] = replace(held, epoch=held.epoch + 1)

    def approve(self, release: bytes, caller: bytes) -> str:
        if not self.holds(caller, OPERATOR):
            return "caller is no operator"
        if release == ZERO:
            return "zero channel or release"
        if (caller, release) in self.operators:
            return "release is approved already"
        self.operators[caller, release] = self.now
        self.log("OperatorApproved", operator=caller, release=release)
        return ""


def sound(curve: Curve) -> bool:
    """Whether a rollout is possible."""
    return (
        curve.initial_bps <= 10_000
        and curve.halt_bps <= 10_000
        and (not curve.halt_bps or bool(curve.min_reports))
    )
