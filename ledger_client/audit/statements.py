"""From proven logs to statements: what the manufacturer, the guardians and the devices said, in the
ledger's order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from eth_abi import abi
from eth_abi.exceptions import DecodingError

from ledger_client.errors import NotTrustedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.report.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger_client.audit.evidence import ProvenReceipt
    from ledger_protocol.ledger.receipt_proof import Log
    from ledger_protocol.release.trust_root import LedgerRef

_U8, _U24, _U32, _U40 = (1 << 8) - 1, (1 << 24) - 1, (1 << 32) - 1, (1 << 40) - 1
# Where a Recorded log's stamp holds what (contracts/modules/events.vy).
_KIND_AT, _TIME_AT, _RELEASE_AT, _STATE_AT, _VOTED_AT = 32, 40, 80, 80, 144
# Within the state: flags u8, group u24, counted u32.
_GROUP_AT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a statement stands: block, transaction in it, log in that; and the block's time (Unix s)."""

    block: int
    index: int
    log: int
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the manufacturer's side did. `name` is the log's; `fields` are its decoded arguments."""

    place: Place
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """What a device said of itself. `device_time` is its own clock's (Unix s); `group` is the journal's word
    for it.

    `position` and `of` place it in the queue that one signature covers; `gap_previous` is the `previous` that
    the
    device gave where events before this one are missing. `anchored` = it stays off the chain, and `place` is
    its anchor's.
    """

    place: Place
    device: bytes
    release: bytes
    sequence: int
    kind: EventKind
    device_time: int
    detail: bytes
    group: int
    voted: bool
    position: int = 0
    of: int = 1
    gap_previous: bytes | None = None
    anchored: bool = False


Statement = Act | DeviceEvent


def statements(proven: ProvenReceipt, *, ledger: LedgerRef) -> tuple[Statement, ...]:
    """Give what the pair of contracts logged in one proven receipt, in order; other contracts' logs are
    passed over.

    Raises NotTrustedError for a log that no contract of this interface writes.
    """
    contracts = {ledger.address: "FirmwareLedger", ledger.journal: "UpdateJournal"}
    found: list[Statement] = []
    gap: bytes | None = None
    for number, log in enumerate(proven.logs):
        contract = contracts.get(log.address)
        if contract is None:
            continue
        name, fields = decode_log(contract, log)
        place = Place(block=proven.block, index=proven.index, log=number, time=proven.time)
        if name == "Gap":
            gap = fields["previous"]
        elif name in _EVENT_LOGS:
            try:
                found.extend(_EVENT_LOGS[name](place, fields, gap))
            except (ValueError, IndexError) as error:  # a kind that there is not, a release that it lacks
                raise NotTrustedError(f"log {name} of {contract} makes no sense", got=str(error)) from error
            gap = None
        else:
            found.append(Act(place=place, name=name, fields=fields))
    return tuple(found)


def decode_log(contract: str, log: Log) -> tuple[str, dict[str, Any]]:
    """Give the name and arguments of a contract's log; addresses as 20 bytes. Raises NotTrustedError."""
    entry = _events(contract).get(log.topics[0] if log.topics else b"")
    if entry is None:
        raise NotTrustedError(
            f"log of {contract}",
            expected="one of its events",
            got=f"topic {log.topics[0].hex() if log.topics else 'none'}",
            hint="the contract is newer than this program, or not the one that was audited",
        )
    indexed = [i for i in entry["inputs"] if i["indexed"]]
    plain = [i for i in entry["inputs"] if not i["indexed"]]
    try:
        values = abi.decode([abi_type(i) for i in plain], log.data)
        topics = [abi.decode([i["type"]], topic)[0] for i, topic in zip(indexed, log.topics[1:], strict=True)]
    except (DecodingError, ValueError) as error:
        raise NotTrustedError(f"log {entry['name']} of {contract} does not decode", got=str(error)) from error
    named = [*zip(indexed, topics, strict=True), *zip(plain, values, strict=True)]
    return entry["name"], {i["name"]: _plain(i["type"], value) for i, value in named}


@cache
def contract_abi(contract: str) -> tuple[dict[str, Any], ...]:
    """Give the ABI of a contract from its committed artifact."""
    text = resources.files("contracts").joinpath(f"artifacts/{contract}.json").read_text()
    return tuple(json.loads(text)["abi"])


def abi_type(argument: Mapping[str, Any]) -> str:
    """Give the canonical type of an ABI argument, structs spelled out."""
    kind = str(argument["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(abi_type, argument["components"])) + ")" + kind.removeprefix("tuple")


@cache
def _events(contract: str) -> dict[bytes, dict[str, Any]]:
    events = [entry for entry in contract_abi(contract) if entry["type"] == "event"]
    return {keccak256(f"{e['name']}({','.join(map(abi_type, e['inputs']))})".encode()): e for e in events}


def _plain(kind: str, value: Any) -> Any:
    if kind == "address":
        return bytes.fromhex(value[2:])
    if kind == "address[]":
        return tuple(bytes.fromhex(item[2:]) for item in value)
    return value


def _recorded(place: Place, fields: Mapping[str, Any], gap: bytes | None) -> Iterator[DeviceEvent]:
    stamp = fields["stamp"]
    yield _event(
        place, fields, stamp, state=stamp >> _STATE_AT, voted=bool((stamp >> _VOTED_AT) & 1), gap_previous=gap
    )


def _queue(place: Place, fields: Mapping[str, Any], gap: bytes | None) -> Iterator[DeviceEvent]:
    state, reports = fields["state"], fields["reports"]
    for position, (stamp, detail) in enumerate(reports):
        release = fields["releases"][stamp >> _RELEASE_AT & _U8]
        yield _event(
            place,
            {**fields, "release": release, "detail": detail},
            stamp,
            state=state >> _STATE_AT,
            voted=bool(state >> (_VOTED_AT + position) & 1),
            gap_previous=gap if position == 0 else None,
            position=position,
            of=len(reports),
        )


def _event(place: Place, fields: Mapping[str, Any], stamp: int, *, state: int, **rest: Any) -> DeviceEvent:
    return DeviceEvent(
        place=place,
        device=fields["device"],
        release=fields["release"],
        sequence=stamp & _U32,
        kind=EventKind(stamp >> _KIND_AT & _U8),
        device_time=stamp >> _TIME_AT & _U40,
        detail=fields["detail"],
        group=state >> _GROUP_AT & _U24,
        **rest,
    )


_EVENT_LOGS = {"Recorded": _recorded, "QueueRecorded": _queue}
