import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import rlp as reference
from trie import HexaryTrie

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, ProofError, ProtocolError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import trie_builder
from ledger_protocol.ledger.header import MAX_HEADER_BYTES
from ledger_protocol.ledger.merkle_patricia import MAX_NODES, MAX_STATE_NODE_BYTES, NodeSet
from ledger_protocol.ledger.proof import (
    EMPTY_CODE_HASH,
    MAX_NOTE_BYTES,
    LedgerProof,
    account_storage_root,
    proof_from_rpc,
    prove_account,
    prove_word,
    verify_words,
)
from tests.sim.world import World

NETWORK = json.loads((Path(__file__).parents[1] / "vectors" / "qbft-network.json").read_text())
LEDGER, CODE = b"\x11" * 20, b"\xaa" * 32
HEADER = b"\xc0header"


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


WORDS = {
    key(number): value for number, value in enumerate([0x2A, 1 << 255, 0xFF, 2**240 - 1, 0x80, 1], start=1)
}


@pytest.fixture
def world() -> World:
    made = World()
    made.set_account(LEDGER, WORDS, code_hash=CODE)
    for index in range(60):
        made.set_account(bytes([200, index]) + bytes(18), {key(1): 7}, balance=index)
    return made


def proof(world: World, keys=tuple(WORDS), address=LEDGER) -> LedgerProof:
    return proof_from_rpc(HEADER, world.get_proof(address, keys))


def test_words_are_proved(world):
    given = proof(world, [*WORDS, key(77)])
    asked = [*WORDS, key(77)]
    found = verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=asked)
    assert found == {**WORDS, key(77): 0}


def test_another_contract_at_the_address_is_refused(world):
    with pytest.raises(ProofError, match="code"):
        verify_words(world.state_root, proof(world), account=LEDGER, code_hash=b"\xbb" * 32, keys=list(WORDS))


def test_an_absent_account_is_refused(world):
    absent = b"\x99" * 20
    with pytest.raises(ProofError, match="absent"):
        verify_words(world.state_root, proof(world, address=absent), account=absent, code_hash=None, keys=[])


def test_an_absent_account_is_proven_absent_when_asked(world):
    absent = b"\x99" * 20
    assert account_storage_root(world.state_root, proof(world, address=absent), account=absent) is None
    with pytest.raises(ProofError, match="missing"):
        account_storage_root(world.state_root, LedgerProof(header=HEADER), account=absent)


def test_a_word_that_was_not_asked_of_the_source_is_not_zero(world):
    given = proof(world, [key(1)])
    with pytest.raises(ProofError, match="missing"):
        verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=list(WORDS))


def test_the_proof_of_another_account_proves_nothing(world):
    other = bytes([200, 3]) + bytes(18)
    with pytest.raises(ProofError):
        verify_words(
            world.state_root, proof(world, address=other), account=LEDGER, code_hash=CODE, keys=[key(1)]
        )


def test_a_stale_state_root_is_refused(world):
    given, root = proof(world), world.state_root
    world.set_account(LEDGER, {**WORDS, key(1): 43}, code_hash=CODE)
    with pytest.raises(ProofError):
        verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=[key(1)])
    assert verify_words(root, given, account=LEDGER, code_hash=CODE, keys=[key(1)]) == {key(1): 0x2A}


def test_values_that_the_source_writes_beside_its_proof_are_not_read(world):
    answer = world.get_proof(LEDGER, [key(1)])
    answer["storageProof"][0]["value"] = "0xdead"
    answer["storageHash"] = "0x" + "00" * 32
    given = proof_from_rpc(HEADER, answer)
    assert verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=[key(1)]) == {
        key(1): 0x2A
    }


def test_an_empty_storage_holds_nothing(world):
    empty = b"\x12" * 20
    world.set_account(empty, {}, code_hash=EMPTY_CODE_HASH)
    given = proof(world, [key(1)], address=empty)
    assert verify_words(world.state_root, given, account=empty, code_hash=None, keys=[key(1)]) == {key(1): 0}


def test_two_accounts_fit_one_proof(world):
    other = bytes([200, 3]) + bytes(18)
    given = proof_from_rpc(HEADER, world.get_proof(LEDGER, [key(1)]), world.get_proof(other, [key(1)]))
    assert len(set(given.nodes)) == len(given.nodes)
    assert verify_words(world.state_root, given, account=other, code_hash=None, keys=[key(1)]) == {key(1): 7}
    assert verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=[key(1)]) == {
        key(1): 0x2A
    }


@pytest.mark.parametrize("word", [1, 0x7F, 0x80, 0xFF, 0x100, 1 << 200, 0x00FF << 232, 2**256 - 1])
def test_words_lose_only_their_leading_zeros(word):
    world = World()
    world.set_account(LEDGER, {key(5): word}, code_hash=CODE)
    given = proof(world, [key(5)])
    assert verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=[key(5)]) == {
        key(5): word
    }


