"""Our decoders beside independent ones, on valid and on broken input: what we accept they accept with the same
value, and what only they accept is a row of docs/strictness.md.
"""

import random
from collections import Counter

import cbor2
import dag_cbor as reference_cbor
import multiformats
import pytest
import rlp as reference_rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie
from trie.exceptions import BadTrieProof, InvalidNode, ValidationError

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import MalformedError, ProofError, ProtocolError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import merkle_patricia, rlp
from tests.fuzzing import mutated, values

REFUSED = object()
# What the reference raises for nodes that are none: it has no family of its own.
TRIE_REFUSALS = (
    BadTrieProof,
    InvalidNode,
    ValidationError,
    reference_rlp.DecodingError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
)


def outcome(call, *refusals):
    try:
        return call()
    except refusals:
        return REFUSED


# --- RLP

items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=8), max_leaves=20)


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=120) | items.map(rlp.encode) | items.map(rlp.encode).flatmap(mutated))
def test_rlp_agrees_on_every_input(data):
    ours = outcome(lambda: rlp.decode(data, max_depth=64), ProtocolError)
    theirs = outcome(lambda: reference_rlp.decode(data, strict=True), reference_rlp.DecodingError)
    assert ours == theirs


@settings(max_examples=300)
@given(st.binary(max_size=34))
def test_scalars_agree_on_every_input(data):
    ours = outcome(lambda: rlp.scalar(data, max_bytes=34, what="number"), MalformedError)
    theirs = outcome(
        lambda: reference_rlp.sedes.big_endian_int.deserialize(data), reference_rlp.DeserializationError
    )
    assert ours == theirs


# --- dag-cbor


def _theirs(value):
    """Our value as the reference library has it."""
    if isinstance(value, Cid):
        return multiformats.CID("base32", 1, value.codec, ("sha2-256", value.digest))
    if isinstance(value, list):
        return list(map(_theirs, value))
    if isinstance(value, dict):
        return {key: _theirs(one) for key, one in value.items()}
    return value


def _narrower(value, depth=0):
    """Whether a value of the reference is one that our documents may hold."""
    if isinstance(value, list | dict):
        inner = value if isinstance(value, list) else value.values()
        return depth < 16 and all(_narrower(one, depth + 1) for one in inner)
    if isinstance(value, multiformats.CID):
        short = len(value.raw_digest) == 32 and value.hashfun.name == "sha2-256"
        return value.version == 1 and value.codec.name in {"raw", "dag-pb", "dag-cbor"} and short
    return not isinstance(value, float)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | values.map(dag_cbor.encode) | values.map(dag_cbor.encode).flatmap(mutated))
def test_dag_cbor_agrees_on_every_input_but_for_the_listed_values(data):
    ours = outcome(lambda: dag_cbor.decode(data, max_bytes=4_096), ProtocolError)
    try:
        theirs = reference_cbor.decode(data)
    except Exception:
        theirs = REFUSED
    if ours is not REFUSED:
        assert theirs == _theirs(ours)
    elif theirs is not REFUSED:
        assert not _narrower(theirs)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | values.map(dag_cbor.encode).flatmap(mutated))
def test_cbor2_reads_whatever_is_accepted_here(data):
    ours = outcome(lambda: dag_cbor.decode(data, max_bytes=4_096), ProtocolError)
    if ours is not REFUSED:
        assert cbor2.loads(data) == _tagged(ours)


def _tagged(value):
    if isinstance(value, Cid):
        return cbor2.CBORTag(42, b"\0" + value.to_bytes())
    if isinstance(value, list):
        return list(map(_tagged, value))
    return {key: _tagged(one) for key, one in value.items()} if isinstance(value, dict) else value


# --- Merkle-Patricia proofs


def _prefix(nibbles, *, leaf):
    flag = 2 * leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}" + ("" if flag & 1 else "0") + nibbles)


def _node(rng, depth, nodes):
    """A node that is often right and now and then none, above children that are made the same way."""
    kind = rng.random()
    nibbles = "".join(rng.choice("01") for _ in range(rng.randrange(4)))
    if depth == 0 or kind < 0.3:
        odd = [b""] if rng.random() < 0.1 else [[b"x"]] if rng.random() < 0.05 else []
        return [_prefix(nibbles, leaf=True), rng.choice(odd or [b"v", b"w" * 40])]
    if kind < 0.5:
        return [_prefix(nibbles, leaf=False), _child(rng, depth - 1, nodes)]
    if kind < 0.93:
        present = [_child(rng, depth - 1, nodes) if rng.random() < 0.7 else b"" for _ in range(2)]
        return [*present, *[b""] * 14, rng.choice((b"", b"here"))]
    if kind < 0.97:
        return [rng.randbytes(rng.randrange(3)), rng.choice((b"z", b"z" * 32))]
    return [b"a"] * rng.randrange(19)


def _child(rng, depth, nodes):
    if rng.random() < 0.06:
        return rng.choice((b"", b"r" * 31, b"r" * 33, b"\1"))
    node = _node(rng, depth, nodes)
    encoded = rlp.encode(node)
    if (len(encoded) < 32) != (rng.random() < 0.06):
        return node
    nodes[keccak256(encoded)] = encoded
    return keccak256(encoded)


class _Walked(merkle_patricia.NodeSet):
    """Notes which nodes a walk reads: the reference looks at all that it is given, we at no other."""

    __slots__ = ("read",)

    def load(self, digest):
        self.read = [*getattr(self, "read", []), digest]
        return super().load(digest)


