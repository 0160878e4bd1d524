"""The receipts file: a device's queued events with their reports, on their way to the journal by any
carrier (protocol.md §7).
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import MalformedError, MismatchError
from ledger_protocol.fields import Fields
from ledger_protocol.limits import MAX_REPORT_BYTES, MAX_U64
from ledger_protocol.report import document
from ledger_protocol.report.device_key import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, address_of
from ledger_protocol.report.event import (
    SignedEvent,
    event_digest,
    verify_event_signature,
    verify_follows,
)
from ledger_protocol.report.event_fields import EVENT_FIELDS, event_values, read_event

SCHEMA = "fwledger/receipts/1"
MAX_ITEMS = 1_024  # a year of daily attempts without a network, three events each
MAX_RECEIPTS_BYTES = 17 * 2**20  # that many items with a full report each


@dataclass(frozen=True, slots=True)
class ReceiptItem:
    """A signed event and the document that its `detail` commits to; None where the device has lost it."""

    signed: SignedEvent
    report: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """An unverified receipts file. Addresses have 20 bytes, the public key 65."""

    chain_id: int
    journal: bytes
    device: bytes
    public_key: bytes
    items: tuple[ReceiptItem, ...]

    def encode(self) -> bytes:
        """Give the document. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": SCHEMA,
                "chain_id": self.chain_id,
                "journal": self.journal,
                "device": self.device,
                "public_key": self.public_key,
                "items": [
                    {
                        "event": event_values(item.signed.event),
                        "signature": item.signed.signature,
                        "report": item.report,
                    }
                    for item in self.items
                ],
            }
        )
        Receipts.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> Receipts:
        """Read a document. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=SCHEMA, max_bytes=MAX_RECEIPTS_BYTES)
        receipts = cls(
            chain_id=fields.integer("chain_id", low=1, high=MAX_U64),
            journal=fields.octets("journal", size=20),
            device=fields.octets("device", size=20),
            public_key=fields.octets("public_key", size=PUBLIC_KEY_BYTES),
            items=tuple(map(_item, fields.groups("items", max_count=MAX_ITEMS))),
        )
        fields.end()
        return receipts

    def verify(self, *, chain_id: int, journal: bytes) -> tuple[SignedEvent, ...]:
        """Give the events if all are the device's own, for this journal, in order, each with its own report.

        Raises MismatchError where anything belongs elsewhere or the order is broken, SignatureError for a
        signature.
        """
        if (self.chain_id, self.journal) != (chain_id, journal):
            raise MismatchError(
                "receipts: journal",
                expected=f"{journal.hex()} on chain {chain_id}",
                got=f"{self.journal.hex()} on chain {self.chain_id}",
            )
        if address_of(self.public_key) != self.device:
            raise MismatchError("receipts: device", expected=address_of(self.public_key), got=self.device)
        for item in self.items:
            event = item.signed.event
            digest = event_digest(event, chain_id=chain_id, journal=journal)
            verify_event_signature(digest, item.signed.signature, self.public_key)
            if item.report is not None and document.detail_of(item.report) != event.detail:
                raise MismatchError(
                    f"event {event.sequence}: report",
                    expected=event.detail,
                    got=document.detail_of(item.report),
                )
        events = tuple(item.signed for item in self.items)
        verify_follows([signed.event for signed in events], chain_id=chain_id, journal=journal)
        return events


def _item(fields: Fields) -> ReceiptItem:
    event = read_event(fields.items("event", max_count=EVENT_FIELDS))
    signature = fields.octets("signature", size=SIGNATURE_BYTES)
    report = fields.take("report")
    if report is not None and (not isinstance(report, bytes) or len(report) > MAX_REPORT_BYTES):
        raise MalformedError("receipts: report", expected=f"at most {MAX_REPORT_BYTES} bytes, or null")
    fields.end()
    return ReceiptItem(SignedEvent(event, signature), report)
