"""Errors and decisions become advice that a person can act on."""

import pytest

from device_verifier.diagnostics import diagnostics
from device_verifier.errors import NotTrusted, SlotFailure, SourceUnreachable, UsageError, readable
from device_verifier.policy import Action, Decision
from device_verifier.steps import Step
from ledger_protocol.report.reasons import Reason
from tests.sim.scene import Scene
from tests.sim.sources import MemoryLedger


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_meaning_and_advice(reason):
    for family in (NotTrusted, SourceUnreachable, SlotFailure, UsageError):
        assert diagnostics(family("what", reason=reason)) == (reason.meaning, reason.advice)
        assert diagnostics(family("what", reason=reason, hint="do this")) == (reason.meaning, "do this")


@pytest.mark.parametrize("reason", list(Reason))
def test_a_decision_for_any_reason_says_what_it_means_and_what_to_do(reason):
    shut = Step("V5", "gate", "open", "shut", ok=False)
    lines = diagnostics(Decision(Action.REFUSE, reason, None, (shut,)))
    assert lines == (reason.meaning, reason.advice, "V5 gate: expected open, found shut")


def test_each_family_has_its_documented_exit_code():
    codes = {NotTrusted: 1, UsageError: 2, SourceUnreachable: 3, SlotFailure: 4}
    assert {family: family("what", reason=Reason.USAGE).exit_code for family in codes} == codes


def test_a_refusal_says_what_was_expected_and_what_came_in_one_line():
    error = NotTrusted("a thing", reason=Reason.WRONG_CONTENT, expected=b"\x01\x02", got="x")
    assert str(error) == "a thing: expected 0x0102, got x"
    assert str(NotTrusted("a thing", reason=Reason.WRONG_CONTENT)) == "a thing"


def test_long_bytes_are_shortened():
    assert readable(bytes(1_000)).endswith("(1000 bytes)")


def test_a_refusal_by_all_sources_names_what_each_did():
    scene = Scene()
    scene.ledger.replay = b"rubbish"
    scene.ledgers.append(MemoryLedger(scene.repository, name="dead", down=True))
    lines = diagnostics(scene.refusal())
    assert any(line.startswith("also: dead: ") for line in lines)


def test_a_refusal_shows_the_checks_that_passed_before_it():
    scene = Scene()
    scene.ledger.at = scene.repository.seal(signers=[0])
    steps = scene.refusal().steps
    assert [(step.check, step.ok) for step in steps] == [("V0", True), ("V1", False)]


def test_a_decision_names_every_gate_that_is_shut():
    scene = Scene()
    scene.repository.halt()
    scene.repository.seal()
    lines = diagnostics(scene.consult().decision)
    assert lines[0] == Reason.HALTED.meaning
    assert "V5 channel: expected not halted, found halted" in lines
