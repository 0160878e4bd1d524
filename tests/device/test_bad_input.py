"""Bad input of every kind at a device's door: refused by name, fast, and never accepted."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_verifier.errors import NotTrusted
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import SCHEMA, LedgerProof
from ledger_protocol.release.root_document import TrustRoot
from ledger_protocol.release.signing import PublicKey
from ledger_protocol.release.trust_root import HeaderTrust, KeySet, QbftTrust, WitnessTrust
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import Repository, altered, key_set
from tests.sim.scene import Scene
from tests.sim.validators import Validators
from tests.sim.witnesses import Witnesses

STABLE = StateQuery(channel="stable")
DEEP = 2**20
MOST_S = 5.0


def refusal(proof, scene=None):
    """Give a device this very proof; return why it refused, within seconds."""
    scene = Scene() if scene is None else scene
    scene.ledger.replay = proof
    began = time.monotonic()
    error = scene.refusal()
    assert time.monotonic() - began < MOST_S
    assert isinstance(error, NotTrusted)
    assert scene.memory.floor is None
    return error


def good_proof(scene):
    return LedgerProof.decode(scene.repository.proof(STABLE))


def unchecked(**fields):
    """A proof document that `LedgerProof.encode` would not write."""
    document = {"schema": SCHEMA, "header": None, "note": None, "nodes": (), "envelopes": ()}
    return dag_cbor.encode(document | fields)


def nested_rlp(depth):
    """`depth` RLP lists inside each other, around nothing."""
    heads, size = [], 1
    for _ in range(depth):
        if size < 56:
            head = bytes([0xC0 + size])
        else:
            length = size.to_bytes((size.bit_length() + 7) // 8, "big")
            head = bytes([0xF7 + len(length)]) + length
        heads.append(head)
        size += len(head)
    return b"".join(reversed(heads)) + b"\xc0"


# -- headers


@pytest.mark.parametrize("count", [14, 25])
def test_a_header_with_14_or_25_fields_is_refused_although_its_validators_sealed_it(count):
    scene = Scene()
    fields = list(parse_header(scene.repository.chain[-1].raw_header).fields)
    fields = fields[:count] if count < len(fields) else [*fields, *[b""] * (count - len(fields))]
    raw = rlp.encode(fields)
    assert refusal(altered(scene.repository.proof(STABLE), header=raw), scene).reason is Reason.WRONG_CHAIN


def test_a_header_of_2_to_the_20_nested_lists_is_too_long_to_be_read():
    scene = Scene()
    nodes = good_proof(scene).nodes
    assert refusal(unchecked(header=nested_rlp(DEEP), nodes=nodes), scene).reason is Reason.BAD_PROOF


def test_a_header_nested_as_deep_as_its_length_allows_is_refused():
    scene = Scene()
    proof = altered(scene.repository.proof(STABLE), header=nested_rlp(600))
    assert refusal(proof, scene).reason is Reason.WRONG_CHAIN


def test_rlp_2_to_the_20_deep_is_refused_without_a_recursion_error():
    with pytest.raises(ProtocolError):
        rlp.decode(nested_rlp(DEEP), max_depth=4, max_items=100)


# -- proofs


def test_a_node_nested_as_deep_as_it_may_be_long_is_passed_over_or_refused():
    scene = Scene()
    proof = good_proof(scene)
    deep = nested_rlp(200)
    extra = altered(scene.repository.proof(STABLE), nodes=(*proof.nodes, deep))
    scene.ledger.replay = extra
    assert scene.installs(scene.release), "an extra node changes nothing"
    scene = Scene()
    instead = altered(scene.repository.proof(STABLE), nodes=(deep, *proof.nodes[1:]))
    assert refusal(instead, scene).reason is Reason.BAD_PROOF


@pytest.mark.parametrize("node", [b"\x80", b"\xc0", b"x" * 6])
def test_a_proof_with_10_000_nodes_is_refused_before_they_are_hashed(node):
    scene = Scene()
    nodes = (*good_proof(scene).nodes, *[node] * 10_000)
    header = scene.repository.chain[-1].raw_header
    assert refusal(unchecked(header=header, nodes=nodes), scene).reason is Reason.BAD_PROOF


def test_a_proof_with_ten_thousand_hints_is_refused():
    scene = Scene()
    proof = good_proof(scene)
    bad = unchecked(header=proof.header, nodes=proof.nodes, envelopes=tuple([bytes(36)] * 1_000))
    assert refusal(bad, scene).reason is Reason.BAD_PROOF


# -- notes


def test_a_note_with_100_signatures_is_refused():
    scene = Scene(witnesses=Witnesses(5), sealed=False)
    repository = scene.repository
    note = repository.witnesses.note(repository.checkpoint(repository.chain[-1]), range(5))
    text, _, lines = note.partition(b"\n\n")
    strangers = [
        f"— w{place}.example {base64.b64encode(bytes([place]) * 76).decode()}\n".encode()
        for place in range(95)
    ]
    many = text + b"\n\n" + lines + b"".join(strangers)
    nodes = good_proof(scene).nodes
    assert refusal(unchecked(note=many, nodes=nodes), scene).reason is Reason.BAD_PROOF


def test_one_witness_key_under_two_names_is_no_trust_root():
    one = Witnesses(2, seed=3)
    vkeys = one.vkeys
    other = Witnesses(2, seed=3)
    other.names = ["a.example", "b.example"]
    twice = WitnessTrust(
        threshold=2, keys=(vkeys[0], other.vkeys[0]), origin="acme.example/evm/1337", final="depth:2"
    )
    repository = Repository()
    with pytest.raises(ProtocolError):
        repository.next_root(headers=HeaderTrust(None, twice, "any")).encode()


# -- validators


@pytest.mark.parametrize("count", [4, 5, 7, 10, 31, 64])
def test_a_set_of_4_to_64_validators_needs_two_thirds_of_them(count):
    repository = Repository()
    repository.validators = Validators(count, seed=5)
    repository.rotate_root(headers=HeaderTrust(repository.validators.trust(), None, "any"))
    quorum = -(-2 * count // 3)
    for signers, enough in ((quorum, True), (quorum - 1, False)):
        block = repository.seal(signers=range(signers), append=False)
        trusted = TrustedLedger(trust_root=repository.signed_roots[-1], floor=None, now_s=None)
        proof = repository.proof(STABLE, block)
        if enough:
            assert trusted.update_header(proof).number == block.number
            continue
        with pytest.raises(NotTrusted) as caught:
            trusted.update_header(proof)
        assert caught.value.reason is Reason.HEADER_QUORUM


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_than_four_validators_are_no_trust_root_unless_it_says_so(count):
    repository = Repository()
    validators = Validators(count, seed=5).trust().validators
    with pytest.raises(ProtocolError):
        repository.next_root(headers=HeaderTrust(QbftTrust(validators, 4), None, "any")).encode()
    allowed = repository.next_root(headers=HeaderTrust(QbftTrust(validators, count), None, "any"))
    assert TrustRoot.decode(allowed.encode()).headers.qbft.min_validators == count


@pytest.mark.parametrize("count", [65, 100])
def test_more_than_64_validators_are_no_trust_root(count):
    repository = Repository()
    trust = QbftTrust(Validators(count, seed=5).trust().validators, 4)
    with pytest.raises(ProtocolError):
        repository.next_root(headers=HeaderTrust(trust, None, "any")).encode()


def test_one_validator_under_two_entries_is_no_trust_root():
    repository = Repository()
    four = Validators(4, seed=5).trust().validators
    with pytest.raises(ProtocolError):
        repository.next_root(headers=HeaderTrust(QbftTrust((*four, four[0]), 4), None, "any")).encode()


# -- keys


def test_one_release_key_in_two_encodings_is_one_key_and_no_trust_root():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    whole = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    # The same key with its point compressed: SEQUENCE { algorithm, BIT STRING of 33 bytes }.
    algorithm = whole[2 : 2 + 21]
    packed = bytes([0x30, len(algorithm) + 2 + 34]) + algorithm + b"\x03\x22\x00" + point
    assert serialization.load_der_public_key(packed).public_numbers() == key.public_numbers()
    with pytest.raises(ProtocolError):
        PublicKey(packed)
    repository = Repository()
    pinned = key_set(repository.release_keys, 2)
    with pytest.raises(ProtocolError):
        repository.next_root(release_keys=KeySet(2, (*pinned.keys, pinned.keys[0]))).encode()
