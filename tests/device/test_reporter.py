"""The event queue: chained, signed, and kept until the device has proved that the ledger has it."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.durable import DurableSteps
from device_verifier.errors import NotTrusted, SourceUnreachable, UsageError
from device_verifier.identity import create_identity, load_identity
from device_verifier.records import EventChain
from device_verifier.reporter import Reporter, Statement, send_receipts
from device_verifier.store import Store
from ledger_protocol.ledger.contract_state import DeviceWord
from ledger_protocol.release.trust_root import LedgerRef
from ledger_protocol.report.document import Report, Stage
from ledger_protocol.report.event import EventKind, chain_link, event_digest, verify_chain
from ledger_protocol.report.reasons import Reason
from tests.sim.servers import http_server

LEDGER = LedgerRef(
    chain_id=1337, address=b"\x11" * 20, code_hash=b"c" * 32, journal=b"\x22" * 20, from_block=0, from_time=0
)
STATEMENT = Statement(EventKind.REJECTED, b"r" * 32, Stage.VERIFY, Reason.INCOMPATIBLE, found="a toaster")


def word(sequence=0, head=bytes(20)):
    return DeviceWord(
        sequence=sequence, enrolled=True, retired=False, open_vote=False, group=7, counted=0, head=head
    )


def word_of(event):
    return word(event.sequence, chain_link(event_digest(event, chain_id=1337, journal=b"\x22" * 20))[:20])


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("key") / "device.key", steps=DurableSteps())


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        yield store


def reporter_of(store, identity, ledger=LEDGER):
    return Reporter(store, identity, ledger=ledger)


def say(store, reporter, statement=STATEMENT, at_s=5):
    with store.change() as change:
        reporter.say(change, statement, at_s=at_s)


def events(reporter):
    return [signed.event for signed in reporter.receipts().verify(chain_id=1337, journal=b"\x22" * 20)]


@pytest.mark.parametrize(
    "foreign", [word(1, b"x" * 20), word(2, b"x" * 20), word(0, b"x" * 20), word(7, b"\xff" * 20)]
)
def test_a_word_that_ends_in_anothers_event_deletes_nothing(store, identity, foreign):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    say(store, reporter)
    with pytest.raises(NotTrusted) as caught:
        reporter.settle(foreign)
    assert caught.value.reason is Reason.FOREIGN_HEAD
    assert reporter.pending() == 2


def test_a_foreign_word_is_noticed_with_an_empty_queue_too(store, identity):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    reporter.settle(word_of(events(reporter)[0]))
    with pytest.raises(NotTrusted):
        reporter.settle(word(2, b"x" * 20))


def test_nothing_to_export_says_so(store, identity):
    with pytest.raises(UsageError) as caught:
        reporter_of(store, identity).receipts()
    assert caught.value.exit_code == 2


def test_only_a_silent_device_goes_on_from_the_journals_word(store, identity):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    with pytest.raises(RuntimeError), store.change() as change:
        reporter.adopt(change, word(9))


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_relay_that_does_not_take_them_is_unreachable(store, identity, status):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    relay = http_server(lambda *_: (status, b"no\x1b[31m room\n"))
    with relay as url, pytest.raises(SourceUnreachable) as caught:
        send_receipts(url, reporter.receipts())
    assert f"status {status} no?[31m room?" in str(caught.value)
    assert reporter.pending() == 1


def test_a_relay_that_floods_is_unreachable(store, identity):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    with http_server(lambda *_: (200, bytes(1_000_000))) as url, pytest.raises(SourceUnreachable):
        send_receipts(url, reporter.receipts())


def test_a_key_file_is_never_replaced(tmp_path):
    create_identity(tmp_path / "device.key", steps=DurableSteps())
    before = (tmp_path / "device.key").read_bytes()
    with pytest.raises(UsageError):
        create_identity(tmp_path / "device.key", steps=DurableSteps())
    assert (tmp_path / "device.key").read_bytes() == before


def test_a_key_of_another_curve_is_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "device.key").write_bytes(pem)
    (tmp_path / "device.key").chmod(0o600)
    with pytest.raises(UsageError, match="expected a secp256k1 key"):
        load_identity(tmp_path / "device.key")


def test_a_key_never_prints_itself(identity):
    assert "private_key" not in repr(identity)


def test_an_event_commits_to_its_report(store, identity):
    reporter = reporter_of(store, identity)
    say(store, reporter)
    (item,) = reporter.receipts().items
    report = Report.decode(item.report)
    assert (report.reason, report.found, report.stage) == ("incompatible", "a toaster", Stage.VERIFY)
    assert item.signed.event.detail == hashlib.sha256(item.report).digest()


def test_a_report_that_is_too_long_is_cut_not_lost(store, identity):
    reporter = reporter_of(store, identity)
    say(
        store,
        reporter,
        Statement(EventKind.REJECTED, b"r" * 32, Stage.FETCH, Reason.CORRUPT_CONTENT, found="é\n" * 9_000),
    )
    assert len(reporter.receipts().items) == 1


def test_each_journal_has_a_chain_of_its_own(store, identity):
    other = LedgerRef(
        chain_id=1, address=b"\x11" * 20, code_hash=b"c" * 32, journal=b"\x33" * 20, from_block=0, from_time=0
    )
    first, second = reporter_of(store, identity), reporter_of(store, identity, other)
    say(store, first)
    assert (first.pending(), second.pending(), second.begun()) == (1, 0, False)
    say(store, second)
    assert second.receipts().items[0].signed.event.sequence == 1


def test_a_wiped_device_goes_on_from_its_proven_word(store, identity):
    reporter = reporter_of(store, identity)
    before = word(41, b"h" * 20)
    with store.change() as change:
        reporter.adopt(change, before)
    say(store, reporter)
    (event,) = events(reporter)
    assert (event.sequence, event.previous) == (42, b"h" * 20 + bytes(12))
    assert reporter.settle(before) == 0
    assert reporter.settle(word_of(event)) == 1


@settings(max_examples=25, deadline=None)
@given(rounds=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), max_size=4))
def test_whatever_arrives_when_the_rest_stays_and_the_chain_holds(tmp_path_factory, identity, rounds):
    """Say some, prove some of what is queued, again and again: nothing is lost, nothing is deleted
    unproven.
    """
    with Store(tmp_path_factory.mktemp("s") / "state.db", steps=DurableSteps()) as store:
        reporter = reporter_of(store, identity)
        proven, said = [], 0
        for count, arrive in rounds:
            for _ in range(count):
                say(store, reporter)
                said += 1
            queue = events(reporter)
            arrived = queue[: min(arrive, len(queue))]
            if arrived:
                assert reporter.settle(word_of(arrived[-1])) == len(arrived)
                proven += arrived
            assert reporter.pending() == said - len(proven)
        everything = proven + (events(reporter) if reporter.pending() else [])
        assert verify_chain(everything, after=word(), chain_id=1337, journal=b"\x22" * 20) == ()
        assert [event.sequence for event in everything] == list(range(1, said + 1))


def test_the_queue_survives_a_restart(tmp_path, identity):
    path = tmp_path / "state.db"
    with Store(path, steps=DurableSteps()) as store:
        say(store, reporter_of(store, identity))
    with Store(path, steps=DurableSteps()) as store:
        reporter = reporter_of(store, identity)
        say(store, reporter)
        assert [event.sequence for event in events(reporter)] == [1, 2]
        assert store.event_chain(f"1337:0x{'22' * 20}:0x{identity.address.hex()}") == EventChain(
            2, word_of(events(reporter)[1]).previous
        )
