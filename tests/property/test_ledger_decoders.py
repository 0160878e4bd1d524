"""Only ProtocolError may leave a decoder, whatever it is fed: noise, and good documents that were bent a
little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import ProtocolError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.merkle_patricia import NodeSet, get
from ledger_protocol.ledger.proof import LedgerProof, proof_from_rpc, verify_words
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    decode_receipt,
)
from ledger_protocol.report import device_key
from ledger_protocol.report.document import Report, Stage
from ledger_protocol.report.enrolment import EnrolmentRequest, make_request
from ledger_protocol.report.event import NO_PREVIOUS, EventKind, UpdateEvent, sign_event
from ledger_protocol.report.receipts import ReceiptItem, Receipts
from tests.sim.validators import Validators, header_fields
from tests.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
from contextlib import suppress

KEY = ec.derive_private_key(80, ec.SECP256K1())
PUBLIC = device_key.public_key_bytes(KEY)
FOUR = Validators(4)
TRUST = FOUR.trust()
ACCOUNT, SLOT = b"\x11" * 20, (1).to_bytes(32, "big")


def _world() -> World:
    world = World()
    for index in range(20):
        world.set_account(bytes([index]) * 20, {})
    world.set_account(ACCOUNT, {(number).to_bytes(32, "big"): number + 1 for number in range(20)})
    return world


WORLD = _world()
HEADER = FOUR.seal(header_fields(state_root=WORLD.state_root), round_=1)
RECEIPT = Receipt(
    type=2,
    succeeded=True,
    cumulative_gas_used=21_000,
    bloom=bytes(256),
    logs=(Log(bytes(20), (bytes(32),) * 2, b"data"),),
).encode()
REPORT = Report(stage=Stage.HEALTH, reason="health-failed", salt=bytes(16), log_tail="log").encode()
EVENT = UpdateEvent(
    release=bytes(32), sequence=1, kind=EventKind.FAILED, time=1, detail=bytes(32), previous=NO_PREVIOUS
)
SIGNED = sign_event(KEY, EVENT, chain_id=1, journal=bytes(20))


def _verify_ledger_proof(data: bytes) -> object:
    return verify_words(
        WORLD.state_root, LedgerProof.decode(data), account=ACCOUNT, code_hash=None, keys=[SLOT]
    )


def _verify_receipts(data: bytes) -> object:
    return Receipts.decode(data).verify(chain_id=1, journal=bytes(20))


def _walk_one_node(data: bytes) -> object:
    return get(keccak256(data), b"\xab\xcd", NodeSet([data]))


DECODERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "rlp": (rlp.decode, HEADER),
    "header": (parse_header, HEADER),
    "extraData": (qbft.parse_extra, parse_header(HEADER).extra_data),
    "seals": (lambda data: qbft.verify_seals(data, TRUST), HEADER),
    "trie node": (_walk_one_node, rlp.encode([b"\x20\xab\xcd", b"v" * 40])),
    "ledger proof": (
        _verify_ledger_proof,
        proof_from_rpc(HEADER, WORLD.get_proof(ACCOUNT, [SLOT]), envelopes=[bytes(36)]).encode(),
    ),
    "receipt": (decode_receipt, RECEIPT),
    "receipt proof": (
        ReceiptProof.decode,
        ReceiptProof(header=HEADER, index=0, nodes=build_receipt_proof([RECEIPT, RECEIPT], 0)).encode(),
    ),
    "report": (Report.decode, REPORT),
    "receipts": (
        _verify_receipts,
        Receipts(
            chain_id=1,
            journal=bytes(20),
            device=device_key.address_of(PUBLIC),
            public_key=PUBLIC,
            items=(ReceiptItem(SIGNED, None),),
        ).encode(),
    ),
    "enrolment": (
        EnrolmentRequest.decode,
        make_request(KEY, serial="1", salt=bytes(16), compatible="a", hw_revision="").encode(),
    ),
}
each_decoder = pytest.mark.parametrize("name", DECODERS)


@each_decoder
@given(data=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_noise_raises_only_protocol_errors(name, data):
    decoder, _ = DECODERS[name]
    with suppress(ProtocolError):
        decoder(data)


@each_decoder
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_bent_documents_raise_only_protocol_errors(name, data):
    decoder, good = DECODERS[name]
    bent = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(bent) - 1))
        match data.draw(st.sampled_from(("set", "cut", "insert", "drop"))):
            case "set":
                bent[place] = data.draw(st.integers(0, 255))
            case "cut":
                del bent[place + 1 :]
            case "insert":
                bent[place:place] = data.draw(st.binary(min_size=1, max_size=9))
            case _ if len(bent) > 1:
                del bent[place]
    with suppress(ProtocolError):
        decoder(bytes(bent))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=70)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=10), inner, max_size=6),
    max_leaves=12,
)
DOCUMENTS = ("ledger proof", "receipt proof", "report", "receipts", "enrolment")


@pytest.mark.parametrize("name", DOCUMENTS)
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_documents_with_other_values_raise_only_protocol_errors(name, data):
    decoder, good = DECODERS[name]
    fields = dag_cbor.decode(good, max_bytes=10**6)
    for field in data.draw(st.sets(st.sampled_from(sorted(fields)), min_size=1, max_size=3)):
        fields[field] = data.draw(VALUES)
    with suppress(ProtocolError):
        decoder(dag_cbor.encode(fields))


ITEMS = st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=18), max_leaves=60)
RLP_DECODERS = ("header", "extraData", "trie node", "receipt")


@pytest.mark.parametrize("name", RLP_DECODERS)
@given(item=ITEMS)
@settings(max_examples=150, deadline=None)
def test_any_rlp_raises_only_protocol_errors(name, item):
    with suppress(ProtocolError):
        DECODERS[name][0](rlp.encode(item))


@given(item=ITEMS)
@settings(max_examples=200)
def test_rlp_round_trips(item):
    assert rlp.decode(rlp.encode(item), max_depth=64) == item


@each_decoder
def test_the_good_document_is_read(name):
    decoder, good = DECODERS[name]
    assert decoder(good)
