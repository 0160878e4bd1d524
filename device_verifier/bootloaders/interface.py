"""What the updater asks of a boot loader."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["BootLoader", "BootState", "SlotState"]


class SlotState(StrEnum):
    """What a boot loader thinks of one slot set."""

    GOOD = "good"
    """Confirmed: it boots without counting."""
    TRIAL = "trial"
    """It may boot while tries are left."""
    BAD = "bad"
    """It never boots."""


@dataclass(frozen=True, slots=True)
class BootState:
    """A slot set's state; `tries_left` counts only on trial (0 = used up: the other slot boots)."""

    state: SlotState
    tries_left: int = 0


class BootLoader(Protocol):
    """Slot sets are `a` and `b`. Every change is one durable step; each raises SlotFailure where it cannot
    be made.
    """

    def running(self) -> str:
        """Return the slot set that this system was booted from."""

    def get_primary(self) -> str:
        """Return the slot set that the next boot tries first."""

    def set_primary(self, slot: str) -> None:
        """Try `slot` first from the next boot on."""

    def get_state(self, slot: str) -> BootState:
        """Return what the boot loader thinks of `slot`."""

    def arm(self, slot: str, tries: int) -> None:
        """Make `slot` primary, on trial for `tries` boots, in one change."""

    def mark_good(self, slot: str) -> None:
        """Confirm `slot`: no more counting. It becomes primary in the same change."""

    def mark_bad(self, slot: str) -> None:
        """Never boot `slot`; if it was primary, the other becomes primary in the same change."""
