"""What a protocol error becomes on the device: a refusal with a reason, in words of its own."""

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.refusals import as_not_trusted, passed, refused
from device_verifier.steps import Step
from ledger_protocol.errors import MalformedError, ProofError
from ledger_protocol.report.reasons import Reason

ANOTHER_SOURCE = "the source is broken or lying; ask another"


def test_a_step_that_went_well_says_what_was_asked_and_found():
    assert passed("V3", "code", "the pinned one", "it") == Step("V3", "code", "the pinned one", "it", True)


def test_a_refusal_says_what_was_refused_and_asks_for_another_source():
    error = ProofError("node 3", expected="a hash", got="none")
    refusal = refused(error, Reason.BAD_PROOF, "the ledger proof", check="V1")
    assert (refusal.what, refusal.reason, refusal.check) == (
        "the ledger proof is not right: node 3",
        Reason.BAD_PROOF,
        "V1",
    )
    assert (refusal.expected, refusal.got, refusal.hint) == ("a hash", "none", ANOTHER_SOURCE)


def test_a_hint_of_the_protocol_is_kept():
    refusal = refused(MalformedError("x", hint="set the clock"), Reason.BAD_PROOF, "the note")
    assert refusal.hint == "set the clock"


def test_a_refusal_without_a_check_has_that_of_its_reason():
    assert refused(MalformedError("x"), Reason.WRONG_CONTRACT, "it").check == "V3"


def test_only_what_the_protocol_refuses_becomes_a_refusal():
    with (
        pytest.raises(NotTrusted, match="the note is not right: x") as refusal,
        as_not_trusted(Reason.BAD_PROOF, "the note", check="V2"),
    ):
        raise MalformedError("x")
    assert (refusal.value.reason, refusal.value.check) == (Reason.BAD_PROOF, "V2")
    assert isinstance(refusal.value.__cause__, MalformedError)
    with pytest.raises(ZeroDivisionError), as_not_trusted(Reason.BAD_PROOF, "the note"):
        1 / 0  # noqa: B018 (what it raises is the test)
