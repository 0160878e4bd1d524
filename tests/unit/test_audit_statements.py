"""Every log that the two contracts write, decoded and told; logs that they do not write, refused."""

from __future__ import annotations

import contextlib

import pytest
from eth_abi import abi
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.audit.evidence import ProvenReceipt
from ledger_client.audit.export import statement_json
from ledger_client.audit.history import History
from ledger_client.audit.signatures import carried_in
from ledger_client.audit.statements import Act, DeviceEvent, abi_type, contract_abi, decode_log, statements
from ledger_client.audit.timeline import GUARDIAN_ALONE, rows
from ledger_client.errors import NotTrustedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.receipt_proof import Log
from ledger_protocol.report.event import EventKind
from tests.protocol_makers import trust_root

LEDGER = trust_root().ledger
ADDRESS = {"FirmwareLedger": LEDGER.address, "UpdateJournal": LEDGER.journal}
EVENTS = [
    (contract, entry)
    for contract in ("FirmwareLedger", "UpdateJournal")
    for entry in contract_abi(contract)
    if entry["type"] == "event"
]
VALUES = {"address": "0x" + "ab" * 20, "bytes32": b"\x0c" * 32, "uint256": 3, "bool": True}


def log(contract: str, name: str, **values: object) -> Log:
    """A log as the contract writes it; fields not given hold something of their type."""
    entry = next(e for c, e in EVENTS if (c, e["name"]) == (contract, name))
    signature = f"{name}({','.join(map(abi_type, entry['inputs']))})"
    given = {i["name"]: values.get(i["name"], VALUES.get(i["type"])) for i in entry["inputs"]}
    topics = [abi.encode([i["type"]], [given[i["name"]]]) for i in entry["inputs"] if i["indexed"]]
    plain = [i for i in entry["inputs"] if not i["indexed"]]
    data = abi.encode([abi_type(i) for i in plain], [given[i["name"]] for i in plain])
    return Log(address=ADDRESS[contract], topics=(keccak256(signature.encode()), *topics), data=data)


def told(*logs: Log):
    return statements(ProvenReceipt(block=9, index=1, time=77, logs=logs, calldata=b""), ledger=LEDGER)


def stamp(sequence: int, kind: EventKind, time: int, *, index: int = 0) -> int:
    return sequence | kind << 32 | time << 40 | index << 80


class Names:
    def release(self, release):
        return release.hex()[:4]

    channel = release

    def report(self, detail):
        return "report"


@pytest.mark.parametrize(("contract", "entry"), EVENTS, ids=[e["name"] for _, e in EVENTS])
def test_every_event_of_both_contracts_decodes(contract, entry):
    if entry["name"] == "QueueRecorded":
        return_values = {
            "releases": [b"\x01" * 32],
            "reports": [(stamp(1, EventKind.BASELINE, 5), b"\x02" * 32)],
        }
    else:
        return_values = {}
    name, fields = decode_log(contract, log(contract, entry["name"], **return_values))
    assert name == entry["name"]
    assert list(fields) == [
        *[i["name"] for i in entry["inputs"] if i["indexed"]],
        *[i["name"] for i in entry["inputs"] if not i["indexed"]],
    ]
    for argument in entry["inputs"]:
        if argument["type"] == "address":
            assert fields[argument["name"]] == b"\xab" * 20


@pytest.mark.parametrize(
    ("contract", "entry"),
    [(c, e) for c, e in EVENTS if e["name"] not in ("Gap", "Recorded", "QueueRecorded")],
    ids=[e["name"] for _, e in EVENTS if e["name"] not in ("Gap", "Recorded", "QueueRecorded")],
)
def test_every_act_is_told_in_one_row_without_raw_bytes(contract, entry):
    history = History(trust=None)
    history.statements += told(log(contract, entry["name"]))
    (row,) = rows(history, names=Names())
    assert row.what != entry["name"], "it has a verb"
    assert "b'" not in row.text + row.who
    assert (row.block, row.ledger_time, row.device_time) == (9, 77, None)
    assert "\n" not in row.text


def test_a_recorded_event_says_what_the_device_signed():
    word = 5 << 88 | 1 << 144  # group 5, counted as a vote
    (event,) = told(
        log(
            "UpdateJournal", "Recorded", stamp=stamp(7, EventKind.CONFIRMED, 1234) | word, detail=b"\x0d" * 32
        )
    )
    assert isinstance(event, DeviceEvent)
    assert (event.sequence, event.kind, event.device_time) == (7, EventKind.CONFIRMED, 1234)
    assert (event.group, event.voted, event.gap_previous, event.of) == (5, True, None, 1)
    assert (event.release, event.detail) == (b"\x0c" * 32, b"\x0d" * 32)


def test_a_gap_belongs_to_the_event_after_it_and_to_no_other():
    recorded = log("UpdateJournal", "Recorded", stamp=stamp(7, EventKind.CONFIRMED, 1))
    first, second = told(log("UpdateJournal", "Gap", previous=b"\x0e" * 32), recorded, recorded)
    assert (first.gap_previous, second.gap_previous) == (b"\x0e" * 32, None)


