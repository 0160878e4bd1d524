"""Attacks on devices whose trust root pins witnesses (protocol.md §4 and §8), and what such devices accept."""

from dataclasses import replace

import pytest

from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import MAX_CLOCK_LEAD_S, TrustedLedger
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import WitnessNote
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import altered
from tests.sim.scene import Scene
from tests.sim.witnesses import Witnesses

STABLE = StateQuery(channel="stable")
YEAR_S = 31_536_000


def noted(**repository):
    """A scene on a chain without seals: witnesses alone are pinned, three of five."""
    return Scene(witnesses=Witnesses(5), sealed=False, **repository)


def doubly(require, **repository):
    """A scene whose root pins both validators and witnesses."""
    return Scene(witnesses=Witnesses(5), require=require, **repository)


def serve(scene, signers, block=None, **changes):
    """Serve a block's proof with a note by these signers, saying other things of it."""
    repository = scene.repository
    block = block or repository.chain[-1]
    note = repository.witnesses.note(repository.checkpoint(block, **changes), signers, time_s=repository.time)
    scene.ledger.replay = altered(repository.proof(STABLE, block), note=note)


def accepted(scene, *, now_s=None, floor=None):
    trusted = TrustedLedger(trust_root=scene.repository.factory_root, floor=floor, now_s=now_s)
    trusted.update_header(scene.ledger.replay or scene.repository.proof(STABLE))
    return trusted.read(STABLE)


# -- witnesses alone


def test_a_note_of_three_of_five_witnesses_is_enough_without_a_header():
    scene = noted()
    assert LedgerProof.decode(scene.repository.proof(STABLE)).header is None
    assert scene.installs(scene.release)
    view = accepted(scene)
    assert (view.header.number, view.header.witnessed_at) == (100, scene.repository.time)
    assert view.steps[1].expected == "noted by enough pinned witnesses"


@pytest.mark.parametrize("signers", [[0], [0, 1], [3, 4]])
def test_threshold_minus_one_witnesses_are_refused(signers):
    scene = noted()
    serve(scene, signers)
    error = scene.refusal()
    assert (error.reason, error.check, error.exit_code) == (Reason.NOTE_QUORUM, "V1", 1)


def test_a_forged_note_of_strangers_is_refused():
    scene = noted()
    strangers = Witnesses(5, seed=666)
    note = strangers.note(scene.repository.checkpoint(scene.repository.chain[-1]), range(5))
    scene.ledger.replay = altered(scene.repository.proof(STABLE), note=note)
    assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_a_forged_header_beside_no_note_is_refused():
    scene = noted()
    block = scene.repository.chain[-1]
    scene.ledger.replay = altered(scene.repository.proof(STABLE), note=None, header=block.raw_header)
    assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_a_note_of_another_chain_by_the_same_witnesses_is_refused():
    scene = noted()
    staging = replace(scene.repository.witnesses.trust(), origin="acme.example/evm/1338")
    serve(scene, range(5), origin=staging.origin)
    assert scene.refusal().reason is Reason.WRONG_CHAIN


def test_a_note_whose_text_was_changed_is_refused():
    scene = noted()
    proof = LedgerProof.decode(scene.repository.proof(STABLE))
    note = WitnessNote.decode(proof.note)
    other = replace(note, checkpoint=replace(note.checkpoint, number=999)).encode()
    scene.ledger.replay = replace(proof, note=other).encode()
    assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_a_note_with_one_key_signing_twice_is_refused():
    scene = noted()
    repository = scene.repository
    point = repository.checkpoint(repository.chain[-1])
    lines = [
        repository.witnesses.sign(place, point, time).signatures[0]
        for place, time in ((0, 1), (0, 2), (1, 1))
    ]
    note = repository.witnesses.note(point, [0])
    tail = [WitnessNote(point, (line,)).encode().split(b"\n\n")[1] for line in lines[1:]]
    scene.ledger.replay = altered(repository.proof(STABLE), note=note + b"".join(tail))
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.BAD_PROOF, "V1")


