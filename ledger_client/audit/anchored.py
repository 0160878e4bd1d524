"""Events off the chain, as their anchors commit to them: whose they are, and what they fill in a device's
chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.anchoring import signers_of
from ledger_client.audit.statements import DeviceEvent
from ledger_client.errors import NotTrustedError
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.report.anchor import AnchorBatch, Anchored, AnchorProof, verify_anchor_proof
from ledger_protocol.report.event import chain_link, event_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger_client.audit.statements import Act, Place
    from ledger_client.audit.told import Told
    from ledger_client.audit.trust import TrustHistory
    from ledger_protocol.release.trust_root import LedgerRef
    from ledger_protocol.report.event import SignedEvent, UpdateEvent


@dataclass(slots=True)
class Anchor:
    """One proven `Anchored` log, and its leaves once somebody showed them."""

    place: Place
    anchored: Anchored
    shown: bool = False

    @classmethod
    def of(cls, act: Act) -> Anchor:
        """Read the act."""
        fields = act.fields
        anchored = Anchored(fields["gateway"], fields["root"], fields["content"], fields["count"])
        return cls(act.place, anchored)

    def read(self, raw: bytes, told: Told) -> tuple[list[DeviceEvent], int]:
        """The batch's events, of devices that were told of, and how many leaves are of no such device.

        Raises ProtocolError where the block is not what this anchor commits to.
        """
        ledger = told.ledger
        batch = AnchorBatch.decode(raw)
        events = batch.verify(self.anchored, chain_id=ledger.chain_id, journal=ledger.journal)
        found = [event for event in (self._event(one, told) for one in events) if event is not None]
        self.shown = True
        return found, len(events) - len(found)

    def _event(self, signed: SignedEvent, told: Told) -> DeviceEvent | None:
        event, ledger = signed.event, told.ledger
        for signer in signers_of(signed, chain_id=ledger.chain_id, journal=ledger.journal):
            device = told.devices.get(signer)
            if device is None:
                continue
            device.anchored.setdefault(event.sequence, []).append(event)
            told.name_release(event.release)
            return DeviceEvent(
                place=self.place,
                device=signer,
                release=event.release,
                sequence=event.sequence,
                kind=event.kind,
                device_time=event.time,
                detail=event.detail,
                group=device.group or 0,
                voted=False,
                anchored=True,
            )
        return None


@dataclass(slots=True)
class Gap:
    """Events `first` to `last` that a device signed and the ledger never got: `before` is the link of the one
    before them, `after` what the next one named. `finding` is the place of the verdict so far.
    """

    device: bytes
    first: int
    last: int
    before: bytes
    after: bytes
    finding: int

    def filled(self, told: Told) -> bool:
        """Whether anchors hold all of them, each chained to the one before."""
        device, link = told.devices[self.device], self.before
        for sequence in range(self.first, self.last + 1):
            # Stops at the first that is missing, however far a hostile device says that it jumped.
            event = next((one for one in device.anchored.get(sequence, ()) if one.previous == link), None)
            if event is None:
                return False
            link = chain_link(_digest(event, told.ledger))
        return link == self.after


@dataclass(frozen=True, slots=True)
class ProvenAnchored:
    """Events of one device that an anchor is proved to hold, in a block with its time (Unix s)."""

    block: int
    time: int
    anchored: Anchored
    events: tuple[UpdateEvent, ...]


def prove_anchored(raw: bytes, *, device: bytes, trust: TrustHistory) -> ProvenAnchored:
    """Prove an anchor proof: header under the trust root of its block, receipt, paths, and that the device
    (20 bytes) signed every leaf. Raises ProtocolError, or NotTrustedError where one does not hold.
    """
    proof = AnchorProof.decode(raw)
    number = parse_header(proof.receipt.header).number
    header = trust.verify_header(proof.receipt.header, number=number, note=proof.receipt.note)
    ledger = trust.era_of(number).ledger
    anchored, leaves = verify_anchor_proof(proof, header=header, journal=ledger.journal)
    for leaf in leaves:
        if device not in signers_of(leaf, chain_id=ledger.chain_id, journal=ledger.journal):
            raise NotTrustedError(
                f"event {leaf.event.sequence} of the anchor",
                expected=f"signed by 0x{device.hex()}",
                got="another",
            )
    return ProvenAnchored(number, header.timestamp, anchored, tuple(leaf.event for leaf in leaves))


def forks(told: Told) -> Iterator[tuple[bytes, int]]:
    """Devices and sequence numbers of which two different events were signed."""
    for address, device in told.devices.items():
        for sequence, events in device.anchored.items():
            digests = {_digest(event, told.ledger) for event in events}
            if sequence in device.digests:
                digests.add(device.digests[sequence])
            if len(digests) > 1:
                yield address, sequence


def _digest(event: UpdateEvent, ledger: LedgerRef) -> bytes:
    return event_digest(event, chain_id=ledger.chain_id, journal=ledger.journal)
