"""Versions, channel names and reports for the hashes of a history, from any gateway: each block is checked
by its hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_verifier.errors import DeviceError
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_MANIFEST_BYTES, MAX_REPORT_BYTES
from ledger_protocol.release.manifest import Manifest, channel_id
from ledger_protocol.report.anchor import MAX_BATCH_BYTES
from ledger_protocol.report.document import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_verifier.sources import BlockSource

BODY_MISSING = "report body missing"
_SHORT = 12


class GatewayNames:
    """Looks bodies up in `sources`, once each. What no source holds is shown as a short id, or as missing."""

    def __init__(self, sources: Sequence[BlockSource], *, channels: Sequence[str] = ()) -> None:
        self._sources = tuple(sources)
        self._channels = {channel_id(name): name for name in channels}
        self._blocks: dict[bytes, bytes | None] = {}

    def release(self, release: bytes) -> str:
        """Give "version (short id)", or the short id alone."""
        short = release.hex()[:_SHORT]
        block = self._block(release, MAX_MANIFEST_BYTES)
        try:
            manifest = None if block is None else Manifest.decode(block)
        except ProtocolError:
            return f"{short} (not a manifest)"
        if manifest is None:
            return short
        for name in manifest.channels:
            self._channels.setdefault(channel_id(name), name)
        return f"{manifest.version} ({short})"

    def channel(self, channel: bytes) -> str:
        """Give the channel's name where a manifest or the auditor named it, or a short id."""
        return self._channels.get(channel, f"channel {channel.hex()[:_SHORT]}")

    def report(self, detail: bytes) -> str:
        """Give stage, reason and what was found; "report body missing" where nobody holds it."""
        block = self._block(detail, MAX_REPORT_BYTES)
        if block is None:
            return BODY_MISSING if self._sources else ""
        try:
            report = Report.decode(block)
        except ProtocolError:
            return "report does not decode"
        found = f" ({report.found})" if report.found else ""
        return f"{report.stage}: {report.reason}{found}"

    def anchor(self, content: bytes) -> bytes | None:
        """Give the block of an anchor's batch by its SHA-256, None where nobody holds it."""
        return self._fetch(Cid(DAG_CBOR, content), MAX_BATCH_BYTES)

    def _block(self, digest: bytes, max_bytes: int) -> bytes | None:
        if digest not in self._blocks:
            self._blocks[digest] = self._fetch(Cid(DAG_CBOR, digest), max_bytes)
        return self._blocks[digest]

    def _fetch(self, cid: Cid, max_bytes: int) -> bytes | None:
        for source in self._sources:
            try:
                block = source.get(cid, max_bytes=max_bytes)
                cid.verify(block)
            except (DeviceError, ProtocolError):
                continue
            return block
        return None
