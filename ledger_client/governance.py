"""Shared control of the ledger: who may do what, and changes that wait in public before they take effect.

A change is approved by governors like every act, proposed by anyone, public for two days, then executed by
anyone within two weeks; a guardian may cancel it (contracts: council). A change of members or thresholds
begins a new era, which voids all that still waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from eth_account.messages import encode_typed_data

from ledger_client.acts import GOVERNORS_ACTS, STRUCTS, Act, role_names
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.refusals.governance import ChangeLapsedError, ChangeOverError, ChangeWaitsError

if TYPE_CHECKING:
    from ledger_client.contract import Log
    from ledger_client.ledger import Ledger
    from ledger_client.network import Call

# How long a change is public before it can be executed (contracts: council), in seconds.
DELAY_S = 172_800
# For how long it can be executed then.
WINDOW_S = 1_209_600

_U32, _U40 = 2**32 - 1, 2**40 - 1
# Fields of a queue entry (contracts: council).
_ERA_AT, _EXECUTED, _CANCELLED, _REMOVED_AT = 40, 1 << 72, 1 << 73, 96

# The log of each proposal, and the call that executes it.
_PROPOSED = {
    "MemberProposed": "SetMember",
    "ThresholdsProposed": "SetThresholds",
    "SuccessorProposed": "NameSuccessor",
    "TrustRootProposed": "AnnounceTrustRoot",
}
_EXECUTE = {
    "SetMember": "execute_member",
    "SetThresholds": "execute_thresholds",
    "NameSuccessor": "execute_successor",
    "AnnounceTrustRoot": "execute_trust_root",
}


class State(StrEnum):
    """Where a change stands."""

    WAITING = "waiting"
    READY = "ready"
    LAPSED = "lapsed"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules word: thresholds, how many members each role has, the governors' epoch and the era."""

    publish_threshold: int
    govern_threshold: int
    governors: int
    publishers: int
    guardians: int
    enrollers: int
    epoch: int
    era: int

    @classmethod
    def decode(cls, word: int) -> Rules:
        """Read the word (contracts: governance, lowest bits first)."""
        publish, govern, governors, publishers, guardians, enrollers = word.to_bytes(32, "little")[:6]
        return cls(
            publish_threshold=publish,
            govern_threshold=govern,
            governors=governors,
            publishers=publishers,
            guardians=guardians,
            enrollers=enrollers,
            epoch=word >> 48 & _U32,
            era=word >> 80 & _U32,
        )


@dataclass(frozen=True, slots=True)
class Member:
    """An address that holds or held roles; `seat` is how logs name it as an approver."""

    address: bytes
    roles: int
    seat: int


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """What the ledger keeps of a proposed change: from when it may be executed (Unix s), the era that it
    belongs to, what became of it, and the guardian whom it removes.
    """

    ready_at: int
    era: int
    executed: bool
    cancelled: bool
    removed: bytes | None

    @classmethod
    def decode(cls, word: int) -> QueueEntry:
        """Read the word (contracts: council)."""
        removed = word >> _REMOVED_AT
        return cls(
            ready_at=word & _U40,
            era=word >> _ERA_AT & _U32,
            executed=bool(word & _EXECUTED),
            cancelled=bool(word & _CANCELLED),
            removed=removed.to_bytes(20, "big") if removed else None,
        )

    def state(self, *, era: int, now_s: int) -> State:
        """Where it stands in the era that holds now."""
        if self.executed:
            return State.EXECUTED
        if self.cancelled:
            return State.CANCELLED
        if self.era != era:
            return State.VOID
        waited_s = now_s - self.ready_at
        if waited_s < 0:
            return State.WAITING
        return State.READY if waited_s <= WINDOW_S else State.LAPSED


@dataclass(frozen=True, slots=True)
class Change:
    """A proposed change. Times are Unix seconds; `removed` is the guardian whom it removes, who cannot
    cancel it.
    """

    id: bytes
    act: Act
    ready_at: int
    state: State
    approvers: tuple[bytes, ...]
    removed: bytes | None
    block_number: int

    @property
    def what(self) -> str:
        """The change in words."""
        return what_it_does(self.act)


