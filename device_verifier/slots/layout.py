"""Which slots there are: for each slot class one in set `a` and one in set `b`; a set boots and is written
together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_verifier.errors import SlotFailure
from device_verifier.facts import Slot
from device_verifier.slots.target import SlotTarget, identify, resting_place
from ledger_protocol.report.reasons import Reason

__all__ = ["SLOT_NAMES", "SlotLayout", "other_slot"]

SLOT_NAMES: Final = ("a", "b")


def other_slot(slot: str) -> str:
    """Return the set that is not `slot`."""
    return SLOT_NAMES[1] if slot == SLOT_NAMES[0] else SLOT_NAMES[0]


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """The device's slots: slot class -> paths of its `a` and its `b`."""

    pairs: Mapping[str, tuple[Path, Path]]

    def target(self, slot: str, slot_class: str) -> SlotTarget:
        """Return the slot of `slot_class` in set `slot`; SlotFailure `slot-missing` where the device has no
        such class.
        """
        try:
            pair = self.pairs[slot_class]
        except KeyError:
            raise SlotFailure(
                "the release has a component for a slot that this device lacks",
                reason=Reason.SLOT_MISSING,
                expected="one of " + ", ".join(sorted(self.pairs)),
                got=slot_class,
                hint=f"add [slot.{slot_class}] to device.toml, or publish for another compatible",
            ) from None
        return SlotTarget(slot, slot_class, pair[SLOT_NAMES.index(slot)])

    def targets(self, slot: str) -> tuple[SlotTarget, ...]:
        """Return every slot of set `slot`."""
        return tuple(self.target(slot, slot_class) for slot_class in sorted(self.pairs))

    def facts(self, slot: str) -> tuple[Slot, ...]:
        """Say what fits into set `slot`, as policy reads it; SlotFailure where a slot is missing or not
        usable.
        """
        return tuple(
            Slot(slot_class=target.slot_class, size_bytes=identify(target)[1])
            for target in self.targets(slot)
        )

    def check_distinct(self) -> None:
        """Refuse two names for one place: it would make the spare the running slot. Missing slots are for
        later.
        """
        seen: dict[object, SlotTarget] = {}
        for slot in SLOT_NAMES:
            for target in self.targets(slot):
                if not target.path.exists():
                    continue
                place = resting_place(identify(target)[0])
                if place in seen:
                    raise SlotFailure(
                        f"slot {target.label}",
                        reason=Reason.SLOT_WRITE,
                        expected="a place of its own",
                        got=f"the same file or device as {seen[place].label}",
                        hint="correct the slots in device.toml",
                    )
                seen[place] = target
