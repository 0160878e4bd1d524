"""Whether the chain slows down as it grows; exits 1 when it does. Takes ten minutes or more.

    python -m benchmarks.chain.decay [--transactions 100000] [--blocks 100000]

The same work is timed on a new chain and after that many transactions; then the chain, made that many
blocks high, is reopened. Speed is judged per second of the node's processor time: a busy machine does not
bend that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chain import nodes
from benchmarks.chain.in_process import CHAIN_ID
from benchmarks.chain.workload import workload
from benchmarks.throughput import batched, one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = 0.8  # of the speed of a new chain
GROWTH = 5_000  # transactions between two lines of progress
TIMED = 1_000
RUNS = 3
MINED_AT_ONCE = 1_000
WAYS: dict[str, Callable] = {"batches of 100": batched, "one a block": one_by_one}


class Grower:
    """A chain that grows, and its speed."""

    def __init__(self, url: str, pid: int) -> None:
        self._url, self._pid = url, pid
        self.done = 0

    def grow(self, transactions: int) -> None:
        while self.done < transactions:
            self._run(batched, GROWTH)
            print(f"  {self.done} transactions", file=sys.stderr, flush=True)

    def speed(self) -> dict[str, tuple[float, float]]:
        """Sealed transactions by way: a second of processor time, and a second of the wall clock."""
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(RUNS):
            for name, way in WAYS.items():
                before_s = nodes.cpu_s(self._pid)
                _, sealed = self._run(way, TIMED)
                measured[name].append((TIMED / (nodes.cpu_s(self._pid) - before_s), sealed))
        return {
            name: (
                statistics.median(cpu for cpu, _ in several),
                statistics.median(wall for _, wall in several),
            )
            for name, several in measured.items()
        }

    def heighten(self, blocks: int) -> None:
        client = nodes.Client(self._url)
        while (height := int(client.call("eth_blockNumber"), 16)) < blocks:
            client.call("anvil_mine", hex(min(MINED_AT_ONCE, blocks - height)))
            if height // 10_000 != (height + MINED_AT_ONCE) // 10_000:
                print(f"  block {height + MINED_AT_ONCE}", file=sys.stderr, flush=True)
        client.close()

    def _run(self, way: Callable, count: int) -> tuple[float, float]:
        work = workload(CHAIN_ID, count, done=self.done)
        self.done += count
        return way(self._url, work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--transactions", type=int, default=100_000, help="how many the chain takes in between"
    )
    parser.add_argument("--blocks", type=int, default=100_000, help="how high it is when it is reopened")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-decay-") as folder:
        state = Path(folder) / "state"
        with nodes.our_process(state=state) as (url, pid):
            grower = Grower(url, pid)
            young = grower.speed()
            grower.grow(options.transactions)
            old = grower.speed()
            size_bytes = sum(file.stat().st_size for file in state.iterdir())
            grower.heighten(options.blocks)
        started = time.perf_counter()
        with nodes.our_process(state=state) as (url, pid):
            height = int(nodes.Client(url).call("eth_blockNumber"), 16)
            reopened_s, reopened_cpu_s = time.perf_counter() - started, nodes.cpu_s(pid)
    print(
        f"sealed tx/s on a new chain and after {grower.done} transactions, median of {RUNS} runs of {TIMED}"
    )
    print(f"{'':16} {'a CPU second':>17} {'a second':>17}")
    ratios = []
    for name, (cpu, wall) in young.items():
        old_cpu, old_wall = old[name]
        ratios.append(old_cpu / cpu)
        print(f"{name:16} {cpu:8.0f} {old_cpu:8.0f} {wall:8.0f} {old_wall:8.0f}  ratio {ratios[-1]:.2f}")
    print(f"{size_bytes / grower.done:.0f} bytes on disk a transaction")
    print(f"reopened at block {height}: {reopened_s:.2f} s, {reopened_cpu_s:.2f} s of processor time")
    verdict = "ok" if min(ratios) >= BAR else "BELOW THE BAR"
    print(f"slowest ratio {min(ratios):.2f}  bar {BAR}  {verdict}")
    return int(min(ratios) < BAR)


if __name__ == "__main__":
    sys.exit(main())
