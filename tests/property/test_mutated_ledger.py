"""5,000 seeded mutations of ledger proofs and of a real network's header, and not one false accept. `make soak`
runs ten times as many of everything.
"""

import random

import pytest

from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import LedgerProof
from tests.sim.mutator import Subject, Tally, attack, mutation
from tests.sim.subjects import ledger_subjects

SUBJECTS = {subject.name: subject for subject in ledger_subjects()}
EACH = 625
EVERY_KIND = {
    "bytes: bit flipped",
    "bytes: splice",
    "cbor: not canonical",
    "container: null",
    "field: from another document",
    "forge: hashes mended",
    "rlp: not canonical",
    "rlp container: repeated",
    "rlp container: swapped",
    "rlp field: from another document",
    "rlp rlp container: repeated",
}


def test_all_mutations_together_are_5_000():
    assert EACH * len(SUBJECTS) == 5_000


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_mutation_of_a_proof_is_believed(name):
    tally = Tally()
    subject = SUBJECTS[name]
    assert subject.is_true(subject.verify(subject.document))
    attack(subject, random.Random(f"ci {name}"), EACH, tally)
    print(f"{name}\n{tally}")
    assert tally.total == EACH
    assert not tally.false
    assert tally.refused.total() > EACH // 2


def test_every_kind_of_mutation_comes():
    rng = random.Random(3)
    assert {mutation(SUBJECTS["sealed at round 2"], rng)[0] for _ in range(6_000)} >= EVERY_KIND


def _without(subject: Subject, verify) -> Tally:
    """Attack a verifier that lacks a check."""
    tally = Tally()
    broken = Subject(
        subject.name, subject.document, verify, subject.is_true, subject.strays, subject.refusals
    )
    attack(broken, random.Random(4), 600, tally)
    return tally


def test_a_verifier_that_counts_no_seals_is_caught():
    network = SUBJECTS["header of a real network"]

    def unsealed(data):
        header = parse_header(data)
        return qbft.block_hash(header), header.state_root, header.timestamp

    assert _without(network, unsealed).false


def test_a_verifier_that_believes_its_source_is_caught():
    proof = SUBJECTS["sealed at round 0"]
    truth = proof.verify(proof.document)

    def believing(data):
        header = parse_header(LedgerProof.decode(data).header)
        return truth if header.number == 101 else header.number

    assert _without(proof, believing).false


def test_an_error_of_another_family_is_caught():
    proof = SUBJECTS["sealed at round 0"]

    def leaking(data):
        try:
            return proof.verify(data)
        except proof.refusals as error:
            raise ValueError from error

    tally = _without(proof, leaking)
    assert len(tally.false) == tally.total - tally.same.total()
