"""100,000 seeded mutations of everything that is verified, and not one false accept; some ten minutes:
pytest tests/soak/mutated_proofs.py
"""

import random

import pytest

from tests.sim.mutator import Tally, attack
from tests.sim.subjects import bundle_subject, document_subjects, ledger_subjects

SUBJECTS = {subject.name: subject for subject in (*ledger_subjects(), *document_subjects(), bundle_subject())}
TOTAL = 100_000
SHARE, REST = divmod(TOTAL, len(SUBJECTS))


@pytest.mark.parametrize(("place", "name"), enumerate(SUBJECTS))
def test_no_mutation_is_believed(place, name, capsys):
    tally = Tally()
    attack(SUBJECTS[name], random.Random(f"soak {name}"), SHARE + (place < REST), tally)
    with capsys.disabled():
        print(f"\n{name}\n{tally}")
    assert not tally.false
    assert tally.total == SHARE + (place < REST)
