"""What the pure checks V0 to V4 prove: a floor, a header, and the ledger's words for one device."""

from dataclasses import dataclass

from device_verifier.steps import Step
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.release.trust_root import TrustRoot

__all__ = ["LedgerFloor", "LedgerView", "VerifiedHeader"]


@dataclass(frozen=True, slots=True)
class LedgerFloor:
    """The newest ledger state that the device has accepted; nothing older is accepted again.

    It belongs to one ledger under one header trust (`scope`, from `floor_scope`): a root that changes either
    starts afresh from its own `from_block`. `hash` is None for a floor that an image build set without
    knowing it. `time` is the block's own; `seen_at` the newest time (k-th newest signer's) at which witnesses
    called this block or one before it the newest, 0 for never: it only rises, so an older note that is
    replayed takes no freshness back. `built_at` is when the image that runs was built, 0 where it does not
    say: it shows a clock that is wrong, and no view to be fresh.
    """

    number: int
    hash: bytes | None
    time: int
    root_version: int
    scope: bytes
    seen_at: int = 0
    built_at: int = 0

    @property
    def fresh_at(self) -> int:
        """The newest time (Unix seconds) up to which this state is known to be the newest."""
        return max(self.time, self.seen_at)


@dataclass(frozen=True, slots=True)
class VerifiedHeader:
    """A block that a quorum of the pinned validators sealed, or enough pinned witnesses signed a note of."""

    number: int
    hash: bytes
    state_root: bytes
    receipts_root: bytes | None
    """None where witnesses alone vouch for it: their notes do not carry it."""
    time: int
    """The block's own time (Unix seconds)."""
    witnessed_at: int | None
    """The k-th newest time of its witnesses (Unix seconds); None where seals alone vouch for it."""
    age_s: int | None
    """Seconds between `seen_at` and the device's clock (never negative); None without a usable clock."""
    least_age_s: int = 0
    """Seconds between `seen_at` and the newest time that the device has seen vouched for (never negative)."""

    @property
    def seen_at(self) -> int:
        """The newest time at which it is known to have been the newest block (Unix seconds)."""
        return max(self.time, self.witnessed_at or 0)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the ledger says to one device at one proven height. Every field is proven; nothing is taken on
    trust.
    """

    header: VerifiedHeader
    root: TrustRoot
    """The newest trust root held, under which all of this was proven."""
    device: DeviceWord | None
    """The device's own word in the journal; None when it was not asked for, or is proven absent (not
    enrolled).
    """
    channel: bytes | None
    """The channel id followed; None when the device's group is assigned to none, or its group is not known.
    """
    head: bytes | None
    """Release id of the channel's newest publication; None when there is none."""
    word: ChannelWord | None
    head_revoked: Revocation | None
    installed_revoked: Revocation | None
    approved_at: int | None
    """When the pinned operator approved the head; None when it did not, or none is pinned."""
    also_revoked: tuple[tuple[bytes, Revocation | None], ...]
    """The further releases asked about, each with its revocation or None."""
    envelope_hints: tuple[bytes, ...]
    """Unverified CIDs (36 bytes) of envelopes that may be the head's; only hints of what to fetch."""
    steps: tuple[Step, ...]

    def revocation_of(self, release: bytes) -> Revocation | None:
        """Return the proven revocation of a release in `also_revoked`; KeyError for another."""
        return dict(self.also_revoked)[release]
