"""Whether the chain slows down as it grows; exits 1 when it does. Takes ten minutes or more.

    python -m benchmarks.chain.decay [--transactions 100000]

The same work is timed on a new chain and after that many transactions; then that chain is reopened.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chain import nodes
from benchmarks.chain.in_process import CHAIN_ID
from benchmarks.chain.workload import workload
from benchmarks.throughput import batched, one_by_one

BAR = 0.8  # of the speed of a new chain
STEP = 5_000
TIMED = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--transactions", type=int, default=100_000, help="how far the chain grows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-decay-") as folder:
        state = Path(folder) / "state"
        with nodes.ours(state=state) as url:
            done = 0
            young: dict[str, list[float]] = {"batches of 100": [], "one a block": []}
            old: dict[str, list[float]] = {"batches of 100": [], "one a block": []}
            for rates, goal in ((young, 0), (old, options.transactions)):
                while done < goal:
                    batched(url, workload(CHAIN_ID, STEP, done=done))
                    done += STEP
                    print(f"  {done} transactions", file=sys.stderr, flush=True)
                for _ in range(3):
                    for name, measure in (("batches of 100", batched), ("one a block", one_by_one)):
                        rates[name].append(measure(url, workload(CHAIN_ID, TIMED, done=done))[1])
                        done += TIMED
        started = time.perf_counter()
        with nodes.ours(state=state) as url:
            height = int(nodes.Client(url).call("eth_blockNumber"), 16)
            reopened_s = time.perf_counter() - started
        size_bytes = sum(file.stat().st_size for file in state.iterdir())
    print(f"sealed tx/s, median of 3 runs of {TIMED}: on a new chain, and after {options.transactions} more")
    worst = 1.0
    for name, rates in young.items():
        before, after = statistics.median(rates), statistics.median(old[name])
        worst = min(worst, after / before)
        print(f"{name:16} {before:7.0f} {after:7.0f}  ratio {after / before:.2f}")
    print(f"reopened at block {height} in {reopened_s:.2f} s; {size_bytes / done:.0f} bytes a transaction")
    print(f"slowest ratio {worst:.2f}  bar {BAR}  {'ok' if worst >= BAR else 'BELOW THE BAR'}")
    return int(worst < BAR)


if __name__ == "__main__":
    sys.exit(main())
