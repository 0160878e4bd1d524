"""The rule sets that a chain can run, oldest first, so that ``fork >= Fork.LONDON`` reads as it should."""

from __future__ import annotations

from enum import IntEnum


class Fork(IntEnum):
    """An Ethereum hard fork; the value only orders them."""

    BERLIN = 1
    LONDON = 2
    PARIS = 3
    SHANGHAI = 4
    CANCUN = 5
    PRAGUE = 6

    @property
    def label(self) -> str:
        """The fork's name as the command line and the genesis document write it."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> Fork:
        """The fork called ``label``; ValueError when there is none."""
        try:
            return cls[label.upper()]
        except KeyError:
            raise ValueError(
                f"unknown fork: expected {', '.join(f.label for f in cls)}, got {label}"
            ) from None
