"""Run the whole suite against one client, and say which cases it failed, and how."""

import sys
from pathlib import Path

from ledger_client.conformance.catalogue import CASES
from ledger_client.conformance.client import PersistentClient
from ledger_client.conformance.runner import run_cases

ROOT = Path(__file__).parents[2]
# In memory where there is such a place: the device flushes every step to the disk, which proves nothing here.
MEMORY = Path("/dev/shm")


def failed_cases(adapter, monkeypatch):
    """What went wrong, by case, with the adapter that is this Python module."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if MEMORY.is_dir():
        monkeypatch.setattr("tempfile.tempdir", str(MEMORY))
    command = f"{sys.executable} -m {adapter}"
    results = run_cases(list(CASES.values()), lambda: PersistentClient(command), jobs=4)
    assert len(results) == len(CASES)
    return {result.case.id: result.failures for result in results if not result.passed}
