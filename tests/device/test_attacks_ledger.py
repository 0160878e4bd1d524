"""Attacks on what a device is told about the ledger (protocol.md §8), each mounted and refused with its
reason.
"""

from dataclasses import replace

import pytest

from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import MAX_CLOCK_LEAD_S
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.release.trust_root import HeaderTrust, SignedTrustRoot
from ledger_protocol.report.reasons import Reason
from tests.sim.power import PowerCut
from tests.sim.repository import BLOCK_SECONDS, CODE_HASH, Repository, altered
from tests.sim.scene import Scene
from tests.sim.sources import MemoryLedger, Notebook
from tests.sim.validators import Validators
from tests.sim.world import World

STABLE = StateQuery(channel="stable")


def test_a_forged_header_with_two_of_four_seals_is_refused():
    scene = Scene()
    scene.ledger.at = scene.repository.seal(signers=[0, 1])
    error = scene.refusal()
    assert (error.reason, error.check, error.exit_code) == (Reason.HEADER_QUORUM, "V1", 1)


def test_a_forged_header_with_one_seal_repeated_is_refused():
    scene = Scene()
    scene.ledger.at = scene.repository.seal(signers=[0, 0, 0, 1])
    assert scene.refusal().reason is Reason.HEADER_QUORUM


def test_a_forged_header_that_lists_the_forgers_as_validators_is_refused():
    scene = Scene()
    scene.ledger.at = scene.repository.seal(validators=Validators(seed=666))
    assert scene.refusal().reason is Reason.HEADER_QUORUM


def test_a_forged_header_with_another_state_root_under_good_seals_is_refused():
    scene = Scene()

    def other_root(proof):
        fields = rlp.decode_list(LedgerProof.decode(proof).header)
        fields[3] = bytes(32)
        return altered(proof, header=rlp.encode(fields))

    scene.ledger.tamper = other_root
    assert scene.refusal().reason is Reason.HEADER_QUORUM


def test_a_header_of_a_chain_without_seals_is_of_a_wrong_chain():
    scene = Scene()

    def proof_of_stake(proof):
        fields = rlp.decode_list(LedgerProof.decode(proof).header)
        fields[7], fields[12] = b"", b"geth"
        return altered(proof, header=rlp.encode(fields))

    scene.ledger.tamper = proof_of_stake
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.WRONG_CHAIN, "V1")


def test_old_validators_keys_seal_nothing_after_a_rotation():
    scene = Scene()
    repository = scene.repository
    old = repository.rotate_validators(seed=2)
    evil = repository.build(99)
    repository.publish(evil)
    scene.ledger.at = repository.seal(validators=old)
    assert scene.refusal().reason is Reason.HEADER_QUORUM


def test_old_validators_keys_still_seal_nothing_for_a_device_that_slept_through_three_rotations():
    scene = Scene()
    old = [scene.repository.rotate_validators(seed=seed) for seed in (2, 3, 4)]
    for validators in old:
        scene.ledger.at = scene.repository.seal(validators=validators, append=False)
        assert scene.reason() is Reason.HEADER_QUORUM
    scene.ledger.at = None
    scene.repository.seal()
    assert scene.installs(scene.release)
    assert len(scene.memory.roots) == 3


def test_a_rollback_to_an_older_block_is_refused():
    scene = Scene()
    old = scene.repository.chain[-1]
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    assert scene.reason() is Reason.REVOKED
    scene.ledger.at = old
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.LEDGER_ROLLBACK, "V2")


def test_a_rollback_below_the_trust_roots_first_block_is_refused():
    scene = Scene()
    scene.ledger.at = scene.repository.seal(number=scene.repository.first_block - 1)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.LEDGER_ROLLBACK, "V1")


def test_a_rollback_in_time_at_a_greater_height_is_refused():
    scene = Scene()
    scene.repository.seal()
    scene.consult()
    scene.ledger.at = scene.repository.seal(time=scene.repository.time - 10 * BLOCK_SECONDS, append=True)
    assert scene.refusal().reason is Reason.LEDGER_ROLLBACK


def test_a_replayed_proof_is_accepted_at_the_very_same_height_and_changes_nothing():
    scene = Scene()
    scene.consult()
    floor = scene.memory.floor
    assert scene.installs(scene.release)
    assert scene.memory.floor == floor


def test_a_split_view_at_one_height_is_refused_and_both_sides_are_shown():
    scene = Scene()
    scene.consult()
    scene.repository.revoke(bytes(32))
    scene.ledger.at = scene.repository.seal(number=scene.repository.chain[-1].number, append=False)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.SPLIT_VIEW, "V2")
    assert error.expected != error.got


