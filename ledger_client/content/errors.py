"""What can go wrong with content, as members of the families of `ledger_client.errors`."""

from __future__ import annotations

from ledger_client.errors import NotTrustedError, UnreachableError, UsageError


class BlockMissingError(UnreachableError):
    """No block with this address is at hand; another node may hold it."""


class BlockCorruptError(BlockMissingError):
    """A block is on the disk, but its bytes are no longer what its address says: it counts as missing."""


class ContentMismatchError(NotTrustedError):
    """Bytes are not what their address says, or not of the form that they claim (CAR, dag-pb, dag-cbor)."""


class StoreBusyError(UnreachableError):
    """Another process or request holds the block store; trying again later helps."""


class StoreError(UsageError):
    """The directory is not a block store that this version can use."""
