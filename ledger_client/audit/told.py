"""What the statements about one pair of contracts add up to: the words that its state must hold if nothing
was left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger_protocol.ledger import contract_state
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.report.event import NO_PREVIOUS

if TYPE_CHECKING:
    from ledger_client.audit.statements import Act
    from ledger_protocol.release.trust_root import LedgerRef
    from ledger_protocol.report.event import UpdateEvent

# The epoch in a channel's word (ledger.md, State): acts on groups and devices raise it, and log no word.
_EPOCH_AT, _EPOCH_STEP, _U24 = 56, 1 << 56, (1 << 24) - 1
# Acts that log the channel's word as they leave it.
_WORD_ACTS = frozenset({"Published", "RolloutSet", "Resumed", "Halted"})


@dataclass(slots=True)
class DeviceTold:
    """How far a device's event chain was told, and where it was placed; `group` None = no enrolment told.

    `digests` are those of its recorded events, `anchored` its events off the chain, both by sequence.
    """

    sequence: int = 0
    previous: bytes = NO_PREVIOUS
    group: int | None = None
    retired: bool = False
    digests: dict[int, bytes] = field(default_factory=dict)
    anchored: dict[int, list[UpdateEvent]] = field(default_factory=dict)


@dataclass(slots=True)
class Told:
    """Follow every act in the ledger's order; the fields then say what must be proved at the end."""

    ledger: LedgerRef
    heads: dict[bytes, bytes] = field(default_factory=dict)
    words: dict[bytes, int] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)
    revoked: dict[bytes, Revocation] = field(default_factory=dict)
    approved: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    devices: dict[bytes, DeviceTold] = field(default_factory=dict)
    trust_root: bytes = bytes(32)
    last_block: int = 0
    _releases: dict[bytes, None] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[bytes, ...]:
        """Every channel that an act or a group named."""
        return tuple(dict.fromkeys([*self.words, *self.groups.values()]))

    @property
    def all_groups(self) -> tuple[int, ...]:
        """Every group that was assigned, or that a device is in."""
        placed = [device.group for device in self.devices.values() if device.group is not None]
        return tuple(dict.fromkeys([*self.groups, *placed]))

    @property
    def releases(self) -> tuple[bytes, ...]:
        """Every release that anybody named: each may be revoked, told or not."""
        return tuple(self._releases)

    @property
    def ledger_keys(self) -> list[bytes]:
        """The ledger's words that the end must show."""
        keys = [contract_state.trust_root_key()]
        for channel in self.channels:
            keys += [contract_state.head_key(channel), contract_state.word_key(channel)]
        keys += [contract_state.channel_of_key(group) for group in self.all_groups]
        keys += [contract_state.revoked_key(release) for release in self.releases]
        keys += [contract_state.approval_key(operator, release) for operator, release in self.approved]
        return keys

    @property
    def device_keys(self) -> list[bytes]:
        """The journal's words that the end must show."""
        return [contract_state.device_key(device) for device in self.devices]

    def name_release(self, release: bytes) -> None:
        """Remember a release; the zero id stands for what the factory installed."""
        if any(release):
            self._releases.setdefault(release)

    def follow(self, act: Act) -> str:
        """Take in one act; what it shows to be missing before it, or nothing.

        Each act on a channel raises its epoch by one, so the words that acts log can be counted through.
        """
        fields, missing = act.fields, ""
        if "release" in fields and act.name != "Skipped":  # anybody may send a batch that names anything
            self.name_release(fields["release"])
        if act.name in _WORD_ACTS:
            channel, word = fields["channel"], fields["word"]
            acts = _epoch(word) - _epoch(self.words.get(channel, 0)) - 1
            if acts:
                missing = f"{acts} acts on channel {channel.hex()[:16]} before this one were left out"
            self.words[channel] = word
        match act.name:
            case "Published":
                self.heads[fields["channel"]] = fields["release"]
            case "GroupAssigned":
                self._spend_epoch(self.groups.get(fields["group"], fields["channel"]))
                self.groups[fields["group"]] = fields["channel"]
            case "DevicesPlaced":
                if (channel := self.groups.get(fields["group"])) is not None:
                    self._spend_epoch(channel)
            case "Revoked":
                self._revoke(fields["release"], act.place.time, fields["reason"], fields["mandatory"])
            case "OperatorApproved":
                self.approved[fields["operator"], fields["release"]] = act.place.time
            case "TrustRootSet":
                self.trust_root = fields["digest"]
            case "Enrolled" | "Placed":
                device = self.devices.setdefault(fields["device"], DeviceTold())
                device.group, device.retired = fields["group"], fields.get("retired", False)
        return missing

    def _spend_epoch(self, channel: bytes) -> None:
        self.words[channel] = self.words.get(channel, 0) + _EPOCH_STEP

    def _revoke(self, release: bytes, time: int, reason: int, mandatory: bool) -> None:
        """Time and reason of the first revocation stay; a plain one may become mandatory."""
        first = self.revoked.get(release)
        if first is None:
            self.revoked[release] = Revocation(time=time, reason=reason, mandatory=mandatory)
        else:
            self.revoked[release] = Revocation(
                time=first.time, reason=first.reason, mandatory=first.mandatory or mandatory
            )


def _epoch(word: int) -> int:
    return word >> _EPOCH_AT & _U24