def test_a_split_view_between_two_sources_stops_the_device_in_the_same_run():
    scene = Scene()
    fork = scene.repository.seal(time=scene.repository.chain[-1].time + 1, number=100, append=False)
    scene.ledgers.append(MemoryLedger(scene.repository, name="other side", at=fork))
    assert scene.refusal().reason is Reason.SPLIT_VIEW


def test_an_indefinite_freeze_is_noticed_by_the_clock():
    scene = Scene(max_checkpoint_age=3_600)
    frozen = scene.repository.chain[-1]
    assert scene.installs(scene.release, now_s=frozen.time + 3_600)
    error = scene.refusal(now_s=frozen.time + 3_601)
    assert (error.reason, error.check) == (Reason.STALE_LEDGER, "V2")


def test_an_indefinite_freeze_is_shown_as_an_unknown_age_where_there_is_no_clock():
    scene = Scene(max_checkpoint_age=3_600)
    answer = scene.consult(now_s=None)
    assert answer.learned.view.header.age_s is None
    assert any("age unknown" in step.found for step in answer.decision.steps if step.check == "V2")


def test_an_indefinite_freeze_cannot_hide_behind_a_clock_that_was_set_back():
    scene = Scene(max_checkpoint_age=3_600)
    answer = scene.consult(now_s=1)  # a real-time clock without a battery
    assert answer.learned.view.header.age_s is None


def test_a_withheld_revocation_is_found_out_by_any_other_source():
    scene = Scene()
    before = scene.repository.chain[-1]
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    for order in (1, -1):
        scene.memory.floor = None
        withholding = MemoryLedger(scene.repository, name="withholding", at=before)
        scene.ledgers = [withholding, MemoryLedger(scene.repository, name="honest")][::order]
        assert scene.reason() is Reason.REVOKED


def test_a_withheld_revocation_cannot_be_cut_out_of_the_proof():
    scene = Scene()
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    whole = LedgerProof.decode(scene.repository.proof(STABLE))
    refused = 0
    for left_out in range(len(whole.nodes)):
        nodes = whole.nodes[:left_out] + whole.nodes[left_out + 1 :]
        scene.ledger.replay = replace(whole, nodes=nodes).encode()
        reason = scene.reason()
        assert reason in {Reason.BAD_PROOF, Reason.REVOKED}
        refused += reason is Reason.BAD_PROOF
    assert refused >= len(whole.nodes) - 1


def test_a_withheld_revocation_by_an_older_tries_nodes_is_a_bad_proof():
    scene = Scene()
    before = scene.repository.proof(STABLE)
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    old_nodes = LedgerProof.decode(before).nodes
    scene.ledger.tamper = lambda proof: altered(proof, nodes=old_nodes)
    assert scene.refusal().reason is Reason.BAD_PROOF


def test_a_fast_forward_into_the_future_does_not_move_the_floor():
    scene = Scene()
    now = scene.repository.time
    far = scene.repository.seal(number=10**9, time=now + MAX_CLOCK_LEAD_S + 1, append=False)
    scene.ledger.at = far
    error = scene.refusal(now_s=now)
    assert (error.reason, error.check) == (Reason.HEADER_FROM_FUTURE, "V2")
    assert scene.memory.floor is None


def test_a_fast_forward_by_a_fresh_header_beside_a_broken_proof_does_not_move_the_floor():
    scene = Scene()
    scene.repository.seal()
    newest = scene.repository.chain[-1]
    greedy = MemoryLedger(scene.repository, name="greedy", at=newest, tamper=lambda p: altered(p, nodes=()))
    honest = MemoryLedger(scene.repository, name="honest but behind", at=scene.repository.chain[0])
    scene.ledgers = [greedy, honest]
    assert scene.installs(scene.release)
    assert scene.memory.floor.number == scene.repository.chain[0].number


def test_mix_and_match_of_one_blocks_header_with_anothers_state_is_a_bad_proof():
    scene = Scene()
    evil = scene.repository.build(11, signers=[])
    scene.repository.publish(evil)
    other = LedgerProof.decode(scene.repository.proof(STABLE, scene.repository.seal(append=False)))
    scene.ledger.at = scene.repository.chain[0]
    scene.ledger.tamper = lambda proof: altered(proof, nodes=other.nodes)
    assert scene.refusal().reason is Reason.BAD_PROOF


