"""How long a node takes from its start to its first answer, beside anvil and geth; exits 1 above the bar.

    python -m benchmarks.startup [--runs 10]

The first start is printed apart: it reads the programs from disk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chain import nodes

BAR_S = 1.5


def ours() -> float:
    """A new chain on disk."""
    started = time.perf_counter()
    with nodes.ours() as url:
        return _answered(url, started)


def reopened(state: Path) -> float:
    """A chain that exists."""
    started = time.perf_counter()
    with nodes.ours(state=state) as url:
        return _answered(url, started)


def anvil() -> float:
    """anvil, in memory."""
    started = time.perf_counter()
    with nodes.anvil() as url:
        return _answered(url, started)


def _answered(url: str, started: float) -> float:
    client = nodes.Client(url)
    client.call("eth_chainId")
    spent_s = time.perf_counter() - started
    client.close()
    return spent_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="warm starts; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as folder:
        state = Path(folder) / "state"
        contestants = {"ours, new": ours, "ours, reopened": lambda: reopened(state)}
        if nodes.engine("anvil") is None:
            print("anvil: NOT MEASURED, FWLEDGER_ANVIL is not set (.ci/run sets it)")
        else:
            contestants["anvil"] = anvil
        first = {name: run() for name, run in contestants.items()}
        warm: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.runs):
            for name, run in contestants.items():
                warm[name].append(run())
    print(f"from start to first answer, in s; median of {options.runs} warm starts")
    print(f"{'':16} {'first':>7} {'median':>7} {'worst':>7}")
    for name, times in warm.items():
        print(f"{name:16} {first[name]:7.2f} {statistics.median(times):7.2f} {max(times):7.2f}")
    slowest = max(statistics.median(warm[name]) for name in ("ours, new", "ours, reopened"))
    print(f"ours: {slowest:.2f} s  bar {BAR_S} s  {'ok' if slowest < BAR_S else 'ABOVE THE BAR'}")
    return int(slowest >= BAR_S)


if __name__ == "__main__":
    sys.exit(main())
