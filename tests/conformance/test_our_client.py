"""Our own device, driven as anybody's client is, passes every case of the suite."""

import pytest

from tests.conformance.judging import failed_cases


@pytest.mark.timeout(300)
def test_our_device_passes_every_case(monkeypatch):
    assert failed_cases("device_verifier.conformance", monkeypatch) == {}
