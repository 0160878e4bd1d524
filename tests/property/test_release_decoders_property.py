"""Every decoder of signed documents and bundles, fed with hostile versions of valid ones."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.bundle import open_bundle, write_bundle
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.errors import ProtocolError, QuorumError
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Component, Manifest
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, walk
from tests.fuzzing import decodes_strictly, hostile, mutated
from tests.protocol_makers import (
    NOW_S,
    ROOT_SIGNERS,
    digest,
    manifest,
    root_chain,
    signed_release,
    trust_root,
)

CHAIN = root_chain(3)
ENVELOPE, MANIFEST = signed_release(manifest(), *ROOT_SIGNERS)
BLOCKS = [(Cid.of(RAW, bytes([n]) * 50), bytes([n]) * 50) for n in range(5)]

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
digests = st.binary(min_size=32, max_size=32)


@settings(max_examples=300)
@given(hostile(MANIFEST))
def test_manifests(data):
    decodes_strictly(Manifest.decode, Manifest.encode, data)


@settings(max_examples=300)
@given(hostile(ENVELOPE))
def test_envelopes(data):
    decodes_strictly(Envelope.decode, Envelope.encode, data)


@settings(max_examples=300)
@given(hostile(trust_root().encode()))
def test_trust_root_documents(data):
    decodes_strictly(TrustRoot.decode, TrustRoot.encode, data)


@settings(max_examples=200)
@given(hostile(CHAIN[0]))
def test_signed_trust_roots(data):
    decodes_strictly(SignedTrustRoot.decode, SignedTrustRoot.encode, data)


@settings(max_examples=150)
@given(hostile(CHAIN[0]))
def test_no_changed_first_root_verifies_unless_it_says_the_same(data):
    try:
        found = verify_first(data, now_s=NOW_S)
    except ProtocolError:
        return
    assert found == trust_root()


@settings(max_examples=100)
@given(st.lists(hostile(CHAIN[1]) | st.sampled_from(CHAIN), max_size=4))
def test_a_walk_only_ever_takes_the_true_steps(offered):
    try:
        steps = walk(CHAIN[0], offered, now_s=NOW_S).steps
    except ProtocolError as error:
        steps = error.steps
    documents = [SignedTrustRoot.decode(step).document for step in steps]
    assert documents == [SignedTrustRoot.decode(step).document for step in CHAIN[1 : 1 + len(steps)]]


def _bundle():
    parts = []

    def open_part(_):
        parts.append(io.BytesIO())
        return parts[-1]

    write_bundle(
        open_part,
        proof=b"\xf6",
        trust_roots=CHAIN[:1],
        envelope=ENVELOPE,
        manifest=MANIFEST,
        blocks=BLOCKS,
    )
    return parts[0].getvalue()


@settings(max_examples=300)
@given(mutated(_bundle()) | st.binary(max_size=200))
def test_bundles(data):
    try:
        reader = open_bundle([io.BytesIO(data)])
        found = [reader.block(cid) for cid, _ in BLOCKS]
    except ProtocolError:
        return
    assert found == [block for _, block in BLOCKS]
    assert reader.envelope == ENVELOPE
    assert reader.manifest == MANIFEST


@settings(max_examples=60)
@given(
    st.lists(names, min_size=1, max_size=5, unique=True),
    st.lists(names, min_size=1, max_size=4, unique=True),
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**24 - 1),
    st.none() | digests,
    st.dictionaries(
        names, st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=10), max_size=3
    ),
    st.integers(1, 2**40),
)
def test_any_valid_manifest_comes_back(
    parts, channels, sequence, security_version, previous, identifiers, size
):
    made = manifest(
        channels=tuple(channels),
        sequence=sequence,
        security_version=security_version,
        previous=previous,
        identifiers=identifiers,
        components=tuple(
            Component(name, "app", "raw", "any", size, digest(name), Cid.of(RAW, name.encode()))
            for name in parts
        ),
    )
    assert Manifest.decode(made.encode()) == made


@settings(max_examples=40)
@given(st.sets(st.integers(0, 2)), st.integers(1, 3))
def test_a_first_root_needs_exactly_its_threshold(signers, threshold):
    from dataclasses import replace

    from tests.protocol_makers import signed_root

    root = trust_root(root_keys=replace(trust_root().root_keys, threshold=threshold))
    signed = signed_root(root, *(ROOT_SIGNERS[n] for n in signers))
    try:
        verify_first(signed, now_s=NOW_S)
    except QuorumError:
        assert len(signers) < threshold
    else:
        assert len(signers) >= threshold
