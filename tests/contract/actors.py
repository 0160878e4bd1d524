"""The pair of contracts, deployed, with the people and devices who use it. EIP-712 signing is eth_account's."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi import decode, encode
from eth_account import Account
from eth_utils import function_abi_to_4byte_selector
from eth_utils.abi import event_abi_to_log_topic

from tests.contract.evm import (
    CHAIN_ID,
    GENESIS_TIME,
    MACHINES,
    Machine,
    RawLog,
    Receipt,
    created_at,
    private_key,
)

ARTIFACTS = Path(__file__).parents[2] / "contracts" / "artifacts"
DAY = 86_400


@functools.cache
def artifact(name: str) -> dict[str, Any]:
    return json.loads((ARTIFACTS / f"{name}.json").read_text())


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def abi_type(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    inner = ",".join(abi_type(part) for part in entry["components"])
    return f"({inner}){entry['type'][5:]}"


@dataclass(frozen=True, slots=True)
class Log:
    contract: str
    name: str
    args: dict[str, Any]


class Contract:
    def __init__(self, name: str, address: bytes):
        self.name, self.address = name, address
        abi = artifact(name)["abi"]
        self.functions = {e["name"]: e for e in abi if e["type"] == "function"}
        self.events = {
            int.from_bytes(event_abi_to_log_topic(e), "big"): e for e in abi if e["type"] == "event"
        }

    def data(self, function: str, *args: Any) -> bytes:
        entry = self.functions[function]
        return function_abi_to_4byte_selector(entry) + encode([abi_type(i) for i in entry["inputs"]], args)

    def outputs(self, function: str, data: bytes) -> Any:
        values = decode([abi_type(o) for o in self.functions[function]["outputs"]], data)
        return values[0] if len(values) == 1 else values

    def log(self, raw: RawLog) -> Log:
        entry = self.events[raw.topics[0]]
        topics = iter(raw.topics[1:])
        plain = iter(decode([abi_type(i) for i in entry["inputs"] if not i["indexed"]], raw.data))
        args = {}
        for field in entry["inputs"]:
            if field["indexed"]:
                args[field["name"]] = decode([field["type"]], next(topics).to_bytes(32, "big"))[0]
            else:
                args[field["name"]] = next(plain)
        return Log(self.name, entry["name"], args)


# ---------------------------------------------------------------- rollout terms

FLAGS_IMMEDIATE = 1 << 81


@dataclass(frozen=True, slots=True)
class Curve:
    immediate: bool = False
    initial_bps: int = 100
    hold_hours: int = 24
    ramp_hours: int = 48
    halt_bps: int = 300
    min_reports: int = 300

    def bits(self) -> int:
        return (
            (FLAGS_IMMEDIATE if self.immediate else 0)
            | self.initial_bps << 152
            | self.hold_hours << 168
            | self.ramp_hours << 184
            | self.halt_bps << 200
            | self.min_reports << 216
        )

    def message(self) -> dict[str, Any]:
        return {
            "immediate": self.immediate,
            "initialBps": self.initial_bps,
            "holdHours": self.hold_hours,
            "rampHours": self.ramp_hours,
            "haltBps": self.halt_bps,
            "minReports": self.min_reports,
        }


ALL_AT_ONCE = Curve(immediate=True)


def terms(curve: Curve, deadline: int, *, sequence: int = 0, security_version: int = 0) -> int:
    return sequence | security_version << 32 | deadline << 88 | curve.bits()


# ---------------------------------------------------------------- EIP-712

_CURVE_FIELDS = (
    "bool immediate,uint16 initialBps,uint16 holdHours,uint16 rampHours,uint16 haltBps,uint24 minReports"
)
TYPES = {
    "Publish": "bytes32 channel,bytes32 release,bytes32 envelope,uint32 sequence,uint24 securityVersion,"
    + _CURVE_FIELDS
    + ",uint24 epoch,uint40 deadline",
    "SetRollout": f"bytes32 channel,uint32 sequence,{_CURVE_FIELDS},uint24 epoch,uint40 deadline",
    "Resume": f"bytes32 channel,uint32 sequence,{_CURVE_FIELDS},uint24 epoch,uint40 deadline",
    "Revoke": "bytes32 release,uint16 reason,bool mandatory,uint40 deadline",
    "AssignGroup": "uint24 group,bytes32 leaves,bytes32 channel,uint24 epoch,uint40 deadline",
    "PlaceDevices": "address[] devices,uint24 group,bytes32 channel,bool retired,uint24 epoch,uint40 deadline",
    "SetTrustRoot": "bytes32 digest,uint32 version,bytes32 envelope,uint40 deadline",
    "AnnounceTrustRoot": "bytes32 digest,uint32 version,bytes32 envelope,uint32 epoch,uint40 deadline",
    "SetMember": "address account,uint8 roles,uint32 epoch,uint40 deadline",
    "SetThresholds": "uint8 publish,uint8 govern,uint32 epoch,uint40 deadline",
    "NameSuccessor": "address successor,uint32 epoch,uint40 deadline",
    "UpdateEvent": "bytes32 release,uint32 sequence,uint8 kind,uint40 time,bytes32 detail,bytes32 previous",
}


GOVERNORS_ACTS = ("SetTrustRoot", "AnnounceTrustRoot", "SetMember", "SetThresholds", "NameSuccessor")
PROPOSALS = {
    "AnnounceTrustRoot": "trust_root",
    "SetMember": "member",
    "SetThresholds": "thresholds",
    "NameSuccessor": "successor",
}
DELAY_S = 48 * 3_600
WINDOW_S = 14 * DAY


def typed_data(
    act: str, message: dict[str, Any], *, contract: bytes, chain_id: int = CHAIN_ID
) -> dict[str, Any]:
    fields = [dict(zip(("type", "name"), f.split(" "), strict=True)) for f in TYPES[act].split(",")]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            act: fields,
        },
        "primaryType": act,
        "domain": {
            "name": "fwledger",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": "0x" + contract.hex(),
        },
        "message": message,
    }


def sign(key: Any, data: dict[str, Any]) -> tuple[tuple[int, int], bytes]:
    """Sign typed data with eth_account; gives the compact signature (r, vs) of EIP-2098 and the digest."""
    signed = Account.sign_typed_data(key.to_bytes(), full_message=data)
    return (signed.r, signed.s | (signed.v - 27) << 255), bytes(signed.message_hash)


def address(key: Any) -> bytes:
    return key.public_key.to_canonical_address()


def ascending(keys: list[Any]) -> list[Any]:
    return sorted(keys, key=address)


# ---------------------------------------------------------------- events

BASELINE, INSTALLED, CONFIRMED, REVERTED, FAILED, UNREACHABLE, REJECTED, CHECKED = range(1, 9)
HEAD_MASK = (1 << 256) - (1 << 96)


@dataclass
class Event:
    release: bytes
    sequence: int
    kind: int
    time: int
    detail: bytes
    previous: bytes

    def message(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "sequence": self.sequence,
            "kind": self.kind,
            "time": self.time,
            "detail": self.detail,
            "previous": self.previous,
        }

    @property
    def stamp(self) -> int:
        return self.sequence | self.kind << 32 | self.time << 40


class Device:
    """A device's key and its chain of events."""

    def __init__(self, seed: int, journal: bytes):
        self.key = private_key(0xDE << 32 | seed)
        self.address = address(self.key)
        self.journal = journal
        self.sequence = 0
        self.head = b"\0" * 32

    def event(self, release: bytes, kind: int, **changes: Any) -> Event:
        self.sequence += 1
        event = Event(
            release,
            self.sequence,
            kind,
            GENESIS_TIME,
            digest(f"{self.address.hex()} {self.sequence}"),
            self.head,
        )
        for name, value in changes.items():
            setattr(event, name, value)
        self.sequence = event.sequence
        _, signed = self.sign(event)
        self.head = (int.from_bytes(signed, "big") & HEAD_MASK).to_bytes(32, "big")
        return event

    def sign(self, event: Event, **domain: Any) -> tuple[tuple[int, int], bytes]:
        return sign(
            self.key, typed_data("UpdateEvent", event.message(), **({"contract": self.journal} | domain))
        )

    def item(self, event: Event) -> tuple[Any, ...]:
        """Give an event as an item of a batch."""
        compact, _ = self.sign(event)
        return (event.stamp | int.from_bytes(event.previous, "big"), event.detail, *compact)

    def report(self, event: Event) -> tuple[Any, ...]:
        compact, _ = self.sign(event)
        return (event.release, event.stamp, event.detail, event.previous, *compact)


