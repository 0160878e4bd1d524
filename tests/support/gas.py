"""The gas of every act, measured now on py-evm under Prague's rules, beside the bar that it must stay under and beside
what others' contracts charge for the like, measured in the same run.

python -m tests.support.gas
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.contract.actors import fresh
from tests.contract.test_gas import GOLDEN
from tests.support.baselines import EAS_PACKAGE, MANY, eas, registry_of_strings

_ATTEST, _MANY, _TIMESTAMP = "EAS attest", f"EAS multiAttest of {MANY}, each", "EAS timestamp"
_FIRST, _NEXT = "registry of strings, first", "registry of strings, next"


def beside(act: str) -> str | None:
    """The baseline that an act is held against: what does the like of it elsewhere."""
    if act.startswith("first publish"):
        return _FIRST
    if act.startswith("publish"):
        return _NEXT
    if act.startswith("event"):
        return _ATTEST
    if act.startswith("batch"):
        return _MANY
    return _TIMESTAMP if act == "anchor" else None


def baselines() -> dict[str, int]:
    """Gas of the baselines. Those of EAS are left out where its package is not installed, and it is said so."""
    found = registry_of_strings()
    folder = os.environ.get("FWLEDGER_JAVASCRIPT", "")
    if folder and (Path(folder) / EAS_PACKAGE).is_dir():
        return found | eas(Path(folder))
    print(
        "EAS: NOT MEASURED, its contracts are not installed (FWLEDGER_JAVASCRIPT names no folder that holds them; "
        "`make gas` installs them with npm through .ci/javascript)\n",
        file=sys.stderr,
    )
    return found


def main() -> int:
    """Print a line an act; 1 if one is over its bar."""
    over = 0
    others = baselines()
    for name, gas in others.items():
        print(f"{name:<48} {gas:>9,}")
    print(f"\n{'act':<48} {'gas':>9} {'bar':>9} {'times':>7}  beside")
    for name, act, threshold, _, bar in GOLDEN:
        gas = act(fresh(threshold=threshold))
        over += bar is not None and gas > bar
        other = beside(name)
        times = f"{others[other] / gas:.1f}" if other in others else "-"
        limit = "-" if bar is None else f"{bar:,}"
        print(f"{name:<48} {gas:>9,} {limit:>9} {times:>7}  {other or ''}".rstrip(), flush=True)
    return min(over, 1)


if __name__ == "__main__":
    sys.exit(main())
