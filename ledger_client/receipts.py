"""Devices' receipts: signed events with their reports, read and verified. `carrying` records them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_keys.datatypes import Signature as EthSignature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.config import checksum_address
from ledger_client.errors import NotTrustedError, UsageError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.report.receipts import MAX_RECEIPTS_BYTES, Receipts

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_protocol.report.event import SignedEvent


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that the journal passed over in a batch, and why, in words."""

    sequence: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one receipts document: numbers of events, reports put on IPFS, and the device."""

    device: bytes
    recorded: int
    already: int
    anchored_only: int
    reports: int
    skipped: tuple[Skipped, ...] = ()

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "device": checksum_address(self.device),
            "recorded": self.recorded,
            "already": self.already,
            "anchored_only": self.anchored_only,
            "reports": self.reports,
            "skipped": [{"sequence": one.sequence, "why": one.why} for one in self.skipped],
        }

    def line(self) -> str:
        """For people."""
        told = [f"{self.recorded} recorded", f"{self.already} there already"]
        if self.anchored_only:
            told.append(f"{self.anchored_only} kept for an anchor")
        told += [f"event {one.sequence} skipped: {one.why}" for one in self.skipped]
        return f"{checksum_address(self.device)}: {', '.join(told)}, {self.reports} reports on IPFS"


def read_receipts(path: Path) -> bytes:
    """The bytes of a receipts file."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_RECEIPTS_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read receipts {path}", got=error.strerror or error) from error
    if len(raw) > MAX_RECEIPTS_BYTES:
        raise UsageError(f"receipts {path}", expected=f"at most {MAX_RECEIPTS_BYTES} bytes", got="more")
    return raw


def verify_receipts(raw: bytes, *, chain_id: int, journal: bytes) -> tuple[Receipts, tuple[SignedEvent, ...]]:
    """Read a receipts document and check every signature, link and report. Raises NotTrustedError."""
    try:
        receipts = Receipts.decode(raw)
        return receipts, receipts.verify(chain_id=chain_id, journal=journal)
    except ProtocolError as error:
        raise NotTrustedError(f"these are not receipts that hold: {error}", hint=error.hint) from error


def recovery_of(digest: bytes, signature: bytes, *, device: bytes) -> int:
    """The recovery id (27 or 28) under which a 64-byte signature is the device's: old OpenSSL gives none."""
    for recovery in (0, 1):
        try:
            public = EthSignature(signature + bytes([recovery])).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            continue
        if public.to_canonical_address() == device:
            return 27 + recovery
    raise NotTrustedError(f"a signature is not of device {checksum_address(device)}")
