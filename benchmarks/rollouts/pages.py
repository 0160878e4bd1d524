"""The tables, and docs/rollouts.md around them."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rollouts.plan import HOUR_S, Scenario
from benchmarks.rollouts.scenarios import BAD_BPS, GOOD_BPS, LATE_S, MAX_FAILED_PERCENT, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rollouts.engine import Result
    from benchmarks.rollouts.work import ChainOutcome
    from ledger_client.acts import Rollout

PAGE = Path(__file__).parents[2] / "docs" / "rollouts.md"
_VERY_LATE_S = 24 * HOUR_S
# A place in the page is kept between two such lines, the table's name in the first.
_BEGIN, _END = "<!-- {} -->", "<!-- end -->"


def chain_table(chain: Mapping[str, ChainOutcome], *, devices: int) -> str:
    """What became of each scenario on the real contracts."""
    rows = []
    for name, outcome in chain.items():
        r = outcome.result
        installed, confirmed, failed = r.votes
        rows.append(
            (
                name,
                _ending(r),
                f"{r.installed:,}",
                _of_fleet(r.failed, devices),
                f"{installed:,} / {confirmed:,} / {failed:,}",
                f"{installed - confirmed - failed:,}",
                f"{r.reports:,} in {outcome.batches:,}",
                f"{outcome.gas / 1e6:,.0f} M",
                f"{outcome.cpu_s:.0f} s",
                "DIFFERS" if outcome.differs else f"{outcome.lines:,} lines",
            )
        )
    return _table(
        f"{devices:,} devices on the real contracts",
        "ended",
        "installed",
        "failed",
        "votes: installed / confirmed / failed",
        "installed, then silent",
        "reports in batches",
        "gas",
        "CPU",
        "same as the model",
        rows=rows,
    )


def statistic_table(held: Mapping[str, Sequence[Result]], *, devices: int) -> str:
    """What became of each scenario over all seeds."""
    bars = {one.name: one for one in SCENARIOS}
    rows = []
    for name, results in held.items():
        halts = [r for r in results if r.halted_s is not None]
        worst = max(r.failed for r in results)
        if name not in bars:
            bar = "none"
        elif bars[name].bad:
            bar = f"all halted, failed under {MAX_FAILED_PERCENT} %"
        else:
            bar = "98 % go through"
        rows.append(
            (
                name,
                f"{len(halts)} of {len(results)}",
                _hours(halts),
                _of_fleet(max(r.failed_at_halt for r in results), devices),
                _of_fleet(round(statistics.median(r.failed for r in results)), devices),
                _of_fleet(worst, devices),
                bar,
            )
        )
    return _table(
        "over all seeds",
        "halted",
        "after hours",
        "failed when halted, worst",
        "failed in the end, median",
        "worst",
        "bar",
        rows=rows,
    )


def questions(variant: str, rollout: Rollout) -> tuple[Scenario, ...]:
    """What is asked of other numbers than those advised."""
    return (
        Scenario(f"{variant}: 7 %, prompt", BAD_BPS, rollout),
        Scenario(f"{variant}: 7 %, 6 h late", BAD_BPS, rollout, late_s=LATE_S),
        Scenario(f"{variant}: 7 %, 24 h late", BAD_BPS, rollout, late_s=_VERY_LATE_S),
        Scenario(f"{variant}: 1 %, prompt", GOOD_BPS, rollout),
    )


def variants_table(variants: Mapping[str, Mapping[str, Sequence[Result]]], *, devices: int) -> str:
    """What each number buys: the worst that failed of a bad release, and how a good one fares."""
    rows = []
    for name, found in variants.items():
        prompt, late, very_late, good = found.values()
        through = [r for r in good if r.halted_s is None]
        rows.append(
            (
                name,
                *(_of_fleet(max(r.failed for r in some), devices) for some in (prompt, late, very_late)),
                f"{len(good) - len(through)} of {len(good)}",
                f"{max(r.lasted_s for r in through) / HOUR_S:.0f} h" if through else "-",
            )
        )
    return _table(
        "what differs",
        "7 %, prompt: failed",
        "7 %, told 6 h late",
        "7 %, told 24 h late",
        "1 % release halted",
        "all have it after",
        rows=rows,
    )


def write(
    chain: Mapping[str, ChainOutcome],
    held: Mapping[str, Sequence[Result]],
    variants: Mapping[str, Mapping[str, Sequence[Result]]],
    *,
    two_cores_s: float,
    devices: int,
) -> None:
    """Put the tables in their places in the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (
        ("chain", f"{chain_table(chain, devices=devices)}\n\nOn two idle cores: {two_cores_s:.0f} s."),
        ("statistic", statistic_table(held, devices=devices)),
        ("numbers", variants_table(variants, devices=devices)),
    ):
        text = placed(text, name, table)
    PAGE.write_text(text, encoding="utf-8")


def placed(text: str, name: str, table: str) -> str:
    """The page with another table in a place. Raises ValueError where it has no such place."""
    begin = _BEGIN.format(name)
    before, rest = text.split(f"{begin}\n", 1)
    _, after = rest.split(f"{_END}\n", 1)
    return f"{before}{begin}\n{table}\n{_END}\n{after}"


def _ending(r: Result) -> str:
    if r.halted_s is None:
        return f"went through in {r.lasted_s // HOUR_S} h"
    return f"halted after {r.halted_s / HOUR_S:g} h"


def _hours(halts: Sequence[Result]) -> str:
    hours = [r.halted_s / HOUR_S for r in halts if r.halted_s is not None]
    return f"{min(hours):g} to {max(hours):g}" if hours else "-"


def _of_fleet(count: int, devices: int) -> str:
    return f"{count:,} ({100 * count / devices:.2f} %)"


def _table(*head: str, rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