def test_a_queue_is_told_event_by_event():
    releases = [b"\x01" * 32, b"\x02" * 32]
    reports = [
        (stamp(4, EventKind.INSTALLED, 10, index=1), b"\x0a" * 32),
        (stamp(5, EventKind.CONFIRMED, 11, index=0), b"\x0b" * 32),
    ]
    state = 6 << 88 | 0b10 << 144
    found = told(log("UpdateJournal", "QueueRecorded", state=state, releases=releases, reports=reports))
    assert [(e.release, e.sequence, e.kind, e.voted, e.position, e.of, e.group) for e in found] == [
        (releases[1], 4, EventKind.INSTALLED, False, 0, 2, 6),
        (releases[0], 5, EventKind.CONFIRMED, True, 1, 2, 6),
    ]


def test_logs_of_other_contracts_are_passed_over():
    assert told(Log(address=b"\x99" * 20, topics=(b"\x01" * 32,), data=b"")) == ()


@pytest.mark.parametrize(
    "bad",
    [
        Log(address=LEDGER.address, topics=(), data=b""),
        Log(address=LEDGER.address, topics=(b"\x01" * 32,), data=b""),
        Log(address=LEDGER.address, topics=log("FirmwareLedger", "Published").topics[:2], data=b""),
        Log(address=LEDGER.address, topics=log("FirmwareLedger", "Published").topics, data=b"\x00" * 31),
        Log(address=LEDGER.journal, topics=log("FirmwareLedger", "Published").topics, data=b""),
        log("UpdateJournal", "Recorded", stamp=stamp(1, 0, 1)),
        log("UpdateJournal", "Recorded", stamp=stamp(1, 99, 1)),
        log("UpdateJournal", "QueueRecorded", state=0, releases=[], reports=[(stamp(1, EventKind.BASELINE, 5), b"\0" * 32)]),
    ],
)  # fmt: skip
def test_a_log_that_these_contracts_cannot_write_is_not_trusted(bad):
    with pytest.raises(NotTrustedError):
        told(bad)


@given(st.sampled_from(EVENTS), st.lists(st.binary(max_size=40), max_size=5), st.binary(max_size=300))
@settings(max_examples=150)
def test_no_log_ends_in_another_error(event, topics, data):
    contract, entry = event
    first = keccak256(f"{entry['name']}({','.join(map(abi_type, entry['inputs']))})".encode())
    with contextlib.suppress(NotTrustedError):
        told(Log(address=ADDRESS[contract], topics=(first, *topics), data=data))


@given(st.binary(max_size=600), st.sampled_from(["submit_event", "submit_queue", "submit_batch_512", ""]))
@settings(max_examples=150)
def test_no_calldata_ends_in_an_error(data, name):
    entry = next((e for e in contract_abi("UpdateJournal") if e.get("name") == name), None)
    selector = (
        b""
        if entry is None
        else keccak256(f"{name}({','.join(map(abi_type, entry['inputs']))})".encode())[:4]
    )
    for carried in carried_in(selector + data):
        assert (len(carried.signature), len(carried.previous)) == (65, 32)


def test_signatures_of_a_batch_come_with_the_previous_of_each():
    entry = next(e for e in contract_abi("UpdateJournal") if e.get("name") == "submit_batch_16")
    types = [abi_type(i) for i in entry["inputs"]]
    items = [((n << 96) | 5, b"\x01" * 32, n, n | (n & 1) << 255) for n in (1, 2)]
    data = keccak256(f"submit_batch_16({','.join(types)})".encode())[:4] + abi.encode(
        types, [b"\x02" * 32, items]
    )
    assert [(c.previous, c.signature) for c in carried_in(data)] == [
        ((n << 96).to_bytes(32, "big"), n.to_bytes(32, "big") * 2 + bytes([n & 1])) for n in (1, 2)
    ]


def test_statements_are_json_with_labelled_times():
    act, event = told(
        log("FirmwareLedger", "Published", word=1 << 200),
        log("UpdateJournal", "Recorded", stamp=stamp(1, EventKind.BASELINE, 5)),
    )
    told_act, told_event = statement_json(act), statement_json(event)
    assert told_act["word"] == hex(1 << 200), "too large for JSON readers that use doubles"
    assert told_act["ledger_time"] == told_event["ledger_time"] == 77
    assert told_event["device_time"] == 5
    assert told_event["device"] == "0x" + "ab" * 20


def test_who_approved_is_who_sat_there_then():
    """An approval belongs to the member of its day. A revocation that names nobody is a guardian's."""

    def member(letter: str) -> Log:
        return log("FirmwareLedger", "MemberSet", member="0x" + letter * 40, roles=1, seat=0)

    revoked = [log("FirmwareLedger", "Revoked", approvers=count) for count in (1, 0)]
    history = History(trust=None)
    history.statements += told(member("a"), revoked[0], member("b"), revoked[0], revoked[1])
    found = [row.who for row in rows(history, names=Names()) if row.what == "revoked"]
    assert found == ["0x" + "a" * 40, "0x" + "b" * 40, GUARDIAN_ALONE]


def test_acts_are_found_by_device_and_by_release():
    history = History(trust=None)
    history.statements += told(
        log("FirmwareLedger", "Published", release=b"\x01" * 32),
        log("UpdateJournal", "Enrolled", device="0x" + "cd" * 20),
        log("UpdateJournal", "Recorded", stamp=stamp(1, EventKind.BASELINE, 5), release=b"\x01" * 32),
    )
    assert [r.what for r in rows(history, names=Names(), release=b"\x01" * 32)] == ["published", "baseline"]
    assert [r.what for r in rows(history, names=Names(), device=b"\xcd" * 20)] == ["enrolled"]
    assert all(isinstance(statement, Act | DeviceEvent) for statement in history.statements)
