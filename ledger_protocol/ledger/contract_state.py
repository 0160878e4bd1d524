"""The two contracts' storage: where each word lies and what its bits mean (ledger.md, State).

Vyper puts `map[key]` at keccak(slot ‖ key), the reverse of Solidity, each 32 bytes; slot numbers come from
the compiler's layout. Packed words hold their first field in the lowest bits. A bit outside the layout
means another contract, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import layout

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_MASK = (1 << 256) - (1 << 96)  # the 160 bits that a chain head or a tally's channel keeps
_HALTED, _IMMEDIATE = 1, 2
_ENROLLED, _RETIRED, _OPEN = 1, 2, 4

_CHANNEL = {
    "sequence": (0, 32),
    "security_version": (32, 24),
    "epoch": (56, 24),
    "flags": (80, 8),
    "published_at": (88, 32),
    "rollout_from": (120, 32),
    "initial_bps": (152, 16),
    "hold_hours": (168, 16),
    "ramp_hours": (184, 16),
    "halt_bps": (200, 16),
    "min_reports": (216, 24),
}
_REVOCATION = {"time": (0, 40), "reason": (40, 16), "mandatory": (56, 1)}
_DEVICE = {"sequence": (0, 32), "flags": (32, 8), "group": (40, 24), "counted": (64, 32), "head": (96, 160)}
_TALLY = {"installed": (0, 32), "confirmed": (32, 32), "failed": (64, 32), "channel": (96, 160)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelWord:
    """`word(channel)`: times in Unix s, shares and halt_bps in 1/10,000. All zero = nothing was ever
    published.
    """

    sequence: int
    security_version: int
    epoch: int
    halted: bool
    immediate: bool
    published_at: int
    rollout_from: int
    initial_bps: int
    hold_hours: int
    ramp_hours: int
    halt_bps: int
    min_reports: int

    @classmethod
    def decode(cls, word: int) -> ChannelWord:
        """Read a word. Raises MalformedError for bits outside the layout."""
        fields = _unpack(word, _CHANNEL, "channel word")
        flags = _flags(fields.pop("flags"), _HALTED | _IMMEDIATE, "channel word")
        return cls(halted=bool(flags & _HALTED), immediate=bool(flags & _IMMEDIATE), **fields)

    def encode(self) -> int:
        """Give the word. Raises MalformedError where a field does not fit."""
        flags = _HALTED * self.halted | _IMMEDIATE * self.immediate
        fields = {name: getattr(self, name) for name in _CHANNEL if name != "flags"}
        return _pack({**fields, "flags": flags}, _CHANNEL, "channel word")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """`revoked(release)`: when (Unix s), the reason's number, and whether devices must leave the release at
    once.
    """

    time: int
    reason: int
    mandatory: bool

    @classmethod
    def decode(cls, word: int) -> Revocation | None:
        """Read a word; 0 = not revoked. Raises MalformedError for bits outside the layout."""
        if word == 0:
            return None
        fields = _unpack(word, _REVOCATION, "revocation")
        if not fields["time"]:
            raise MalformedError("revocation: time", expected="above 0", got=0)
        return cls(time=fields["time"], reason=fields["reason"], mandatory=bool(fields["mandatory"]))

    def encode(self) -> int:
        """Give the word. Raises MalformedError where a field does not fit."""
        fields = {"time": self.time, "reason": self.reason, "mandatory": int(self.mandatory)}
        return _pack(fields, _REVOCATION, "revocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceWord:
    """`device(address)` in the journal. `head` = the 20 bytes that its event chain ends in; all zero =
    never enrolled.
    """

    sequence: int
    enrolled: bool
    retired: bool
    open_vote: bool
    group: int
    counted: int
    head: bytes

    @property
    def previous(self) -> bytes:
        """Give the 32 bytes that the next event must carry as `previous`."""
        return self.head + bytes(12)

    @classmethod
    def decode(cls, word: int) -> DeviceWord:
        """Read a word. Raises MalformedError for bits outside the layout."""
        fields = _unpack(word, _DEVICE, "device word")
        flags = _flags(fields["flags"], _ENROLLED | _RETIRED | _OPEN, "device word")
        return cls(
            sequence=fields["sequence"],
            enrolled=bool(flags & _ENROLLED),
            retired=bool(flags & _RETIRED),
            open_vote=bool(flags & _OPEN),
            group=fields["group"],
            counted=fields["counted"],
            head=fields["head"].to_bytes(20, "big"),
        )

    def encode(self) -> int:
        """Give the word. Raises MalformedError where a field does not fit."""
        fields = {
            "sequence": self.sequence,
            "flags": _ENROLLED * self.enrolled | _RETIRED * self.retired | _OPEN * self.open_vote,
            "group": self.group,
            "counted": self.counted,
            "head": int.from_bytes(self.head, "big"),
        }
        return _pack(fields, _DEVICE, "device word")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """`tally(release, published_at)` in the journal: counted votes, and the first 20 bytes of the channel's
    id.
    """

    installed: int
    confirmed: int
    failed: int
    channel: bytes

    @classmethod
    def decode(cls, word: int) -> Tally:
        """Read a word; every bit has a meaning. Raises MalformedError where it has more than 256."""
        fields = _unpack(word, _TALLY, "tally")
        return cls(
            installed=fields["installed"],
            confirmed=fields["confirmed"],
            failed=fields["failed"],
            channel=fields["channel"].to_bytes(20, "big"),
        )

    def encode(self) -> int:
        """Give the word. Raises MalformedError where a field does not fit."""
        fields = {
            "installed": self.installed,
            "confirmed": self.confirmed,
            "failed": self.failed,
            "channel": int.from_bytes(self.channel, "big"),
        }
        return _pack(fields, _TALLY, "tally")


def map_slot(slot: int | bytes, key: bytes) -> bytes:
    """Give the 32-byte storage key of `map[key]` for a map at `slot`: a number, or the storage key of an
    outer map's entry.
    """
    if len(key) != 32:
        raise MalformedError("storage key: key of a map", expected="32 bytes", got=f"{len(key)} bytes")
    return keccak256((slot if isinstance(slot, bytes) else slot.to_bytes(32, "big")) + key)


def head_key(channel: bytes) -> bytes:
    """Give the ledger's storage key of a channel's newest release id."""
    return map_slot(layout.LEDGER_HEAD, channel)


def word_key(channel: bytes) -> bytes:
    """Give the ledger's storage key of a ChannelWord."""
    return map_slot(layout.LEDGER_WORD, channel)


