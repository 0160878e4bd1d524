import random

import pytest
import rlp as reference
from trie import HexaryTrie
from trie.exceptions import BadTrieProof

from ledger_protocol.errors import LimitError, MalformedError, ProofError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp, trie_builder
from ledger_protocol.ledger.merkle_patricia import EMPTY_ROOT, MAX_NODES, NodeSet, get


def proof_of(trie: HexaryTrie, key: bytes) -> list[bytes]:
    if trie.root_hash == EMPTY_ROOT:
        return []
    return [reference.encode(node) for node in trie.get_proof(key)]


def root_and_set(*nodes):
    encoded = [rlp.encode(node) for node in nodes]
    return keccak256(encoded[0]), NodeSet(encoded)


def leaf(path: str, value: bytes) -> list:
    return [bytes.fromhex(path), value]


def test_a_missing_node_is_never_taken_for_absence():
    trie = HexaryTrie({})
    for index in range(200):
        trie.set(keccak256(bytes([index])), b"x" * 40)
    key = keccak256(b"nobody")
    nodes = proof_of(trie, key)
    assert get(trie.root_hash, key, NodeSet(nodes)) is None
    for missing in range(len(nodes)):
        with pytest.raises(ProofError, match="missing"):
            get(trie.root_hash, key, NodeSet(nodes[:missing] + nodes[missing + 1 :]))


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (leaf("40", b"v" * 40), "a flag above 3"),
        (leaf("2f" + "ab" * 2, b"v" * 40), "an even path with a nibble in its padding"),
        (leaf("", b"v" * 40), "an empty path item"),
        (leaf("20abab", b""), "a leaf without a value"),
        ([b"\x20\xab\xab", [b"v"]], "a leaf whose value is a list"),
        ([[b"\x20"], b"v" * 40], "a path that is a list"),
        ([b"\x00", b"h" * 32], "an extension without a path"),
        ([b"\x1a", b"h" * 31], "a reference of 31 bytes"),
        ([b"\x1a", b""], "an extension to nothing"),
        ([b"a"] * 3, "three items"),
        ([b""] * 16, "sixteen items"),
        ([b""] * 18, "eighteen items"),
        ([[b"\x20" + b"p" * 20, b"v" * 20]] * 16 + [b""], "inlined nodes of 32 bytes and more"),
    ],
)
def test_what_is_no_node_is_refused(node, why):
    root, nodes = root_and_set(node)
    with pytest.raises(ProofError):
        get(root, bytes.fromhex("abab"), nodes)


def test_an_extension_without_a_path_is_refused_though_it_leads_to_the_leaf():
    end = leaf("20abab", b"v" * 40)
    root, nodes = root_and_set([b"\x00", keccak256(rlp.encode(end))], end)
    with pytest.raises(ProofError, match="without a path"):
        get(root, bytes.fromhex("abab"), nodes)


@pytest.mark.parametrize("reference_bytes", [1, 31, 33])
def test_a_reference_that_is_no_hash_is_named(reference_bytes):
    root, nodes = root_and_set([b"\x1a", b"h" * reference_bytes])
    with pytest.raises(ProofError, match="reference"):
        get(root, bytes.fromhex("abab"), nodes)


def test_a_node_that_is_not_rlp_is_refused():
    junk = b"\xb8\x01junk"
    with pytest.raises(ProofError, match="canonical"):
        get(keccak256(junk), b"k", NodeSet([junk]))


def test_a_branch_whose_value_is_a_list_is_refused():
    root, nodes = root_and_set([b""] * 16 + [[b"v"]])
    with pytest.raises(ProofError):
        get(root, b"", nodes)


def test_the_count_and_the_size_of_nodes_are_bounded():
    NodeSet([b"x"] * MAX_NODES)
    with pytest.raises(LimitError):
        NodeSet([b"x"] * (MAX_NODES + 1))
    with pytest.raises(LimitError):
        NodeSet(b"x%d" % index for index in range(10_000))
    with pytest.raises(LimitError):
        NodeSet([bytes(1_025)])


def test_a_node_nested_in_itself_a_thousand_times_is_refused():
    data = b"\xc0"
    for _ in range(1_000):
        data = (
            rlp.encode_scalar(0) + (bytes([0xC0 + len(data)]) if len(data) < 56 else _long_list(data)) + data
        )
    with pytest.raises(ProofError):
        get(keccak256(data), b"k", NodeSet([data], max_node_bytes=10**6))


def _long_list(data: bytes) -> bytes:
    size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(size)]) + size


def test_the_empty_trie_holds_nothing():
    assert get(EMPTY_ROOT, b"key", NodeSet([])) is None
    assert EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


def test_extras_order_and_repeats_mean_nothing():
    trie = HexaryTrie({})
    for index in range(50):
        trie.set(keccak256(bytes([index])), b"v%d" % index * 10)
    key = keccak256(bytes([7]))
    nodes = proof_of(trie, key)
    extras = [b"junk", *nodes, *reversed(nodes)]
    assert get(trie.root_hash, key, NodeSet(extras)) == b"v7" * 10


def test_inlined_nodes_are_followed():
    trie = HexaryTrie({})
    for key in (b"\x01\x23", b"\x01\x24", b"\x01\x34", b"\x71\x23"):
        trie.set(key, b"v" + key)
    for key in (b"\x01\x23", b"\x01\x24", b"\x01\x34", b"\x71\x23"):
        assert get(trie.root_hash, key, NodeSet(proof_of(trie, key))) == b"v" + key
    for key in (b"\x01\x25", b"\x01\x44", b"\x72\x23", b"\x71\x24", b"\x01"):
        assert get(trie.root_hash, key, NodeSet(proof_of(trie, key))) is None


