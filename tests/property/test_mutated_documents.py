"""5,000 seeded mutations of trust roots, releases, receipts, queues, notes and bundles, and not one false accept.
`make soak` runs ten times as many of everything.
"""

import random

import pytest

from tests.sim.mutator import Tally, attack
from tests.sim.subjects import bundle_subject, document_subjects

SUBJECTS = {subject.name: subject for subject in (*document_subjects(), bundle_subject())}
EACH = 500


def test_all_mutations_together_are_5_000():
    assert EACH * len(SUBJECTS) == 5_000


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_mutation_of_a_document_is_believed(name):
    tally = Tally()
    subject = SUBJECTS[name]
    assert subject.is_true(subject.verify(subject.document))
    attack(subject, random.Random(f"ci {name}"), EACH, tally)
    print(f"{name}\n{tally}")
    assert tally.total == EACH
    assert not tally.false
    assert tally.refused
