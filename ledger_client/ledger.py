"""FirmwareLedger as typed calls: what may run.

Reads are what a node says, good for screens and previews; what must be true is proved
(`ledger_client.proofs`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_client.acts import GOVERNORS_ACTS, ROLE_BITS, Act
from ledger_client.approvals import contract_values
from ledger_client.contract import Contract, Log, artifact
from ledger_client.errors import UsageError
from ledger_protocol.ledger.contract_state import ChannelWord, Revocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger_client.acts import Rollout
    from ledger_client.approvals import Approval
    from ledger_client.network import Call, Network

ARTIFACT = "FirmwareLedger"

# The contract's argument order of each approved act, in the fields of its typed struct; `terms` packs the
# rest.
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Publish": ("publish", ("channel", "release", "envelope", "terms")),
    "SetRollout": ("set_rollout", ("channel", "terms")),
    "Resume": ("resume", ("channel", "terms")),
    "Revoke": ("revoke_approved", ("release", "reason", "mandatory", "deadline")),
    "AssignGroup": ("assign_group", ("group", "channel", "deadline")),
    "PlaceDevices": ("place_devices", ("devices", "group", "retired", "deadline")),
    "SetTrustRoot": ("set_trust_root", ("digest", "version", "envelope", "deadline")),
    "SetMember": ("propose_member", ("account", "roles", "deadline")),
    "SetThresholds": ("propose_thresholds", ("publish", "govern", "deadline")),
    "NameSuccessor": ("propose_successor", ("successor", "deadline")),
    "AnnounceTrustRoot": ("propose_trust_root", ("digest", "version", "envelope", "deadline")),
}

# A member's word: roles, and above them its seat (contracts: governance).
_ROLE_MASK, _SEAT_AT, _NO_SEAT = 2**8 - 1, 8, 2**16 - 1


@dataclass(frozen=True, slots=True)
class Publication:
    """One `Published` log: a release became a channel's head. `envelope` is a hint, the SHA-256 of its
    block.
    """

    channel: bytes
    release: bytes
    envelope: bytes
    word: ChannelWord
    approvers: int
    log: Log


@dataclass(frozen=True, slots=True)
class TrustRootSet:
    """One `TrustRootSet` log."""

    version: int
    digest: bytes
    envelope: bytes
    log: Log


class Ledger:
    """The ledger contract at an address."""

    def __init__(self, network: Network, address: bytes) -> None:
        self.network = network
        self.address = address
        self.contract = Contract(network, address, artifact(ARTIFACT))

    def interface_version(self) -> int:
        """Which interface the contract speaks."""
        return int(self.contract.read("interface_version"))

    def domain_separator(self) -> bytes:
        """What the approvals of this ledger's acts are bound to (EIP-712)."""
        return bytes(self.contract.read("domain_separator"))

    def vote_context(self, group: int) -> tuple[bytes | None, ChannelWord]:
        """What the journal asks when a device votes: the channel of its group, and that channel's word."""
        channel, word = self.contract.read("vote_context", group)
        return (bytes(channel) if any(channel) else None), ChannelWord.decode(int(word))

    def journal(self) -> bytes:
        """The address of the journal that this ledger was made with."""
        return bytes(self.contract.read("journal"))

    def head(self, channel: bytes, *, block: int | str = "latest") -> bytes | None:
        """The newest release of a channel, None where nothing was ever published."""
        found = bytes(self.contract.read("head", channel, block=block))
        return found if any(found) else None

    def word(self, channel: bytes) -> ChannelWord:
        """Sequence, floor, flags and rollout of a channel; all zero where nothing was published."""
        return ChannelWord.decode(int(self.contract.read("word", channel)))

    def channel_of(self, group: int, *, block: int | str = "latest") -> bytes | None:
        """The channel that a group follows, None where it follows none."""
        found = bytes(self.contract.read("channel_of", group, block=block))
        return found if any(found) else None

    def revoked(self, release: bytes) -> Revocation | None:
        """A release's revocation, None where it is not revoked."""
        word = int(self.contract.read("revoked", release))
        return Revocation.decode(word) if word else None

    def trust_root(self) -> bytes:
        """The digest of the newest trust root document; zeros before the first."""
        return bytes(self.contract.read("trust_root"))

    def trust_root_version(self) -> int:
        """Its version; 0 before the first."""
        return int(self.contract.read("trust_root_version"))

    def roles(self, address: bytes) -> frozenset[str]:
        """The roles of an address."""
        return _role_names(int(self.contract.read("role", address)))

    def member(self, address: bytes) -> tuple[frozenset[str], int | None]:
        """The roles of an address, and the seat under which logs name it; None where it has none."""
        word = int(self.contract.read("member", address))
        seat = word >> _SEAT_AT & _NO_SEAT
        return _role_names(word & _ROLE_MASK), None if seat in (0, _NO_SEAT) else seat

    def seat(self, number: int) -> bytes | None:
        """Who holds a seat, None where nobody ever did."""
        found = bytes(self.contract.read("seats", number))
        return found if any(found) else None

    def thresholds(self) -> tuple[int, int]:
        """How many publishers, and how many governors, must approve an act."""
        publishers, governors = self.contract.read("thresholds")
        return int(publishers), int(governors)

    def govern_epoch(self) -> int:
        """The epoch that governors' approvals bind; every proposal spends it."""
        return int(self.contract.read("rules")) >> 48 & (2**32 - 1)

    def threshold_of(self, act: Act) -> tuple[int, str]:
        """How many members must approve this act, and their role."""
        publishers, governors = self.thresholds()
        return (governors, "governor") if act.name in GOVERNORS_ACTS else (publishers, "publisher")

    def act(self, act: Act, approvals: Sequence[Approval]) -> Call:
        """The call that carries out an approved act."""
        function, names = _FUNCTIONS[act.name]
        if (act.chain_id, act.ledger) != (self.network.chain_id, self.address):
            raise UsageError(f"{act.name} was approved for another ledger or chain")
        values = [act.terms() if name == "terms" else act[name] for name in names]
        call = self.contract.call(
            function, *values, contract_values(approvals), what=function.replace("_", " ")
        )
        return replace(call, subject=act.subject, epoch=act.epoch)

    def halt(self, channel: bytes) -> Call:
        """Stop installs of a channel's head: a guardian alone."""
        return self.contract.call("halt", channel, what="halt")

    def revoke(self, release: bytes, reason: int) -> Call:
        """Stop new installs of a release: a guardian alone."""
        return self.contract.call("revoke", release, reason, what="revoke")

    def approve_release(self, release: bytes) -> Call:
        """Countersign a release for the devices whose trust root pins the operator that pays."""
        return self.contract.call("approve", release, what="approve release")

    def approved_at(self, operator: bytes, release: bytes) -> int | None:
        """When an operator (20 bytes) approved a release (Unix seconds), None where it never did."""
        return int(self.contract.read("approval", operator, release)) or None

    def new_act(self, name: str, **values: object) -> Act:
        """An act for this ledger on this chain."""
        return Act.of(name, values, chain_id=self.network.chain_id, ledger=self.address)

    def publish_act(
        self,
        *,
        channel: bytes,
        release: bytes,
        envelope: bytes,
        sequence: int,
        security_version: int,
        rollout: Rollout,
        epoch: int,
        deadline: int,
    ) -> Act:
        """What publishers approve to make a release the head of a channel."""
        return self.new_act(
            "Publish",
            channel=channel,
            release=release,
            envelope=envelope,
            sequence=sequence,
            securityVersion=security_version,
            epoch=epoch,
            deadline=deadline,
            **rollout.fields(),
        )

    def publications(
        self, *, from_block: int, to_block: int, channel: bytes | None = None, release: bytes | None = None
    ) -> Iterator[Publication]:
        """`Published` logs, oldest first."""
        match = {k: v for k, v in (("channel", channel), ("release", release)) if v is not None}
        for log in self.contract.logs("Published", from_block=from_block, to_block=to_block, match=match):
            v = log.values
            word = ChannelWord.decode(v["word"])
            yield Publication(v["channel"], v["release"], v["envelope"], word, v["approvers"], log)

    def trust_roots(self, *, from_block: int, to_block: int) -> Iterator[TrustRootSet]:
        """`TrustRootSet` logs, oldest first."""
        for log in self.contract.logs("TrustRootSet", from_block=from_block, to_block=to_block):
            v = log.values
            yield TrustRootSet(v["version"], v["digest"], v["envelope"], log)

    def groups(self, *, from_block: int, to_block: int) -> dict[int, bytes]:
        """Every group that was ever assigned, with the channel it follows now."""
        found = {}
        for log in self.contract.logs("GroupAssigned", from_block=from_block, to_block=to_block):
            found[int(log.values["group"])] = bytes(log.values["channel"])
        return found


def _role_names(bits: int) -> frozenset[str]:
    return frozenset(name for name, bit in ROLE_BITS.items() if bits & bit)
