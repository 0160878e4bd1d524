"""Receipts of many devices carried together: few transactions, and one bad document stops no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ledger_client import carrying
from ledger_client.cli.app import App
from ledger_client.config import checksum_address
from ledger_client.errors import UsageError
from ledger_client.journal import MAX_BATCH
from ledger_client.receipts import Outcome
from ledger_client.relay.service import Relay
from ledger_protocol.report.event import EventKind
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.network import Call, Receipt
    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

ONE, TWO = b"\x07" * 32, b"\x08" * 32


@pytest.fixture
def app(maker: Manufacturer) -> App:
    return App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)


@pytest.fixture
def fleet(maker: Manufacturer, chain: RunningChain, app: App, tmp_path: Path) -> list[DeviceTwin]:
    """Four enrolled devices; the last two in group 2."""
    twins = [DeviceTwin(chain.chain_id, app.journal.address) for _ in range(4)]
    for group, members in (("1", twins[:2]), ("2", twins[2:])):
        paths = [tmp_path / f"{twin.address.hex()}.request" for twin in members]
        for path, twin in zip(paths, members, strict=True):
            path.write_bytes(twin.request())
        maker.run("device", "enrol", *paths, "--group", group, "--yes")
    return twins


def carried(app: App, *raws: bytes) -> tuple[list[Outcome | Exception], list[str]]:
    """What became of the documents, and the transactions that it took."""
    sent: list[str] = []

    def send(call: Call) -> Receipt:
        sent.append(call.what)
        return app.send(call)

    return list(carrying.submit_many(app.journal, raws, send=send, ipfs=None)), sent


def recorded(outcomes: list[Outcome | Exception]) -> list[int]:
    return [one.recorded for one in outcomes if isinstance(one, Outcome)]


def test_devices_that_speak_of_one_release_share_a_transaction(app: App, fleet: list[DeviceTwin]) -> None:
    for twin in fleet:
        twin.say(EventKind.BASELINE, ONE)
        twin.say(EventKind.REJECTED, TWO)
        twin.say(EventKind.REJECTED, TWO)
    raws = [twin.receipts() for twin in fleet]
    outcomes, sent = carried(app, *raws)
    assert recorded(outcomes) == [3, 3, 3, 3]
    assert sent == ["record 4 events in a batch", "record 8 events in a batch"]
    assert [app.journal.device(twin.address).sequence for twin in fleet] == [3, 3, 3, 3]
    again, sent = carried(app, *raws)
    assert [one.already for one in again if isinstance(one, Outcome)] == [3, 3, 3, 3]
    assert sent == []


def test_gaps_and_long_histories_go_through_the_devices_own_queue(app: App, fleet: list[DeviceTwin]) -> None:
    gap, long, *short = fleet
    gap.say(EventKind.BASELINE, ONE, step=3)
    for _ in range(6):
        long.say(EventKind.REJECTED, ONE)
    for twin in short:
        twin.say(EventKind.BASELINE, ONE)
    outcomes, sent = carried(app, *(twin.receipts() for twin in fleet))
    assert recorded(outcomes) == [1, 6, 1, 1]
    assert sent == ["record 2 events in a batch", "record 1 event", "record 6 events"]


def test_a_bad_document_stops_no_other(app: App, fleet: list[DeviceTwin], chain: RunningChain) -> None:
    stranger = DeviceTwin(chain.chain_id, app.journal.address)
    for twin in (*fleet, stranger):
        twin.say(EventKind.BASELINE, ONE)
    forged = bytearray(fleet[0].receipts())
    forged[forged.index(ONE)] ^= 1
    raws = [bytes(forged), stranger.receipts(), *(twin.receipts() for twin in fleet[1:])]
    outcomes, sent = carried(app, *raws)
    assert "these are not receipts that hold" in str(outcomes[0])
    assert "is not enrolled here" in str(outcomes[1])
    assert recorded(outcomes) == [1, 1, 1]
    assert sent == ["record 3 events in a batch"]


def test_an_item_that_somebody_recorded_first_is_skipped_and_told_as_there_already(
    app: App, fleet: list[DeviceTwin]
) -> None:
    for twin in fleet:
        twin.say(EventKind.BASELINE, ONE)
    fleet[0].say(EventKind.REJECTED, ONE)

    def send(call: Call) -> Receipt:
        if "batch" in call.what and app.journal.device(fleet[0].address).sequence == 0:
            carrying.submit(app.journal, fleet[0].receipts(0, 1), send=app.send, ipfs=None)
        return app.send(call)

    raws = [twin.receipts() for twin in fleet]
    first, *others = carrying.submit_many(app.journal, raws, send=send, ipfs=None)
    assert isinstance(first, Outcome)
    assert (first.recorded, first.already, first.skipped) == (1, 1, ())
    assert recorded(list(others)) == [1, 1, 1]


def test_a_device_retired_meanwhile_is_named_with_the_reason(
    app: App, maker: Manufacturer, fleet: list[DeviceTwin]
) -> None:
    for twin in fleet:
        twin.say(EventKind.BASELINE, ONE)

    def send(call: Call) -> Receipt:
        maker.run("device", "retire", checksum_address(fleet[1].address), "--yes")
        return app.send(call)

    outcomes = carrying.submit_many(app.journal, [t.receipts() for t in fleet], send=send, ipfs=None)
    assert [[one.why for one in o.skipped] for o in outcomes if isinstance(o, Outcome)] == [
        [], ["device is retired"], [], [],
    ]  # fmt: skip
    assert recorded(list(outcomes)) == [1, 0, 1, 1]


def test_two_documents_of_one_device_follow_each_other(app: App, fleet: list[DeviceTwin]) -> None:
    twin, other = fleet[:2]
    for _ in range(3):
        twin.say(EventKind.REJECTED, ONE)
    other.say(EventKind.REJECTED, ONE)
    outcomes, _ = carried(app, twin.receipts(0, 2), twin.receipts(2), other.receipts())
    assert recorded(outcomes) == [2, 1, 1]


def test_a_folder_ends_with_1_where_a_file_is_refused_and_records_the_rest(
    maker: Manufacturer, fleet: list[DeviceTwin]
) -> None:
    stick = maker.path / "mixed"
    stick.mkdir()
    for twin in fleet[:2]:
        twin.say(EventKind.BASELINE, ONE)
        (stick / f"{twin.address.hex()}.receipts").write_bytes(twin.receipts())
    (stick / "zz.receipts").write_bytes(b"hello")
    ran = maker.run("receipts", "submit", "mixed", "--skip-reports", "--yes", "--json", expect=1)
    assert [file.get("recorded") for file in ran.document["files"]] == [1, 1, None]
    assert "not receipts that hold" in ran.document["files"][2]["refused"]
    assert "refused" in maker.run("receipts", "submit", "mixed", "--skip-reports", "--yes", expect=1).out


def test_a_batch_of_none_of_too_many_or_of_two_releases_is_refused_before_it_is_sent(
    app: App, fleet: list[DeviceTwin]
) -> None:
    one, two = fleet[0].say(EventKind.BASELINE, ONE), fleet[1].say(EventKind.BASELINE, TWO)
    items = [(signed.event, signed.signature, 27) for signed in (one, two)]
    for bad in ([], items, items[:1] * (MAX_BATCH + 1)):
        with pytest.raises(UsageError, match="events of one batch"):
            app.journal.submit_batch(bad)


def test_what_reaches_a_relay_during_a_transaction_is_carried_together_by_the_next(
    app: App, fleet: list[DeviceTwin]
) -> None:
    for twin in fleet:
        twin.say(EventKind.BASELINE, ONE)
    sent: list[str] = []
    others: list[threading.Thread] = []

    def send(call: Call) -> Receipt:
        if not sent:  # the first is on its way: three more come in
            others.extend(threading.Thread(target=relay.submit, args=(t.receipts(),)) for t in fleet[1:])
            for thread in others:
                thread.start()
            while len(relay._jobs) < 3:
                threading.Event().wait(0.01)
        sent.append(call.what)
        return app.send(call)

    relay = Relay(
        ledger=app.ledger,
        journal=app.journal,
        carrier=app.journal,
        held=app.root,
        ipfs=None,
        send=send,
        from_block=0,
    )
    assert relay.submit(fleet[0].receipts()).recorded == 1
    for thread in others:
        thread.join(20)
    assert sent == ["record 1 event", "record 3 events in a batch"]
    assert [app.journal.device(twin.address).sequence for twin in fleet] == [1, 1, 1, 1]