@pytest.mark.parametrize(
    "leaf",
    [
        reference.encode([1, 0, b"r" * 32]),
        reference.encode([1, 0, b"r" * 32, b"c" * 32, b""]),
        reference.encode([1, 0, b"r" * 31, b"c" * 32]),
        reference.encode([1, 0, b"r" * 32, b"c" * 33]),
        reference.encode([b"\0", 0, b"r" * 32, b"c" * 32]),
        reference.encode([1, b"\1" * 33, b"r" * 32, b"c" * 32]),
        reference.encode([1, 0, [b"r" * 32], b"c" * 32]),
        reference.encode(b"account"),
        b"\xf8\x01",
    ],
)
def test_what_is_no_account_is_refused(leaf):
    trie = HexaryTrie({})
    trie.set(keccak256(LEDGER), leaf)
    nodes = NodeSet(reference.encode(node) for node in trie.get_proof(keccak256(LEDGER)))
    with pytest.raises(ProofError, match="not an account"):
        prove_account(trie.root_hash, nodes, LEDGER)


@pytest.mark.parametrize(
    "leaf", [b"\x00", b"\x80", b"\x82\x00\x01", b"\xa1" + b"\1" * 33, b"\xc1\x01", b"\x01\x02"]
)
def test_what_is_no_word_is_refused(leaf):
    trie = HexaryTrie({})
    trie.set(keccak256(key(1)), leaf)
    nodes = NodeSet(reference.encode(node) for node in trie.get_proof(keccak256(key(1))))
    with pytest.raises(ProofError):
        prove_word(trie.root_hash, nodes, key(1))


def test_four_thousand_mutated_proofs_give_no_false_word(world):
    rng = random.Random(3)
    good = proof(world, [*WORDS, key(77)]).encode()
    asked = [*WORDS, key(77)]
    answers = 0
    for _ in range(4_000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 3)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            given = LedgerProof.decode(bytes(data))
            found = verify_words(world.state_root, given, account=LEDGER, code_hash=CODE, keys=asked)
        except ProtocolError:
            continue
        assert found == {**WORDS, key(77): 0}
        answers += 1
    # What may change without harm is the header, which seals cover, and nothing else.
    assert answers < 100


# --- the recorded network


def test_recorded_proofs_say_what_the_network_said():
    contract = NETWORK["contract"]
    state_root = next(
        bytes.fromhex(h["stateRoot"][2:]) for h in NETWORK["headers"] if h["number"] == contract["block"]
    )
    given = proof_from_rpc(HEADER, contract["proof"], NETWORK["absentAccount"])
    address = bytes.fromhex(contract["address"][2:])
    asked = {
        int(slot): 0 if word == "absent" else int(word, 16) for slot, word in contract["storage"].items()
    }
    found = verify_words(
        state_root,
        LedgerProof.decode(given.encode()),
        account=address,
        code_hash=bytes.fromhex(contract["proof"]["codeHash"][2:]),
        keys=[key(slot) for slot in asked],
    )
    assert found == {key(slot): word for slot, word in asked.items()}
    assert 0 in found.values()
    absent = bytes.fromhex(NETWORK["absentAccount"]["address"][2:])
    assert account_storage_root(state_root, given, account=absent) is None


# --- the document


def document(**changes) -> bytes:
    fields = {
        "schema": "fwledger/ledger-proof/1",
        "header": HEADER,
        "note": None,
        "nodes": [b"n"],
        "envelopes": [],
    }
    fields.update(changes)
    return dag_cbor.encode({name: value for name, value in fields.items() if value is not ...})


def test_a_proof_round_trips(world):
    given = replace(proof(world), envelopes=(bytes(36), b"\1" * 36))
    assert LedgerProof.decode(given.encode()) == given


def test_a_proof_may_rest_on_a_note_alone_or_on_both():
    assert LedgerProof.decode(document(header=None, note=b"note")).note == b"note"
    both = LedgerProof.decode(document(note=b"note"))
    assert (both.header, both.note) == (HEADER, b"note")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "fwledger/ledger-proof/2"},
        {"schema": ...},
        {"header": None},
        {"header": b""},
        {"header": "text"},
        {"header": bytes(32_769)},
        {"header": ...},
        {"note": ...},
        {"note": b""},
        {"note": bytes(8_193)},
        {"nodes": None},
        {"nodes": [b""]},
        {"nodes": ["text"]},
        {"nodes": [bytes(1_025)]},
        {"nodes": [b"n"] * (MAX_NODES + 1)},
        {"nodes": [b"n"] * 10_000},
        {"envelopes": [bytes(35)]},
        {"envelopes": [bytes(36)] * 65},
        {"envelopes": ...},
        {"values": []},
    ],
)
def test_another_document_is_refused(changes):
    with pytest.raises(MalformedError):
        LedgerProof.decode(document(**changes))


def test_a_proof_is_bounded_at_65536_bytes():
    nodes = [bytes([1]) * 1_000] * 64
    fitting = document(nodes=nodes, envelopes=[])
    assert len(fitting) < 65_536
    LedgerProof.decode(fitting)
    with pytest.raises(LimitError):
        LedgerProof.decode(document(nodes=[*nodes, *nodes]))