def test_a_value_in_a_branch_is_found():
    trie = HexaryTrie({})
    trie.set(b"\x01", b"short")
    trie.set(b"\x01\x02", b"long")
    trie.set(b"\x01\x13", b"other")
    for key, value in ((b"\x01", b"short"), (b"\x01\x02", b"long"), (b"\x01\x13", b"other")):
        assert get(trie.root_hash, key, NodeSet(proof_of(trie, key))) == value


@pytest.mark.parametrize("seed", range(8))
def test_random_tries_agree_with_the_reference_for_present_and_absent_keys(seed):
    rng = random.Random(seed)
    key_bytes = rng.choice([1, 2, 3, 32])
    entries = {
        rng.randbytes(key_bytes): rng.randbytes(rng.choice([1, 2, 5, 31, 32, 33, 110]))
        for _ in range(rng.choice([1, 2, 3, 20, 300]))
    }
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie.set(key, value)
    asked = [
        *rng.sample(sorted(entries), min(60, len(entries))),
        *(rng.randbytes(key_bytes) for _ in range(60)),
    ]
    for key in asked:
        nodes = proof_of(trie, key)
        value = get(trie.root_hash, key, NodeSet(nodes))
        assert value == entries.get(key)
        root, built = trie_builder.build(entries, key=key)
        assert root == trie.root_hash
        assert get(root, key, NodeSet(built)) == entries.get(key)
        assert set(built) <= set(nodes)


def test_four_thousand_mutated_proofs_give_no_false_answer():
    rng = random.Random(20)
    trie = HexaryTrie({})
    entries = {keccak256(rng.randbytes(8)): rng.randbytes(rng.randrange(1, 33)) for _ in range(400)}
    for key, value in entries.items():
        trie.set(key, value)
    keys = rng.sample(sorted(entries), 20) + [rng.randbytes(32) for _ in range(20)]
    refused = 0
    for turn in range(4_000):
        key = keys[turn % len(keys)]
        nodes = [bytearray(node) for node in proof_of(trie, key)]
        node = rng.choice(nodes)
        match rng.randrange(4):
            case 0:
                node[rng.randrange(len(node))] ^= 1 << rng.randrange(8)
            case 1:
                del node[rng.randrange(len(node)) :]
            case 2:
                node += rng.randbytes(3)
            case _:
                nodes.remove(node)
        try:
            value = get(trie.root_hash, key, NodeSet(map(bytes, nodes)))
        except ProofError:
            refused += 1
        else:
            assert value == entries.get(key)
    assert refused == 4_000


def test_the_reference_also_refuses_what_we_call_missing():
    trie = HexaryTrie({})
    for index in range(100):
        trie.set(keccak256(bytes([index])), b"x" * 40)
    with pytest.raises(BadTrieProof):
        HexaryTrie.get_from_proof(
            trie.root_hash, keccak256(b"\5"), list(trie.get_proof(keccak256(b"\5")))[:1]
        )


def test_a_trie_of_empty_values_is_not_built():
    with pytest.raises(MalformedError):
        trie_builder.build({b"a": b"1", b"b": b""}, key=b"a")


def test_the_trie_of_nothing_has_the_empty_root():
    assert trie_builder.build({}, key=b"a") == (EMPTY_ROOT, ())


@pytest.mark.parametrize(
    ("child", "why"),
    [
        (b"r" * 31, "bad reference"),
        ([b"a"] * 3, "not a trie node"),
        ([b"\x20", b""], "leaf without a value"),
        ([b"\x35", b"v" * 40], "inlined node too large"),
        ([b"\x15", b"r" * 33], "inlined node too large"),
        ([b"\x15", b"r" * 5], "bad reference"),
    ],
)
def test_a_child_that_the_path_does_not_take_is_looked_at_too(child, why):
    top = rlp.encode([child, [b"\x35", b"v"], *[b""] * 15])
    with pytest.raises(ProofError, match=why):
        get(keccak256(top), b"\x15", NodeSet([top]))


def test_sizes_are_bounded_to_the_byte():
    node = rlp.encode([b"\x35", b"v" * 40])
    NodeSet([node], max_node_bytes=len(node))
    with pytest.raises(LimitError):
        NodeSet([node], max_node_bytes=len(node) - 1)


@pytest.mark.parametrize(("value_bytes", "good"), [(28, True), (29, False)])
def test_a_node_stands_in_its_parent_up_to_31_bytes(value_bytes, good):
    inner = [b"\x35", b"v" * value_bytes]
    assert len(rlp.encode(inner)) == (31 if good else 32)
    top = rlp.encode([inner, *[b""] * 16])
    if good:
        assert get(keccak256(top), b"\x05", NodeSet([top])) == b"v" * 28
    else:
        with pytest.raises(ProofError, match="inlined"):
            get(keccak256(top), b"\x05", NodeSet([top]))


def test_a_node_of_too_many_items_or_levels_is_refused_by_its_bounds():
    wide = rlp.encode([b""] * 512)
    with pytest.raises(ProofError, match="too many items"):
        get(keccak256(wide), b"\x05", NodeSet([wide]))
    deep = b""
    for _ in range(17):
        deep = [deep]
    encoded = rlp.encode(deep)
    with pytest.raises(ProofError, match="too deep"):
        get(keccak256(encoded), b"\x05", NodeSet([encoded]))
    just = rlp.encode(deep[0])
    with pytest.raises(ProofError, match="not a trie node"):
        get(keccak256(just), b"\x05", NodeSet([just]))
