"""What a check of the history found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check went."""

    PROVED = "proved"
    GAP = "gap"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: `where` it was made, `what` it says in one line."""

    verdict: Verdict
    where: str
    what: str