def queue_args(device: Device, events: list[Event]) -> tuple[Any, ...]:
    releases: list[bytes] = []
    for event in events:
        if event.release not in releases:
            releases.append(event.release)
    reports = [(e.stamp | releases.index(e.release) << 80, e.detail) for e in events]
    compact, _ = device.sign(events[-1])
    return (releases, reports, events[0].previous, *compact)


# Why a batch skips an item.
MALFORMED, NOT_ENROLLED, RETIRED, RECORDED, GAP, PREVIOUS = range(1, 7)


# ---------------------------------------------------------------- the pair


class World:
    """Both contracts on a machine, the keys of every role, and one helper an act."""

    def __init__(
        self, machine: Machine, *, publish_threshold: int = 1, govern_threshold: int = 1, count: int = 3
    ):
        self.machine = machine
        # How long approvals count, unless a test says otherwise.
        self.valid_s = DAY
        self.deployer = private_key(1)
        self.anyone = private_key(2)
        self.publishers = ascending([private_key(0x10 + i) for i in range(count)])
        self.governors = ascending([private_key(0x20 + i) for i in range(count)])
        self.guardian = private_key(0x30)
        self.enroller = private_key(0x40)
        self.publish_threshold, self.govern_threshold = publish_threshold, govern_threshold
        journal_address = created_at(address(self.deployer), 1)
        receipt = self.deploy("FirmwareLedger", *self.ledger_args(journal_address))
        assert receipt.ok, receipt.reason
        self.ledger = Contract("FirmwareLedger", receipt.created)
        receipt = self.deploy("UpdateJournal", self.ledger.address)
        assert receipt.ok, receipt.reason
        assert receipt.created == journal_address
        self.journal = Contract("UpdateJournal", receipt.created)

    def twin(self) -> World:
        """Give another world that stands where this one stands now."""
        world = copy.copy(self)
        world.machine = self.machine.copy()
        return world

    def ledger_args(self, journal: bytes) -> tuple[Any, ...]:
        return (
            journal,
            [address(k) for k in self.governors],
            [address(k) for k in self.publishers],
            [address(self.guardian)],
            [address(self.enroller)],
            self.publish_threshold,
            self.govern_threshold,
        )

    def deploy(self, name: str, *args: Any) -> Receipt:
        contract = artifact(name)
        constructor = next(e for e in contract["abi"] if e["type"] == "constructor")
        code = bytes.fromhex(contract["bytecode"][2:])
        data = code + encode([abi_type(i) for i in constructor["inputs"]], args)
        return self.machine.send(self.deployer, b"", data)

    # -- plumbing

    def send(self, key: Any, contract: Contract, function: str, *args: Any) -> Receipt:
        return self.machine.send(key, contract.address, contract.data(function, *args))

    def view(self, contract: Contract, function: str, *args: Any) -> Any:
        return contract.outputs(
            function, self.machine.call(b"\1" * 20, contract.address, contract.data(function, *args))
        )

    def logs(self, receipt: Receipt) -> list[Log]:
        by_address = {self.ledger.address: self.ledger, self.journal.address: self.journal}
        return [by_address[raw.address].log(raw) for raw in receipt.logs]

    def deadline(self) -> int:
        return self.machine.time + self.valid_s

    def word(self, channel: bytes) -> int:
        return self.view(self.ledger, "word", channel)

    def epoch(self, channel: bytes) -> int:
        return (self.word(channel) >> 56) & 0xFFFFFF

    def approvals(
        self, act: str, message: dict[str, Any], keys: list[Any] | None = None
    ) -> list[tuple[int, int]]:
        if keys is None:
            keys = (
                self.governors[: self.govern_threshold]
                if act in GOVERNORS_ACTS
                else self.publishers[: self.publish_threshold]
            )
        data = typed_data(act, message, contract=self.ledger.address)
        return [sign(key, data)[0] for key in keys]

    # -- acts: each gives the arguments that its function takes, so that a test may bend one

    def publish_args(
        self,
        channel: bytes,
        release: bytes,
        *,
        sequence: int,
        security_version: int = 0,
        curve: Curve = ALL_AT_ONCE,
        envelope: bytes | None = None,
        keys: list[Any] | None = None,
        deadline: int | None = None,
        epoch: int | None = None,
    ) -> tuple[Any, ...]:
        envelope = envelope if envelope is not None else digest("envelope of " + release.hex())
        deadline = self.deadline() if deadline is None else deadline
        message = {
            "channel": channel,
            "release": release,
            "envelope": envelope,
            "sequence": sequence,
            "securityVersion": security_version,
            **curve.message(),
            "epoch": self.epoch(channel) if epoch is None else epoch,
            "deadline": deadline,
        }
        packed = terms(curve, deadline, sequence=sequence, security_version=security_version)
        return (channel, release, envelope, packed, self.approvals("Publish", message, keys))

    def rollout_args(
        self,
        act: str,
        channel: bytes,
        curve: Curve,
        *,
        keys: list[Any] | None = None,
        deadline: int | None = None,
        epoch: int | None = None,
        sequence: int | None = None,
    ) -> tuple[Any, ...]:
        deadline = self.deadline() if deadline is None else deadline
        message = {
            "channel": channel,
            "sequence": self.word(channel) & 0xFFFFFFFF if sequence is None else sequence,
            **curve.message(),
            "epoch": self.epoch(channel) if epoch is None else epoch,
            "deadline": deadline,
        }
        return (channel, terms(curve, deadline), self.approvals(act, message, keys))

    def revoke_args(
        self, release: bytes, *, reason: int = 7, mandatory: bool = False, keys: list[Any] | None = None
    ) -> tuple[Any, ...]:
        message = {"release": release, "reason": reason, "mandatory": mandatory, "deadline": self.deadline()}
        return (*message.values(), self.approvals("Revoke", message, keys))

    def group_args(
        self, group: int, channel: bytes, *, keys: list[Any] | None = None, epoch: int | None = None
    ) -> tuple[Any, ...]:
        held = self.view(self.ledger, "channel_of", group)
        spending = channel if held == b"\0" * 32 else held
        deadline = self.deadline()
        message = {
            "group": group,
            "leaves": held,
            "channel": channel,
            "epoch": self.epoch(spending) if epoch is None else epoch,
            "deadline": deadline,
        }
        return (group, channel, deadline, self.approvals("AssignGroup", message, keys))

    def place_args(
        self,
        devices: list[bytes],
        group: int,
        *,
        retired: bool,
        keys: list[Any] | None = None,
        epoch: int | None = None,
    ) -> tuple[Any, ...]:
        deadline = self.deadline()
        channel = self.view(self.ledger, "channel_of", group)
        message = {
            "devices": ["0x" + d.hex() for d in devices],
            "group": group,
            "channel": channel,
            "retired": retired,
            "epoch": self.epoch(channel) if epoch is None else epoch,
            "deadline": deadline,
        }
        return (devices, group, retired, deadline, self.approvals("PlaceDevices", message, keys))

    def root_args(
        self,
        root: bytes,
        version: int,
        *,
        envelope: bytes | None = None,
        keys: list[Any] | None = None,
    ) -> tuple[Any, ...]:
        message = {
            "digest": root,
            "version": version,
            "envelope": digest("envelope of root " + root.hex()) if envelope is None else envelope,
            "deadline": self.deadline(),
        }
        return (*message.values(), self.approvals("SetTrustRoot", message, keys))

    def govern_epoch(self) -> int:
        return (self.view(self.ledger, "rules") >> 48) & 0xFFFFFFFF

    def proposal(
        self, act: str, *fields: Any, keys: list[Any] | None = None, epoch: int | None = None
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Give the arguments to propose a governors' act with, and those to execute it with."""
        names = [f.split(" ")[1] for f in TYPES[act].split(",")][:-2]
        epoch = self.govern_epoch() if epoch is None else epoch
        deadline = self.deadline()
        shown = ["0x" + f.hex() if isinstance(f, bytes) and len(f) == 20 else f for f in fields]
        message = dict(zip(names, shown, strict=True)) | {"epoch": epoch, "deadline": deadline}
        return (*fields, deadline, self.approvals(act, message, keys)), (*fields, epoch, deadline)

    def propose(self, act: str, *fields: Any, **options: Any) -> tuple[bytes, tuple[Any, ...]]:
        """Propose a governors' act; gives its id and the arguments to execute it with."""
        proposed, executed = self.proposal(act, *fields, **options)
        receipt = self.act("propose_" + PROPOSALS[act], proposed)
        return self.logs(receipt)[0].args["id"], executed

    def decide(self, act: str, *fields: Any, **options: Any) -> Receipt:
        """Propose a governors' act, wait, and execute it."""
        _, executed = self.propose(act, *fields, **options)
        self.machine.advance(DELAY_S)
        return self.act("execute_" + PROPOSALS[act], executed)

    def act(self, function: str, args: tuple[Any, ...], *, key: Any = None) -> Receipt:
        """Send an act that must succeed, in its own block."""
        contract = self.ledger if function in self.ledger.functions else self.journal
        self.machine.advance(12)
        receipt = self.send(key or self.anyone, contract, function, *args)
        assert receipt.ok, receipt.reason
        return receipt

    def publish(self, channel: bytes, release: bytes, **options: Any) -> Receipt:
        return self.act("publish", self.publish_args(channel, release, **options))

    def enrol(self, device: Device, group: int = 1) -> Receipt:
        return self.act("enrol", (device.address, group, digest("serial")), key=self.enroller)

    def submit(self, event: Event, device: Device) -> Receipt:
        return self.act("submit_event", (device.report(event),))


@functools.cache
def _deployed(machines: str, threshold: int) -> World:
    return World(MACHINES.make(), publish_threshold=threshold, govern_threshold=threshold)


def fresh(*, threshold: int = 1) -> World:
    """Give a newly deployed pair: three publishers and governors, of whom `threshold` must approve."""
    return _deployed(MACHINES.name, threshold).twin()


def refused(receipt: Receipt, reason: str) -> None:
    """Hold that a transaction was refused for this reason, without a trace in the logs."""
    assert not receipt.ok, "it went through"
    assert receipt.reason == f"fwledger: {reason}"
    assert receipt.logs == ()
