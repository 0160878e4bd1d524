"""Every function of both contracts has one typed method, and each call fits the ABI."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from web3 import Web3

from ledger_client.acts import QUEUED_ACTS, STRUCTS, Act
from ledger_client.approvals import approve
from ledger_client.contract import Contract, artifact
from ledger_client.governance import Change, Governance, State
from ledger_client.journal import BATCH_SIZES, Enrolment, Journal
from ledger_client.ledger import Ledger
from ledger_client.signers import dev_account
from ledger_protocol.report.event import EventKind, UpdateEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ALICE = dev_account(0, chain_id=31337)
NETWORK: Any = SimpleNamespace(web3=Web3(), chain_id=31337)
LEDGER = Ledger(NETWORK, b"\x11" * 20)
JOURNAL = Journal(NETWORK, b"\x22" * 20)
GOVERNANCE = Governance(LEDGER, from_block=0)
ID, WHO = b"\x07" * 32, b"\x08" * 20
SIGNATURE = b"\x01" * 64

# What one contract says to the other; the contracts refuse everybody else.
BETWEEN_THE_CONTRACTS = {("FirmwareLedger", "trip"), ("UpdateJournal", "place")}

SAMPLES = {
    "bytes32": ID, "address": WHO, "address[]": (WHO,), "bool": False, "uint8": 1, "uint16": 1, "uint24": 1,
    "uint32": 1, "uint40": 1,
}  # fmt: skip


def act(name: str) -> Act:
    return Act(name, 31337, LEDGER.address, tuple(SAMPLES[kind] for _, kind in STRUCTS[name]))


def event(sequence: int) -> UpdateEvent:
    return UpdateEvent(
        release=ID, sequence=sequence, kind=EventKind.CONFIRMED, time=1, detail=ID, previous=bytes(32)
    )


def change(name: str) -> Change:
    return Change(
        id=ID, act=act(name), ready_at=0, state=State.READY, approvers=(), removed=None, block_number=0
    )


def batch(size: int) -> Callable[[], object]:
    return lambda: JOURNAL.submit_batch([(event(n + 1), SIGNATURE, 27) for n in range(size)])


METHODS: list[Callable[[], object]] = [
    LEDGER.interface_version,
    LEDGER.domain_separator,
    LEDGER.journal,
    lambda: LEDGER.head(ID),
    lambda: LEDGER.word(ID),
    lambda: LEDGER.channel_of(1),
    lambda: LEDGER.vote_context(1),
    lambda: LEDGER.revoked(ID),
    LEDGER.trust_root,
    LEDGER.trust_root_version,
    lambda: LEDGER.roles(WHO),
    lambda: LEDGER.member(WHO),
    lambda: LEDGER.seat(1),
    LEDGER.thresholds,
    *[lambda name=name: LEDGER.act(act(name), [approve(act(name), ALICE)]) for name in STRUCTS],  # type: ignore[misc]
    lambda: LEDGER.halt(ID),
    lambda: LEDGER.revoke(ID, 1),
    lambda: LEDGER.approve_release(ID),
    lambda: LEDGER.approved_at(WHO, ID),
    GOVERNANCE.rules,
    GOVERNANCE.successor,
    lambda: GOVERNANCE.queued(ID),
    *[lambda name=name: GOVERNANCE.execute(change(name)) for name in sorted(QUEUED_ACTS)],  # type: ignore[misc]
    lambda: GOVERNANCE.cancel(change("NameSuccessor")),
    JOURNAL.interface_version,
    JOURNAL.domain_separator,
    JOURNAL.ledger,
    lambda: JOURNAL.device(WHO),
    lambda: JOURNAL.tally(ID, 1),
    lambda: JOURNAL.enrol([Enrolment(WHO, 1, ID)]),
    lambda: JOURNAL.enrol([Enrolment(WHO, 1, ID), Enrolment(b"\x09" * 20, 1, ID)]),
    lambda: JOURNAL.submit_event(event(1), SIGNATURE, recovery=27),
    lambda: JOURNAL.submit_queue([event(1), event(2)], SIGNATURE, recovery=28),
    *[batch(size) for size in BATCH_SIZES],
    lambda: JOURNAL.anchor(ID, ID, 3),
]


def functions(name: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in artifact(name).abi if entry["type"] == "function"}


ZEROS = {"address": bytes(20), "bytes32": bytes(32)}


def test_every_function_has_one_typed_method_and_its_arguments_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, str]] = []
    encode = Contract.call

    def call(self: Contract, function: str, *arguments: object, what: str) -> object:
        assert functions(self.artifact.name)[function]["stateMutability"] == "nonpayable"
        used.append((self.artifact.name, function))
        return encode(self, function, *arguments, what=what)

    def read(self: Contract, function: str, *arguments: object, block: int | str = "latest") -> object:
        entry = functions(self.artifact.name)[function]
        assert entry["stateMutability"] in ("view", "pure")
        used.append((self.artifact.name, function))
        assert encode(self, function, *arguments, what=function).data
        values = tuple(ZEROS.get(output["type"], 0) for output in entry["outputs"])
        return values if len(values) > 1 else values[0]

    monkeypatch.setattr(Contract, "call", call)
    monkeypatch.setattr(Contract, "read", read)
    for method in METHODS:
        method()
    every = {(name, function) for name in ("FirmwareLedger", "UpdateJournal") for function in functions(name)}
    assert set(used) | BETWEEN_THE_CONTRACTS == every
    assert len(used) == len(set(used))
