"""Re-proves a whole history and names what does not hold and what is missing.

Evidence shows that each statement was logged. That nothing was left out is shown from the other side: a
device's
word, proved at the newest block, ends the chain of its events, and a channel's word is what the last act on
it set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ledger_client.audit.evidence import Evidence, prove
from ledger_client.audit.signatures import recovered, signatures_in
from ledger_client.audit.statements import Act, DeviceEvent, Statement, statements
from ledger_client.errors import ClientError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import contract_state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord
from ledger_protocol.ledger.proof import verify_words
from ledger_protocol.report.event import NO_PREVIOUS, UpdateEvent, chain_link, event_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger_client.audit.collect import StateEvidence
    from ledger_client.audit.trust import TrustHistory


class Verdict(StrEnum):
    """What a check found."""

    PROVED = "proved"
    GAP = "gap"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: `where` it was made, `what` it says in one line."""

    verdict: Verdict
    where: str
    what: str


@dataclass(slots=True)
class _Chain:
    """How far a device's event chain has been followed."""

    sequence: int = 0
    previous: bytes = NO_PREVIOUS


@dataclass(slots=True)
class History:
    """A history as it is being proved: give it all evidence in the ledger's order, then the state at the
    end.
    """

    trust: TrustHistory
    statements: list[Statement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    last_block: int = 0
    last_time: int = 0
    _chains: dict[bytes, _Chain] = field(default_factory=dict)
    _words: dict[bytes, int] = field(default_factory=dict)
    _heads: dict[bytes, bytes] = field(default_factory=dict)
    _groups: dict[int, bytes] = field(default_factory=dict)
    _revoked: dict[bytes, bool] = field(default_factory=dict)

    def add(self, evidence: Evidence) -> tuple[Statement, ...]:
        """Prove one receipt and take its statements in; a finding says how that went."""
        try:
            proven = prove(evidence, trust=self.trust)
            found = statements(proven, ledger=self.trust.root_for(proven.block).ledger)
        except (ProtocolError, ClientError) as error:
            self._note(Verdict.WRONG, _place_of(evidence), str(error))
            return ()
        signatures = signatures_in(proven.calldata)
        events = [statement for statement in found if isinstance(statement, DeviceEvent)]
        for act in found:
            if isinstance(act, Act):
                self._follow_act(act)
                self._note(Verdict.PROVED, _where(act), f"{act.name}: seals and receipt")
        for event in events:
            self._follow_event(event, signatures)
        self.statements.extend(found)
        return found

    def close(self, state: StateEvidence, *, device: bytes | None = None) -> None:
        """Compare what was told with the words proved at the end: the ledger's, and one device's in the
        journal.
        """
        where = f"state at block {state.number}"
        try:
            header = self.trust.verify_header(state.proof.header or b"", number=state.number)
            self.last_block, self.last_time = header.number, header.timestamp
            if device is None:
                self._close_ledger(state, header.state_root, where)
            else:
                self._close_device(state, header.state_root, device, where)
        except (ProtocolError, ClientError) as error:
            self._note(Verdict.WRONG, where, str(error))

    @property
    def devices(self) -> tuple[bytes, ...]:
        """Every device that was enrolled or that said something."""
        return tuple(self._chains)

    @property
    def channels(self) -> tuple[bytes, ...]:
        """Every channel that something was published on."""
        return tuple(self._heads)

    @property
    def releases(self) -> tuple[bytes, ...]:
        """Every release that was published, in the order of first publication."""
        published = [
            s.fields["release"] for s in self.statements if isinstance(s, Act) and s.name == "Published"
        ]
        return tuple(dict.fromkeys(published))

    @property
    def seats(self) -> dict[int, bytes]:
        """Which member sits where: approvals are logged as a bitmap of seats."""
        seated = [s.fields for s in self.statements if isinstance(s, Act) and s.name == "MemberSet"]
        return {fields["seat"]: fields["member"] for fields in seated}

    @property
    def groups(self) -> dict[int, bytes]:
        """Each group's channel, as last assigned."""
        return dict(self._groups)

    @property
    def revoked(self) -> tuple[bytes, ...]:
        """Every revoked release."""
        return tuple(self._revoked)

    def _follow_act(self, act: Act) -> None:
        fields = act.fields
        if act.name == "Published":
            self._heads[fields["channel"]] = fields["release"]
        if act.name in ("Published", "RolloutSet", "Resumed", "Halted"):
            self._words[fields["channel"]] = fields["word"]
        elif act.name == "GroupAssigned":
            self._groups[fields["group"]] = fields["channel"]
        elif act.name == "Revoked":
            self._revoked[fields["release"]] = (
                self._revoked.get(fields["release"], False) or fields["mandatory"]
            )
        elif act.name == "Enrolled":
            self._chains.setdefault(fields["device"], _Chain())

    def _follow_event(self, event: DeviceEvent, signatures: tuple[bytes, ...]) -> None:
        where = _where(event)
        chain = self._chains.get(event.device)
        if chain is None:
            self._note(Verdict.GAP, where, f"device 0x{event.device.hex()} has no enrolment in this history")
            chain = self._chains.setdefault(event.device, _Chain())
        previous = chain.previous
        if event.sequence != chain.sequence + 1:
            missing = (
                f"events {chain.sequence + 1} to {event.sequence - 1} of 0x{event.device.hex()} are missing"
            )
            self._note(Verdict.GAP, where, missing)
            previous = event.gap_previous or NO_PREVIOUS
        ledger = self.trust.root_for(event.place.block).ledger
        digest = event_digest(
            UpdateEvent(
                release=event.release,
                sequence=event.sequence,
                kind=event.kind,
                time=event.device_time,
                detail=event.detail,
                previous=previous,
            ),
            chain_id=ledger.chain_id,
            journal=ledger.journal,
        )
        chain.sequence, chain.previous = event.sequence, chain_link(digest)
        if event.position < event.of - 1:
            return
        covers = (
            f"event {event.sequence}"
            if event.of == 1
            else f"events {event.sequence - event.of + 1} to {event.sequence}"
        )
        if any(recovered(digest, signature) == event.device for signature in signatures):
            self._note(
                Verdict.PROVED, where, f"{covers} of 0x{event.device.hex()}: seals, receipt, signature, chain"
            )
        else:
            self._note(
                Verdict.WRONG,
                where,
                f"{covers}: no signature of 0x{event.device.hex()} in the transaction that carried it",
            )

    def _close_ledger(self, state: StateEvidence, state_root: bytes, where: str) -> None:
        ledger = self.trust.newest.ledger
        keys = [contract_state.trust_root_key()]
        keys += [
            key(channel)
            for channel in self._heads
            for key in (contract_state.head_key, contract_state.word_key)
        ]
        keys += [contract_state.channel_of_key(group) for group in self._groups]
        keys += [contract_state.revoked_key(release) for release in self._revoked]
        words = verify_words(
            state_root, state.proof, account=ledger.address, code_hash=ledger.code_hash, keys=keys
        )
        for channel, head in self._heads.items():
            same_head = words[contract_state.head_key(channel)] == int.from_bytes(head, "big")
            same_word = words[contract_state.word_key(channel)] == self._words[channel]
            told = ChannelWord.decode(self._words[channel])
            proved = ChannelWord.decode(words[contract_state.word_key(channel)])
            if same_head and same_word:
                self._note(
                    Verdict.PROVED,
                    where,
                    f"channel {channel.hex()[:16]}: head and word are what its last act set",
                )
            else:
                self._note(
                    Verdict.GAP,
                    where,
                    f"channel {channel.hex()[:16]}: acts were left out; told up to epoch {told.epoch}, "
                    f"sequence {told.sequence}; proved epoch {proved.epoch}, sequence {proved.sequence}",
                )
        for group, channel in self._groups.items():
            if words[contract_state.channel_of_key(group)] != int.from_bytes(channel, "big"):
                self._note(Verdict.GAP, where, f"group {group}: a later assignment was left out")
        for release in self._revoked:
            if words[contract_state.revoked_key(release)] == 0:
                self._note(
                    Verdict.WRONG, where, f"release {release.hex()[:16]}: told as revoked, proved not to be"
                )
        recorded = words[contract_state.trust_root_key()].to_bytes(32, "big")
        if recorded not in self.trust.digests:
            self._note(
                Verdict.GAP,
                where,
                f"the ledger names trust root {recorded.hex()[:16]}, which is not among those given",
            )

    def _close_device(self, state: StateEvidence, state_root: bytes, device: bytes, where: str) -> None:
        ledger = self.trust.newest.ledger
        key = contract_state.device_key(device)
        words = verify_words(state_root, state.proof, account=ledger.journal, code_hash=None, keys=[key])
        word = DeviceWord.decode(words[key])
        chain = self._chains[device]
        name = f"0x{device.hex()}"
        if (word.sequence, word.previous) == (chain.sequence, chain.previous):
            self._note(
                Verdict.PROVED, where, f"{name}: its {word.sequence} events are all here, and end in its word"
            )
        elif word.sequence > chain.sequence:
            self._note(
                Verdict.GAP, where, f"{name}: events {chain.sequence + 1} to {word.sequence} were left out"
            )
        else:
            self._note(Verdict.WRONG, where, f"{name}: its events do not end in its proven word")

    def _note(self, verdict: Verdict, where: str, what: str) -> None:
        self.findings.append(Finding(verdict, where, what))


def prove_all(trust: TrustHistory, evidence: Iterable[Evidence]) -> History:
    """Prove all evidence, in the ledger's order; the caller closes the history with states."""
    history = History(trust)
    for piece in evidence:
        history.add(piece)
    return history


def _where(statement: Statement) -> str:
    place = statement.place
    return f"block {place.block}, transaction {place.index}, log {place.log}"


def _place_of(evidence: Evidence) -> str:
    try:
        return evidence.place
    except ProtocolError:
        return "a piece of evidence whose header does not parse"
