"""What a worker process does: a scenario on the chain beside the model, or seeds on the model alone."""

from __future__ import annotations

import functools
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.rollouts.engine import Result, run
from benchmarks.rollouts.on_chain import START_S, ChainSide
from benchmarks.rollouts.on_model import ModelSide
from benchmarks.rollouts.plan import Fleet, Scenario, draw
from benchmarks.rollouts.site import Site, found_site
from local_chain.library import LocalChain

_open = ExitStack()


@dataclass(frozen=True)
class ChainOutcome:
    """A scenario on the chain. `differs` is the first thing that the model has otherwise, "" for nothing.

    `cpu_s` is what the chain, the devices and the relay took; `setup_cpu_s` what this process took to deploy
    and to enrol the fleet, where it had not done so before.
    """

    result: Result
    differs: str
    lines: int
    batches: int
    gas: int
    cpu_s: float
    setup_cpu_s: float = 0.0


def on_chain(scenario: Scenario, seed: int, devices: int) -> ChainOutcome:
    """Run a seed on the chain of this process, and on the model beside it."""
    begun = time.process_time()
    site = _site(devices)
    setup_cpu_s = time.process_time() - begun
    return replace(beside_model(scenario, seed, site), setup_cpu_s=setup_cpu_s)


def beside_model(scenario: Scenario, seed: int, site: Site) -> ChainOutcome:
    """Run on a chain, then on the model, and compare every line of their logs and every device's word."""
    begun, gas = time.process_time(), site.payer.gas
    tell(f"{scenario.name}: on the chain")
    side = ChainSide(draw(scenario, seed, site.fleet), site)
    result = run(side.plan, side, tell=lambda text: tell(f"{scenario.name}: {text}"))
    cpu_s, gas = time.process_time() - begun, site.payer.gas - gas
    model = ModelSide(draw(scenario, seed, site.fleet), published_at=START_S, pens=side.pens())
    expected = run(model.plan, model)
    return ChainOutcome(
        result=result,
        differs=difference(side, model) or ("" if result == expected else f"{result}, {expected}"),
        lines=len(side.log),
        batches=side.batches,
        gas=gas,
        cpu_s=cpu_s,
    )


def difference(side: ChainSide, model: ModelSide) -> str:
    """The first line in which two sides' logs differ, or the first device's word; "" where none does."""
    for number, (one, other) in enumerate(zip(side.log, model.log, strict=False)):
        if one != other:
            return f"line {number}: the chain has {one}, the model {other}"
    if len(side.log) != len(model.log):
        return f"the chain wrote {len(side.log)} lines, the model {len(model.log)}"
    words, expected = side.words(), model.words()
    for device, word in words.items():
        if word != expected[device]:
            return f"device {device.hex()}: the chain has {word}, the model {expected[device]}"
    return ""


def on_model(scenario: Scenario, seeds: range, devices: int) -> list[Result]:
    """Run seeds on the model alone."""
    fleet = _fleet(devices)
    results = []
    for seed in seeds:
        plan = draw(scenario, seed, fleet)
        results.append(run(plan, ModelSide(plan, published_at=START_S)))
    return results


def tell(text: str) -> None:
    """A line of progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


@functools.cache
def _fleet(devices: int) -> Fleet:
    return Fleet.of(devices)


@functools.cache
def _site(devices: int) -> Site:
    """The chain of this process; it ends with the process."""
    chain = _open.enter_context(LocalChain())
    return found_site(chain, _fleet(devices), tell=tell)
