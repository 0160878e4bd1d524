import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_keys import keys as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.errors import MalformedError, MismatchError, SignatureError
from ledger_protocol.ledger import secp256k1
from ledger_protocol.ledger.contract_state import DeviceWord
from ledger_protocol.report import device_key
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    Gap,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
    verify_chain,
    verify_event_signature,
    verify_follows,
    verify_queue,
)

CHAIN, JOURNAL = 1337, b"\x22" * 20
HERE = {"chain_id": CHAIN, "journal": JOURNAL}
KEY = ec.derive_private_key(77, ec.SECP256K1())
PUBLIC = device_key.public_key_bytes(KEY)


def event(sequence: int = 1, previous: bytes = NO_PREVIOUS, **changes) -> UpdateEvent:
    fields = {"release": b"r" * 32, "kind": EventKind.INSTALLED, "time": 1_700_000_000, "detail": b"d" * 32}
    return UpdateEvent(**{**fields, "sequence": sequence, "previous": previous, **changes})


def chain(count: int, *, start: int = 1, previous: bytes = NO_PREVIOUS) -> list[UpdateEvent]:
    events = []
    for sequence in range(start, start + count):
        events.append(event(sequence, previous))
        previous = chain_link(event_digest(events[-1], **HERE))
    return events


def word(sequence: int = 0, head: bytes = bytes(20)) -> DeviceWord:
    return DeviceWord(
        sequence=sequence, enrolled=True, retired=False, open_vote=False, group=1, counted=0, head=head
    )


# --- one event


@pytest.mark.parametrize(
    "changes",
    [
        {"release": bytes(31)},
        {"detail": bytes(33)},
        {"previous": bytes(31) + b"\1"},
        {"previous": bytes(20) + b"\1" + bytes(11)},
        {"previous": bytes(20)},
        {"sequence": 0},
        {"sequence": 2**32},
        {"time": -1},
        {"time": 2**40},
    ],
)
def test_what_the_contract_cannot_hold_is_no_event(changes):
    with pytest.raises(MalformedError):
        event(**changes)


TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "UpdateEvent": [
        {"name": "release", "type": "bytes32"},
        {"name": "sequence", "type": "uint32"},
        {"name": "kind", "type": "uint8"},
        {"name": "time", "type": "uint40"},
        {"name": "detail", "type": "bytes32"},
        {"name": "previous", "type": "bytes32"},
    ],
}

EVENTS = st.builds(
    UpdateEvent,
    release=st.binary(min_size=32, max_size=32),
    sequence=st.integers(1, 2**32 - 1),
    kind=st.sampled_from(EventKind),
    time=st.integers(0, 2**40 - 1),
    detail=st.binary(min_size=32, max_size=32),
    previous=st.binary(min_size=20, max_size=20).map(lambda head: head + bytes(12)),
)


@given(EVENTS, st.integers(1, 2**63), st.binary(min_size=20, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_event_hashes_as_eth_account_hashes_it(made, chain_id, journal):
    signable = encode_typed_data(
        full_message={
            "types": TYPES,
            "primaryType": "UpdateEvent",
            "domain": {
                "name": "fwledger",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": "0x" + journal.hex(),
            },
            "message": {
                "release": made.release,
                "sequence": made.sequence,
                "kind": int(made.kind),
                "time": made.time,
                "detail": made.detail,
                "previous": made.previous,
            },
        }
    )
    assert event_digest(made, chain_id=chain_id, journal=journal) == _hash_eip191_message(signable)


def test_a_link_keeps_160_bits():
    assert chain_link(b"\xff" * 32) == b"\xff" * 20 + bytes(12)


# --- signatures


def test_the_address_is_what_ethereum_makes_of_the_key():
    assert device_key.address_of(PUBLIC) == reference.PublicKey(PUBLIC[1:]).to_canonical_address()


def test_signatures_verify_are_low_s_and_recover_to_the_device():
    for sequence in range(1, 40):
        signed = sign_event(KEY, event(sequence), **HERE)
        digest = event_digest(signed.event, **HERE)
        verify_event_signature(digest, signed.signature, PUBLIC)
        assert secp256k1.has_low_s(signed.signature)
        recovered = {
            reference.Signature(signed.signature + bytes([v]))
            .recover_public_key_from_msg_hash(digest)
            .to_bytes()
            for v in (0, 1)
        }
        assert PUBLIC[1:] in recovered


def test_a_signature_with_high_s_is_refused():
    signed = sign_event(KEY, event(), **HERE)
    high = secp256k1.ORDER - int.from_bytes(signed.signature[32:], "big")
    mirror = signed.signature[:32] + high.to_bytes(32, "big")
    with pytest.raises(SignatureError, match="lower"):
        verify_event_signature(event_digest(signed.event, **HERE), mirror, PUBLIC)


@pytest.mark.parametrize(
    "changes", [{"sequence": 2}, {"kind": EventKind.FAILED}, {"time": 1}, {"release": b"x" * 32}]
)
def test_a_signature_of_another_event_is_refused(changes):
    signed = sign_event(KEY, event(), **HERE)
    with pytest.raises(SignatureError):
        verify_event_signature(event_digest(event(**changes), **HERE), signed.signature, PUBLIC)


@pytest.mark.parametrize("there", [{"chain_id": 1}, {"journal": bytes(20)}])
def test_a_signature_for_another_journal_is_refused(there):
    signed = sign_event(KEY, event(), **{**HERE, **there})
    with pytest.raises(SignatureError):
        verify_event_signature(event_digest(event(), **HERE), signed.signature, PUBLIC)


def test_a_signature_of_another_device_is_refused():
    signed = sign_event(device_key.new_private_key(), event(), **HERE)
    with pytest.raises(SignatureError):
        verify_event_signature(event_digest(event(), **HERE), signed.signature, PUBLIC)


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(64), bytes(65), b"\xff" * 64, bytes(32) + b"\1" * 32, b"\1" * 32 + bytes(32), bytes(63)],
)
def test_a_signature_that_is_none_is_refused(signature):
    with pytest.raises(SignatureError):
        verify_event_signature(event_digest(event(), **HERE), signature, PUBLIC)


