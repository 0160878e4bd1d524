"""Rollouts of 10,000 devices that fail, on the real contracts, and 200 seeds of each on the model that agrees
with them. Run: `python -m benchmarks.rollout`; `--page` also measures what each number of a rollout buys, and
writes docs/rollouts.md anew. Exits with 1 where a bar is missed, or where chain and model differ anywhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

from benchmarks.rollouts import pages, work
from benchmarks.rollouts.scenarios import (
    ON_CHAIN,
    SCENARIOS,
    UNHELD,
    VARIANTS,
    missed_bars,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rollouts.engine import Result
    from benchmarks.rollouts.plan import Scenario
    from benchmarks.rollouts.work import ChainOutcome

WORKERS = 2
CHAIN_SEED = 1
SEEDS_AT_ONCE = 10
UNHELD_SEEDS = 50  # enough to see what is held to nothing
# For all of the chain's scenarios, in CPU time over the workers: what two cores take that do nothing else.
MAX_CHAIN_S = 600

T = TypeVar("T")


def main() -> int:
    asked = _arguments()
    begun = time.monotonic()
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        # The long ones first, so that both workers end together.
        longest = sorted(ON_CHAIN, key=lambda one: one.bad)
        chain = _gather(
            {one.name: [pool.submit(work.on_chain, one, CHAIN_SEED, asked.devices)] for one in longest}
        )
        chained = {name: outcome for name, (outcome,) in chain.items()}
        two_cores_s = sum(one.cpu_s + one.setup_cpu_s for one in chained.values()) / WORKERS
        print(pages.chain_table(chained, devices=asked.devices))
        print(f"\non two cores: {two_cores_s:.0f} s (here: {time.monotonic() - begun:.0f} s)\n", flush=True)
        held = _statistic(pool, SCENARIOS, asked.seeds, asked.devices)
        held |= _statistic(pool, UNHELD, min(asked.seeds, UNHELD_SEEDS), asked.devices)
        print(pages.statistic_table(held, devices=asked.devices), flush=True)
        if asked.page:
            variants = {
                name: _statistic(pool, pages.questions(name, VARIANTS[name]), asked.page_seeds, asked.devices)
                for name in VARIANTS
            }
            print("\n" + pages.variants_table(variants, devices=asked.devices))
            pages.write(chained, held, variants, two_cores_s=two_cores_s, devices=asked.devices)
    missed = missed_bars(held, devices=asked.devices) + disagreements(chained, held)
    if two_cores_s > MAX_CHAIN_S:
        missed.append(f"the chain took {two_cores_s:.0f} s of two cores, over {MAX_CHAIN_S}")
    for bar in missed:
        print(f"missed: {bar}")
    return 1 if missed else 0


def disagreements(chain: Mapping[str, ChainOutcome], held: Mapping[str, Sequence[Result]]) -> list[str]:
    """Where the chain and the model differ, step by step, or the statistic's own run of the same seed."""
    found = [f"{name}: {outcome.differs}" for name, outcome in chain.items() if outcome.differs]
    for name, outcome in chain.items():
        same = [result for result in held[name] if result.seed == outcome.result.seed]
        found += [
            f"{name}: the statistic has {result}, the chain {outcome.result}"
            for result in same
            if result != outcome.result
        ]
    return found


def _statistic(
    pool: ProcessPoolExecutor, scenarios: Sequence[Scenario], seeds: int, devices: int
) -> dict[str, list[Result]]:
    """Run seeds 1, 2, ... of each scenario on the model."""
    starts = range(CHAIN_SEED, CHAIN_SEED + seeds, SEEDS_AT_ONCE)
    chunks = [range(start, min(start + SEEDS_AT_ONCE, CHAIN_SEED + seeds)) for start in starts]
    done = _gather(
        {one.name: [pool.submit(work.on_model, one, chunk, devices) for chunk in chunks] for one in scenarios}
    )
    return {one.name: [result for chunk in done[one.name] for result in chunk] for one in scenarios}


def _gather(jobs: Mapping[str, list[Future[T]]]) -> dict[str, list[T]]:
    """Wait for all jobs, and tell when the last of a name has ended."""
    names = {job: name for name, some in jobs.items() for job in some}
    left = {name: len(some) for name, some in jobs.items()}
    for job in as_completed(names):
        job.result()
        left[names[job]] -= 1
        if not left[names[job]]:
            work.tell(f"{names[job]}: done")
    return {name: [job.result() for job in some] for name, some in jobs.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollout", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000, help="devices of the fleet (default 10,000)")
    parser.add_argument("--seeds", type=int, default=200, help="seeds of the statistic (default 200)")
    parser.add_argument("--page", action="store_true", help="write docs/rollouts.md anew")
    parser.add_argument("--page-seeds", type=int, default=10, help="seeds a number of the page (default 10)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
