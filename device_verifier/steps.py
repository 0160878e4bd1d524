"""One line of an explanation: what a numbered check expected and what it found."""

from dataclasses import dataclass

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A check as it went. `check` is its number in protocol.md §8 ("V0" to "V13")."""

    check: str
    what: str
    expected: str
    found: str
    ok: bool
