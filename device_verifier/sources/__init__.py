"""Where proofs and blocks come from. A source only carries bytes: nothing that it says is believed
unchecked.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from device_verifier.errors import SourceUnreachable
from ledger_protocol.content.cid import Cid
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.release.trust_root import HeaderTrust, LedgerRef

__all__ = ["Abandonable", "BlockMissing", "BlockSource", "LedgerSource", "StateQuery"]


class BlockMissing(SourceUnreachable):
    """The source answers, and does not hold this block; it may well hold others."""


@dataclass(frozen=True, slots=True)
class StateQuery:
    """Which words of the ledger a device asks for.

    What it follows is `channel` (a name), or `group` (a number), or, when both are None, the group that the
    journal's word of `device` names; `installed` the id of the running release, or None; `also_revoked`
    further releases whose revocation word is wanted (a stepping stone, `min_from.via`); `device` the address
    (20 bytes) whose journal word is wanted, or None. `headers` says who has to vouch for the block, to
    sources that can choose one; what they choose is verified all the same.
    """

    channel: str | None = None
    group: int | None = None
    installed: bytes | None = None
    operator: bytes | None = None
    also_revoked: tuple[bytes, ...] = ()
    device: bytes | None = None
    headers: HeaderTrust | None = None

    def __post_init__(self) -> None:
        if self.channel is not None and self.group is not None:
            raise ValueError("a query names a channel or a group, not both")
        if self.channel is None and self.group is None and self.device is None:
            raise ValueError("a query names a channel, a group or a device")

    @property
    def channel_id(self) -> bytes | None:
        """The channel's id (32 bytes), or None where the query is by group."""
        return None if self.channel is None else channel_id(self.channel)


@runtime_checkable
class LedgerSource(Protocol):
    """Carries trust roots and ledger proofs. Raises `SourceUnreachable` when it has none to give."""

    @property
    def name(self) -> str:
        """How messages and reports call it (a URL, a file name); never holds a credential."""
        ...

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:
        """Return the signed trust roots above `after_version` that it knows, oldest first; none is not an
        error.
        """
        ...

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:
        """Return an encoded `LedgerProof` of the newest state it knows, with the words of `query`."""
        ...


@runtime_checkable
class BlockSource(Protocol):
    """Carries blocks by their CID. What it returns is unverified: its caller hashes it."""

    @property
    def name(self) -> str:
        """How messages and reports call it; never holds a credential."""
        ...

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return what it holds under `cid`, at most `max_bytes`; else BlockMissing or SourceUnreachable."""
        ...


@runtime_checkable
class Abandonable(Protocol):
    """A source, of either kind, whose requests in flight can be broken off."""

    def abandon(self) -> None:
        """Make every request in flight end soon; later requests are served as ever."""
        ...
