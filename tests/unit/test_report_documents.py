import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, SignatureError
from ledger_protocol.report import device_key, suit
from ledger_protocol.report.document import (
    MAX_LOG_TAIL_BYTES,
    MAX_VALUE_BYTES,
    Report,
    Stage,
    detail_of,
    log_tail_text,
    value_text,
)
from ledger_protocol.report.enrolment import EnrolmentRequest, make_request, serial_commitment
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.reasons import RULES, Reason
from ledger_protocol.report.receipts import MAX_ITEMS, ReceiptItem, Receipts
from ledger_protocol.report.suit import SUIT_REASONS, SuitReason

SALT = b"s" * 16
KEY = ec.derive_private_key(78, ec.SECP256K1())
OTHER = ec.derive_private_key(79, ec.SECP256K1())
CHAIN, JOURNAL = 1337, b"\x22" * 20
HERE = {"chain_id": CHAIN, "journal": JOURNAL}


def report(**changes) -> Report:
    fields = {
        "stage": Stage.FETCH,
        "reason": Reason.CORRUPT_CONTENT,
        "salt": SALT,
        "component": "rootfs",
        "expected": "aa",
        "found": "bb",
        "version_before": "1.0",
        "version_after": "2.0",
        "downtime_s": 12,
        "log_tail": "one\n\ttwo",
    }
    return Report(**{**fields, **changes})


# --- reports


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "later"},
        {"reason": ""},
        {"reason": "Two Words"},
        {"reason": "x" * 65},
        {"salt": bytes(15)},
        {"salt": b""},
        {"component": "x" * 65},
        {"expected": "x" * 1_025},
        {"found": "red \x1b[31m"},
        {"found": "two\nlines"},
        {"version_after": "\u202e"},
        {"downtime_s": -1},
        {"downtime_s": 2**32},
        {"downtime_s": True},
        {"log_tail": "x" * 8_193},
        {"log_tail": "bell \a"},
    ],
)
def test_a_report_that_nobody_would_read_is_not_written(changes):
    with pytest.raises(MalformedError):
        report(**changes).encode()


def test_a_report_over_16_kib_is_refused():
    with pytest.raises(LimitError):
        Report.decode(bytes(16_385))


def test_reports_round_trip():
    for made in (
        report(),
        report(downtime_s=None, log_tail="", component=""),
        report(reason="a-code-of-tomorrow"),
    ):
        assert Report.decode(made.encode()) == made


def test_the_detail_is_the_hash_of_the_document():
    assert report().detail == detail_of(report().encode())
    assert report(salt=b"t" * 16).detail != report().detail


def test_a_reason_reads_back_as_its_code():
    assert Report.decode(report().encode()).reason == Reason.CORRUPT_CONTENT


@given(st.text(max_size=3_000) | st.binary(max_size=2_000))
@settings(max_examples=100)
def test_any_value_is_made_to_fit(value):
    text = value_text(value)
    assert len(text.encode()) <= MAX_VALUE_BYTES
    assert report(found=text).encode()


@given(st.text(max_size=12_000))
@settings(max_examples=60)
def test_any_log_is_made_to_fit(log):
    tail = log_tail_text(log)
    assert len(tail.encode()) <= MAX_LOG_TAIL_BYTES
    assert report(log_tail=tail).encode()


def test_the_end_of_a_log_and_the_start_of_a_value_are_kept():
    assert log_tail_text("old\r\n" + "x" * MAX_LOG_TAIL_BYTES + "new").endswith("xnew")
    assert value_text("begin" + "é" * MAX_VALUE_BYTES).startswith("beginé")
    assert value_text(b"\xab\xcd") == "abcd"


# --- receipts files


def receipts(count: int = 3, *, key=KEY, **changes) -> Receipts:
    items, previous = [], NO_PREVIOUS
    for sequence in range(1, count + 1):
        body = report(downtime_s=sequence).encode()
        made = UpdateEvent(
            release=b"r" * 32,
            sequence=sequence,
            kind=EventKind.REJECTED,
            time=1,
            detail=detail_of(body),
            previous=previous,
        )
        previous = chain_link(event_digest(made, **HERE))
        items.append(ReceiptItem(sign_event(key, made, **HERE), body))
    public = device_key.public_key_bytes(KEY)
    fields = {**HERE, "device": device_key.address_of(public), "public_key": public, "items": tuple(items)}
    return Receipts(**{**fields, **changes})


