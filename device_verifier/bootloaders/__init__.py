"""Which slot boots: one interface, one module a boot loader."""

from device_verifier.bootloaders.interface import BootLoader, BootState, SlotState
from device_verifier.bootloaders.simulated import SimulatedBootLoader

__all__ = ["BootLoader", "BootState", "SimulatedBootLoader", "SlotState"]
