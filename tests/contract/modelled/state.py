"""What both contracts hold, in plain Python: what the other modules of this package read and change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_abi import encode
from eth_hash.auto import keccak

from tests.contract.actors import TYPES, Curve

PUBLISHER, GUARDIAN, GOVERNOR, ENROLLER, GATEWAY, OPERATOR = (1 << i for i in range(6))
SEATED = PUBLISHER | GUARDIAN | GOVERNOR
NO_SEAT = 0xFFFF
ZERO = b"\0" * 32
NOTHING = Curve(initial_bps=0, hold_hours=0, ramp_hours=0, halt_bps=0, min_reports=0)


@dataclass
class Channel:
    head: bytes = ZERO
    sequence: int = 0
    security_version: int = 0
    epoch: int = 0
    halted: bool = False
    published_at: int = 0
    rollout_from: int = 0
    curve: Curve = NOTHING

    def share(self, now: int) -> int:
        """The share of the fleet, in 1/10,000, that the rollout has reached."""
        if self.curve.immediate:
            return 10_000
        initial = self.curve.initial_bps
        if self.halted or initial == 0:
            return initial
        into_ramp = now - self.rollout_from - self.curve.hold_hours * 3_600
        if into_ramp < 0:
            return initial
        ramp = self.curve.ramp_hours * 3_600
        return 10_000 if into_ramp >= ramp else initial + (10_000 - initial) * into_ramp // ramp


@dataclass
class DeviceState:
    group: int
    sequence: int = 0
    retired: bool = False
    open_vote: bool = False
    counted: int = 0
    head: bytes = ZERO


@dataclass
class Tally:
    channel: bytes
    installed: int = 0
    confirmed: int = 0
    failed: int = 0


@dataclass
class Revoked:
    time: int
    reason: int
    mandatory: bool


@dataclass
class Member:
    roles: int
    seat: int = NO_SEAT


@dataclass
class Change:
    """A queued change of governance. `removed` is the guardian that it removes."""

    ready_at: int
    era: int
    removed: bytes | None
    executed: bool = False
    cancelled: bool = False


@dataclass(frozen=True)
class Approval:
    """Who signed, in the order sent; whether what they signed is what is sent; whether its deadline is over."""

    signers: tuple[bytes, ...]
    faithful: bool = True
    expired: bool = False


@dataclass
class State:
    """Both contracts. `logs` are those of the act that runs: (name, arguments) in order."""

    ledger: bytes
    journal: bytes
    now: int = 0
    publish_threshold: int = 0
    govern_threshold: int = 0
    govern_epoch: int = 0
    era: int = 0
    next_seat: int = 1
    members: dict[bytes, Member] = field(default_factory=dict)
    queue: dict[bytes, Change] = field(default_factory=dict)
    successor: bytes = b""
    root: tuple[bytes, int] = (ZERO, 0)
    channels: dict[bytes, Channel] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)
    revoked: dict[bytes, Revoked] = field(default_factory=dict)
    operators: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    devices: dict[bytes, DeviceState] = field(default_factory=dict)
    tallies: dict[tuple[bytes, int], Tally] = field(default_factory=dict)
    logs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def log(self, name: str, **args: Any) -> None:
        self.logs.append((name, {k: "0x" + v.hex() if _is_address(v) else v for k, v in args.items()}))

    def channel(self, name: bytes) -> Channel:
        return self.channels.get(name, Channel())

    def holds(self, account: bytes, role: int) -> bool:
        return account in self.members and bool(self.members[account].roles & role)

    def holders(self, role: int) -> list[bytes]:
        return sorted(account for account in self.members if self.holds(account, role))

    def seats(self, accounts: tuple[bytes, ...]) -> int:
        """A bit for each account's seat, as logs name approvers."""
        return sum(1 << self.members[account].seat for account in accounts)

    def unapproved(self, approval: Approval, role: int) -> str:
        """Why approvals do not count for an act of a role, or ""."""
        if approval.expired:
            return "approvals expired"
        needed = self.govern_threshold if role == GOVERNOR else self.publish_threshold
        if len(approval.signers) < needed:
            return "too few approvals"
        last = b""
        for signer in approval.signers:
            if not approval.faithful or not self.holds(signer, role):
                return "signer lacks the role"
            if signer <= last:
                return "signers not ascending"
            last = signer
        return ""


def change_id(act: str, fields: tuple[Any, ...], epoch: int, deadline: int) -> bytes:
    """The EIP-712 hash of a governors' act, by which the queue knows it."""
    types = [entry.split(" ")[0] for entry in TYPES[act].split(",")]
    return keccak(
        encode(["bytes32", *types], [keccak(f"{act}({TYPES[act]})".encode()), *fields, epoch, deadline])
    )


def _is_address(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == 20