def test_receipts_round_trip_and_verify():
    made = receipts()
    assert Receipts.decode(made.encode()) == made
    assert [signed.event.sequence for signed in made.verify(**HERE)] == [1, 2, 3]
    assert receipts(0).verify(**HERE) == ()


@pytest.mark.parametrize("there", [{"chain_id": 1}, {"journal": bytes(20)}])
def test_receipts_for_another_journal_are_refused(there):
    with pytest.raises(MismatchError, match="journal"):
        receipts().verify(**{**HERE, **there})


def test_receipts_of_another_device_are_refused():
    with pytest.raises(MismatchError, match="device"):
        receipts(device=bytes(20)).verify(**HERE)


def test_receipts_that_another_key_signed_are_refused():
    with pytest.raises(SignatureError):
        receipts(key=OTHER).verify(**HERE)


def test_a_report_that_its_event_does_not_name_is_refused():
    made = receipts()
    swapped = (ReceiptItem(made.items[0].signed, report(downtime_s=99).encode()), *made.items[1:])
    with pytest.raises(MismatchError, match="report"):
        replace(made, items=swapped).verify(**HERE)


def test_a_lost_report_is_said_to_be_lost():
    made = receipts()
    lost = replace(made, items=(ReceiptItem(made.items[0].signed, None), *made.items[1:]))
    assert Receipts.decode(lost.encode()).items[0].report is None
    assert len(lost.verify(**HERE)) == 3


def test_receipts_out_of_order_are_refused():
    made = receipts()
    with pytest.raises(MismatchError):
        replace(made, items=made.items[::-1]).verify(**HERE)


def test_receipts_with_an_event_left_out_still_verify():
    made = receipts()
    assert len(replace(made, items=(made.items[0], made.items[2])).verify(**HERE)) == 2


def receipts_document(**changes) -> bytes:
    value = dag_cbor.decode(receipts(1).encode(), max_bytes=10**6)
    for path, new in changes.items():
        if path in value:
            value[path] = new
        else:
            value["items"][0][path] = new
    return dag_cbor.encode(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "fwledger/receipts/2"},
        {"chain_id": 0},
        {"chain_id": 2**64 - 1, "journal": bytes(19)},
        {"device": bytes(21)},
        {"public_key": bytes(64)},
        {"items": None},
        {"items": [{}]},
        {"items": [1]},
        {"items": [{}] * (MAX_ITEMS + 1)},
        {"signature": bytes(65)},
        {"report": bytes(16_385)},
        {"report": "text"},
        {"event": []},
        {"event": [bytes(32), 1, 1, 1, bytes(32)]},
        {"event": [bytes(32), 1, 1, 1, bytes(32), bytes(32), 1]},
        {"event": [bytes(31), 1, 1, 1, bytes(32), bytes(32)]},
        {"event": [bytes(32), 0, 1, 1, bytes(32), bytes(32)]},
        {"event": [bytes(32), 1, 0, 1, bytes(32), bytes(32)]},
        {"event": [bytes(32), 1, 9, 1, bytes(32), bytes(32)]},
        {"event": [bytes(32), 1, True, 1, bytes(32), bytes(32)]},
        {"event": [bytes(32), 1, 1, 2**40, bytes(32), bytes(32)]},
        {"event": [bytes(32), 1, 1, 1, bytes(32), b"\1" * 32]},
        {"event": [bytes(32), "1", 1, 1, bytes(32), bytes(32)]},
        {"extra": 1},
    ],
)
def test_another_receipts_document_is_refused(changes):
    with pytest.raises(MalformedError):
        Receipts.decode(receipts_document(**changes))


def test_a_signed_event_keeps_its_signature():
    made = receipts(1)
    again = Receipts.decode(made.encode()).items[0].signed
    assert isinstance(again, SignedEvent)
    assert again == made.items[0].signed


# --- enrolment requests


def request(**changes) -> EnrolmentRequest:
    fields = {"serial": "SN-0001", "salt": SALT, "compatible": "acme,gateway", "hw_revision": "b"}
    return make_request(KEY, **{**fields, **changes})


def test_a_request_round_trips_and_is_verified():
    made = request()
    assert EnrolmentRequest.decode(made.encode()) == made
    assert made.device == device_key.address_of(made.public_key)
    assert made.commitment == serial_commitment("SN-0001", SALT)