def test_a_staging_chain_with_the_same_validators_cannot_stand_in():
    scene = Scene()
    scene.repository.ledger_code_hash = bytes.fromhex("ab" * 32)
    scene.repository.seal()
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.WRONG_CONTRACT, "V3")
    assert error.expected == "0x" + CODE_HASH.hex()


def test_a_staging_chain_without_the_ledger_cannot_stand_in():
    scene = Scene()
    scene.repository.state = World  # a chain where nobody deployed anything
    scene.repository.seal()
    assert scene.refusal().reason is Reason.WRONG_CONTRACT


def test_dropped_requests_leave_the_other_sources():
    scene = Scene()
    scene.ledgers.insert(0, MemoryLedger(scene.repository, name="dead", down=True))
    answer = scene.consult()
    assert answer.decision.installs
    assert [refusal.source for refusal in answer.learned.refusals] == ["dead", "dead"]


def test_dropped_requests_by_all_are_unreachable_not_up_to_date():
    scene = Scene()
    scene.ledger.down = True
    error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNREACHABLE, 3)


def test_a_trust_root_that_is_withheld_is_shown_missing_by_the_ledger():
    scene = Scene()
    scene.repository.rotate_root()
    scene.repository.seal()
    scene.ledger.roots = []
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.TRUST_ROOT_MISSING, "V4")
    scene.ledger.roots = None
    assert scene.installs(scene.release)


def test_a_trust_root_that_the_ledger_has_not_heard_of_yet_is_fine():
    scene = Scene()
    scene.repository.rotate_root(announce=False)
    scene.repository.seal()
    assert scene.installs(scene.release)
    assert scene.consult().learned.view.root.version == 2


def test_a_factory_root_that_is_newer_than_the_ledgers_is_fine_when_its_ancestors_are_shown():
    scene = Scene()
    scene.repository.rotate_root()
    third = scene.repository.rotate_root(announce=False)
    scene.repository.seal()  # the ledger names version 2
    scene.memory = Notebook(third)
    assert scene.installs(scene.release)
    scene.memory = Notebook(third)
    scene.ledger.roots = []
    assert scene.reason() is Reason.TRUST_ROOT_MISSING


def test_an_ancestor_that_the_held_root_does_not_name_shows_nothing():
    scene = Scene()
    second = scene.repository.rotate_root()
    other = Repository(seed=666)
    scene.memory = Notebook(second)
    scene.repository.announce_root(SignedTrustRoot.decode(other.factory_root).digest)
    scene.repository.seal()
    scene.ledger.roots = [other.factory_root, scene.repository.factory_root]
    assert scene.reason() is Reason.TRUST_ROOT_MISSING


def test_a_trust_root_signed_by_one_stolen_root_key_is_refused_and_the_ledger_authorises_nothing():
    scene = Scene()
    repository = scene.repository
    thief = Repository(seed=666)
    taken = repository.next_root(release_keys=thief.root.release_keys)
    signed = repository.sign_root(taken, [repository.root_keys[0], *thief.root_keys])
    scene.ledger.roots = [signed]
    # Even a ledger whose digest names it (stolen governors) does not make it follow.
    repository.announce_root(SignedTrustRoot.decode(signed).digest)
    repository.seal()
    assert scene.reason() is Reason.TRUST_ROOT_MISSING
    assert scene.memory.roots == []


def test_a_refused_trust_root_does_not_stop_honest_sources():
    scene = Scene()
    scene.ledger.roots = [b"not a root"]
    scene.ledgers.append(MemoryLedger(scene.repository, name="honest"))
    answer = scene.consult()
    assert answer.decision.installs
    assert Reason.BAD_TRUST_ROOT in {refusal.error.reason for refusal in answer.learned.refusals}


def test_a_mirror_that_strips_a_spare_signature_from_a_root_does_not_strand_the_device():
    scene = Scene()
    repository = scene.repository
    second = repository.next_root()
    whole = repository.sign_root(second, repository.root_keys)  # three signatures, two are needed
    stripped = repository.sign_root(second, repository.root_keys[:2])
    repository.roots.append(second)
    repository.signed_roots.append(whole)
    repository.announce_root()
    repository.seal()
    scene.ledger.roots = [stripped]
    assert scene.installs(scene.release)
    assert scene.memory.roots == [stripped]
    scene.ledger.roots = None
    third = repository.rotate_root()  # its `previous` names the whole envelope
    repository.seal()
    assert scene.installs(scene.release)
    assert scene.memory.roots == [stripped, third]


