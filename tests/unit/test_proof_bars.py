"""The bars that a ledger proof and a check have to keep, measured by the benchmarks that the docs quote."""

from __future__ import annotations

import pytest

from benchmarks import cold_start
from benchmarks.proof import MAX_BYTES, MAX_CPU_MS, Row, bar_bytes, measure, missed_bars


@pytest.fixture(scope="module", params=[1, 10, 100])
def rows(request: pytest.FixtureRequest) -> list[Row]:
    return measure(request.param)


def test_a_proof_keeps_its_bar_of_bytes(rows):
    assert max(row.bytes_mean for row in rows) < bar_bytes(rows[0].channels)


def test_the_largest_of_a_hundred_channels_proofs_keeps_the_bar_too(rows):
    assert rows[0].channels != 100 or rows[0].bytes_max < bar_bytes(100)


def test_enrolled_devices_cost_a_proof_nothing(rows):
    few, many = rows
    assert few.devices < many.devices
    assert (few.bytes_min, few.bytes_mean, few.bytes_max) == (many.bytes_min, many.bytes_mean, many.bytes_max)


def test_a_whole_check_takes_under_10_ms_of_cpu(rows):
    assert max(row.cpu_ms for row in rows) < MAX_CPU_MS


def test_the_bars_are_those_of_the_issue():
    assert MAX_BYTES == {10: 3_500, 100: 6_000, 10_000: 11_000}
    assert [bar_bytes(channels) for channels in (1, 10, 11, 100, 1_000, 10_000)] == [
        3_500, 3_500, 6_000, 6_000, 11_000, 11_000,
    ]  # fmt: skip


def test_a_missed_bar_is_named():
    def row(**changes: float) -> Row:
        fields = {"bytes_min": 1, "bytes_mean": 1, "bytes_max": 1, "cpu_ms": 1.0} | changes
        return Row(channels=100, devices=10, measured=1, **fields)  # type: ignore[arg-type]

    assert missed_bars([row(), row()]) == []
    assert len(missed_bars([row(), row(bytes_mean=6_001)])) == 2
    assert len(missed_bars([row(), row(cpu_ms=10.5)])) == 1


def test_a_cold_check_spends_less_cpu_than_its_bar_of_time():
    """Wall time belongs to the benchmark: tests share their machine."""
    _, cpu_s = cold_start.measure(processes=3)
    assert cpu_s < cold_start.MAX_WALL_S