@pytest.mark.parametrize("key", [b"", PUBLIC[1:], b"\2" + PUBLIC[1:33], b"\4" + b"\1" * 64, PUBLIC + b"\0"])
def test_a_public_key_of_another_form_is_refused(key):
    with pytest.raises(MalformedError):
        verify_event_signature(bytes(32), bytes(64), key)


def test_a_key_of_another_curve_makes_no_device():
    with pytest.raises(MalformedError):
        device_key.public_key_bytes(ec.derive_private_key(77, ec.SECP256R1()))


# --- chains and queues


def test_a_fork_is_refused():
    events = chain(3)
    forged = event(3, chain_link(b"\xee" * 32))
    with pytest.raises(MismatchError, match="previous"):
        verify_chain([*events[:2], forged], after=word(), **HERE)


@pytest.mark.parametrize("sequences", [(1, 1), (2, 1), (1, 3, 2)])
def test_a_sequence_that_does_not_rise_is_refused(sequences):
    events = []
    previous = NO_PREVIOUS
    for sequence in sequences:
        events.append(event(sequence, previous))
        previous = chain_link(event_digest(events[-1], **HERE))
    with pytest.raises(MismatchError, match="sequence"):
        verify_chain(events, after=word(), **HERE)


def test_an_event_that_the_journal_already_has_is_refused():
    with pytest.raises(MismatchError):
        verify_chain(chain(2), after=word(sequence=1), **HERE)


def test_the_first_event_carries_no_previous():
    with pytest.raises(MismatchError):
        verify_chain([event(1, chain_link(b"\xee" * 32))], after=word(), **HERE)


def test_a_whole_chain_has_no_gap():
    events = chain(5)
    assert verify_chain(events, after=word(), **HERE) == ()
    link = chain_link(event_digest(events[1], **HERE))
    assert verify_chain(events[2:], after=word(2, link[:20]), **HERE) == ()


def test_missing_events_are_named():
    events = chain(9)
    found = verify_chain([events[1], events[2], events[6]], after=word(), **HERE)
    assert found == (Gap(after=0, before=2), Gap(after=3, before=7))


def test_events_follow_one_another_whatever_came_before():
    events = chain(6, start=10, previous=chain_link(b"\xee" * 32))
    assert verify_follows(events, **HERE) == ()
    assert verify_follows([events[0], events[5]], **HERE) == (Gap(after=10, before=15),)
    assert verify_follows([], **HERE) == ()
    with pytest.raises(MismatchError):
        verify_follows([events[1], events[0]], **HERE)


def test_a_queue_has_no_gap_and_no_fork():
    events = chain(5)
    verify_queue(events, **HERE)
    verify_queue(events[3:4], **HERE)
    with pytest.raises(MismatchError):
        verify_queue([events[0], events[2]], **HERE)
    with pytest.raises(MismatchError):
        verify_queue([events[0], event(2, chain_link(b"\xee" * 32))], **HERE)
    with pytest.raises(MalformedError):
        verify_queue([], **HERE)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_gaps_name_exactly_the_events_left_out(kept):
    events = chain(len(kept))
    shown = [made for made, keep in zip(events, kept, strict=True) if keep]
    gaps = verify_chain(shown, after=word(), **HERE)
    missing = {number for gap in gaps for number in range(gap.after + 1, gap.before)}
    last = shown[-1].sequence if shown else 0
    assert missing == {made.sequence for made, keep in zip(events, kept, strict=True) if not keep} & set(
        range(last)
    )
