"""What a device says about itself: the facts that policy compares with the proven state, and their JSON
form.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final, TypeVar

from device_verifier.errors import UsageError
from device_verifier.strict_json import parse_json
from ledger_protocol.report.reasons import Reason

__all__ = [
    "MAX_FACTS_BYTES",
    "DeviceFacts",
    "InstallMode",
    "InstalledRelease",
    "Slot",
    "Window",
    "facts_from_json",
    "facts_to_json",
]

SCHEMA: Final = "fwledger/device-facts/1"
# A device names a handful of slots, windows and failed releases; 64 KiB holds hundreds of each.
MAX_FACTS_BYTES: Final = 65_536
# No board has more places to write to than this; it bounds what a hostile facts file makes us loop over.
MAX_ENTRIES: Final = 256
MAX_TEXT_CHARS: Final = 256
MINUTES_PER_DAY: Final = 24 * 60

T = TypeVar("T")


class InstallMode(StrEnum):
    """Whether a person must agree before an install."""

    AUTOMATIC = "automatic"
    CONSENT = "consent"


@dataclass(frozen=True, slots=True)
class InstalledRelease:
    """The release that runs now, as the device recorded it when it was verified."""

    release: bytes
    """Release id (32 bytes)."""
    sequence: int
    security_version: int
    version: str
    """The manifest's text for people."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place that a component can be written to (of an A/B pair: the spare)."""

    slot_class: str
    size_bytes: int
    handlers: tuple[str, ...] = ("raw",)
    """Which component handlers this slot takes."""
    arch: str | None = None
    """Architecture of what runs from it, where it differs from the device's (a microcontroller, say)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window in UTC: from `start_minute` until `end_minute` of the day, on the `days` it starts
    on.

    Minutes count from midnight, 0 to 1439; a window whose end is not after its start runs past midnight.
    `days` are 0 (Monday) to 6 (Sunday).
    """

    days: frozenset[int]
    start_minute: int
    end_minute: int

    def holds(self, at_s: int) -> bool:
        """Say whether the Unix time `at_s` lies inside."""
        minutes = at_s // 60
        day, minute = divmod(minutes, MINUTES_PER_DAY)
        weekday = (day + 3) % 7  # 1 January 1970 was a Thursday
        if self.start_minute < self.end_minute:
            return weekday in self.days and self.start_minute <= minute < self.end_minute
        return (weekday in self.days and minute >= self.start_minute) or (
            (weekday - 1) % 7 in self.days and minute < self.end_minute
        )


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """All that policy may know of a device.

    It follows `channel` (a name), or `group`, or, when both are None, the group that its own word in the
    journal names.
    """

    compatible: str
    hw_revision: str
    arch: str
    address: bytes
    """The device's address (20 bytes); its place in the rollout cohort follows from it."""
    slots: tuple[Slot, ...]
    channel: str | None = None
    group: int | None = None
    installed: InstalledRelease | None = None
    security_floor: int = 0
    """The rollback floor: no release with a lower security_version may be installed."""
    now_s: int | None = None
    """The device's clock in Unix seconds, or None where it has none that can be trusted."""
    mode: InstallMode = InstallMode.AUTOMATIC
    windows: tuple[Window, ...] = ()
    """Maintenance windows; none means any time."""
    consented: frozenset[bytes] = field(default_factory=frozenset)
    """Releases that a person has agreed to."""
    failed: frozenset[bytes] = field(default_factory=frozenset)
    """Releases that failed here (boot or local health); not tried again until an operator clears them."""
    override: bool = False
    """A technician at the device said `install --now`: cohort, window and consent do not hold it back."""

    def __post_init__(self) -> None:
        if self.channel is not None and self.group is not None:
            raise UsageError(
                "a device follows either a channel or a group",
                reason=Reason.USAGE,
                expected="at most one of channel and group",
                got=f"channel {self.channel}, group {self.group}",
                hint="set one of them, or neither to follow the group that the journal names",
            )


def facts_to_json(facts: DeviceFacts) -> str:
    """Write `facts` as the JSON that `release check --device` reads."""
    installed = facts.installed
    document: dict[str, object] = {
        "schema": SCHEMA,
        "compatible": facts.compatible,
        "hw_revision": facts.hw_revision,
        "arch": facts.arch,
        "address": "0x" + facts.address.hex(),
        "slots": [
            {
                "slot_class": s.slot_class,
                "size_bytes": s.size_bytes,
                "handlers": list(s.handlers),
                "arch": s.arch,
            }
            for s in facts.slots
        ],
        "channel": facts.channel,
        "group": facts.group,
        "installed": None
        if installed is None
        else {
            "release": "0x" + installed.release.hex(),
            "sequence": installed.sequence,
            "security_version": installed.security_version,
            "version": installed.version,
        },
        "security_floor": facts.security_floor,
        "now_s": facts.now_s,
        "mode": facts.mode.value,
        "windows": [
            {"days": sorted(w.days), "start_minute": w.start_minute, "end_minute": w.end_minute}
            for w in facts.windows
        ],
        "consented": ["0x" + r.hex() for r in sorted(facts.consented)],
        "failed": ["0x" + r.hex() for r in sorted(facts.failed)],
        "override": facts.override,
    }
    return json.dumps(document, indent=2) + "\n"