def test_an_expired_trust_root_is_refused_by_the_clock_and_by_a_proven_header():
    scene = Scene()
    expires = scene.repository.time + 1_000
    scene.repository.rotate_root(expires=expires)
    scene.repository.seal()
    assert scene.installs(scene.release, now_s=expires - 1)
    assert scene.reason(now_s=expires) is Reason.TRUST_ROOT_EXPIRED
    scene.ledger.at = scene.repository.seal(time=expires)
    assert scene.reason(now_s=None) is Reason.TRUST_ROOT_EXPIRED


def test_a_device_wakes_up_over_an_expired_root_when_a_newer_one_follows():
    scene = Scene()
    scene.repository.rotate_root(expires=scene.repository.time + 1)
    scene.repository.rotate_root(expires=None)
    scene.repository.seal()
    assert scene.installs(scene.release, now_s=scene.repository.time + 10_000)


def test_a_floor_belongs_to_its_ledger_and_headers():
    scene = Scene()
    for _ in range(5):
        scene.repository.seal()
    scene.consult()
    # A move to another chain starts from that root's own first block, below the height reached before.
    scene.repository.chain.clear()
    moved = replace(scene.repository.root.ledger, from_block=50)
    scene.repository.first_block = 50
    scene.repository.rotate_root(ledger=moved)
    scene.repository.seal()
    assert scene.installs(scene.release)
    assert scene.memory.floor.number == 50


@pytest.mark.parametrize("rubbish", [b"", b"\xa0", b"\xff" * 100, b"{}", bytes(70_000)])
def test_a_lying_source_that_sends_rubbish_is_refused(rubbish):
    scene = Scene()
    scene.ledger.replay = rubbish
    assert scene.refusal().reason is Reason.BAD_PROOF


def test_endless_proofs_are_refused_before_they_are_read():
    scene = Scene()
    proof = LedgerProof.decode(scene.repository.proof(STABLE))
    with pytest.raises(ProtocolError):
        replace(proof, nodes=proof.nodes * 400).encode()
    scene.ledger.replay = b"\xa3" + b"\x00" * 66_000
    assert scene.refusal().reason is Reason.BAD_PROOF


def test_a_note_in_place_of_a_header_is_refused():
    scene = Scene()
    scene.ledger.tamper = lambda proof: altered(proof, header=None, note=b"origin/evm/1337\n")
    assert scene.refusal().reason is Reason.NOTE_UNSUPPORTED


@pytest.mark.parametrize("first", ["the hostile one", "the honest one"])
def test_malicious_mirror_that_withholds_the_envelopes_hint_does_not_hide_the_release(first):
    scene = Scene()
    hostile = MemoryLedger(scene.repository, name="hostile")
    hostile.tamper = lambda proof: altered(proof, envelopes=())
    scene.ledgers = [hostile, scene.ledger] if first == "the hostile one" else [scene.ledger, hostile]
    assert scene.installs(scene.release)


def test_malicious_mirror_with_the_newest_block_and_false_hints_does_not_hide_the_release():
    scene = Scene()
    scene.ledger.at = scene.repository.chain[-1]
    scene.repository.seal()
    false = tuple(Cid.of(DAG_CBOR, bytes([n])).to_bytes() for n in range(64))
    hostile = MemoryLedger(scene.repository, name="hostile")
    hostile.tamper = lambda proof: altered(proof, envelopes=false)
    scene.ledgers = [hostile, scene.ledger]
    assert scene.installs(scene.release)


def test_withheld_revocation_by_a_root_that_starts_the_floor_afresh_is_remembered():
    scene = Scene()
    before = scene.repository.chain[-1]
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    assert scene.reason() is Reason.REVOKED
    trust = scene.repository.root.headers.qbft
    assert trust is not None
    scene.repository.rotate_root(headers=HeaderTrust(replace(trust, min_validators=3), None, "any"))
    scene.ledger.at = before
    assert scene.reason() is Reason.REVOKED
    assert scene.memory.floor is not None
    assert scene.memory.floor.number == before.number, (
        "the floor itself starts from the new root's first block"
    )


def test_a_cut_right_after_a_proof_is_accepted_forgets_no_revocation(monkeypatch):
    scene = Scene()
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()

    def cut(_):
        raise PowerCut

    monkeypatch.setattr(scene.memory, "keep_floor", cut)
    with pytest.raises(PowerCut):
        scene.consult()
    assert set(scene.memory.revocations()) == {scene.release.id}
