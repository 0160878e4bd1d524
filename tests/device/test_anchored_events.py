"""A device lets go of an event that an anchor of its journal is proved to hold, and of no other."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.anchors import anchored_events, read_anchor_proof
from device_verifier.durable import DurableSteps
from device_verifier.errors import NotTrusted, UsageError
from device_verifier.identity import create_identity
from device_verifier.reporter import MAX_KEPT_LINKS, Reporter
from device_verifier.store import Store
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
)
from ledger_protocol.ledger.witness_note import Checkpoint, noted_hash
from ledger_protocol.release.trust_root import HeaderTrust, LedgerRef
from ledger_protocol.report.anchor import ANCHORED_TOPIC, AnchorBatch, AnchorProof
from ledger_protocol.report.event import SignedEvent, chain_link, event_digest
from ledger_protocol.report.reasons import Reason
from tests.device.test_reporter import say, word
from tests.fuzzing import mutated
from tests.sim.repository import Repository
from tests.sim.validators import Validators, header_fields
from tests.sim.witnesses import Witnesses

VALIDATORS = Validators()
NUMBER, TIME = 40, 1_800_000_000


@pytest.fixture(scope="module")
def root():
    """The root of the simulated world, with these tests' validators."""
    made = Repository().root
    return replace(
        made,
        headers=HeaderTrust(qbft=VALIDATORS.trust(), witnesses=None, require="any"),
        ledger=replace(made.ledger, from_block=10, from_time=0),
    )


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("key") / "device.key", steps=DurableSteps())


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        yield store


@pytest.fixture
def reporter(store, identity, root):
    return Reporter(store, identity, ledger=root.ledger)


def queued(reporter) -> list[SignedEvent]:
    return [item.signed for item in reporter.receipts().items]


def proof_of(events, *, ledger: LedgerRef, indexes=None, seal=None, **header) -> AnchorProof:
    """An anchor of events in a block that validators sealed, and the proof of its leaves."""
    batch = AnchorBatch(chain_id=ledger.chain_id, journal=ledger.journal, events=tuple(events))
    data = bytes(32) + len(events).to_bytes(32, "big")
    log = Log(ledger.journal, (ANCHORED_TOPIC, bytes(32), batch.root), data)
    encoded = [Receipt(type=2, succeeded=True, cumulative_gas_used=1, bloom=bytes(256), logs=(log,)).encode()]
    fields = {"number": NUMBER, "timestamp": TIME, "receipts_root": receipts_root(encoded), **header}
    sealed = (seal or VALIDATORS.seal)(list(header_fields(**fields)))
    shown = ReceiptProof(header=sealed, index=0, nodes=build_receipt_proof(encoded, 0))
    return AnchorProof.of(batch, tuple(indexes or range(len(events))), receipt=shown, log=0)


def test_a_header_that_nobody_pinned_sealed_lets_go_of_nothing(store, reporter, root):
    say(store, reporter)
    forged = proof_of(queued(reporter), ledger=root.ledger, seal=Validators(seed=9).seal)
    with pytest.raises(NotTrusted) as caught:
        anchored_events(forged.encode(), root=root)
    assert caught.value.reason is Reason.HEADER_QUORUM
    assert reporter.pending() == 1


def test_a_header_from_before_the_trust_root_is_not_enough(store, reporter, root):
    say(store, reporter)
    early = proof_of(queued(reporter), ledger=root.ledger, number=9)
    with pytest.raises(NotTrusted) as caught:
        anchored_events(early.encode(), root=root)
    assert caught.value.reason is Reason.LEDGER_ROLLBACK


def test_an_anchor_of_another_journal_is_refused(store, reporter, root):
    say(store, reporter)
    other = proof_of(queued(reporter), ledger=replace(root.ledger, journal=b"\x77" * 20))
    with pytest.raises(NotTrusted) as caught:
        anchored_events(other.encode(), root=root)
    assert caught.value.reason is Reason.BAD_PROOF


def test_a_leaf_that_the_tree_does_not_have_is_refused(store, reporter, root):
    for _ in range(3):
        say(store, reporter)
    events = queued(reporter)
    proof = proof_of(events[:2], ledger=root.ledger)
    put_in = replace(proof.leaves[1], signed=events[2])
    with pytest.raises(NotTrusted) as caught:
        anchored_events(replace(proof, leaves=(put_in,)).encode(), root=root)
    assert caught.value.reason is Reason.BAD_PROOF


