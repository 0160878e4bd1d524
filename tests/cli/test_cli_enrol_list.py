"""Devices enrolled in bulk from a CSV file: checked whole, sent in batches, repeated at will."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.config import checksum_address
from ledger_client.enrolment_list import MAX_LIST_BYTES, read_list, read_moves
from ledger_client.errors import ClientError, NotTrustedError, UsageError
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.manufacturer import Manufacturer

COMMITMENT = "0x" + "ab" * 32


def address(number: int) -> str:
    return checksum_address(number.to_bytes(20, "big"))


def listing(path: Path, *rows: object, columns: str = "address,commitment,group") -> Path:
    with path.open("w", newline="") as stream:
        stream.write(columns + "\n")
        csv.writer(stream).writerows(rows)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("address,group\n", "list.csv:1: columns: expected `request`, or"),
        ("request,address,commitment,group\n", "list.csv:1: columns"),
        ("address,commitment,group,colour\n", "list.csv:1: columns"),
        ("request,request,group\n", "list.csv:1: columns"),
        ("request\n", "list.csv:1: group: expected a column `group` or --group, got neither"),
        ("address,commitment,group\n\n", "lists no device"),
        (f"address,commitment,group\n{address(1)},{COMMITMENT}\n", "list.csv:2: expected 3 values, got 2"),
        (f"address,commitment,group\n\n0x12,{COMMITMENT},1\n", "list.csv:3: address: expected 0x and 40"),
        (f"address,commitment,group\n{address(1)},abc,1\n", "list.csv:2: commitment: expected 64 hex"),
        (f"address,commitment,group\n{address(1)},{COMMITMENT},-1\n", "list.csv:2: group: expected 0 to"),
        (f"address,commitment,group\n{address(1)},{COMMITMENT},16777216\n", "list.csv:2: group"),
        (f"address,commitment,group\n{address(1)},{COMMITMENT},\N{SUPERSCRIPT TWO}\n", "list.csv:2: group"),
        ("request,group\nnot-there,1\n", "list.csv:2: cannot read enrolment request"),
        ('request,group\n"open,1\n', "is no CSV file in UTF-8"),
    ],
)
def test_a_list_that_is_wrong_is_refused_by_file_and_line(tmp_path, text, told):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_list(path, group=None)
    assert told in str(caught.value)


def test_a_device_that_stands_twice_is_refused_with_both_lines(tmp_path):
    path = listing(tmp_path / "list.csv", *[(address(7), COMMITMENT, 1)] * 2)
    with pytest.raises(UsageError, match=r"list.csv:3: device .* stands at .*list.csv:2 already"):
        read_list(path, group=None)


def test_the_first_wrong_line_is_told_with_the_number_of_others(tmp_path):
    path = listing(tmp_path / "list.csv", (address(1), COMMITMENT, 1), *[("0x", COMMITMENT, 1)] * 3)
    with pytest.raises(UsageError, match=r"list.csv:3: address") as caught:
        read_list(path, group=None)
    assert "2 more lines are wrong; nothing was sent" in caught.value.hint


def test_a_group_is_named_once(tmp_path):
    path = listing(tmp_path / "list.csv", (address(1), COMMITMENT, 1))
    with pytest.raises(UsageError, match="expected a column `group` or --group, got both"):
        read_list(path, group=3)


def test_a_forged_request_and_another_product_are_refused(tmp_path):
    twin = DeviceTwin(1, b"\x22" * 20)
    (tmp_path / "good").write_bytes(twin.request())
    (tmp_path / "forged").write_bytes(twin.request()[:-1] + b"\0")
    good = listing(tmp_path / "good.csv", ("good",), columns="request")
    assert [one.enrolment.group for one in read_list(good, group=5)] == [5]
    with pytest.raises(UsageError, match=r"good.csv:2: product line: expected other,line, got acme,cam"):
        read_list(good, group=5, compatible="other,line")
    with pytest.raises(NotTrustedError, match=r"forged.csv:2: .* is not a device's enrolment request"):
        read_list(listing(tmp_path / "forged.csv", ("forged",), columns="request"), group=5)


def test_a_file_that_is_too_large_or_not_there_is_refused(tmp_path):
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(MAX_LIST_BYTES + 1)
    for name in ("large", "none"):
        with pytest.raises(UsageError):
            read_list(tmp_path / name, group=1)


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"address,commitment\n{text}".encode())
)
@settings(max_examples=100)
def test_only_our_errors_leave_the_reader(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    path.write_bytes(raw)
    with pytest.raises(ClientError):
        read_list(path, group=1)


def test_a_fleet_is_enrolled_by_128_and_again_nothing_is_sent(maker: Manufacturer, tmp_path):
    first = 1 << 100
    rows = [(address(first + number), COMMITMENT, 1 + number % 3) for number in range(130)]
    path = listing(tmp_path / "fleet.csv", *rows)
    ran = maker.run("device", "enrol", "--csv", path, "--yes", "--json")
    assert len(ran.document["enrolled"]) == 130
    assert [one["act"] for one in ran.document["transactions"]] == ["enrol 128 devices", "enrol 2 devices"]
    assert "130 devices are listed without a request" in ran.err
    held = {one["device"]: one["group"] for one in maker.json("device", "list")["devices"]}
    assert {device: held[device] for device, _, _ in rows} == {device: group for device, _, group in rows}

    again = maker.json("device", "enrol", "--csv", path, "--yes")
    assert (len(again["already"]), again["enrolled"]) == (130, [])
    assert "transactions" not in again

    # A list that was killed half way, and one device that is elsewhere.
    more = listing(
        tmp_path / "more.csv", *rows[:2], (address(first + 2), COMMITMENT, 9), (address(9), COMMITMENT, 9)
    )
    ran = maker.run("device", "enrol", "--csv", more, "--yes", "--json", expect=1)
    assert [one["device"] for one in ran.document["enrolled"]] == [address(9)]
    assert len(ran.document["already"]) == 2
    assert ran.document["elsewhere"] == [
        {"device": address(first + 2), "group": 9, "line": f"{more}:4", "found_in": 3}
    ]


def test_requests_and_a_list_do_not_go_together(maker: Manufacturer, tmp_path):
    path = listing(tmp_path / "list.csv", (address(1), COMMITMENT, 1))
    for line in ([], ["x.request", "--csv", path]):
        assert "enrol whom?" in maker.refused("device", "enrol", *line, "--yes", code=2)
    assert "into which group?" in maker.refused("device", "enrol", "x.request", "--yes", code=2)


# --- groups changed by publishers


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "list.csv:1: columns: expected `address` and `group`"),
        ("address,commitment\n", "list.csv:1: columns"),
        ("address,group\n", "lists no device"),
        (f"address,group\n{address(1)}\n", "list.csv:2: expected 2 values, got 1"),
        (f"address,group\n{address(1)},x\n", "list.csv:2: group"),
        (f"address,group\n{address(1)},1\n{address(1)},2\n", "is to be in two groups"),
    ],
)
def test_a_list_of_moves_that_is_wrong_is_refused_by_file_and_line(tmp_path, text, told):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_moves(path)
    assert told in str(caught.value)


def test_publishers_move_many_devices_and_again_nothing_is_sent(maker: Manufacturer, tmp_path):
    maker.run("channel", "create", "stable", "--group", "40", "--yes")
    first = 1 << 110
    rows = [(address(first + number), COMMITMENT, 1) for number in range(66)]
    maker.run("device", "enrol", "--csv", listing(tmp_path / "fleet.csv", *rows), "--yes")
    moved = listing(tmp_path / "moved.csv", *[(name, COMMITMENT, 40) for name, _, _ in rows])
    lone = ["device", "place", "--csv", moved, "--approve-only", "x.approval", "--yes"]
    assert "approvals are for one act: got 2 acts" in maker.refused(*lone, code=2)
    ran = maker.json("device", "place", "--csv", moved, "--yes")
    assert (len(ran["placed"]), len(ran["transactions"])) == (66, 2)
    assert {row["group"] for row in maker.json("device", "list", "--group", "40")["devices"]} == {40}
    again = maker.json("device", "place", "--csv", moved, "--yes")
    assert (again["placed"], len(again["already"]), "transactions" in again) == ([], 66, False)
    one = maker.json("device", "place", rows[0][0], "--group", "1", "--yes")
    assert one["placed"] == [{"device": rows[0][0], "group": 1}]


def test_who_is_placed_is_named_and_may_be(maker: Manufacturer):
    place = ["device", "place"]
    for line in ([], [address(5)], ["--group", "1"], [address(5), "--csv", "x"]):
        assert "place whom?" in maker.refused(*place, *line, "--yes", code=2)
    assert "is not enrolled" in maker.refused(*place, address(5), "--group", "1", "--yes", code=2)