def facts_from_json(data: bytes) -> DeviceFacts:
    """Read what `facts_to_json` wrote, or a person.

    Unknown keys, missing required ones and values of another type or range are refused by name
    (`UsageError`): a misspelt floor must not become a floor of zero.
    """
    try:
        document = parse_json(data, max_bytes=MAX_FACTS_BYTES)
    except ValueError as error:
        raise _bad("the file", "JSON in UTF-8", str(error)) from error
    top = _Fields(document, "", {"schema"} | {f.name for f in fields(DeviceFacts)})
    if top.get("schema", _text) != SCHEMA:
        raise _bad("schema", SCHEMA, top.get("schema", _text))
    return DeviceFacts(
        compatible=top.get("compatible", _text),
        hw_revision=top.get("hw_revision", _text),
        arch=top.get("arch", _text),
        address=top.get("address", _hex(20)),
        slots=top.get("slots", _list(_slot)),
        channel=top.get_or("channel", _optional(_text), None),
        group=top.get_or("group", _optional(_integer(2**24 - 1)), None),
        installed=top.get_or("installed", _optional(_installed), None),
        security_floor=top.get("security_floor", _integer(2**24 - 1)),
        now_s=top.get_or("now_s", _optional(_integer(2**40 - 1)), None),
        mode=top.get_or("mode", _mode, InstallMode.AUTOMATIC),
        windows=top.list_of("windows", _window),
        consented=frozenset(top.list_of("consented", _hex(32))),
        failed=frozenset(top.list_of("failed", _hex(32))),
        override=top.get_or("override", _boolean, False),
    )


class _Fields:
    """A JSON object whose keys are known; each value is read by a reader that names the field when it
    refuses.
    """

    def __init__(self, value: object, where: str, known: set[str]) -> None:
        if not isinstance(value, dict):
            raise _bad(where or "the document", "an object", type(value).__name__)
        unknown = ", ".join(sorted(set(value) - known))
        if unknown:
            raise _bad(where or "the document", "known fields: " + ", ".join(sorted(known)), _brief(unknown))
        self._values: Mapping[str, object] = value
        self._prefix = f"{where}." if where else ""

    def get(self, name: str, read: Callable[[str, object], T]) -> T:
        if name not in self._values:
            raise _bad(self._prefix + name, "a value", "nothing")
        return read(self._prefix + name, self._values[name])

    def get_or(self, name: str, read: Callable[[str, object], T], default: T) -> T:
        return self.get(name, read) if name in self._values else default

    def list_of(self, name: str, read: Callable[[str, object], T]) -> tuple[T, ...]:
        return self.get(name, _list(read)) if name in self._values else ()


def _slot(name: str, value: object) -> Slot:
    f = _Fields(value, name, {"slot_class", "size_bytes", "handlers", "arch"})
    return Slot(
        slot_class=f.get("slot_class", _text),
        size_bytes=f.get("size_bytes", _integer(2**63 - 1)),
        handlers=f.get_or("handlers", _list(_text), ("raw",)),
        arch=f.get_or("arch", _optional(_text), None),
    )


def _window(name: str, value: object) -> Window:
    f = _Fields(value, name, {"days", "start_minute", "end_minute"})
    return Window(
        days=frozenset(f.get("days", _list(_integer(6)))),
        start_minute=f.get("start_minute", _integer(MINUTES_PER_DAY - 1)),
        end_minute=f.get("end_minute", _integer(MINUTES_PER_DAY - 1)),
    )


def _installed(name: str, value: object) -> InstalledRelease:
    f = _Fields(value, name, {"release", "sequence", "security_version", "version"})
    return InstalledRelease(
        release=f.get("release", _hex(32)),
        sequence=f.get("sequence", _integer(2**32 - 1)),
        security_version=f.get("security_version", _integer(2**24 - 1)),
        version=f.get("version", _text),
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise _bad(name, f"text of at most {MAX_TEXT_CHARS} characters", _brief(value))
    return value


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, "true or false", _brief(value))
    return value


def _mode(name: str, value: object) -> InstallMode:
    try:
        return InstallMode(_text(name, value))
    except ValueError:
        raise _bad(name, " or ".join(InstallMode), _brief(value)) from None


def _integer(largest: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            raise _bad(name, f"a whole number from 0 to {largest}", _brief(value))
        return value

    return read


def _hex(size: int) -> Callable[[str, object], bytes]:
    def read(name: str, value: object) -> bytes:
        text = _text(name, value).removeprefix("0x")
        if len(text) != 2 * size or not all(c in "0123456789abcdefABCDEF" for c in text):
            raise _bad(name, f"{size} bytes in hex", _brief(value))
        return bytes.fromhex(text)

    return read


def _optional(read: Callable[[str, object], T]) -> Callable[[str, object], T | None]:
    return lambda name, value: None if value is None else read(name, value)


def _list(read: Callable[[str, object], T]) -> Callable[[str, object], tuple[T, ...]]:
    def read_all(name: str, value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            raise _bad(name, f"a list of at most {MAX_ENTRIES}", _brief(value))
        return tuple(read(f"{name}[{i}]", item) for i, item in enumerate(value))

    return read_all


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _bad(name: str, expected: str, got: str) -> UsageError:
    return UsageError(
        f"device facts: {name}",
        reason=Reason.USAGE,
        expected=expected,
        got=got,
        hint="write them with `fwledger-device status --facts`, or see docs/tutorial-device.md",
    )
