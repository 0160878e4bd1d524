import pytest

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.errors import LimitError, ProtocolError
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.signing import MANIFEST_TYPE, Signature, sign
from tests.protocol_makers import digest, ec_key, ed25519_key

LINK = Cid.of(DAG_CBOR, b"manifest")
ONE = sign(ed25519_key("a"), MANIFEST_TYPE, b"m")
TWO = sign(ec_key("b"), MANIFEST_TYPE, b"m")


def entry(signature):
    return {"keyid": signature.key_id, "sig": signature.sig}


def raw(**changes):
    ordered = sorted([ONE, TWO], key=lambda s: s.key_id)
    document = {"schema": "fwledger/envelope/1", "manifest": LINK, "signatures": [entry(s) for s in ordered]}
    return dag_cbor.encode(document | changes)


@pytest.mark.parametrize(
    "block",
    [
        raw(schema="fwledger/envelope/2"),
        raw(manifest=LINK.to_bytes()),
        raw(manifest=Cid.of(RAW, b"manifest")),
        raw(manifest=None),
        raw(
            signatures=[
                entry(max(ONE, TWO, key=lambda s: s.key_id)),
                entry(min(ONE, TWO, key=lambda s: s.key_id)),
            ]
        ),
        raw(signatures=[entry(ONE), entry(ONE)]),
        raw(signatures=None),
        raw(more=1),
        raw() + b"\0",
        raw()[:-1],
        bytes(8193),
    ],
)
def test_other_envelopes_are_refused(block):
    with pytest.raises(ProtocolError):
        Envelope.decode(block)


def test_a_flood_of_signatures_is_neither_written_nor_read():
    many = tuple(Signature(digest(str(n)), bytes(64)) for n in range(33))
    with pytest.raises(LimitError):
        Envelope(LINK, many).encode()
    listed = [entry(s) for s in sorted(many, key=lambda s: s.key_id)]
    with pytest.raises(LimitError):
        Envelope.decode(raw(signatures=listed))
    assert len(Envelope.decode(raw(signatures=listed[:32])).signatures) == 32


@pytest.mark.parametrize("envelope", [Envelope(Cid.of(RAW, b"m")), Envelope(LINK, (ONE, ONE))])
def test_an_envelope_that_nobody_could_decode_is_not_encoded(envelope):
    with pytest.raises(ProtocolError):
        envelope.encode()


def test_thirty_two_signatures_fit():
    many = tuple(Signature(digest(str(n)), bytes(64)) for n in range(32))
    assert len(Envelope.decode(Envelope(LINK, many).encode()).signatures) == 32


def test_signatures_may_come_in_any_order_and_are_written_in_one():
    one, two = Envelope(LINK, (ONE, TWO)), Envelope(LINK, (TWO, ONE))
    assert one.encode() == two.encode()
    assert one.cid == two.cid == Cid.of(DAG_CBOR, one.encode())
    assert Envelope(LINK).with_signature(ONE).with_signature(TWO) == Envelope.decode(one.encode())


def test_a_signature_takes_the_place_of_an_older_one_by_the_same_key():
    newer = Signature(ONE.key_id, bytes(64))
    envelope = Envelope(LINK).with_signature(ONE).with_signature(TWO).with_signature(newer)
    assert set(envelope.signatures) == {newer, TWO}


def test_an_unsigned_envelope_is_how_signing_begins():
    assert Envelope.decode(Envelope(LINK).encode()) == Envelope(LINK)
