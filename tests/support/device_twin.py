"""A device's key and what it signs, made with the protocol package alone: for tests of those who carry
receipts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger_protocol.report import device_key, enrolment
from ledger_protocol.report.document import Report, Stage, detail_of
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.receipts import ReceiptItem, Receipts

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

TIME = 1_800_000_000


@dataclass
class DeviceTwin:
    """A device that has said nothing yet. `say` signs one more event, chained to the one before."""

    chain_id: int
    journal: bytes
    key: ec.EllipticCurvePrivateKey = field(default_factory=device_key.new_private_key)
    items: list[ReceiptItem] = field(default_factory=list)

    @property
    def public_key(self) -> bytes:
        return device_key.public_key_bytes(self.key)

    @property
    def address(self) -> bytes:
        return device_key.address_of(self.public_key)

    def request(self, *, serial: str = "SN-1", compatible: str = "acme,cam") -> bytes:
        return enrolment.make_request(
            self.key, serial=serial, salt=b"s" * 16, compatible=compatible, hw_revision="r1"
        ).encode()

    def say(self, kind: EventKind, release: bytes, *, step: int = 1) -> SignedEvent:
        number = len(self.items) + 1
        report = Report(stage=Stage.CONFIRM, reason="ok", salt=number.to_bytes(16, "big")).encode()
        last = self.items[-1].signed.event if self.items else None
        event = UpdateEvent(
            release=release,
            sequence=(last.sequence if last else 0) + step,
            kind=kind,
            time=TIME + number,
            detail=detail_of(report),
            previous=NO_PREVIOUS
            if last is None
            else chain_link(event_digest(last, chain_id=self.chain_id, journal=self.journal)),
        )
        signed = sign_event(self.key, event, chain_id=self.chain_id, journal=self.journal)
        self.items.append(ReceiptItem(signed, report))
        return signed

    def receipts(self, first: int = 0, last: int | None = None) -> bytes:
        return Receipts(
            chain_id=self.chain_id,
            journal=self.journal,
            device=self.address,
            public_key=self.public_key,
            items=tuple(self.items[first:last]),
        ).encode()
