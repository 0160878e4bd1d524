"""A boot loader in a file, for development, the demo and tests: it decides as real ones do, with a try
counter.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from device_verifier.bootloaders.interface import BootState, SlotState
from device_verifier.durable import DurableSteps, replace_file
from device_verifier.errors import SlotFailure
from device_verifier.slots.layout import SLOT_NAMES, other_slot
from ledger_protocol.report.reasons import Reason

__all__ = ["MAX_TRIES", "SimulatedBootLoader"]

SCHEMA: Final = "fwledger/simulated-boot/1"
# U-Boot's and systemd-boot's counters are small too; more tries only make a dead slot boot longer.
MAX_TRIES: Final = 99
# The file has about 200 bytes; what is larger is not ours.
MAX_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class _Environment:
    primary: str
    running: str
    slots: Mapping[str, BootState]


class SimulatedBootLoader:
    """Keeps primary, running slot and both slots' states in one JSON file that is replaced as a whole.

    Where the file does not exist yet, slot `a` runs and is good, slot `b` is bad: what a factory leaves.
    """

    def __init__(self, path: Path, *, steps: DurableSteps) -> None:
        self._path = path
        self._steps = steps

    def running(self) -> str:
        """Return the slot set that the last `boot` chose."""
        return self._read().running

    def get_primary(self) -> str:
        """Return the slot set that the next boot tries first."""
        return self._read().primary

    def set_primary(self, slot: str) -> None:
        """Try `slot` first from the next boot on."""
        self._write(replace(self._read(), primary=_known(slot)))

    def get_state(self, slot: str) -> BootState:
        """Return what the environment says of `slot`."""
        return self._read().slots[_known(slot)]

    def arm(self, slot: str, tries: int) -> None:
        """Make `slot` primary, on trial for `tries` boots (1 to 99)."""
        if not 1 <= tries <= MAX_TRIES:
            raise ValueError(f"tries: expected 1 to {MAX_TRIES}, got {tries}")
        env = self._read()
        self._write(replace(_with(env, slot, BootState(SlotState.TRIAL, tries)), primary=slot))

    def mark_good(self, slot: str) -> None:
        """Confirm `slot` and make it primary."""
        self._write(replace(_with(self._read(), slot, BootState(SlotState.GOOD)), primary=slot))

    def mark_bad(self, slot: str) -> None:
        """Never boot `slot`; the other becomes primary if it was."""
        env = _with(self._read(), slot, BootState(SlotState.BAD))
        self._write(replace(env, primary=other_slot(slot)) if env.primary == slot else env)

    def boot(self) -> str:
        """Do what a boot loader does at power-on: choose a slot, count a try *before* it starts, and start
        it.

        Returns the slot set that runs now. SlotFailure `boot-failed` if no slot may boot: a real device
        would hang.
        """
        env = self._read()
        for slot in (env.primary, other_slot(env.primary)):
            state = env.slots[slot]
            if state.state is SlotState.GOOD:
                self._write(replace(env, running=slot))
                return slot
            if state.state is SlotState.TRIAL and state.tries_left > 0:
                counted = BootState(SlotState.TRIAL, state.tries_left - 1)
                self._write(replace(_with(env, slot, counted), running=slot))
                return slot
        raise SlotFailure(
            "the simulated boot loader found nothing to boot",
            reason=Reason.BOOT_FAILED,
            expected="a good slot, or one on trial with tries left",
            got=", ".join(f"{name} {s.state.value} ({s.tries_left} tries)" for name, s in env.slots.items()),
            hint=f"a service technician would write a factory image; see {self._path}",
        )

    def _read(self) -> _Environment:
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            first, second = SLOT_NAMES
            return _Environment(
                first, first, {first: BootState(SlotState.GOOD), second: BootState(SlotState.BAD)}
            )
        except OSError as error:
            self._refuse(error.strerror or str(error))
        return self._parse(data)

    def _parse(self, data: bytes) -> _Environment:
        if len(data) > MAX_FILE_BYTES:
            self._refuse(f"more than {MAX_FILE_BYTES} bytes")
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA or set(document["slots"]) != set(SLOT_NAMES):
                self._refuse(f"schema {document['schema']!r}")
            slots = {name: _state(document["slots"][name]) for name in SLOT_NAMES}
            return _Environment(_known(document["primary"]), _known(document["running"]), slots)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._refuse(f"{type(error).__name__}: {error}"[:200])

    def _write(self, env: _Environment) -> None:
        document = {
            "schema": SCHEMA,
            "primary": env.primary,
            "running": env.running,
            "slots": {
                name: {"state": s.state.value, "tries_left": s.tries_left}
                for name, s in sorted(env.slots.items())
            },
        }
        try:
            replace_file(self._path, (json.dumps(document, indent=2) + "\n").encode(), steps=self._steps)
        except OSError as error:
            raise SlotFailure(
                "boot loader state",
                reason=Reason.BOOT_LOADER,
                expected=f"{self._path} can be written",
                got=error.strerror or str(error),
                hint="make room and check who owns it; what boots did not change",
            ) from error

    def _refuse(self, got: str) -> NoReturn:
        raise SlotFailure(
            "boot loader state",
            reason=Reason.BOOT_LOADER,
            expected=f"{SCHEMA} in {self._path}",
            got=got,
            hint="remove the file to start from the factory state (slot a)",
        )


def _with(env: _Environment, slot: str, state: BootState) -> _Environment:
    return replace(env, slots={**env.slots, _known(slot): state})


def _known(slot: object) -> str:
    if slot not in SLOT_NAMES:
        raise ValueError(f"slot: expected one of {', '.join(SLOT_NAMES)}, got {slot!r}")
    return str(slot)


def _state(value: Mapping[str, Any]) -> BootState:
    if set(value) != {"state", "tries_left"}:
        raise ValueError(f"a slot's keys: expected state and tries_left, got {sorted(value)}")
    tries = value["tries_left"]
    if not isinstance(tries, int) or isinstance(tries, bool) or not 0 <= tries <= MAX_TRIES:
        raise ValueError(f"tries_left: expected 0 to {MAX_TRIES}, got {tries!r}")
    return BootState(SlotState(value["state"]), tries)
