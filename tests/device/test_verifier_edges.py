"""Edges of the pure checks that no attack needs: what is named, what is just enough, what is walked over."""

from dataclasses import replace

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.freshness import MAX_CLOCK_LEAD_S, newest_known, usable_clock
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from device_verifier.trusted_roots import TrustedRoots
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import LedgerProof, prove_account
from ledger_protocol.release.trust_root import SignedTrustRoot
from tests.sim.repository import Repository, altered

STABLE = StateQuery(channel="stable")


@pytest.fixture
def repository():
    repository = Repository()
    repository.publish(repository.build(10))
    repository.seal()
    return repository


def trusted_header(repository):
    trusted = TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None)
    return trusted.update_header(repository.proof(STABLE))


def _proves(state_root, nodes, account):
    try:
        return prove_account(state_root, NodeSet(nodes), account) is not None
    except ProtocolError:
        return False


def digest_of(signed):
    return int.from_bytes(SignedTrustRoot.decode(signed).digest, "big")


def test_a_proof_that_cannot_be_read_is_named_with_its_check(repository):
    with pytest.raises(NotTrusted, match=r"^the ledger proof is not right") as refusal:
        TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None).update_header(b"rubbish")
    assert refusal.value.check == "V1"


def test_a_proof_without_nodes_of_the_account_is_named_with_its_check(repository):
    trusted = TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None)
    trusted.update_header(altered(repository.proof(STABLE), nodes=()))
    with pytest.raises(NotTrusted, match=r"^the ledger's account is not right") as refusal:
        trusted.read(STABLE)
    assert refusal.value.check == "V3"


def test_a_word_that_the_proof_lacks_is_named_with_its_check(repository):
    trusted = TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None)
    whole = LedgerProof.decode(repository.proof(STABLE)).nodes
    account = repository.root.ledger.address
    state_root = trusted_header(repository).state_root
    needed = [n for n in whole if not _proves(state_root, [m for m in whole if m != n], account)]
    trusted.update_header(altered(repository.proof(STABLE), nodes=tuple(needed)))
    with pytest.raises(NotTrusted, match=r"^a word of the ledger is not right") as refusal:
        trusted.read(STABLE)
    assert refusal.value.check == "V4"


def test_a_held_root_that_cannot_be_read_is_named():
    with pytest.raises(NotTrusted, match=r"^the trust root that this device holds is not right"):
        TrustedRoots(trust_root=b"rubbish", walked=())


def test_every_ancestor_of_a_newer_factory_root_is_noted():
    world = Repository()
    world.rotate_root()
    third = world.rotate_root()
    held = TrustedRoots(trust_root=third, walked=())
    held.update(world.signed_roots)
    for signed in world.signed_roots:
        held.refuse_unseen(digest_of(signed))


def test_an_envelope_with_too_few_signatures_hides_none_behind_it():
    world = Repository()
    second = world.next_root()
    whole = world.sign_root(second, world.root_keys)
    stripped = world.sign_root(second, world.root_keys[:2])
    short = world.sign_root(second, world.root_keys[:1])
    world.roots.append(second)
    world.signed_roots.append(whole)
    third = world.rotate_root()  # its `previous` names the whole envelope
    held = TrustedRoots(trust_root=stripped, walked=())
    held.update([short, whole, third])
    assert held.root.version == 3


def test_the_newest_known_time_is_the_latest_that_a_root_or_a_floor_vouches_for():
    root = Repository().root
    ledger = root.ledger
    assert newest_known(replace(root, issued_at=0, ledger=replace(ledger, from_time=0)), None) == 0
    assert newest_known(replace(root, issued_at=5, ledger=replace(ledger, from_time=9)), None) == 9
    assert newest_known(replace(root, issued_at=9, ledger=replace(ledger, from_time=5)), None) == 9


def test_a_clock_just_within_the_lead_is_a_clock():
    root = Repository().root
    least_s = newest_known(root, None) - MAX_CLOCK_LEAD_S
    assert usable_clock(least_s, root, None) == least_s
    assert usable_clock(least_s - 1, root, None) is None
