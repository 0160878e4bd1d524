"""Our own device, driven as anybody's client is, passes every case of the suite."""

import sys

import pytest

from ledger_client.conformance.catalogue import CASES
from ledger_client.conformance.client import PersistentClient
from ledger_client.conformance.runner import run_cases


@pytest.mark.timeout(300)
def test_our_device_passes_every_case():
    adapter = f"{sys.executable} -m device_verifier.conformance"
    results = run_cases(list(CASES.values()), lambda: PersistentClient(adapter), jobs=4)
    assert {result.case.id: result.failures for result in results if not result.passed} == {}
    assert len(results) == len(CASES)
