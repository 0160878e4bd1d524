"""Transactions a second of the development chain over HTTP, beside its peers in one run; exits 1 below a bar.

    python -m benchmarks.throughput [--count 1000] [--runs 5]

anvil and geth take part where FWLEDGER_ANVIL and FWLEDGER_GETH name them. *accepted* counts until the last
``eth_sendRawTransaction`` is answered, *sealed* until the last receipt is served.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.chain import nodes
from benchmarks.chain.in_process import CHAIN_ID, TESTER_CHAIN_ID, ceiling, eth_tester
from benchmarks.chain.workload import SENDERS, Workload, workload
from ledger_protocol.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100
CONNECTIONS = 8
GETH_CHAIN_ID = 1337
Rates = tuple[float, float]  # accepted, sealed


def one_by_one(url: str, work: Workload) -> Rates:
    """Each transaction is sent, and its receipt fetched, before the next: one block a transaction."""
    client, started, answered_s = _ready(url, work), time.perf_counter(), 0.0
    for raw in work.work:
        before = time.perf_counter()
        sent = client.call("eth_sendRawTransaction", "0x" + raw.hex())
        answered_s += time.perf_counter() - before
        nodes.until(lambda sent=sent: client.call("eth_getTransactionReceipt", sent))
    return len(work.work) / answered_s, len(work.work) / (time.perf_counter() - started)


def batched(url: str, work: Workload) -> Rates:
    """JSON batches of a hundred; then the receipt of the last is awaited, and every receipt is checked."""
    client, started = _ready(url, work), time.perf_counter()
    for first in range(0, len(work.work), BATCH):
        client.batch(
            "eth_sendRawTransaction", [("0x" + raw.hex(),) for raw in work.work[first : first + BATCH]]
        )
    accepted_s = time.perf_counter() - started
    _await_all(client, work)
    return len(work.work) / accepted_s, len(work.work) / (time.perf_counter() - started)


def connections(url: str, work: Workload) -> Rates:
    """Eight clients, each with its own senders, one request at a time."""
    shares = [
        [raw for number, raw in enumerate(work.work) if number % SENDERS % CONNECTIONS == share]
        for share in range(CONNECTIONS)
    ]
    client = _ready(url, work)
    started = time.perf_counter()

    def send(share: list[bytes]) -> None:
        mine = nodes.Client(url)
        for raw in share:
            mine.call("eth_sendRawTransaction", "0x" + raw.hex())
        mine.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send, shares))
    accepted_s = time.perf_counter() - started
    _await_all(client, work)
    return len(work.work) / accepted_s, len(work.work) / (time.perf_counter() - started)


def _ready(url: str, work: Workload) -> nodes.Client:
    client = nodes.Client(url)
    for raw in work.setup:
        sent = client.call("eth_sendRawTransaction", "0x" + raw.hex())
        nodes.until(lambda sent=sent: client.call("eth_getTransactionReceipt", sent))
    return client


def _await_all(client: nodes.Client, work: Workload) -> None:
    """Every transaction has a receipt that says it succeeded."""
    hashes = ["0x" + keccak256(raw).hex() for raw in work.work]
    for last in hashes[-SENDERS:]:
        nodes.until(lambda last=last: client.call("eth_getTransactionReceipt", last))
    for first in range(0, len(hashes), BATCH):
        for receipt in client.batch(
            "eth_getTransactionReceipt", [(one,) for one in hashes[first : first + BATCH]]
        ):
            if receipt is None or receipt["status"] != "0x1":
                raise RuntimeError("a transaction is missing, or failed")


def served(
    start: Callable, chain_id: int, measure: Callable[[str, Workload], Rates], count: int
) -> Callable[[], Rates]:
    work = workload(chain_id, count)

    def run() -> Rates:
        with start() as url:
            return measure(url, work)

    return run


def inside(measure: Callable[..., float], chain_id: int, per_block: int, count: int) -> Callable[[], Rates]:
    work = workload(chain_id, count)

    def run() -> Rates:
        rate = measure(work, per_block=per_block)
        return rate, rate

    return run


def contestants(count: int) -> dict[str, Callable[[], Rates]]:
    """Everything that takes part, by name, in the order in which one round runs it."""
    listed: dict[str, Callable[[], Rates]] = {
        "ceiling, 1 a block": inside(ceiling, CHAIN_ID, 1, count),
        "ours, one a block": served(nodes.ours, CHAIN_ID, one_by_one, count),
        "ceiling, 10 a block": inside(ceiling, CHAIN_ID, 10, count),
        "ours, 8 connections": served(nodes.ours, CHAIN_ID, connections, count),
        "ceiling, 100 a block": inside(ceiling, CHAIN_ID, 100, count),
        "ours, batches of 100": served(nodes.ours, CHAIN_ID, batched, count),
        "eth-tester, one a block": inside(eth_tester, TESTER_CHAIN_ID, 1, count),
        "eth-tester, 100 a block": inside(eth_tester, TESTER_CHAIN_ID, 100, count),
    }
    if _takes_part("anvil"):
        listed["anvil, one by one"] = served(nodes.anvil, CHAIN_ID, one_by_one, count)
        listed["anvil, batches of 100"] = served(nodes.anvil, CHAIN_ID, batched, count)
    if _takes_part("geth"):
        listed["geth, one by one"] = served(nodes.geth, GETH_CHAIN_ID, one_by_one, count)
        # Sealing at once, it lets the rest of a batch wait until something else comes.
        every_second = functools.partial(nodes.geth, "--dev.period", "1")
        listed["geth, batches, block a second"] = served(every_second, GETH_CHAIN_ID, batched, count)
    return listed


def _takes_part(name: str) -> bool:
    if nodes.engine(name) is not None:
        return True
    print(f"{name}: NOT MEASURED, FWLEDGER_{name.upper()} is not set (.ci/run sets it)")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000, help="transactions a run")
    parser.add_argument("--runs", type=int, default=5, help="rounds; the medians count")
    options = parser.parse_args()
    listed = contestants(options.count)
    rates: dict[str, list[Rates]] = {name: [] for name in listed}
    for number in range(options.runs):
        for name, run in listed.items():
            rates[name].append(run())
            print(
                f"  round {number + 1}: {name:30} {rates[name][-1][1]:8.0f} tx/s", file=sys.stderr, flush=True
            )
    print(f"{options.count} transactions of {SENDERS} senders, median of {options.runs} rounds, in tx/s")
    print(f"{'':30} {'accepted':>9} {'sealed':>9}")
    sealed = {}
    for name, several in rates.items():
        accepted = statistics.median(one[0] for one in several)
        sealed[name] = statistics.median(one[1] for one in several)
        print(f"{name:30} {accepted:9.0f} {sealed[name]:9.0f}")
    return _verdict(sealed)


def _verdict(sealed: dict[str, float]) -> int:
    best_tester = max(sealed["eth-tester, one a block"], sealed["eth-tester, 100 a block"])
    bars = (
        (
            "batches / ceiling of 100 a block",
            sealed["ours, batches of 100"] / sealed["ceiling, 100 a block"],
            0.85,
        ),
        ("batches / eth-tester's best", sealed["ours, batches of 100"] / best_tester, 1.6),
        (
            "one a block / ceiling of 1 a block",
            sealed["ours, one a block"] / sealed["ceiling, 1 a block"],
            0.65,
        ),
        ("8 connections / eth-tester's best", sealed["ours, 8 connections"] / best_tester, 1.0),
    )
    for name, ratio, bar in bars:
        print(f"{name:36} {ratio:5.2f}  bar {bar:.2f}  {'ok' if ratio >= bar else 'BELOW THE BAR'}")
    return int(any(ratio < bar for _, ratio, bar in bars))


if __name__ == "__main__":
    sys.exit(main())
