"""Re-proves a whole history and names what does not hold and what is missing.

Evidence shows that each statement was logged. That nothing was left out is shown from the other side: a
device's word, proved at the end, ends the chain of its events, and the ledger's words are what the last acts
set (`closing`).
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger_client.audit.anchored import Anchor, Gap, forks
from ledger_client.audit.closing import compare_devices, compare_ledger
from ledger_client.audit.evidence import Evidence, prove
from ledger_client.audit.findings import Finding, Verdict
from ledger_client.audit.signatures import Carried, carried_in, recovered
from ledger_client.audit.statements import Act, DeviceEvent, Place, Statement, statements
from ledger_client.audit.told import DeviceTold, Told
from ledger_client.audit.trust import NoNoteError
from ledger_client.errors import ClientError
from ledger_protocol.errors import ProofError, ProtocolError
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import prove_account, prove_word
from ledger_protocol.report.anchor import AnchorBatch
from ledger_protocol.report.event import NO_PREVIOUS, UpdateEvent, chain_link, event_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.audit.collect import StateEvidence
    from ledger_client.audit.trust import Era, TrustHistory
    from ledger_protocol.ledger.header import Header
    from ledger_protocol.release.trust_root import LedgerRef


@dataclass(slots=True)
class History:
    """A history as it is being proved: give it all evidence in the ledger's order and the states at the end,
    then `finish` it.
    """

    trust: TrustHistory
    statements: list[Statement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    last_block: int = 0
    last_time: int = 0
    _last_place: tuple[int, int] = (-1, -1)
    _told: dict[Era, Told] = field(default_factory=dict)
    _states: dict[Era, list[StateEvidence]] = field(default_factory=dict)
    _anchors: list[tuple[Era, Anchor]] = field(default_factory=list)
    _gaps: list[tuple[Era, Gap]] = field(default_factory=list)

    def add(self, evidence: Evidence) -> tuple[Statement, ...]:
        """Prove one receipt and take its statements in; a finding says how that went."""
        try:
            proven = prove(evidence, trust=self.trust)
            era = self.trust.era_of(proven.block)
            found = statements(proven, ledger=era.ledger)
        except NoNoteError as error:
            self._note(Verdict.GAP, _place_of(evidence), str(error))
            return ()
        except (ProtocolError, ClientError) as error:
            self._note(Verdict.WRONG, _place_of(evidence), str(error))
            return ()
        place = (proven.block, proven.index)
        if place <= self._last_place:
            what = "repeated" if place == self._last_place else "not in the ledger's order"
            self._note(Verdict.WRONG, _place_of(evidence), f"this receipt is {what}, and was left aside")
            return ()
        self._last_place = place
        told = self.told(era)
        told.last_block = proven.block
        carried = deque(carried_in(proven.calldata))
        for statement in found:
            if isinstance(statement, Act):
                if missing := told.follow(statement):
                    self._note(Verdict.GAP, _where(statement), missing)
                self._note(Verdict.PROVED, _where(statement), f"{statement.name}: seals and receipt")
                if statement.name == "Anchored":
                    self._anchors.append((era, Anchor.of(statement)))
            else:
                self._follow_event(statement, era, carried)
        self.statements.extend(found)
        return found

    def add_anchor(self, raw: bytes) -> None:
        """Take in the batch of an anchor that was added: its events are of devices, and in their chains."""
        try:
            root = AnchorBatch.decode(raw).root
            era, one = next(
                ((era, one) for era, one in self._anchors if one.anchored.root == root and not one.shown),
                (None, None),
            )
            if era is None or one is None:
                self._note(Verdict.WRONG, "a batch of events", "no anchor of this history commits to it")
                return
            events, strangers = one.read(raw, self.told(era))
        except ProtocolError as error:
            self._note(Verdict.WRONG, "a batch of events", str(error))
            return
        self.statements.extend(events)
        where, count = _at(one.place), one.anchored.count
        devices = len({event.device for event in events})
        what = f"{len(events)} of {count} anchored events, of {devices} devices"
        self._note(Verdict.PROVED, where, f"{what}: seals, receipt, tree, signatures")
        if strangers:
            self._note(Verdict.WRONG, where, f"{strangers} anchored events are of no device of this history")

    def miss_anchor(self, root: bytes) -> None:
        """Note that nobody holds the batch of an anchor that was added."""
        for _, one in self._anchors:
            if one.anchored.root == root:
                what = f"its {one.anchored.count} anchored events are at none of the places that were asked"
                self._note(Verdict.GAP, _at(one.place), what)

    def add_state(self, state: StateEvidence) -> None:
        """Take in a proof of words at the end of an era; `finish` verifies it."""
        try:
            self._states.setdefault(self.trust.era_of(state.number), []).append(state)
        except ClientError as error:
            self._note(Verdict.WRONG, f"state at block {state.number}", str(error))

    def finish(self) -> None:
        """Compare all that was told with the words proved at the end of each era."""
        self._settle_gaps()
        for version, chain_id in self.trust.elsewhere:
            self._note(
                Verdict.GAP,
                f"trust root {version}",
                f"what happened under it is on chain {chain_id}; audit that chain with the roots up to it",
            )
        for era in self.trust.eras:
            if era in self._told or era in self._states or era.last is None:
                self._close(era, self.told(era), self._states.get(era, []))

    def told(self, era: Era) -> Told:
        """What was told about an era's contracts."""
        return self._told.setdefault(era, Told(era.ledger))

    @property
    def devices(self) -> tuple[bytes, ...]:
        """Every device that was enrolled or that said something."""
        return tuple(dict.fromkeys(device for told in self._told.values() for device in told.devices))

    @property
    def releases(self) -> tuple[bytes, ...]:
        """Every release that was published, in the order of first publication."""
        published = [
            s.fields["release"] for s in self.statements if isinstance(s, Act) and s.name == "Published"
        ]
        return tuple(dict.fromkeys(published))

    @property
    def groups(self) -> dict[int, bytes]:
        """Each group's channel, as last assigned on the newest pair of contracts."""
        return dict(self.told(self.trust.eras[-1]).groups)

    def _settle_gaps(self) -> None:
        """What the ledger never got may be anchored; what was signed twice shows there, too."""
        for era, gap in self._gaps:
            if gap.filled(self.told(era)):
                what = (
                    f"events {gap.first} to {gap.last} of 0x{gap.device.hex()} are anchored, in their chain"
                )
                self.findings[gap.finding] = Finding(Verdict.PROVED, self.findings[gap.finding].where, what)
        for told in self._told.values():
            for device, sequence in forks(told):
                what = f"event {sequence} of 0x{device.hex()} was signed twice, differently"
                self._note(Verdict.WRONG, "anchors", what)

    def _close(self, era: Era, told: Told, states: list[StateEvidence]) -> None:
        if not states:
            self._note(Verdict.GAP, "end", "no state was proved at the end: what was left out cannot be seen")
            return
        number = max(state.number for state in states)
        where = f"state at block {number}"
        if told.last_block > number:
            self._note(Verdict.GAP, where, f"statements up to block {told.last_block} come after it")
        header: Header | None = None
        nodes: dict[bytes, None] = {}
        for state in states:
            if state.number != number:
                self._note(Verdict.WRONG, f"state at block {state.number}", f"the end is block {number}")
                continue
            try:
                header = self.trust.verify_header(
                    state.proof.header or b"", number=number, note=state.proof.note
                )
            except NoNoteError as error:
                self._note(Verdict.GAP, where, str(error))
                continue
            except (ProtocolError, ClientError) as error:
                self._note(Verdict.WRONG, where, str(error))
                continue
            nodes.update(dict.fromkeys(state.proof.nodes))
        if header is None:
            return
        self.last_block, self.last_time = header.number, header.timestamp
        node_set = NodeSet(nodes, max_nodes=len(nodes))
        ledger = era.ledger
        try:
            word = _words_of(header.state_root, node_set, ledger.address, code_hash=ledger.code_hash)
            self.findings += compare_ledger(told, word, where=where, digests=self.trust.digests)
            if told.devices:
                word = _words_of(header.state_root, node_set, ledger.journal, code_hash=None)
                self.findings += compare_devices(told, word, where=where)
        except ProtocolError as error:
            self._note(Verdict.GAP, where, f"no proof of the contracts: {error}")

    def _follow_event(self, event: DeviceEvent, era: Era, carried: deque[Carried]) -> None:
        told = self.told(era)
        where, name = _where(event), f"0x{event.device.hex()}"
        device = told.devices.get(event.device)
        if device is None:
            self._note(Verdict.GAP, where, f"device {name} has no enrolment in this history")
            device = told.devices.setdefault(event.device, DeviceTold())
        told.name_release(event.release)
        if event.sequence <= device.sequence:
            what = f"event {event.sequence} of {name} after event {device.sequence}"
            self._note(Verdict.WRONG, where, what)
            return
        previous = device.previous
        if event.sequence > device.sequence + 1:
            missing = f"events {device.sequence + 1} to {event.sequence - 1} of {name}"
            if event.gap_previous is not None:
                previous = event.gap_previous
                first, last = device.sequence + 1, event.sequence - 1
                gap = Gap(event.device, first, last, device.previous, previous, len(self.findings))
                self._gaps.append((era, gap))
                self._note(Verdict.GAP, where, f"{missing} never reached the ledger, which noted it")
            else:
                previous = _previous_of(event, told.ledger, carried)
                self._note(Verdict.GAP, where, f"{missing} are missing")
        try:
            digest = _digest(event, previous, told.ledger)
        except ProtocolError as error:
            # A device, or who carried its event, chose `previous`: one that is no link shall end no audit.
            device.sequence, device.previous = event.sequence, NO_PREVIOUS
            self._note(Verdict.WRONG, where, f"event {event.sequence} of {name}: {error}")
            return
        device.sequence, device.previous = event.sequence, chain_link(digest)
        device.digests[event.sequence] = digest
        if event.position < event.of - 1:
            return  # the signature is over the queue's last event
        first = event.sequence - event.of + 1
        covers = f"event {first}" if event.of == 1 else f"events {first} to {event.sequence}"
        if _signed(digest, event.device, carried):
            self._note(Verdict.PROVED, where, f"{covers} of {name}: seals, receipt, signature, chain")
        else:
            self._note(
                Verdict.WRONG,
                where,
                f"{covers}: no signature of {name} in the transaction that carried it",
            )

    def _note(self, verdict: Verdict, where: str, what: str) -> None:
        self.findings.append(Finding(verdict, where, what))


