"""The history told to people: one row a statement, both times labelled, silence called what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ledger_client.acts import ROLE_BITS
from ledger_client.audit.statements import Act, DeviceEvent
from ledger_protocol.ledger.contract_state import ChannelWord
from ledger_protocol.report.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger_client.audit.history import History
    from ledger_client.audit.statements import Statement

NO_STATEMENT = "no statement"
"""What silence is called: a device that said nothing may run anything."""

GUARDIAN_ALONE = "a guardian, alone"
"""Who made a revocation that names nobody, in a ledger that does not seat its guardians: only they may."""


class Names(Protocol):
    """How hashes are shown to people."""

    def release(self, release: bytes) -> str:
        """A release's version, or its short id."""

    def channel(self, channel: bytes) -> str:
        """A channel's name, or its short id."""

    def report(self, detail: bytes) -> str:
        """What a report says in a few words, or that its body is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a timeline. Times are Unix s; `device_time` is None where no device spoke."""

    block: int
    ledger_time: int
    device_time: int | None
    who: str
    what: str
    release: bytes | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a device last said about a release; `row` None = it made no statement."""

    device: bytes
    release: bytes
    row: Row | None

    @property
    def text(self) -> str:
        """The last statement's kind, or "no statement"."""
        return NO_STATEMENT if self.row is None else self.row.what


def rows(
    history: History, *, names: Names, device: bytes | None = None, release: bytes | None = None
) -> tuple[Row, ...]:
    """Give the rows of all statements, or of those about one device, one release or both, in the ledger's
    order.
    """
    found = []
    seats: dict[int, bytes] = {}
    for statement in history.statements:
        if isinstance(statement, Act) and statement.name == "MemberSet":
            seats[statement.fields["seat"]] = statement.fields["member"]  # from now on
        if _about_device(statement, device) and _about_release(statement, release):
            found.append(_row(statement, names, seats))
    return tuple(found)


def standings(history: History, *, names: Names) -> tuple[Standing, ...]:
    """Give, for every device and every release ever published to its channel, what it last said about it."""
    placed: dict[bytes, int] = {}
    published: dict[bytes, list[bytes]] = {}
    last: dict[tuple[bytes, bytes], Row] = {}
    said: dict[tuple[bytes, bytes], int] = {}
    for statement in history.statements:
        if isinstance(statement, DeviceEvent):
            about = statement.device, statement.release
            # An anchor may come long after, and a check says nothing of what runs.
            if statement.kind != EventKind.CHECKED and statement.sequence >= said.get(about, 0):
                said[about], last[about] = statement.sequence, _row(statement, names, {})
        elif statement.name in ("Enrolled", "Placed"):
            placed[statement.fields["device"]] = statement.fields["group"]
        elif statement.name == "Published":
            releases = published.setdefault(statement.fields["channel"], [])
            if statement.fields["release"] not in releases:
                releases.append(statement.fields["release"])
    found: list[Standing] = []
    for device, group in placed.items():
        offered = published.get(history.groups.get(group, b""), [])
        told = [release for spoke, release in last if spoke == device]
        found.extend(
            Standing(device=device, release=release, row=last.get((device, release)))
            for release in dict.fromkeys([*offered, *told])
            if any(release)
        )
    return tuple(found)


def _about_device(statement: Statement, device: bytes | None) -> bool:
    if device is None:
        return True
    subject = statement.device if isinstance(statement, DeviceEvent) else statement.fields.get("device")
    return subject == device


def _about_release(statement: Statement, release: bytes | None) -> bool:
    if release is None:
        return True
    subject = statement.release if isinstance(statement, DeviceEvent) else statement.fields.get("release")
    return subject == release


def _row(statement: Statement, names: Names, seats: Mapping[int, bytes]) -> Row:
    if isinstance(statement, DeviceEvent):
        return Row(
            block=statement.place.block,
            ledger_time=statement.place.time,
            device_time=statement.device_time,
            who=f"device 0x{statement.device.hex()}",
            what=statement.kind.name.lower(),
            release=statement.release,
            text=_event_text(statement, names),
        )
    return Row(
        block=statement.place.block,
        ledger_time=statement.place.time,
        device_time=None,
        who=_who(statement, seats),
        what=_ACT_VERBS.get(statement.name, statement.name),
        release=statement.fields.get("release"),
        text=_act_text(statement, names),
    )


