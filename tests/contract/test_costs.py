"""docs/costs.md says what the gas bars say."""

from __future__ import annotations

from tests.support import costs


def test_the_page_of_costs_is_computed_from_the_bars() -> None:
    assert costs.PAGE.read_text(encoding="utf-8") == costs.page(), "run: python -m tests.support.costs"


def test_a_cost_is_gas_times_price() -> None:
    assert costs.usd(1_000_000, 5.0) == "15.00"
    assert costs.usd(50_000, 0.02) == "0.0030"
    assert costs.usd(1_000_000_000, 5.0) == "15,000"
