"""Whatever is done to good bytes, a device accepts the same statement or none."""

import contextlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.errors import NotTrusted
from device_verifier.release import verify_release
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import LedgerView, TrustedLedger
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.proof import LedgerProof
from tests.sim.repository import DEVICE, OPERATOR, Repository
from tests.sim.validators import Validators

INSTALLED = b"\x05" * 32
QUERY = StateQuery(group=7, installed=INSTALLED, also_revoked=(b"\x06" * 32,), device=DEVICE)


def world() -> Repository:
    repository = Repository(operator=OPERATOR)
    for number in range(30):
        repository.publish(repository.build(10, notes=str(number)), channel=f"channel-{number}")
        repository.revoke(number.to_bytes(32, "big"))
    release = repository.build(11)
    repository.publish(release)
    repository.approve(release.id)
    repository.revoke(INSTALLED, mandatory=True)
    repository.assign(7, "stable")
    repository.enrol()
    repository.seal()
    return repository


GOOD = world()
RELEASE = GOOD.build(11)
PROOF = GOOD.proof(replace(QUERY, operator=OPERATOR))
NEXT_ROOT = GOOD.rotate_root(announce=False)


def read(proof: bytes) -> LedgerView | None:
    """Return what a device accepts of a proof; None when it refuses. Nothing but NotTrusted may leave."""
    ledger = TrustedLedger(trust_root=GOOD.factory_root, floor=None, now_s=None)
    try:
        ledger.update_header(proof)
        return ledger.read(QUERY)
    except NotTrusted:
        return None


def statement(view: LedgerView) -> LedgerView:
    return replace(view, envelope_hints=())


TRUTH = read(PROOF)
assert TRUTH is not None


@st.composite
def mutated(draw, data: bytes) -> bytes:
    """Flip, cut, double or insert a few bytes."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(result) - 1)))
        what = draw(st.sampled_from(["flip", "cut", "insert", "truncate", "double"]))
        if what == "flip" and result:
            result[at] ^= draw(st.integers(1, 255))
        elif what == "cut":
            del result[at : at + draw(st.integers(1, 40))]
        elif what == "insert":
            result[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif what == "truncate":
            del result[at:]
        else:
            result[at:at] = result[at : at + draw(st.integers(1, 40))]
    return bytes(result)


@given(mutated(PROOF))
@settings(max_examples=300, deadline=None)
def test_a_mutated_proof_states_the_same_or_is_refused(proof):
    view = read(proof)
    assert view is None or statement(view) == statement(TRUTH)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_proof_with_other_parts_states_the_same_or_is_refused(data):
    good = LedgerProof.decode(PROOF)
    nodes = list(good.nodes)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(nodes) - 1))
        what = data.draw(st.sampled_from(["drop", "swap", "double", "mutate", "add"]))
        if what == "drop" and len(nodes) > 1:
            del nodes[at]
        elif what == "swap":
            nodes[at], nodes[0] = nodes[0], nodes[at]
        elif what == "double":
            nodes.append(nodes[at])
        elif what == "mutate":
            nodes[at] = data.draw(mutated(nodes[at])) or b"\x80"
        else:
            nodes.append(data.draw(st.binary(min_size=1, max_size=64)))
    if any(len(node) > 1_024 for node in nodes):
        return
    view = read(replace(good, nodes=tuple(nodes)).encode())
    assert view is None or statement(view) == statement(TRUTH)


@given(
    field=st.integers(0, 14), value=st.binary(max_size=40), signers=st.lists(st.integers(0, 3), max_size=6)
)
@settings(max_examples=200, deadline=None)
def test_a_header_is_accepted_only_with_a_quorum_of_distinct_pinned_seals(field, value, signers):
    good = LedgerProof.decode(PROOF)
    fields = rlp.decode_list(good.header)
    sealed = GOOD.validators.seal(list(fields), signers=signers)
    view = read(replace(good, header=sealed).encode())
    assert (view is not None) == (len(set(signers)) >= 3)
    if field != 12 and fields[field] != value:
        changed = rlp.decode_list(sealed)
        changed[field] = value
        assert read(replace(good, header=rlp.encode(changed)).encode()) is None


@given(seed=st.integers(2, 10**6), signers=st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=20, deadline=None)
def test_strangers_never_make_a_quorum(seed, signers):
    fields = rlp.decode_list(LedgerProof.decode(PROOF).header)
    strangers = Validators(seed=seed)
    sealed = strangers.seal(list(fields), signers=signers, listed=GOOD.validators.addresses())
    assert read(replace(LedgerProof.decode(PROOF), header=sealed).encode()) is None


def verified(envelope: bytes, manifest: bytes):
    try:
        return verify_release(envelope, manifest, head=RELEASE.id, root=GOOD.root)
    except NotTrusted:
        return None


@given(
    envelope=mutated(RELEASE.envelope) | st.just(RELEASE.envelope) | st.binary(max_size=300),
    manifest=mutated(RELEASE.block),
)
@settings(max_examples=200, deadline=None)
def test_a_mutated_manifest_is_never_accepted(envelope, manifest):
    if manifest != RELEASE.block:
        assert verified(envelope, manifest) is None


@given(envelope=mutated(RELEASE.envelope) | st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_a_mutated_envelope_gives_the_same_release_or_none(envelope):
    found = verified(envelope, RELEASE.block)
    assert found is None or (found.manifest == RELEASE.manifest and len(found.signers) >= 2)


@given(
    offered=st.lists(mutated(NEXT_ROOT) | mutated(GOOD.factory_root) | st.binary(max_size=100), max_size=3)
)
@settings(max_examples=200, deadline=None)
def test_mutated_trust_roots_are_never_accepted(offered):
    ledger = TrustedLedger(trust_root=GOOD.factory_root, floor=None, now_s=None)
    with contextlib.suppress(NotTrusted):
        ledger.update_roots(offered)
    assert ledger.root in GOOD.roots
    assert all(signed == NEXT_ROOT or ledger.root.version == 2 for signed in ledger.new_roots)