def test_a_proof_that_nobody_would_read_is_not_written():
    with pytest.raises(LimitError):
        LedgerProof(header=HEADER, nodes=(bytes(1_025),)).encode()
    with pytest.raises(MalformedError):
        LedgerProof(header=None).encode()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"accountProof": [], "storageProof": None},
        {"accountProof": None, "storageProof": []},
        {"accountProof": "0x", "storageProof": []},
        {"accountProof": [1], "storageProof": []},
        {"accountProof": ["c0"], "storageProof": []},
        {"accountProof": ["0xzz"], "storageProof": []},
        {"accountProof": [], "storageProof": ["0x"]},
        {"accountProof": [], "storageProof": [{}]},
        {"accountProof": [], "storageProof": [{"proof": None}]},
    ],
)
def test_an_answer_of_another_shape_is_refused(answer):
    with pytest.raises(MalformedError):
        proof_from_rpc(HEADER, answer)


# --- what a proven leaf holds, field by field


def under(path: bytes, leaf: bytes) -> tuple[bytes, NodeSet]:
    """A trie of one leaf, and its nodes."""
    root, nodes = trie_builder.build({keccak256(path): leaf}, key=keccak256(path))
    return root, NodeSet(nodes)


def account_leaf(**changes) -> bytes:
    fields = {"nonce": b"\1", "balance": b"\2", "root": bytes(32), "code": CODE} | changes
    return reference.encode(list(fields.values()))


def test_an_account_is_read_field_by_field():
    leaf = account_leaf(nonce=b"\xff" * 8, balance=b"\xfe" * 32, root=b"r" * 32)
    found = prove_account(*under(LEDGER, leaf), LEDGER)
    assert (found.nonce, found.balance) == (2**64 - 1, int.from_bytes(b"\xfe" * 32, "big"))
    assert (found.storage_root, found.code_hash) == (b"r" * 32, CODE)
    root, nodes = trie_builder.build({keccak256(LEDGER): leaf}, key=keccak256(LEDGER))
    given = LedgerProof(header=HEADER, nodes=nodes)
    assert account_storage_root(root, given, account=LEDGER) == b"r" * 32


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nonce": b"\1" * 9}, "is not an account: nonce: number too long: expected at most 8 bytes"),
        ({"balance": b"\1" * 33}, "is not an account: balance: number too long: expected at most 32 bytes"),
        ({"root": bytes(31)}, "is not an account: storage root: "),
        ({"code": bytes(33)}, "is not an account: code hash: "),
        ({"more": b""}, "is not an account: items: expected 4, got 5"),
        ({"more": b"", "and": b""}, "is not an account: rlp: too many items"),
        ({"nonce": []}, "is not an account: nonce: wrong kind of item"),
        ({"nonce": [[]]}, "is not an account: rlp: lists nested too deep"),
    ],
)
def test_a_leaf_that_is_no_account_is_refused_by_its_field(changes, why):
    with pytest.raises(ProofError) as refused:
        prove_account(*under(LEDGER, account_leaf(**changes)), LEDGER)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (reference.encode(b"\1" * 33), "is not a word: word: number too long"),
        (reference.encode([]), "is not a word: rlp: lists nested too deep"),
        (reference.encode([b"\1"]), "is not a word: rlp: lists nested too deep"),
        (reference.encode(b""), "expected no entry for zero"),
    ],
)
def test_a_leaf_that_is_no_word_is_refused(leaf, why):
    with pytest.raises(ProofError) as refused:
        prove_word(*under(key(1), leaf), key(1))
    assert why in str(refused.value)


def test_header_and_note_are_one_byte_at_least_and_bounded_to_the_byte():
    for field, most in (("header", MAX_HEADER_BYTES), ("note", MAX_NOTE_BYTES)):
        for size in (1, most):
            found = LedgerProof.decode(
                LedgerProof(**{"header": b"h", "note": b"n"} | {field: bytes(size)}).encode()
            )
            assert len(getattr(found, field)) == size
        for size in (0, most + 1):
            with pytest.raises(MalformedError):
                LedgerProof(**{"header": b"h", "note": b"n"} | {field: bytes(size)}).encode()


def test_a_node_of_exactly_the_limit_is_read():
    assert LedgerProof(header=b"h", nodes=(bytes(MAX_STATE_NODE_BYTES),)).encode()
    with pytest.raises(LimitError):
        LedgerProof(header=b"h", nodes=(bytes(MAX_STATE_NODE_BYTES + 1),)).encode()


def test_what_a_node_answers_becomes_a_proof_with_its_note_and_hints(world):
    answer = world.get_proof(LEDGER, [key(1)])
    made = proof_from_rpc(HEADER, answer, note=b"a note", envelopes=[bytes(36)])
    assert (made.header, made.note, made.envelopes) == (HEADER, b"a note", (bytes(36),))


def test_a_hint_that_is_no_cid_is_named():
    with pytest.raises(MalformedError) as refused:
        LedgerProof(header=b"h", envelopes=(bytes(35),)).encode()
    assert refused.value.what == "fwledger/ledger-proof/1.envelopes"
