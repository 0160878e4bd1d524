"""Which mutants of a module are tried first: a shuffle that is the same each time, so that the front of it is a fair
sample of the module whatever share of it time was for.
"""

from __future__ import annotations

from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Changed, it draws another sample.
SEED = 5
# A share of a small module would say little of it.
LEAST = 60


def shuffled(names: Iterable[str]) -> list[str]:
    """Return the mutants in the order of a hash that has nothing to do with what they change."""
    return sorted(names, key=lambda name: sha256(f"{SEED} {name}".encode()).digest())


def chosen(order: Sequence[str], share: float) -> Sequence[str]:
    """Return the front of a shuffled order: `share` of it (0 to 1), at least LEAST."""
    return order[: max(LEAST, ceil(share * len(order)))]


def judged(order: Sequence[str], codes: Mapping[str, int | None]) -> Sequence[str]:
    """Return the front of a shuffled order up to the first mutant without a verdict.

    A verdict behind it comes from a run that chose otherwise or was stopped; counted, it would bend the sample.
    """
    for place, name in enumerate(order):
        if codes[name] is None:
            return order[:place]
    return order
