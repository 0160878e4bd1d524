"""The gas of every act, measured now on py-evm under Prague's rules, beside the bar that it must stay under.

python -m tests.support.gas
"""

from __future__ import annotations

import sys

from tests.contract.actors import fresh
from tests.contract.test_gas import GOLDEN


def main() -> int:
    """Print a line an act; 1 if one is over its bar."""
    over = 0
    print(f"{'act':<48} {'gas':>9} {'bar':>9}")
    for name, act, threshold, _, bar in GOLDEN:
        gas = act(fresh(threshold=threshold))
        over += bar is not None and gas > bar
        print(f"{name:<48} {gas:>9,} {'-' if bar is None else f'{bar:,}':>9}", flush=True)
    return min(over, 1)


if __name__ == "__main__":
    sys.exit(main())
