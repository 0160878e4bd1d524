"""The simulator's own pieces against independent implementations: what it builds rightly is right."""

import cbor2
import rlp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from eth_keys import keys as eth_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from ledger_client.conformance.world import cbor, headers, keys
from ledger_client.conformance.world.headers import Sealing, seal_header
from ledger_client.conformance.world.tries import Account, State, Trie
from ledger_protocol.content import dag_cbor
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header

PATHS = st.binary(min_size=32, max_size=32)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, st.binary(min_size=1, max_size=40), min_size=1, max_size=20), PATHS)
def test_a_trie_has_the_root_and_the_proofs_of_an_independent_one(entries, absent):
    # Paths that differ late make extensions and nodes that stand inside their parents.
    close = {path[:31] + bytes([last]): b"\x01" for path in list(entries)[:2] for last in (0, 1, 17)}
    entries |= close
    theirs = HexaryTrie({})
    for path, value in entries.items():
        theirs.set(path, value)
    ours = Trie(entries)
    assert ours.root == theirs.root_hash
    for path in (*entries, absent):
        proof = [rlp.encode(node) for node in theirs.get_proof(path)]
        assert ours.nodes(path) == [node for at, node in enumerate(proof) if at == 0 or len(node) >= 32]


def test_an_account_leads_from_the_state_root_to_its_words():
    where, key = b"\x11" * 20, b"\x07" * 32
    state = State({where: Account({key: 300}, b"\x01" * 32)})
    leaf = rlp.decode(state.account_proof(where)[-1])[1]
    assert rlp.decode(leaf) == [b"\x01", b"", state.storage_root(where), b"\x01" * 32]
    assert rlp.decode(rlp.decode(state.storage_proof(where, key)[-1])[1]) == b"\x01\x2c"
    assert keccak256(state.storage_proof(where, key)[0]) == state.storage_root(where)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_a_seal_names_its_signer_and_has_low_s(digest, number):
    key = keys.secp256k1_key(f"signer {number}")
    seal = keys.recoverable(key, digest)
    found = eth_keys.Signature(signature_bytes=seal).recover_public_key_from_msg_hash(digest)
    assert found.to_canonical_address() == keys.address(key)
    assert int.from_bytes(seal[32:64], "big") <= keys.SECP256K1_ORDER // 2


def test_a_header_has_the_blocks_hash_at_every_round():
    signers = headers.validators(4)
    hashes_found = set()
    for round_number in (0, 1, 300):
        raw = seal_header(Sealing(by=signers, round=round_number), number=5, time=6, state_root=bytes(32))
        header = parse_header(raw)
        assert headers.block_hash(raw) == qbft.block_hash(header)
        hashes_found.add(headers.block_hash(raw))
        digest = qbft.seal_digest(header)
        for key, seal in zip(signers, qbft.parse_extra(header.extra_data).seals, strict=True):
            assert eth_keys.Signature(signature_bytes=seal).recover_public_key_from_msg_hash(
                digest
            ).to_canonical_address() == keys.address(key)
    assert len(hashes_found) == 1


def test_the_other_s_is_a_signature_that_ecdsa_itself_accepts():
    key = keys.p256_key("r")
    honest = keys.dsse(key, keys.MANIFEST_TYPE, b"payload")
    _, raw = keys.high_s(honest)
    kind = keys.MANIFEST_TYPE.encode()
    message = b"DSSEv1 %d %s 7 payload" % (len(kind), kind)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, message, ec.ECDSA(hashes.SHA256()))
    assert raw != honest[1]


def test_longer_forms_of_a_number_are_the_same_number_to_a_general_library():
    for width in (1, 2, 4, 8):
        encoded = cbor.head(cbor.UINT, 11, width=width)
        assert cbor2.loads(encoded) == 11
        assert encoded != dag_cbor.encode(11)


def test_a_map_put_together_by_hand_in_the_right_order_is_the_canonical_one():
    document = {"b": 1, "aa": [None, True], "a": {"z": b"\x00", "y": "text"}}
    assert cbor.joined(cbor.pairs(document)) == dag_cbor.encode(document)
