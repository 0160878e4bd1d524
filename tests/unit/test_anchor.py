import contextlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, ProofError, ProtocolError
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
)
from ledger_protocol.limits import MAX_TIME_S, MAX_U32
from ledger_protocol.report.anchor import (
    ANCHORED_TOPIC,
    MAX_BATCH_BYTES,
    MAX_PROVEN,
    AnchorBatch,
    Anchored,
    AnchorProof,
    leaf_bytes,
    read_anchored,
    verify_anchor_proof,
)
from ledger_protocol.report.event import (
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.merkle_tree import MAX_LEAVES
from tests.fuzzing import altered, mutated
from tests.sim.validators import header_fields

KEY = ec.derive_private_key(41, ec.SECP256K1())
CHAIN, JOURNAL, GATEWAY = 1337, b"\x22" * 20, b"\x44" * 20
HERE = {"chain_id": CHAIN, "journal": JOURNAL}


def events(count: int) -> tuple[SignedEvent, ...]:
    made, previous = [], bytes(32)
    for sequence in range(1, count + 1):
        event = UpdateEvent(
            release=b"\x07" * 32,
            sequence=sequence,
            kind=EventKind.CHECKED,
            time=1_700_000_000 + sequence,
            detail=bytes([sequence % 256]) * 32,
            previous=previous,
        )
        made.append(sign_event(KEY, event, **HERE))
        previous = chain_link(event_digest(event, **HERE))
    return tuple(made)


BATCH = AnchorBatch(chain_id=CHAIN, journal=JOURNAL, events=events(5))


def anchored_log(batch=BATCH, *, count=None, address=JOURNAL, root=None) -> Log:
    size = len(batch.events) if count is None else count
    gateway = bytes(12) + GATEWAY
    return Log(
        address, (ANCHORED_TOPIC, gateway, root or batch.root), b"\x55" * 32 + size.to_bytes(32, "big")
    )


def proven(log: Log, *, succeeded=True, indexes=(0, 3), at=1):
    """A proof of leaves, and the verified header of a block whose receipt has `log` as its second."""
    other = Log(b"\x99" * 20, (), b"")
    receipt = Receipt(type=2, succeeded=succeeded, cumulative_gas_used=9, bloom=bytes(256), logs=(other, log))
    encoded = [receipt.encode()]
    header = rlp.encode(list(header_fields(receipts_root=receipts_root(encoded))))
    shown = ReceiptProof(header=header, index=0, nodes=build_receipt_proof(encoded, 0))
    return AnchorProof.of(BATCH, indexes, receipt=shown, log=at), parse_header(header)


def check(proof, header):
    return verify_anchor_proof(proof, header=header, journal=JOURNAL)


# --- batches


def test_a_leaf_is_canonical_dag_cbor_of_event_and_signature():
    one = BATCH.events[0]
    event = one.event
    assert leaf_bytes(one) == dag_cbor.encode(
        [[event.release, 1, 8, 1_700_000_001, event.detail, bytes(32)], one.signature]
    )


def test_a_batch_verifies_against_its_anchor_only():
    anchored = Anchored(GATEWAY, BATCH.root, bytes(32), 5)
    assert BATCH.verify(anchored, **HERE) == BATCH.events
    for changed in (replace(anchored, root=bytes(32)), replace(anchored, count=4)):
        with pytest.raises(MismatchError):
            BATCH.verify(changed, **HERE)
    with pytest.raises(MismatchError, match="journal"):
        BATCH.verify(anchored, chain_id=CHAIN, journal=GATEWAY)
    with pytest.raises(MismatchError, match="root"):
        replace(BATCH, events=BATCH.events[::-1]).verify(anchored, **HERE)


def test_the_largest_batch_fits_a_block_that_nodes_take():
    """Kubo takes no block over 1 MiB unless it is told to."""
    largest = UpdateEvent(
        release=b"\xff" * 32,
        sequence=MAX_U32,
        kind=EventKind.CHECKED,
        time=MAX_TIME_S,
        detail=b"\xff" * 32,
        previous=chain_link(b"\xff" * 32),
    )
    many = tuple(
        SignedEvent(replace(largest, sequence=MAX_U32 - number), b"\xff" * 64) for number in range(MAX_LEAVES)
    )
    data = AnchorBatch(chain_id=2**64 - 1, journal=JOURNAL, events=many).encode()
    assert len(data) < MAX_BATCH_BYTES
    assert AnchorBatch.decode(data).events == many


@pytest.mark.parametrize("count", [0, MAX_LEAVES + 1])
def test_a_batch_of_none_or_too_many_is_not_written(count):
    one = BATCH.events[0]
    many = tuple(SignedEvent(replace(one.event, sequence=n + 1), one.signature) for n in range(count))
    with pytest.raises(MalformedError):
        AnchorBatch(chain_id=CHAIN, journal=JOURNAL, events=many).encode()


def test_a_leaf_that_stands_twice_is_refused():
    with pytest.raises(MalformedError, match="each once"):
        replace(BATCH, events=BATCH.events[:1] * 2).encode()


def test_a_block_over_the_limit_is_refused_unread():
    with pytest.raises(LimitError):
        AnchorBatch.decode(bytes(MAX_BATCH_BYTES + 1))


# --- proofs


def test_leaves_are_proved_under_the_header_of_their_anchor():
    proof, header = proven(anchored_log())
    anchored, shown = check(AnchorProof.decode(proof.encode()), header)
    assert (anchored.gateway, anchored.count) == (GATEWAY, 5)
    assert shown == (BATCH.events[0], BATCH.events[3])


def test_another_header_proves_nothing():
    proof, _ = proven(anchored_log())
    _, other = proven(anchored_log(count=6))
    with pytest.raises(ProofError, match="header"):
        check(proof, other)


def test_a_failed_transaction_anchors_nothing():
    with pytest.raises(ProofError, match="no such log"):
        check(*proven(anchored_log(), succeeded=False))


@pytest.mark.parametrize("at", [0, 2, 4_095])
def test_another_log_of_the_receipt_is_no_anchor(at):
    with pytest.raises(ProofError):
        check(*proven(anchored_log(), at=at))


def test_an_anchor_of_another_journal_is_refused():
    with pytest.raises(ProofError, match="an anchor of journal 2222"):
        check(*proven(anchored_log(address=b"\x23" * 20)))


def test_a_leaf_of_another_tree_is_refused():
    with pytest.raises(ProofError, match="leaf 0"):
        check(*proven(anchored_log(root=b"\x01" * 32)))


def test_a_leaf_at_another_place_or_with_another_path_is_refused():
    proof, header = proven(anchored_log())
    first, second = proof.leaves
    for leaf in (
        replace(first, index=1),
        replace(first, signed=second.signed),
        replace(first, path=second.path),
        replace(first, path=first.path[:-1]),
        replace(first, index=5),
    ):
        with pytest.raises(ProtocolError):
            check(replace(proof, leaves=(leaf,)), header)


@pytest.mark.parametrize("count", [0, MAX_LEAVES + 1, 2**256 - 1])
def test_a_log_of_no_leaf_or_too_many_is_refused(count):
    with pytest.raises(LimitError):
        read_anchored(anchored_log(count=count), journal=JOURNAL)


def test_a_proof_of_too_many_leaves_is_not_written():
    proof, _ = proven(anchored_log(), indexes=(0,))
    with pytest.raises(LimitError):
        replace(proof, leaves=proof.leaves * (MAX_PROVEN + 1)).encode()


# --- decoders

BLOCK = BATCH.encode()
PROOF = proven(anchored_log())[0].encode()


def decodes_or_refuses(decode, data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert decode(data).encode() == data


@given(st.binary(max_size=300) | mutated(BLOCK) | altered(BLOCK))
@settings(max_examples=150)
def test_only_protocol_errors_leave_the_batch_decoder(data):
    decodes_or_refuses(AnchorBatch.decode, data)


@given(st.binary(max_size=300) | mutated(PROOF) | altered(PROOF))
@settings(max_examples=150)
def test_only_protocol_errors_leave_the_proof_decoder(data):
    decodes_or_refuses(AnchorProof.decode, data)
