"""Where images go: two sets of slots, `a` and `b`, of files or block devices."""

from device_verifier.slots.layout import SLOT_NAMES, SlotLayout, other_slot
from device_verifier.slots.readback import hash_slot, read_slot
from device_verifier.slots.target import OpenSlot, SlotIdentity, SlotTarget, identify, open_for_writing
from device_verifier.slots.writer import SlotWriter

__all__ = [
    "SLOT_NAMES",
    "OpenSlot",
    "SlotIdentity",
    "SlotLayout",
    "SlotTarget",
    "SlotWriter",
    "hash_slot",
    "identify",
    "open_for_writing",
    "other_slot",
    "read_slot",
]
