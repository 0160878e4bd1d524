"""Each broken client fails exactly the cases that its defect is about. One half; the other runs beside it."""

import pytest

from tests.conformance.defects import DEFECTS
from tests.conformance.judging import failed_cases

HALF = DEFECTS[0::2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("defect", HALF, ids=lambda defect: defect.client)
def test_a_broken_client_fails_the_cases_of_its_defect_and_no_others(defect, monkeypatch):
    failed = failed_cases(f"tests.conformance.broken.{defect.client}", monkeypatch)
    assert set(failed) == defect.cases
