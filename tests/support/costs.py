"""docs/costs.md: what acts and fleets cost, from the gas bars that the tests hold. To write it anew:

python -m tests.support.costs
"""

from __future__ import annotations

from pathlib import Path

from tests.contract.test_baselines import EAS, OURS, STRINGS
from tests.contract.test_gas import GOLDEN
from tests.support.gas import beside

PAGE = Path(__file__).parents[2] / "docs" / "costs.md"

# Assumed prices, which change every day: gwei a gas, and USD an ether.
L2_GWEI, MAINNET_GWEI, ETHER_USD = 0.02, 5.0, 3_000

BARS = {name: bar for name, _, _, _, bar in GOLDEN if bar is not None}
DEVICES, RELEASES_A_YEAR = 10_000, 12
# What a block of the embedded chain holds (`fwledger-chain up --gas-limit`).
BLOCK_GAS = 30_000_000

HEAD = f"""\
# What it costs

From the gas bars of `make gas`, which no act exceeds (a test holds every figure); `python -m tests.support.costs`
writes this page. A consortium chain of your own charges nothing for gas: there it costs room in blocks, here of
{BLOCK_GAS:,} gas, and the machines that keep it. For the others the page assumes {L2_GWEI:g} gwei a gas on an L2 (its fee for
data included), {MAINNET_GWEI:g} gwei on mainnet, and {ETHER_USD:,} USD an ether. Prices change every day: put in your own.

cost in USD = gas x gwei / 1,000,000,000 x USD an ether
"""


def usd(gas: int, gwei: float) -> str:
    """A cost with as many decimals as it needs."""
    cost = gas * gwei * 1e-9 * ETHER_USD
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:,.2f}" if cost >= 0.1 else f"{cost:.4f}"


def blocks(gas: int) -> str:
    """The room that it takes in blocks of a chain of one's own."""
    return (
        f"{gas / BLOCK_GAS:,.1f} blocks" if gas >= BLOCK_GAS else f"{100 * gas / BLOCK_GAS:.2f} % of a block"
    )


def row(what: str, gas: int) -> str:
    return f"| {what} | {gas:,} | {blocks(gas)} | {usd(gas, L2_GWEI)} | {usd(gas, MAINNET_GWEI)} |"


def table(rows: list[tuple[str, int]]) -> str:
    head = "| what | gas, at most | own chain | L2, USD | mainnet, USD |\n|---|---:|---:|---:|---:|\n"
    return head + "\n".join(row(what, gas) for what, gas in rows) + "\n"


def others() -> str:
    """Acts beside what does the like of them elsewhere."""
    known = STRINGS | EAS
    rows = [
        f"| {name} | {figure:,} | {other} | {known[other]:,} | {known[other] / figure:.1f} |"
        for name, figure in OURS.items()
        if (other := beside(name)) is not None
    ]
    return (
        "`make gas` measures both in one run: the Ethereum Attestation Service from its own npm package, an event as its\n"
        "attestation, and a registry that keeps version, CID and hash as strings, as open firmware contracts do.\n\n"
        "| what | gas | beside | gas | times |\n|---|---:|---|---:|---:|\n" + "\n".join(rows) + "\n"
    )


def page() -> str:
    """The whole page."""
    update = BARS["batch of 500, each: installed"] + BARS["batch of 500, each: confirmed"]
    alone = BARS["queue of 2"]
    release = BARS["publish, 2 of 3"] + DEVICES * update
    fleet = [
        ("a release, published by 2 of 3", BARS["publish, 2 of 3"]),
        ("one device's update reported in batches (installed, confirmed)", update),
        ("the same by the device's own queue", alone),
        ("one device enrolled, 128 at once", BARS["enrol 128, each"]),
        (f"{DEVICES:,} devices enrolled", DEVICES * BARS["enrol 128, each"]),
        (f"a release to {DEVICES:,} devices, every report on the chain", release),
        (f"a year of {RELEASES_A_YEAR} such releases", RELEASES_A_YEAR * release),
        (
            f"a year of {RELEASES_A_YEAR} releases, reports anchored by 4,096",
            RELEASES_A_YEAR * (BARS["publish, 2 of 3"] + -(-2 * DEVICES // 4096) * BARS["anchor"]),
        ),
    ]
    notes = """\
Anchored events are signed, kept and provable like the others, but they do not vote: a rollout whose breaker shall
work needs its reports on the chain. A fleet that reports only to auditors pays the last line. `fwledger receipts
anchor` makes anchors; `fwledger audit anchored` proves an event of one from a file.

The relay and `fwledger receipts submit` choose by themselves: events of several devices about one release go as one
batch, a device with five or more new events uses its own queue.
"""
    moved = f"""\
Moving a group writes two words, the group's channel and the epoch of the channel that it leaves, without which used
approvals could move it there again. It costs {OURS["group moved"]:,} gas with one approval and {OURS["group moved, 2 of 3"]:,} with two, which is over
the bar that one approval keeps: an approval more is 6,800 gas, most of it the curve's and the member's word.
"""
    acts = table(list(BARS.items()))
    return (
        f"{HEAD}\n## A release, a fleet, a year\n\n{table(fleet)}\n{notes}\n## Beside others\n\n{others()}"
        f"\n## Every act\n\n{acts}\n{moved}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