def _digest(event: DeviceEvent, previous: bytes, ledger: LedgerRef) -> bytes:
    signed = UpdateEvent(
        release=event.release,
        sequence=event.sequence,
        kind=event.kind,
        time=event.device_time,
        detail=event.detail,
        previous=previous,
    )
    return event_digest(signed, chain_id=ledger.chain_id, journal=ledger.journal)


def _previous_of(event: DeviceEvent, ledger: LedgerRef, carried: deque[Carried]) -> bytes:
    """The `previous` that the device signed, where the event before was left out of the evidence."""
    if event.of > 1:  # a queue came alone, and its signature is over the last event
        return carried[0].previous if carried else NO_PREVIOUS
    for one in carried:
        with contextlib.suppress(ProtocolError):
            if recovered(_digest(event, one.previous, ledger), one.signature) == event.device:
                return one.previous
    return NO_PREVIOUS


def _signed(digest: bytes, device: bytes, carried: deque[Carried]) -> bool:
    """Whether one of the carried signatures is the device's; the search goes on where the last one ended,
    since a batch carries signatures in the order of its logs.
    """
    for _ in range(len(carried)):
        one = carried[0]
        carried.rotate(-1)
        if recovered(digest, one.signature) == device:
            return True
    return False


def _words_of(
    state_root: bytes, nodes: NodeSet, address: bytes, *, code_hash: bytes | None
) -> Callable[[bytes], int]:
    account = prove_account(state_root, nodes, address)
    if account is None:
        raise ProofError(f"account {address.hex()}", expected="a contract", got="proven absent")
    if code_hash is not None and account.code_hash != code_hash:
        raise ProofError("code of the ledger", expected=code_hash, got=account.code_hash)
    root = account.storage_root
    return lambda key: prove_word(root, nodes, key)


def _where(statement: Statement) -> str:
    return _at(statement.place)


def _at(place: Place) -> str:
    return f"block {place.block}, transaction {place.index}, log {place.log}"


def _place_of(evidence: Evidence) -> str:
    try:
        return evidence.place
    except ProtocolError:
        return "a piece of evidence whose header does not parse"
