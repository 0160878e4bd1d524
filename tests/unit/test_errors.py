from ledger_protocol.errors import (
    LimitError,
    MalformedError,
    MismatchError,
    ProtocolError,
    QuorumError,
    RootExpiredError,
    SignatureError,
    TrustRootError,
)


def test_a_message_says_what_was_expected_and_what_came():
    error = MismatchError("digest", expected=b"\x01\x02", got=b"\x03", hint="look again")
    assert str(error) == "digest: expected 0102, got 03"
    assert error.hint == "look again"


def test_a_message_may_have_one_side_or_none():
    assert str(ProtocolError("no header")) == "no header"
    assert str(ProtocolError("count", got=0)) == "count: got 0"
    assert str(ProtocolError("count", expected=0)) == "count: expected 0"


def test_hostile_values_cannot_flood_or_steer_a_terminal():
    message = str(ProtocolError("name", got="\x1b[2J\u202e" + "x" * 10_000))
    assert message.startswith("name: got ?[2J?xxx")
    assert message.endswith("...")
    assert len(message) < 150


def test_a_value_that_just_fits_is_shown_whole():
    assert str(ProtocolError("n", got="y" * 120)) == "n: got " + "y" * 120
    assert str(ProtocolError("n", got="y" * 121)) == "n: got " + "y" * 120 + "..."


def test_families_nest_as_callers_catch_them():
    assert issubclass(LimitError, MalformedError)
    assert issubclass(QuorumError, SignatureError)
    assert issubclass(RootExpiredError, TrustRootError)
    assert not issubclass(MismatchError, MalformedError)
    assert TrustRootError("x").steps == ()
