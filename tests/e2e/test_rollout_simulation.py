"""The simulation behind docs/rollouts.md: the real contracts and the model agree, and the bars hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.rollout import disagreements
from benchmarks.rollouts import pages
from benchmarks.rollouts.engine import Result, run
from benchmarks.rollouts.on_chain import START_S, ChainSide
from benchmarks.rollouts.on_model import ModelSide
from benchmarks.rollouts.plan import HOUR_S, Fleet, Scenario, draw
from benchmarks.rollouts.scenarios import ON_CHAIN, SCENARIOS, UNHELD, VARIANTS, missed_bars
from benchmarks.rollouts.site import found_site
from benchmarks.rollouts.work import beside_model, difference, on_model
from ledger_client.acts import Rollout
from local_chain.library import LocalChain

DEVICES, FLEET = 120, 10_000
# The same shape as the advised rollout, for a fleet in which a canary of 300 is more than all.
SMALL = Rollout(initial_bps=3_000, hold_hours=12, ramp_hours=6, halt_bps=500, min_reports=20)


@pytest.fixture(scope="module")
def site():
    with LocalChain() as chain:
        yield found_site(chain, Fleet.of(DEVICES), tell=print)


@pytest.mark.parametrize(
    ("scenario", "halted"),
    [
        (Scenario("late failures", 1_000, SMALL, late_s=6 * HOUR_S), True),
        (Scenario("a good release, one rooted device", 100, SMALL, rooted=True), False),
        (Scenario("a bad release, one rooted device", 1_500, SMALL, rooted=True), True),
        (Scenario("silent bricks, a guardian looks", 1_500, SMALL, silent=True, watched=True), True),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
def test_the_model_says_line_by_line_what_the_contracts_do(site, scenario, halted):
    outcome = beside_model(scenario, 3, site)
    assert outcome.differs == ""
    assert (outcome.result.halted_s is not None) == halted
    assert outcome.result.votes[0] == outcome.result.installed + scenario.rooted


def test_a_model_with_another_breaker_is_found_out(site):
    scenario = Scenario("fails", 1_500, SMALL)
    side = ChainSide(draw(scenario, 3, site.fleet), site)
    run(side.plan, side)
    deafer = replace(scenario, rollout=replace(SMALL, min_reports=40))
    model = ModelSide(draw(deafer, 3, site.fleet), published_at=START_S, pens=side.pens())
    run(model.plan, model)
    assert difference(side, model).startswith("line ")


def test_the_statistic_runs_what_ran_on_the_chain(site):
    scenario = Scenario("fails", 1_500, SMALL)
    outcome = beside_model(scenario, 3, site)
    chain = {scenario.name: outcome}
    same = on_model(scenario, range(2, 5), DEVICES)
    assert disagreements(chain, {scenario.name: same}) == []
    other = [replace(result, reports=0) for result in same]
    assert len(disagreements(chain, {scenario.name: other})) == 1


@pytest.fixture(scope="module")
def found() -> dict[str, list[Result]]:
    return {one.name: on_model(one, range(1, 21 if one.bad else 3), FLEET) for one in SCENARIOS}


def test_bad_releases_are_halted_and_good_ones_go_through(found):
    assert missed_bars(found, devices=FLEET) == []


def test_a_rooted_device_changes_no_verdict(found):
    for share in ("7 %", "1 %"):
        honest, rooted = found[f"{share} fail, prompt reports"], found[f"{share} fail, one rooted device"]
        assert [r.halted_s is None for r in honest] == [r.halted_s is None for r in rooted]


def test_nobody_but_a_guardian_stops_silent_bricks():
    (unwatched,) = (one for one in UNHELD if one.silent)
    (result,) = on_model(unwatched, range(1, 2), FLEET)
    assert result.halted_s is None
    assert result.votes == (FLEET, FLEET - 700, 0)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("7 % fail, prompt reports", {"halted_s": None}, "was not halted"),
        ("7 % fail, prompt reports", {"failed": 100}, "had 100 failures"),
        ("1 % fail, prompt reports", {"halted_s": 7_200}, "0 of 1 went through"),
        ("1 % fail, one rooted device", {"votes": (10_001, 0, 0)}, "counted 10001 devices"),
    ],
)
def test_a_missed_bar_is_named(name, changes, words):
    good = Result("", 1, None, 0, 99, 9_999, (9_999, 9_900, 99), 20_000, 3_600)
    results = {one.name: [replace(good, halted_s=3_600 if one.bad else None)] for one in SCENARIOS}
    assert missed_bars(results, devices=FLEET) == []
    results[name] = [replace(results[name][0], **changes)]
    (missed,) = missed_bars(results, devices=FLEET)
    assert missed.startswith(name)
    assert words in missed


def test_the_page_shows_every_scenario_and_every_number():
    page = pages.PAGE.read_text(encoding="utf-8")
    for place, names in (
        ("chain", [one.name for one in ON_CHAIN]),
        ("statistic", [one.name for one in (*SCENARIOS, *UNHELD)]),
        ("numbers", list(VARIANTS)),
    ):
        table = page.split(f"<!-- {place} -->\n")[1].split("<!-- end -->")[0]
        assert sorted(names) == sorted(
            row.split("|")[1].strip() for row in table.splitlines()[2:] if "|" in row
        )


def test_a_table_takes_its_place_in_a_page():
    page = "above\n<!-- one -->\nold\n<!-- end -->\nbetween\n<!-- two -->\n<!-- end -->\n"
    assert pages.placed(page, "one", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="not enough values"):
        pages.placed(page, "three", "new")
