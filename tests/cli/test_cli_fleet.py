"""Devices enrolled, their receipts recorded, devices retired: with the real command, chain and IPFS node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.config import checksum_address, load_config
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.report.document import detail_of
from ledger_protocol.report.event import EventKind
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode
    from tests.support.manufacturer import Manufacturer

RELEASE = b"\x07" * 32


@pytest.fixture
def twin(maker: Manufacturer, chain: RunningChain) -> DeviceTwin:
    journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
    assert journal is not None
    return DeviceTwin(chain.chain_id, journal)


def enrol(maker: Manufacturer, twin: DeviceTwin) -> None:
    (maker.path / "device.request").write_bytes(twin.request())
    maker.run("device", "enrol", "device.request", "--group", "1", "--yes")


def submit(maker: Manufacturer, raw: bytes) -> dict[str, object]:
    (maker.path / "out.receipts").write_bytes(raw)
    return maker.json("receipts", "submit", "out.receipts", "--yes")["files"][0]


def test_a_request_whose_device_does_not_hold_the_key_is_refused(
    maker: Manufacturer, twin: DeviceTwin
) -> None:
    raw = bytearray(twin.request())
    raw[-1] ^= 1
    (maker.path / "bad.request").write_bytes(bytes(raw))
    err = maker.refused("device", "enrol", "bad.request", "--group", "1", "--yes", code=1)
    assert "error: bad.request is not a device's enrolment request" in err


@pytest.mark.parametrize("content", [b"", b"hello", b"\xa0", b"\x9f" * 5000])
def test_a_file_that_is_no_request_is_refused(maker: Manufacturer, content: bytes) -> None:
    (maker.path / "bad.request").write_bytes(content)
    assert maker.refused("device", "enrol", "bad.request", "--group", "1", "--yes", code=1).startswith(
        "error: "
    )


def test_a_device_of_another_product_line_is_refused_where_one_is_named(
    maker: Manufacturer, twin: DeviceTwin
) -> None:
    (maker.path / "lock.request").write_bytes(twin.request(compatible="acme,lock"))
    err = maker.refused(
        "device", "enrol", "lock.request", "--group", "1", "--compatible", "acme,cam", "--yes", code=2
    )
    assert "expected acme,cam, got acme,lock" in err


def test_enrolling_is_idempotent_and_another_group_is_refused(maker: Manufacturer, twin: DeviceTwin) -> None:
    enrol(maker, twin)
    again = maker.json("device", "enrol", "device.request", "--group", "1", "--yes")
    assert again["already"] == [checksum_address(twin.address)]
    assert "transactions" not in again
    err = maker.refused("device", "enrol", "device.request", "--group", "2", "--yes", code=2)
    assert "is enrolled already: expected group 2, got group 1" in err


def test_receipts_of_a_device_that_is_not_enrolled_are_refused(maker: Manufacturer, twin: DeviceTwin) -> None:
    twin.say(EventKind.BASELINE, RELEASE)
    (maker.path / "out.receipts").write_bytes(twin.receipts())
    err = maker.refused("receipts", "submit", "out.receipts", "--yes", code=2)
    assert "is not enrolled here" in err


def test_a_forged_event_is_refused_and_nothing_is_sent(maker: Manufacturer, twin: DeviceTwin) -> None:
    enrol(maker, twin)
    twin.say(EventKind.BASELINE, RELEASE)
    raw = bytearray(twin.receipts())
    at = raw.index(RELEASE)
    raw[at] ^= 1
    (maker.path / "out.receipts").write_bytes(bytes(raw))
    err = maker.refused("receipts", "submit", "out.receipts", "--yes", code=1)
    assert "error: these are not receipts that hold" in err
    assert "paid by" not in err


def test_a_queue_is_recorded_once_and_what_is_new_follows(
    maker: Manufacturer, twin: DeviceTwin, embedded_node: IpfsNode
) -> None:
    enrol(maker, twin)
    for kind in (EventKind.BASELINE, EventKind.INSTALLED, EventKind.CONFIRMED):
        twin.say(kind, RELEASE)
    assert submit(maker, twin.receipts(0, 2))["recorded"] == 2
    result = submit(maker, twin.receipts())
    assert (result["recorded"], result["already"]) == (1, 2)
    again = submit(maker, twin.receipts())
    assert (again["recorded"], again["already"]) == (0, 3)
    listed = {row["device"]: row for row in maker.json("device", "list")["devices"]}
    assert listed[checksum_address(twin.address)]["last_event"] == 3
    # The reports are on IPFS, at the address that the events commit to.
    with embedded_node.client() as client:
        for item in twin.items:
            assert item.report is not None
            assert client.get_block(Cid(DAG_CBOR, detail_of(item.report))) == item.report


def test_long_queues_gaps_and_many_releases_are_cut_into_calls_that_fit(
    maker: Manufacturer, twin: DeviceTwin
) -> None:
    enrol(maker, twin)
    for number in range(20):
        twin.say(EventKind.REJECTED, bytes([number]) * 32, step=3 if number == 9 else 1)
    assert submit(maker, twin.receipts())["recorded"] == 20


def test_checked_events_wait_for_an_anchor(maker: Manufacturer, twin: DeviceTwin) -> None:
    enrol(maker, twin)
    twin.say(EventKind.BASELINE, RELEASE)
    twin.say(EventKind.CHECKED, RELEASE)
    result = submit(maker, twin.receipts())
    assert (result["recorded"], result["anchored_only"]) == (1, 1)


def test_a_copied_store_that_signs_another_history_is_refused_by_the_ledger(
    maker: Manufacturer, twin: DeviceTwin
) -> None:
    enrol(maker, twin)
    twin.say(EventKind.BASELINE, RELEASE)
    submit(maker, twin.receipts())
    other = DeviceTwin(twin.chain_id, twin.journal, key=twin.key)
    other.say(EventKind.BASELINE, b"\x09" * 32)
    other.say(EventKind.REJECTED, b"\x09" * 32)
    (maker.path / "out.receipts").write_bytes(other.receipts())
    err = maker.refused("receipts", "submit", "out.receipts", "--yes", code=1)
    assert "previous event differs" in err
    assert "hint: the device's store was wiped or copied" in err


def test_a_folder_of_receipts_is_submitted_file_by_file(maker: Manufacturer, twin: DeviceTwin) -> None:
    enrol(maker, twin)
    twin.say(EventKind.BASELINE, RELEASE)
    stick = maker.path / "stick"
    stick.mkdir(exist_ok=True)
    (stick / "a.receipts").write_bytes(twin.receipts())
    (stick / "b.receipts").write_bytes(twin.receipts())
    files = maker.json("receipts", "submit", "stick", "--yes")["files"]
    assert [file["recorded"] for file in files] == [1, 0]
    (maker.path / "empty").mkdir(exist_ok=True)
    assert "no *.receipts file in empty" in maker.refused("receipts", "submit", "empty", "--yes", code=2)


def test_a_retired_device_is_silent_until_it_is_taken_back(maker: Manufacturer, twin: DeviceTwin) -> None:
    enrol(maker, twin)
    name = checksum_address(twin.address)
    maker.run("device", "retire", name, "--yes")
    twin.say(EventKind.BASELINE, RELEASE)
    (maker.path / "out.receipts").write_bytes(twin.receipts())
    assert "is retired" in maker.refused("receipts", "submit", "out.receipts", "--yes", code=2)
    maker.run("device", "retire", name, "--undo", "--yes")
    assert submit(maker, twin.receipts())["recorded"] == 1


def test_only_enrolled_devices_are_retired(maker: Manufacturer, twin: DeviceTwin) -> None:
    err = maker.refused("device", "retire", checksum_address(twin.address), "--yes", code=2)
    assert "is not enrolled" in err