def channel_of_key(group: int) -> bytes:
    """Give the ledger's storage key of the channel that a group (u24) follows."""
    return map_slot(layout.LEDGER_CHANNEL_OF, _uint(group, 24, "group"))


def revoked_key(release: bytes) -> bytes:
    """Give the ledger's storage key of a release's Revocation."""
    return map_slot(layout.LEDGER_REVOKED, release)


def approval_key(operator: bytes, release: bytes) -> bytes:
    """Give the ledger's storage key of the time when an operator (20 bytes) approved a release."""
    return map_slot(map_slot(layout.LEDGER_APPROVAL, _address(operator)), release)


def trust_root_key() -> bytes:
    """Give the ledger's storage key of the newest trust root's digest."""
    return layout.LEDGER_TRUST_ROOT.to_bytes(32, "big")


def trust_root_version_key() -> bytes:
    """Give the ledger's storage key of the newest trust root's version."""
    return layout.LEDGER_TRUST_ROOT_VERSION.to_bytes(32, "big")


def device_key(address: bytes) -> bytes:
    """Give the journal's storage key of a DeviceWord."""
    return map_slot(layout.JOURNAL_DEVICE, _address(address))


def tally_key(release: bytes, published_at: int) -> bytes:
    """Give the journal's storage key of a Tally; `published_at` in Unix s names the publication."""
    return map_slot(map_slot(layout.JOURNAL_TALLY, release), _uint(published_at, 32, "published_at"))


def _unpack(word: int, fields: Mapping[str, tuple[int, int]], what: str) -> dict[str, int]:
    known = sum(((1 << bits) - 1) << low for low, bits in fields.values())
    if word & ~known:
        raise MalformedError(
            f"{what}: bits outside the layout",
            expected=f"only bits of {known:#x}",
            got=f"{word:#x}",
            hint="the contract is not one that this program knows",
        )
    return {name: word >> low & ((1 << bits) - 1) for name, (low, bits) in fields.items()}


def _pack(values: Mapping[str, int], fields: Mapping[str, tuple[int, int]], what: str) -> int:
    word = 0
    for name, (low, bits) in fields.items():
        if not 0 <= values[name] < 1 << bits:
            raise MalformedError(f"{what}: {name}", expected=f"0 to {(1 << bits) - 1}", got=values[name])
        word |= values[name] << low
    return word


def _flags(flags: int, known: int, what: str) -> int:
    if flags & ~known:
        raise MalformedError(f"{what}: unknown flags", expected=f"only bits of {known:#x}", got=f"{flags:#x}")
    return flags


def _uint(number: int, bits: int, what: str) -> bytes:
    if not 0 <= number < 1 << bits:
        raise MalformedError(f"storage key: {what}", expected=f"0 to {(1 << bits) - 1}", got=number)
    return number.to_bytes(32, "big")


def _address(address: bytes) -> bytes:
    if len(address) != 20:
        raise MalformedError("storage key: address", expected="20 bytes", got=f"{len(address)} bytes")
    return bytes(12) + address