_ACT_VERBS = {
    "Published": "published",
    "RolloutSet": "rollout set",
    "Resumed": "resumed",
    "Halted": "halted",
    "Revoked": "revoked",
    "GroupAssigned": "group assigned",
    "DevicesPlaced": "devices placed",
    "Placed": "placed",
    "Enrolled": "enrolled",
    "TrustRootSet": "trust root set",
    "MemberSet": "member set",
    "OperatorApproved": "approved",
    "Skipped": "event skipped",
    "Anchored": "anchored",
    "MemberProposed": "member proposed",
    "ThresholdsProposed": "thresholds proposed",
    "ThresholdsSet": "thresholds set",
    "SuccessorProposed": "successor proposed",
    "SuccessorNamed": "successor named",
    "TrustRootProposed": "trust root proposed",
    "Executed": "executed",
    "Cancelled": "cancelled",
}
# Fields that say who acted, where a log names somebody.
_ACTORS = ("by", "operator", "gateway")


def _who(act: Act, seats: Mapping[int, bytes]) -> str:
    if "device" in act.fields:
        return f"device 0x{act.fields['device'].hex()}"
    for actor in _ACTORS:
        if actor in act.fields:
            return f"0x{act.fields[actor].hex()}"
    bitmap = act.fields.get("approvers", 0)
    if act.name == "Revoked" and not bitmap:
        return GUARDIAN_ALONE
    approvers = [seats.get(seat) for seat in range(bitmap.bit_length()) if bitmap >> seat & 1]
    return (
        ", ".join("unknown member" if member is None else f"0x{member.hex()}" for member in approvers)
        or "ledger"
    )


def _event_text(event: DeviceEvent, names: Names) -> str:
    release = names.release(event.release) if any(event.release) else "what the factory installed"
    parts = [release, names.report(event.detail)]
    if event.anchored:
        parts.append("anchored, off the chain")
    elif event.kind in (EventKind.INSTALLED, EventKind.CONFIRMED, EventKind.REVERTED, EventKind.FAILED):
        parts.append("counted in the rollout" if event.voted else "not counted in the rollout")
    return "; ".join(part for part in parts if part)


def _roles(bits: int) -> str:
    return ", ".join(name for name, bit in ROLE_BITS.items() if bits & bit) or "no role"


def _act_text(act: Act, names: Names) -> str:
    fields = act.fields
    match act.name:
        case "Published":
            word = ChannelWord.decode(fields["word"])
            release, channel = names.release(fields["release"]), names.channel(fields["channel"])
            return f"{release} on {channel}, sequence {word.sequence}"
        case "RolloutSet" | "Resumed" | "Halted":
            return names.channel(fields["channel"])
        case "Revoked":
            how = "devices that run it must leave it" if fields["mandatory"] else "no new installs"
            return f"{names.release(fields['release'])}: {how}"
        case "GroupAssigned":
            return f"group {fields['group']} follows {names.channel(fields['channel'])}"
        case "Enrolled":
            return f"in group {fields['group']}"
        case "Placed" | "DevicesPlaced":
            return f"group {fields['group']}{', retired' if fields['retired'] else ''}"
        case "TrustRootSet":
            return f"version {fields['version']}, {fields['digest'].hex()[:16]}"
        case "MemberSet":
            return f"0x{fields['member'].hex()}: {_roles(fields['roles'])}"
        case "OperatorApproved":
            return names.release(fields["release"])
        case "Anchored":
            return f"{fields['count']} events off the chain, root 0x{fields['root'].hex()[:16]}"
        case _:
            shown = {name: value for name, value in fields.items() if name not in _ACTORS}
            return ", ".join(f"{name} {_text(value)}" for name, value in shown.items())


def _text(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
