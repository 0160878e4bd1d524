"""Attacks on what devices say of themselves: forged, repeated and stuffed events."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from examples.demo.attacking.lab import GROUP
from examples.demo.stage import DemoError
from examples.demo.world import COMPATIBLE
from ledger_client.journal import Enrolment
from ledger_client.receipts import recovery_of
from ledger_protocol.report import device_key
from ledger_protocol.report.document import Report, Stage
from ledger_protocol.report.enrolment import make_request
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.reasons import Reason
from ledger_protocol.report.receipts import ReceiptItem, Receipts

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from examples.demo.attacking.front import Front
    from examples.demo.attacking.lab import Lab
    from ledger_client.network import Call
    from ledger_client.releases import Release

STUFFED = 12
RELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class RootedDevice:
    """A device's key in the attacker's hands."""

    lab: Lab
    key: ec.EllipticCurvePrivateKey

    @property
    def address(self) -> bytes:
        """The device's address."""
        return device_key.address_of(device_key.public_key_bytes(self.key))

    def enrol(self) -> None:
        """Be enrolled, as any device."""
        request = make_request(
            self.key,
            serial="SN-rooted",
            salt=secrets.token_bytes(16),
            compatible=COMPATIBLE,
            hw_revision="C2",
        )
        journal = self.lab.app.journal
        self.lab.app.send(journal.enrol([Enrolment(self.address, GROUP, request.commitment)]))

    def receipts(self, release: bytes, kinds: list[EventKind]) -> Receipts:
        """A well-formed history of these events, signed."""
        chain_id, journal = self.lab.reference.chain_id, self.lab.reference.journal
        items, previous = [], NO_PREVIOUS
        for sequence, kind in enumerate(kinds, start=1):
            report = Report(stage=Stage.CONFIRM, reason=Reason.HEALTH_FAILED, salt=secrets.token_bytes(16))
            event = UpdateEvent(
                release=release,
                sequence=sequence,
                kind=kind,
                time=int(time.time()),
                detail=report.detail,
                previous=previous,
            )
            signed = sign_event(self.key, event, chain_id=chain_id, journal=journal)
            items.append(ReceiptItem(signed, report.encode()))
            previous = chain_link(event_digest(event, chain_id=chain_id, journal=journal))
        public = device_key.public_key_bytes(self.key)
        return Receipts(
            chain_id=chain_id, journal=journal, device=self.address, public_key=public, items=tuple(items)
        )


def attack_reports(front: Front, relay: str, head: Release) -> None:
    """Somebody speaks for devices, and one device speaks too often."""
    lab, journal = front.lab, front.lab.app.journal
    stranger = RootedDevice(lab, device_key.new_private_key())
    forged = stranger.receipts(head.id, [EventKind.FAILED])
    _relay_refuses(front, "an event of a device that nobody enrolled", relay, forged, 400, "is not enrolled")
    front.contract(
        "the same, straight to the journal",
        "device is not enrolled",
        lambda: lab.app.send(_call(front, forged.items[0].signed, stranger.address)),
    )
    path = lab.world.folder / "lab.receipts"
    front.victim.run("honest", "receipts", "export", str(path))
    honest = Receipts.decode(path.read_bytes())
    first, *rest = honest.items
    lie = replace(first.signed, event=replace(first.signed.event, kind=EventKind.FAILED))
    changed = replace(honest, items=(replace(first, signed=lie), *rest))
    _relay_refuses(front, "a device's own event, its content changed", relay, changed, 422, "signature")
    _post(relay, honest)
    if journal.device(honest.device).sequence != honest.items[-1].signed.event.sequence:
        raise DemoError("the relay did not record the device's own events")
    front.contract(
        "a device's own event, sent a second time",
        "event is recorded already",
        lambda: lab.app.send(_call(front, honest.items[-1].signed, honest.device)),
    )
    _stuff_the_breaker(front, relay, head)


def _stuff_the_breaker(front: Front, relay: str, head: Release) -> None:
    lab = front.lab
    rooted = RootedDevice(lab, device_key.new_private_key())
    rooted.enrol()
    _post(relay, rooted.receipts(head.id, [EventKind.INSTALLED, EventKind.FAILED] * (STUFFED // 2)))
    word = lab.ledger.word(lab.channel)
    tally = lab.app.journal.tally(head.id, word.published_at)
    said = lab.app.journal.device(rooted.address).sequence
    if (said, tally.installed, tally.failed, word.halted) != (STUFFED, 1, 1, False):
        raise DemoError(f"breaker stuffing: {said} events said, {tally}, halted {word.halted}")
    front.show(
        f"one rooted device reports {STUFFED // 2} failures to halt the channel for all",
        "journal",
        f"{tally.failed} counted, not halted",
    )


def _call(front: Front, signed: SignedEvent, device: bytes) -> Call:
    reference = front.lab.reference
    digest = event_digest(signed.event, chain_id=reference.chain_id, journal=reference.journal)
    recovery = recovery_of(digest, signed.signature, device=device)
    return front.lab.app.journal.submit_queue([signed.event], signed.signature, recovery=recovery)


def _relay_refuses(
    front: Front, attack: str, relay: str, receipts: Receipts, status: int, reason: str
) -> None:
    try:
        _post(relay, receipts)
    except urllib.error.HTTPError as error:
        said = json.load(error)["error"]
        if error.code != status or reason not in said:
            raise DemoError(f"{attack}: expected {status} {reason}, got {error.code} {said}") from error
    else:
        raise DemoError(f"{attack}: the relay took it")
    front.show(attack, "relay", f"{status}, {reason}")


def _post(relay: str, receipts: Receipts) -> None:
    request = urllib.request.Request(
        f"{relay}/fwledger/v1/receipts", receipts.encode(), {"Content-Type": "application/cbor"}
    )
    with urllib.request.urlopen(request, timeout=RELAY_S) as response:
        response.read()
