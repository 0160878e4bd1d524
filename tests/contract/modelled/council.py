"""What governors' acts do: at once for the first trust root, else proposed, public for two days, then executed."""

from __future__ import annotations

from typing import Any

from tests.contract.actors import DELAY_S, WINDOW_S
from tests.contract.modelled.state import (
    GOVERNOR,
    GUARDIAN,
    NO_SEAT,
    PUBLISHER,
    SEATED,
    ZERO,
    Approval,
    Change,
    Member,
    State,
    change_id,
)

# Two counters of 8 bits and the bitmap of 256 seats are not reached by a game; tests/contract/test_refusals.py does.
_LOGGED = {
    "AnnounceTrustRoot": ("TrustRootProposed", ("digest", "version", "envelope")),
    "SetMember": ("MemberProposed", ("account", "roles")),
    "SetThresholds": ("ThresholdsProposed", ("publish", "govern")),
    "NameSuccessor": ("SuccessorProposed", ("successor",)),
}


class Council(State):
    def set_root(self, digest: bytes, version: int, envelope: bytes, approval: Approval) -> str:
        if self.root[1]:
            return "trust root must be proposed"
        if digest == ZERO:
            return "zero digest"
        if version == 0:
            return "trust root version is not the next"
        if reason := self.unapproved(approval, GOVERNOR):
            return reason
        self.root = (digest, version)
        seats = self.seats(approval.signers)
        self.log("TrustRootSet", version=version, digest=digest, envelope=envelope, approvers=seats)
        return ""

    def propose(
        self, act: str, fields: tuple[Any, ...], epoch: int, deadline: int, approval: Approval
    ) -> str:
        removed = None
        if act == "AnnounceTrustRoot" and fields[0] == ZERO:
            return "zero digest"
        if act == "SetMember":
            account, roles = fields
            if account == b"\0" * 20:
                return "zero address"
            if roles > 63:
                return "unknown role"
            if self.holds(account, GUARDIAN) and not roles & GUARDIAN:
                removed = account
        if reason := self.unapproved(approval, GOVERNOR):
            return reason
        id_ = change_id(act, fields, epoch, deadline)
        change = self.queue[id_] = Change(self.now + DELAY_S, self.era, removed)
        self.govern_epoch += 1
        event, names = _LOGGED[act]
        self.log(
            event,
            id=id_,
            **dict(zip(names, fields, strict=True)),
            epoch=epoch,
            deadline=deadline,
            ready_at=change.ready_at,
            approvers=self.seats(approval.signers),
        )
        return ""

    def execute(self, act: str, fields: tuple[Any, ...], epoch: int, deadline: int) -> str:
        id_ = change_id(act, fields, epoch, deadline)
        if reason := self._over(id_):
            return reason
        ready_at = self.queue[id_].ready_at
        if self.now < ready_at:
            return "change must wait"
        if self.now > ready_at + WINDOW_S:
            return "change has lapsed"
        if reason := self._do(act, *fields, id_=id_):
            return reason
        self.queue[id_].executed = True
        return ""

    def cancel(self, id_: bytes, caller: bytes) -> str:
        if not self.holds(caller, GUARDIAN):
            return "caller is no guardian"
        if reason := self._over(id_):
            return reason
        if self.queue[id_].removed == caller:
            return "own removal is not cancelled"
        self.queue[id_].cancelled = True
        self.log("Cancelled", id=id_, by=caller)
        return ""

    def _over(self, id_: bytes) -> str:
        change = self.queue.get(id_)
        if change is None:
            return "change is not proposed"
        if change.executed or change.cancelled or change.era != self.era:
            return "change is over"
        return ""

    def _do(self, act: str, *fields: Any, id_: bytes) -> str:
        if act == "AnnounceTrustRoot":
            digest, version, envelope = fields
            if version != self.root[1] + 1:
                return "trust root version is not the next"
            self.root = (digest, version)
            self.log("TrustRootSet", version=version, digest=digest, envelope=envelope, approvers=0)
            return ""
        if act == "SetMember":
            return self._seat(*fields, id_=id_)
        if act == "SetThresholds":
            return self._set_thresholds(*fields, id_=id_)
        self.log("Executed", id=id_)
        self.successor = fields[0]
        self.log("SuccessorNamed", successor=self.successor)
        return ""

    def _seat(self, account: bytes, roles: int, *, id_: bytes) -> str:
        left = {role: set(self.holders(role)) - {account} for role in (PUBLISHER, GOVERNOR)}
        for role, needed in ((PUBLISHER, self.publish_threshold), (GOVERNOR, self.govern_threshold)):
            if len(left[role]) + bool(roles & role) < needed:
                return "threshold above the members"
        member = self.members.setdefault(account, Member(0))
        member.roles = roles
        if member.seat == NO_SEAT and roles & SEATED:
            member.seat = self.next_seat
            self.next_seat += 1
        self.era += 1
        self.log("Executed", id=id_)
        self.log("MemberSet", member=account, roles=roles, seat=member.seat)
        return ""

    def _set_thresholds(self, publish: int, govern: int, *, id_: bytes) -> str:
        if not publish or not govern:
            return "threshold below one"
        if publish > min(16, len(self.holders(PUBLISHER))) or govern > min(16, len(self.holders(GOVERNOR))):
            return "threshold above the members"
        self.publish_threshold, self.govern_threshold = publish, govern
        self.era += 1
        self.log("Executed", id=id_)
        self.log("ThresholdsSet", publish=publish, govern=govern)
        return ""