def test_a_file_that_is_not_there_is_a_question_of_usage(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_anchor_proof(tmp_path / "none")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_only_refusals_leave_a_hostile_proof(identity, root, tmp_path_factory, data):
    with Store(tmp_path_factory.mktemp("s") / "state.db", steps=DurableSteps()) as store:
        reporter = Reporter(store, identity, ledger=root.ledger)
        say(store, reporter)
        good = proof_of(queued(reporter), ledger=root.ledger).encode()
    hostile = data.draw(mutated(good))
    with contextlib.suppress(NotTrusted):
        assert anchored_events(hostile, root=root)


def test_what_an_anchor_holds_is_let_go_and_the_rest_stays(store, reporter, root):
    for _ in range(4):
        say(store, reporter)
    events = queued(reporter)
    proof = proof_of(events, ledger=root.ledger, indexes=(1, 2))
    shown = anchored_events(proof.encode(), root=root)
    assert shown == tuple(events[1:3])
    assert reporter.settle_anchored(shown) == 2
    assert queued(reporter) == [events[0], events[3]]
    assert reporter.settle_anchored(shown) == 0


def test_a_leaf_with_another_signature_is_not_the_queued_event(store, reporter):
    say(store, reporter)
    (event,) = queued(reporter)
    assert reporter.settle_anchored([SignedEvent(event.event, bytes(64))]) == 0
    assert reporter.pending() == 1


def test_a_note_of_pinned_witnesses_vouches_for_a_plain_header(store, reporter, root):
    say(store, reporter)
    witnesses = Witnesses()
    noted = replace(root, headers=HeaderTrust(qbft=None, witnesses=witnesses.trust(), require="any"))
    proof = proof_of(queued(reporter), ledger=root.ledger)
    header = proof.receipt.header
    parsed = parse_header(header)
    seen = Checkpoint(
        origin=witnesses.trust().origin,
        number=NUMBER,
        hash=noted_hash(parsed),
        state_root=parsed.state_root,
        time=TIME,
    )
    note = witnesses.note(seen)
    with_note = replace(proof, receipt=replace(proof.receipt, note=note))
    assert anchored_events(with_note.encode(), root=noted) == tuple(queued(reporter))
    other = witnesses.note(replace(seen, hash=b"\x01" * 32))
    with pytest.raises(NotTrusted, match="another block"):
        anchored_events(replace(proof, receipt=replace(proof.receipt, note=other)).encode(), root=noted)
    with pytest.raises(NotTrusted) as caught:
        anchored_events(proof.encode(), root=noted)
    assert caught.value.reason is Reason.NOTE_QUORUM


# --- the journal's word, after holes in the queue


@pytest.mark.parametrize("at", range(6))
def test_the_word_may_end_anywhere_in_the_chain_after_anchors(store, reporter, root, at):
    """Somebody may record an event that an anchor holds too: that is no foreign head."""
    for _ in range(5):
        say(store, reporter)
    events = queued(reporter)
    assert reporter.settle_anchored([events[0], events[2], events[3]]) == 3
    here = word() if at == 0 else word_at(events[at - 1], root)
    assert reporter.settle(here) == sum(sequence <= at for sequence in (2, 5))
    for later in events[at:]:
        reporter.settle(word_at(later, root))
    assert reporter.pending() == 0


def word_at(signed: SignedEvent, root):
    digest = event_digest(signed.event, chain_id=root.ledger.chain_id, journal=root.ledger.journal)
    return word(signed.event.sequence, chain_link(digest)[:20])


def test_a_foreign_word_is_noticed_after_anchors_too(store, reporter):
    say(store, reporter)
    reporter.settle_anchored(queued(reporter))
    with pytest.raises(NotTrusted) as caught:
        reporter.settle(word(1, b"x" * 20))
    assert caught.value.reason is Reason.FOREIGN_HEAD


def test_links_of_anchored_events_are_forgotten_once_the_word_is_past_them(store, reporter, root):
    for _ in range(3):
        say(store, reporter)
    events = queued(reporter)
    reporter.settle_anchored(events[:2])
    assert len(reporter._kept_links()) == 3
    reporter.settle(word_at(events[2], root))
    assert reporter._kept_links() == {}


def test_more_links_than_are_kept_leave_their_events_in_the_queue(store, reporter, monkeypatch):
    assert MAX_KEPT_LINKS == 4_096
    monkeypatch.setattr("device_verifier.reporter.MAX_KEPT_LINKS", 3)
    for _ in range(4):
        say(store, reporter)
    assert reporter.settle_anchored(queued(reporter)) == 2
    assert reporter.pending() == 2
