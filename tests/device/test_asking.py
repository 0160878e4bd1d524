"""Sources are asked at once: a slow one delays nobody but itself."""

import threading
import time
from dataclasses import dataclass, field, replace

import pytest

from device_verifier.asking import ask_all
from device_verifier.errors import DeviceError, SourceUnreachable
from device_verifier.sources import StateQuery
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import Repository
from tests.sim.scene import Scene
from tests.sim.sources import MemoryLedger


@dataclass
class Hanging(MemoryLedger):
    """Answers nothing until it is abandoned."""

    over: threading.Event = field(default_factory=threading.Event)

    def abandon(self):
        self.over.set()

    def proof(self, query, *, ledger):
        self.over.wait(20)
        raise SourceUnreachable("broken off", reason=Reason.SOURCE_UNREACHABLE)

    def trust_roots(self, *, after_version, ledger):
        return self.proof(None, ledger=ledger)


@pytest.fixture
def repository():
    repository = Repository()
    repository.seal()
    return repository


def ask(source):
    query = StateQuery(channel="stable")
    return source.proof(query, ledger=source.repository.root.ledger)


def test_no_source_is_no_answer():
    assert ask_all([], ask) == []


def test_a_source_that_hangs_is_broken_off_soon_after_the_first_answer(repository):
    sources = [Hanging(repository, name="hanging"), MemoryLedger(repository, name="honest")]
    started = time.monotonic()
    (slow, refusal), (_, answer) = ask_all(sources, ask, grace_s=0.05)
    assert time.monotonic() - started < 5
    assert isinstance(answer, bytes)
    assert isinstance(refusal, SourceUnreachable)
    assert "slower than the others" in str(refusal)
    assert slow.over.is_set()


def test_answers_come_in_the_order_of_the_sources(repository):
    sources = [MemoryLedger(repository, name=str(n), down=n % 2 == 0) for n in range(6)]
    answers = ask_all(sources, ask)
    assert [source.name for source, _ in answers] == [str(n) for n in range(6)]
    assert [isinstance(answer, DeviceError) for _, answer in answers] == [True, False] * 3


def test_failures_alone_start_no_clock(repository):
    slow_but_good = MemoryLedger(repository, name="slow", tamper=lambda p: threading.Event().wait(0.2) or p)
    answers = ask_all([MemoryLedger(repository, down=True), slow_but_good], ask, grace_s=0.01)
    assert isinstance(answers[1][1], bytes)


def test_what_does_not_count_starts_no_clock(repository):
    liar = MemoryLedger(repository, name="liar", replay=b"rubbish")
    slow_but_good = MemoryLedger(repository, name="slow", tamper=lambda p: threading.Event().wait(0.2) or p)
    answers = ask_all([liar, slow_but_good], ask, grace_s=0.01, enough=lambda found: found != [b"rubbish"])
    assert isinstance(answers[1][1], bytes)


def test_a_bug_in_a_source_is_not_hidden(repository):
    with pytest.raises(ZeroDivisionError):
        ask_all([MemoryLedger(repository)], lambda _: 1 / 0)


def test_slow_retrieval_of_a_proof_delays_no_other_source(monkeypatch):
    scene = Scene()
    scene.ledgers.insert(0, Hanging(scene.repository, name="hanging"))
    monkeypatch.setattr(ask_all, "__kwdefaults__", {**ask_all.__kwdefaults__, "grace_s": 0.05})
    started = time.monotonic()
    answer = scene.consult()
    assert time.monotonic() - started < 5
    assert answer.decision.installs
    assert {refusal.source for refusal in answer.learned.refusals} == {"hanging"}


@pytest.mark.parametrize("replay", ["rubbish", "sealed by nobody", "from before the floor"])
def test_a_liar_that_answers_at_once_breaks_no_honest_source_off(monkeypatch, replay):
    scene = Scene()
    before = scene.repository.proof(StateQuery(channel="stable"))
    scene.repository.seal()
    scene.consult()
    unsealed = LedgerProof.decode(scene.repository.proof(StateQuery(channel="stable")))
    header = unsealed.header[:-65] + bytes(65)
    proofs = {"rubbish": b"rubbish", "sealed by nobody": replace(unsealed, header=header).encode()}
    liar = MemoryLedger(scene.repository, name="liar", replay=proofs.get(replay, before))
    slow = MemoryLedger(scene.repository, name="slow", tamper=lambda p: threading.Event().wait(0.3) or p)
    scene.ledgers = [liar, slow]
    monkeypatch.setattr(ask_all, "__kwdefaults__", {**ask_all.__kwdefaults__, "grace_s": 0.01})
    answer = scene.consult()
    assert answer.learned.source == "slow"
    assert {refusal.source for refusal in answer.learned.refusals} == {"liar"}