class Governance:
    """Members, rules and waiting changes of a ledger. `from_block` is where its logs begin."""

    def __init__(self, ledger: Ledger, *, from_block: int) -> None:
        self.ledger = ledger
        self._from_block = from_block

    def rules(self) -> Rules:
        """Thresholds, member counts, epoch and era as they are now."""
        return Rules.decode(int(self.ledger.contract.read("rules")))

    def queued(self, change_id: bytes) -> QueueEntry:
        """What the ledger keeps of a change; all zero where it was never proposed."""
        return QueueEntry.decode(int(self.ledger.contract.read("queue", change_id)))

    def successor(self) -> bytes | None:
        """Where the manufacturer says it moved; None where it says nothing."""
        found = bytes(self.ledger.contract.read("successor"))
        return found if any(found) else None

    def members(self) -> tuple[Member, ...]:
        """Everybody who ever held a role, in the order of appearance, with the roles of now."""
        found: dict[bytes, Member] = {}
        for log in self._logs("MemberSet"):
            address = log.values["member"]
            found[address] = Member(address, int(log.values["roles"]), int(log.values["seat"]))
        return tuple(found.values())

    def changes(self) -> tuple[Change, ...]:
        """Every change that was ever proposed, oldest first."""
        seats = {member.seat: member.address for member in self.members()}
        era, now_s = self.rules().era, self.ledger.network.block_time()
        logs = [log for event in _PROPOSED for log in self._logs(event)]
        logs.sort(key=lambda log: (log.block_number, log.log_index))
        return tuple(self._change(log, seats, era=era, now_s=now_s) for log in logs)

    def change(self, prefix: str) -> Change:
        """The change whose id begins with these hex digits. Raises UsageError where none or several do."""
        digits = prefix.lower().removeprefix("0x")
        found = {one.id: one for one in self.changes() if digits and one.id.hex().startswith(digits)}
        if len(found) != 1:
            raise UsageError(
                f"change {prefix}",
                expected="the id of one change, or its first digits",
                got=f"{len(found)} changes",
                hint="`fwledger governance show` lists them",
            )
        return next(iter(found.values()))

    def act(self, name: str, *, deadline: int, **values: object) -> Act:
        """A change for governors to approve, bound to their epoch of now."""
        return self.ledger.new_act(name, **values, epoch=self.ledger.govern_epoch(), deadline=deadline)

    def execute(self, change: Change) -> Call:
        """The call that executes a change. Raises the refusal that the contract would give, with the time."""
        _check_pending(change)
        if change.state is State.WAITING:
            left_s = change.ready_at - self.ledger.network.block_time()
            raise ChangeWaitsError(
                call="execute", hint=f"it is public for two days; {max(left_s, 0) / 3600:.1f} h are left"
            )
        if change.state is State.LAPSED:
            raise ChangeLapsedError(call=change.what)
        function = _EXECUTE[change.act.name]
        return self.ledger.contract.call(function, *change.act.values, what=function.replace("_", " "))

    def cancel(self, change: Change) -> Call:
        """The call that cancels a change: a guardian alone, but not its own removal."""
        _check_pending(change)
        return self.ledger.contract.call("cancel", change.id, what="cancel change")

    def _change(self, log: Log, seats: dict[int, bytes], *, era: int, now_s: int) -> Change:
        name = _PROPOSED[log.event]
        values = {field: log.values[field] for field, _ in STRUCTS[name]}
        act = self.ledger.new_act(name, **values)
        change_id = id_of(act)
        if change_id != log.values["id"]:
            raise NotTrustedError(
                f"the node's log of {log.event} in block {log.block_number} contradicts itself",
                expected=change_id.hex(),
                got=bytes(log.values["id"]).hex(),
            )
        entry, bitmap = self.queued(change_id), int(log.values["approvers"])
        return Change(
            id=change_id,
            act=act,
            ready_at=entry.ready_at,
            state=entry.state(era=era, now_s=now_s),
            approvers=tuple(address for seat, address in seats.items() if seat < 256 and bitmap >> seat & 1),
            removed=entry.removed,
            block_number=log.block_number,
        )

    def _logs(self, event: str) -> list[Log]:
        newest = self.ledger.network.block_number()
        return list(self.ledger.contract.logs(event, from_block=self._from_block, to_block=newest))


def id_of(act: Act) -> bytes:
    """A change's id: the EIP-712 hash of the struct that governors approve."""
    return bytes(encode_typed_data(full_message=act.typed_data()).body)


def what_it_does(act: Act) -> str:
    """A change of governance in words. Raises UsageError for an act of another kind."""
    shown: dict[str, Any] = dict(act.describe())
    match act.name:
        case "SetMember":
            return f"{shown['account']} becomes: {role_names(act['roles'])}"
        case "SetThresholds":
            return f"acts need {act['publish']} publishers, or {act['govern']} governors"
        case "NameSuccessor":
            return f"successor {shown['successor']}"
        case "AnnounceTrustRoot" | "SetTrustRoot":
            return f"trust root version {act['version']}, {act['digest'].hex()[:16]}"
        case _:
            raise UsageError("change of governance", expected=", ".join(sorted(GOVERNORS_ACTS)), got=act.name)


def _check_pending(change: Change) -> None:
    if change.state in (State.EXECUTED, State.CANCELLED):
        raise ChangeOverError(call=f"{change.what}: it was {change.state}")
    if change.state is State.VOID:
        raise ChangeOverError(
            call=change.what, hint="a change of members or thresholds voided it: approve and propose it again"
        )
