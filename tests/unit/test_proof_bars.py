"""The bars that a ledger proof has to keep, measured by the benchmark that the docs quote."""

from __future__ import annotations

import pytest

from benchmarks.proof import MAX_BYTES_AT_100_CHANNELS, MAX_CPU_MS, Row, measure, missed_bars


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [measure(100, devices) for devices in (10, 2_000)]


def test_a_proof_is_under_6_kb_at_100_channels(rows):
    assert max(row.bytes_max for row in rows) < MAX_BYTES_AT_100_CHANNELS


def test_enrolled_devices_cost_a_proof_nothing(rows):
    few, many = rows
    assert (few.bytes_min, few.bytes_mean, few.bytes_max) == (many.bytes_min, many.bytes_mean, many.bytes_max)


def test_a_proof_verifies_in_under_10_ms_of_cpu(rows):
    assert max(row.cpu_ms for row in rows) < MAX_CPU_MS


def test_a_missed_bar_is_named():
    good = Row(channels=1, devices=10, bytes_min=1, bytes_mean=1, bytes_max=1, cpu_ms=1)
    large = Row(channels=1, devices=2_000, bytes_min=1, bytes_mean=2, bytes_max=6_001, cpu_ms=1)
    slow = Row(channels=1, devices=2_000, bytes_min=1, bytes_mean=1, bytes_max=1, cpu_ms=10.5)
    assert missed_bars([good, good]) == []
    assert len(missed_bars([good, large])) == 2
    assert len(missed_bars([good, slow])) == 1
