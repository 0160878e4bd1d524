"""Device facts: their JSON, read strictly because a publisher trusts it for a fleet."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.errors import UsageError
from device_verifier.facts import (
    MAX_FACTS_BYTES,
    DeviceFacts,
    InstalledRelease,
    InstallMode,
    Slot,
    Window,
    facts_from_json,
    facts_to_json,
)
from ledger_protocol.report.reasons import Reason

FACTS = DeviceFacts(
    compatible="acme,gateway",
    hw_revision="B2",
    arch="aarch64",
    address=b"\x01" * 20,
    slots=(Slot("rootfs", 2**32), Slot("mcu", 1_024, ("command",), "cortex-m4")),
    channel="stable",
    installed=InstalledRelease(b"\x02" * 32, 5, 1, "1.5"),
    security_floor=1,
    now_s=1_800_000_000,
    mode=InstallMode.CONSENT,
    windows=(Window(frozenset({0, 6}), 60, 30),),
    consented=frozenset({b"\x03" * 32}),
    failed=frozenset({b"\x04" * 32}),
    override=True,
)


def refused(**changes) -> str:
    document = json.loads(facts_to_json(FACTS)) | changes
    with pytest.raises(UsageError) as caught:
        facts_from_json(json.dumps(document).encode())
    assert (caught.value.reason, caught.value.exit_code) == (Reason.USAGE, 2)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "fwledger/device-facts/2"),
        ("compatible", None),
        ("compatible", "x" * 257),
        ("address", "0x1234"),
        ("address", "0x" + "zz" * 20),
        ("address", "0x" + " 1" * 20),
        ("security_floor", None),
        ("security_floor", -1),
        ("security_floor", 2**24),
        ("security_floor", True),
        ("security_floor", "1"),
        ("security_floor", 1.5),
        ("slots", {}),
        ("slots", [1]),
        ("slots", [{"slot_class": "rootfs"}]),
        ("slots", [{"slot_class": "rootfs", "size_bytes": 1, "size": 2}]),
        ("slots", [{"slot_class": "rootfs", "size_bytes": 1}] * 257),
        ("windows", [{"days": [7], "start_minute": 0, "end_minute": 0}]),
        ("windows", [{"days": [0], "start_minute": 1_440, "end_minute": 0}]),
        ("mode", "maybe"),
        ("override", 1),
        ("consented", ["0x00"]),
        ("installed", {"release": "0x" + "00" * 32}),
        ("group", 7),
        ("security_flor", 1),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field, value):
    assert field in refused(**{field: value})


def test_a_missing_floor_is_not_a_floor_of_zero():
    document = json.loads(facts_to_json(FACTS))
    del document["security_floor"]
    with pytest.raises(UsageError, match="security_floor"):
        facts_from_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"\xff", b"{", b"[" * 50_000, bytes(MAX_FACTS_BYTES + 1)])
def test_a_file_that_is_no_facts_is_refused(data):
    with pytest.raises(UsageError):
        facts_from_json(data)


def test_what_is_written_is_read_back():
    assert facts_from_json(facts_to_json(FACTS).encode()) == FACTS


def test_optional_facts_may_be_left_out():
    least = {
        "schema": "fwledger/device-facts/1",
        "compatible": "acme,gateway",
        "hw_revision": "B2",
        "arch": "aarch64",
        "address": "01" * 20,
        "slots": [{"slot_class": "rootfs", "size_bytes": 1}],
        "security_floor": 0,
    }
    facts = facts_from_json(json.dumps(least).encode())
    assert (facts.channel, facts.group, facts.installed, facts.now_s) == (None, None, None, None)
    assert facts.slots[0].handlers == ("raw",)


def test_a_window_holds_its_minutes_and_runs_past_midnight():
    monday = 1_800_230_400  # a Monday at 00:00
    assert (monday // 86_400 + 3) % 7 == 0
    day = Window(frozenset({0}), 60, 120)
    assert [day.holds(monday + m * 60) for m in (59, 60, 119, 120)] == [False, True, True, False]
    assert not day.holds(monday + 86_400 + 60 * 60)
    night = Window(frozenset({0}), 23 * 60, 60)
    assert [night.holds(monday + m * 60) for m in (0, 22 * 60, 23 * 60, 24 * 60, 24 * 60 + 59, 25 * 60)] == [
        False, False, True, True, True, False,
    ]  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


@given(field=st.sampled_from(sorted(json.loads(facts_to_json(FACTS)))), value=json_values)
@settings(max_examples=200, deadline=None)
def test_no_value_of_any_field_leaves_by_another_error(field, value):
    document = json.loads(facts_to_json(FACTS)) | {field: value}
    try:
        facts = facts_from_json(json.dumps(document).encode())
    except UsageError:
        return
    assert facts_from_json(facts_to_json(facts).encode()) == facts


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_leave_by_another_error(data):
    with pytest.raises(UsageError):
        facts_from_json(data)