@pytest.mark.parametrize("rubbish", [b"x", b"\n\n\n", b"acme.example/evm/1337\n", bytes(8_000)])
def test_a_note_that_is_none_is_refused(rubbish):
    scene = noted()
    scene.ledger.replay = altered(scene.repository.proof(STABLE), note=rubbish)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.BAD_PROOF, "V1")


def test_a_note_beside_nodes_of_another_state_is_refused():
    scene = noted()
    serve(scene, range(3), state_root=bytes(32))
    assert scene.refusal().reason is Reason.BAD_PROOF


def test_a_note_from_before_the_roots_first_block_is_refused():
    scene = noted()
    serve(scene, range(3), number=99)
    assert scene.refusal().reason is Reason.LEDGER_ROLLBACK


def test_a_note_of_a_height_beyond_what_can_be_kept_is_refused():
    scene = noted()
    serve(scene, range(3), number=2**63)
    assert scene.refusal().reason is Reason.WRONG_CHAIN


def test_a_split_view_by_witnesses_is_refused_and_told():
    scene = noted()
    scene.consult()
    serve(scene, [2, 3, 4], hash=b"\x66" * 32)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.SPLIT_VIEW, "V2")


def test_a_rollback_to_an_older_note_is_refused():
    scene = noted()
    old = scene.repository.chain[-1]
    scene.repository.seal()
    scene.consult()
    serve(scene, range(5), old)
    assert scene.refusal().reason is Reason.LEDGER_ROLLBACK


# -- how old a note is


def test_a_stolen_witness_key_does_not_refresh_an_old_note():
    scene = noted(max_checkpoint_age=86_400)
    then = scene.repository.time
    now = then + YEAR_S
    serve(scene, {0: then, 1: then, 2: then, 3: now, 4: now})
    error = scene.refusal(now_s=now)
    assert (error.reason, error.check) == (Reason.STALE_LEDGER, "V2")


def test_a_heartbeat_of_enough_witnesses_keeps_an_idle_chain_fresh():
    scene = noted(max_checkpoint_age=86_400)
    now = scene.repository.time + YEAR_S
    serve(scene, dict.fromkeys(range(3), now - 60))
    assert scene.installs(scene.release, now_s=now)
    assert accepted(scene, now_s=now).header.age_s == 60


def test_without_a_clock_the_age_is_unknown_and_no_reason_to_refuse():
    scene = noted(max_checkpoint_age=60)
    assert scene.installs(scene.release, now_s=None)
    assert accepted(scene).header.age_s is None


def test_a_witness_with_a_clock_of_1970_makes_a_block_no_older_than_it_is():
    scene = noted(max_checkpoint_age=86_400)
    serve(scene, dict.fromkeys(range(3), 0))
    block = scene.repository.chain[-1]
    assert accepted(scene, now_s=block.time + 100).header.age_s == 100


def test_a_note_of_2106_by_enough_stolen_keys_is_from_the_future():
    scene = noted()
    now = scene.repository.time
    serve(scene, dict.fromkeys(range(3), 2**32))
    error = scene.refusal(now_s=now)
    assert (error.reason, error.check) == (Reason.HEADER_FROM_FUTURE, "V2")
    serve(scene, dict.fromkeys(range(3), now + MAX_CLOCK_LEAD_S))
    assert scene.installs(scene.release, now_s=now)
    # Two of them do not even make it look newer.
    serve(scene, {0: now, 1: 2**32, 2: 2**32})
    assert scene.installs(scene.release, now_s=now)


def test_an_expired_trust_root_is_refused_by_the_time_of_witnesses():
    scene = noted()
    expires = scene.repository.time + 1_000
    scene.repository.rotate_root(expires=expires)
    scene.repository.seal()
    serve(scene, dict.fromkeys(range(3), expires - 1))
    assert scene.installs(scene.release, now_s=None)
    serve(scene, dict.fromkeys(range(3), expires))
    assert scene.reason(now_s=None) is Reason.TRUST_ROOT_EXPIRED