@pytest.mark.parametrize(
    "changes",
    [
        {"commitment": bytes(32)},
        {"compatible": "acme,other"},
        {"hw_revision": ""},
        {"signature": bytes(64)},
        {
            "public_key": device_key.public_key_bytes(OTHER),
            "device": device_key.address_of(device_key.public_key_bytes(OTHER)),
        },
    ],
)
def test_a_request_that_its_key_did_not_sign_is_refused(changes):
    with pytest.raises(SignatureError):
        EnrolmentRequest.decode(replace(request(), **changes).encode())


def test_a_signature_without_the_requests_own_domain_is_refused():
    made = request()
    value = dag_cbor.decode(made.encode(), max_bytes=4_096)
    del value["signature"]
    claims = dag_cbor.encode(value)
    bare = device_key.sign_digest(KEY, hashlib.sha256(claims).digest())
    with pytest.raises(SignatureError):
        EnrolmentRequest.decode(replace(made, signature=bare).encode())
    own = device_key.sign_digest(KEY, hashlib.sha256(b"fwledger/enrolment/1\0" + claims).digest())
    assert EnrolmentRequest.decode(replace(made, signature=own).encode()).device == made.device


def test_a_request_for_an_address_of_another_key_is_refused():
    with pytest.raises(MismatchError):
        EnrolmentRequest.decode(replace(request(), device=bytes(20)).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"device": bytes(19)},
        {"public_key": bytes(65)},
        {"public_key": b"\2" + bytes(64)},
        {"commitment": bytes(31)},
        {"compatible": ""},
        {"compatible": "x" * 257},
        {"signature": bytes(65)},
    ],
)
def test_a_malformed_request_is_refused(changes):
    with pytest.raises(MalformedError):
        EnrolmentRequest.decode(replace(request(), **changes).encode())


def test_a_request_over_4_kib_is_refused():
    with pytest.raises(LimitError):
        EnrolmentRequest.decode(bytes(4_097))


def test_a_salt_that_is_too_short_is_refused():
    with pytest.raises(MalformedError):
        serial_commitment("SN-0001", b"")


# --- reason codes


def test_every_reason_has_a_check_a_meaning_and_advice():
    assert set(RULES) == set(Reason)
    for reason in Reason:
        assert reason.check == "-" or reason.check in {f"V{number}" for number in range(14)}
        for line in (reason.meaning, reason.advice):
            assert line
            assert line == line.strip(" .")
            assert "\n" not in line
            assert len(line) < 110


def test_reason_names_and_codes_are_one():
    for reason in Reason:
        assert reason.value == reason.name.lower().replace("_", "-")
        assert Report.decode(report(reason=reason).encode()).reason == reason


DESIGN = {  # protocol.md §8
    "V0": "bad-trust-root trust-root-expired",
    "V1": "header-quorum wrong-chain",
    "V2": "stale-ledger ledger-rollback split-view",
    "V3": "wrong-contract",
    "V4": "bad-proof trust-root-missing",
    "V5": "halted revoked not-in-cohort not-approved outside-window needs-consent revoked-no-successor",
    "V6": "wrong-content",
    "V7": "bad-signature threshold",
    "V8": "wrong-channel word-mismatch",
    "V9": "incompatible rollback unreachable-from too-large",
    "V10": "corrupt-content slot-readback",
    "V11": "decision-changed trial-pending",
    "V12": "health-failed",
}


@pytest.mark.parametrize(("check", "codes"), DESIGN.items())
def test_the_codes_of_the_design_are_all_there_with_their_checks(check, codes):
    for code in codes.split():
        assert Reason(code).check == check


def test_the_docs_list_every_code_as_the_program_explains_it():
    page = (Path(__file__).parents[2] / "docs" / "reason-codes.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{reason}` | {reason.check} | {reason.meaning} | {reason.advice} | {SUIT_REASONS[reason]} |"
        for reason in Reason
    ]


def test_every_reason_has_one_name_in_suit_reports():
    assert set(SUIT_REASONS) == set(Reason)
    listed = [
        reason
        for group in (suit._OK, suit._UNAUTHORIZED, suit._CONDITION_FAILED, suit._OPERATION_FAILED)
        for reason in group
    ]
    assert len(listed) == len(set(listed))
    assert set(SUIT_REASONS.values()) == set(SuitReason)


def test_only_what_is_no_failure_is_ok_in_suit_reports():
    ends_well = {Reason.INSTALLED, Reason.CONFIRMED, Reason.BASELINE, Reason.INSTALL_VIA}
    for reason, name in SUIT_REASONS.items():
        if name is SuitReason.OK:
            assert reason.check == "V5" or reason in ends_well