LISTED = {
    "proof: bad path prefix",
    "proof: bad reference to a node",
    "proof: extension node without a path",
    "proof: inlined node too large",
    "proof: leaf without a value",
    "proof: node without a path",
}


def test_six_thousand_tries_of_right_and_wrong_nodes_prove_what_the_reference_says():
    rng = random.Random(2)
    seen = Counter()
    for _ in range(6_000):
        nodes = {}
        top = rlp.encode(_node(rng, 4, nodes))
        nodes[keccak256(top)] = top
        path = bytes(rng.choice((0x00, 0x01, 0x10, 0x11)) for _ in range(rng.randrange(1, 4)))
        walked = _Walked(nodes.values())
        why = ""
        try:
            ours = merkle_patricia.get(keccak256(top), path, walked)
        except ProofError as error:
            ours, why = REFUSED, error.what
        shown = [reference_rlp.decode(nodes[one]) for one in walked.read if one in nodes]
        try:
            theirs = HexaryTrie.get_from_proof(keccak256(top), path, shown) or None
        except TRIE_REFUSALS as error:
            # Its own slip, listed too: a key that ends inside an extension is simply not there.
            theirs = None if "never return an extension" in str(error) else REFUSED
        if ours is REFUSED and theirs is not REFUSED:
            assert why in LISTED
            seen[why] += 1
        else:
            assert ours == theirs
            seen["refused" if ours is REFUSED else "absent" if ours is None else "found"] += 1
    assert set(seen) == LISTED | {"refused", "absent", "found"}
    assert min(seen.values()) > 5


# --- the rows of docs/strictness.md: what ours refuses and theirs takes


def _refuses_cbor(data):
    with pytest.raises(ProtocolError):
        dag_cbor.decode(data, max_bytes=4_096)


def _only_cbor2(data):
    _refuses_cbor(data)
    cbor2.loads(data)


def _only_dag_cbor(value):
    data = reference_cbor.encode(value)
    _refuses_cbor(data)
    assert reference_cbor.decode(data) is not REFUSED


def _nested(levels):
    return b"\x81" * levels + b"\x80"


def _only_rlp(data, **limits):
    with pytest.raises(MalformedError):
        rlp.decode(data, **limits)
    reference_rlp.decode(data)


def _deep_rlp():
    item = b""
    for _ in range(9):
        item = [item]
    _only_rlp(reference_rlp.encode(item))


def _only_trie(node, path, *more):
    encoded = [rlp.encode(one) for one in (node, *more)]
    with pytest.raises(ProofError):
        merkle_patricia.get(keccak256(encoded[0]), path, merkle_patricia.NodeSet(encoded))
    HexaryTrie.get_from_proof(keccak256(encoded[0]), path, [node, *more])


LEAF = [b"\x35", b"v" * 40]
ROWS = {
    ("dag-cbor", "a float"): lambda: _only_dag_cbor(1.5),
    ("dag-cbor", "a link to another codec or by another hash"): lambda: _only_dag_cbor(
        multiformats.CID("base32", 1, "dag-json", ("sha2-256", bytes(32)))
    ),
    ("dag-cbor", "more than 16 levels"): lambda: (
        _refuses_cbor(_nested(17)),
        reference_cbor.decode(_nested(17)),
    ),
    ("dag-cbor", "more than 65,536 values"): lambda: _only_many_values(),
    ("cbor2", "a length or a number that is written longer than it has to be"): lambda: _only_cbor2(
        b"\x18\x01"
    ),
    ("cbor2", "lists and strings of no stated length"): lambda: _only_cbor2(b"\x9f\x01\xff"),
    ("cbor2", "the same key twice, or keys in another order"): lambda: _only_cbor2(
        b"\xa2ab\x01ab\x02".replace(b"ab", b"\x61a")
    ),
    ("cbor2", "keys that are no text"): lambda: _only_cbor2(b"\xa1\x01\x02"),
    ("cbor2", "other tags: big numbers, dates, sets, patterns"): lambda: _only_cbor2(b"\xc2\x41\x01"),
    ("cbor2", "NaN, infinity, undefined"): lambda: (_only_cbor2(b"\xf9\x7e\x00"), _only_cbor2(b"\xf7")),
    ("cbor2", "bytes after the value"): lambda: _only_cbor2(b"\x01\x01"),
    ("rlp", "more than 8 levels"): _deep_rlp,
    ("rlp", "more than 65,536 items"): lambda: _only_rlp(reference_rlp.encode([b""] * 65_536)),
    ("trie", "an extension that is no step"): lambda: _only_trie([b"\0", LEAF], b"\x55", LEAF),
    ("trie", "a path whose prefix has unknown bits"): lambda: _only_trie([b"\xe1\xdc", b"z" * 32], b"\x12"),
    ("trie", "a node that stands in its parent though it has 32 bytes or more"): lambda: _only_trie(
        [LEAF, *[b""] * 16], b"\x05"
    ),
    ("trie", "a reference of another length than 32"): lambda: _only_trie([b"\x15", b"z" * 31], b"\x44"),
    ("trie", "a leaf that holds nothing"): lambda: _only_trie([b"\x35", b""], b"\x44"),
}


def _only_many_values():
    data = reference_cbor.encode([0] * 65_536)
    with pytest.raises(ProtocolError):
        dag_cbor.decode(data, max_bytes=2**20)
    assert len(reference_cbor.decode(data)) == 65_536


@pytest.mark.parametrize(("library", "what"), ROWS)
def test_what_only_the_reference_takes(library, what):
    ROWS[library, what]()