# -- both paths


def test_both_paths_agree_where_both_are_required():
    scene = doubly("all")
    assert scene.installs(scene.release)
    view = accepted(scene)
    assert view.steps[1].expected == (
        "sealed by a quorum of pinned validators and noted by enough pinned witnesses"
    )
    assert view.header.witnessed_at == scene.repository.time


def test_seals_alone_are_refused_where_both_are_required():
    scene = doubly("all")
    scene.ledger.tamper = lambda proof: altered(proof, note=None)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.NOTE_QUORUM, "V1")


def test_a_note_alone_is_refused_where_both_are_required():
    scene = doubly("all")
    scene.ledger.tamper = lambda proof: altered(proof, header=None)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.NOTE_UNSUPPORTED, "V1")


def test_stolen_validators_are_stopped_by_witnesses_where_both_are_required():
    scene = doubly("all")
    forged = scene.repository.seal(number=100, time=scene.repository.time + 5, append=False)
    honest = scene.repository.proof(STABLE, scene.repository.chain[-1])
    note = LedgerProof.decode(honest).note
    scene.ledger.replay = altered(scene.repository.proof(STABLE, forged), note=note)
    error = scene.refusal()
    assert (error.reason, error.check) == (Reason.SPLIT_VIEW, "V1")


def test_stolen_witnesses_are_stopped_by_validators_where_both_are_required():
    scene = doubly("all")
    scene.ledger.at = scene.repository.seal(signers=[0, 1])
    assert scene.refusal().reason is Reason.HEADER_QUORUM


@pytest.mark.parametrize("changes", [{"hash": bytes(32)}, {"state_root": bytes(32)}, {"time": 1_800_000_001}])
@pytest.mark.parametrize("require", ["any", "all"])
def test_paths_that_contradict_each_other_are_a_split_view(require, changes):
    scene = doubly(require)
    serve(scene, range(3), **changes)
    assert scene.refusal().reason is Reason.SPLIT_VIEW


@pytest.mark.parametrize("require", ["any", "all"])
def test_a_note_of_another_block_than_the_header_is_refused(require):
    scene = doubly(require)
    serve(scene, range(3), number=101)
    assert scene.refusal().reason is Reason.NOTE_QUORUM


@pytest.mark.parametrize("left_out", ["header", "note"])
def test_either_path_is_enough_where_any_is_required(left_out):
    scene = doubly("any")
    scene.ledger.tamper = lambda proof: altered(proof, **{left_out: None})
    assert scene.installs(scene.release)


def test_a_path_that_fails_does_not_matter_where_any_is_required():
    scene = doubly("any")
    scene.ledger.at = scene.repository.seal(signers=[0])
    assert scene.installs(scene.release)
    scene.ledger.at = None
    scene.repository.seal()
    serve(scene, [0, 1])
    assert scene.installs(scene.release)


def test_two_paths_that_both_fail_are_refused():
    scene = doubly("any")
    serve(scene, [0, 1], scene.repository.seal(signers=[0]))
    assert scene.refusal().reason is Reason.HEADER_QUORUM


def test_a_note_beside_good_seals_is_passed_over_where_no_witnesses_are_pinned():
    scene = Scene()
    scene.ledger.tamper = lambda proof: altered(proof, note=b"whatever it says")
    assert scene.installs(scene.release)


def test_a_chain_that_moves_from_seals_to_witnesses_does_so_by_a_new_root():
    scene = Scene()
    scene.consult()
    repository = scene.repository
    repository.witnesses, repository.with_headers = Witnesses(5), False
    headers = replace(repository.root.headers, qbft=None, witnesses=repository.witnesses.trust())
    repository.rotate_root(headers=headers)
    repository.seal()
    assert scene.installs(scene.release)
