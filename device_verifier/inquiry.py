"""Ask every source, believe none: V0 to V9 in order, over any mix of ledger and block sources.

The pure checks live in `trusted_ledger`, `release` and `policy`; here is only who is asked, and what happens
when one of them lies or is silent.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from device_verifier import policy
from device_verifier.asking import ask_all
from device_verifier.errors import DeviceError, NotTrusted, SourceUnreachable
from device_verifier.facts import DeviceFacts
from device_verifier.fetcher import fetch_block
from device_verifier.policy import Action, Decision
from device_verifier.release import VerifiedRelease, verify_release
from device_verifier.sources import BlockSource, LedgerSource, StateQuery
from device_verifier.trusted_ledger import LedgerFloor, LedgerView, TrustedLedger
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.limits import MAX_ENVELOPE_BYTES, MAX_MANIFEST_BYTES
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.report.reasons import Reason

__all__ = ["Consultation", "Held", "Learned", "Memory", "Refusal", "consult", "learn", "obtain_release"]

# Stepping stones from an old release to the head; a product line that needs more should publish a shorter
# way.
MAX_STONES: Final = 8

# Refusals that say more than any other source's silence: they come from an authentic header, or from the root
# itself.
_TELLING: Final = (
    Reason.SPLIT_VIEW,
    Reason.TRUST_ROOT_MISSING,
    Reason.TRUST_ROOT_EXPIRED,
    Reason.STALE_LEDGER,
)


@dataclass(frozen=True, slots=True)
class Held:
    """What the device remembers: the newest signed root, the digests of those before it, and the height
    floor.
    """

    trust_root: bytes
    walked: tuple[bytes, ...]
    floor: LedgerFloor | None


class Memory(Protocol):
    """The device's durable memory of what it has accepted. Each call is durable when it returns."""

    def held(self) -> Held:
        """Return what is remembered; at first, the factory's root and no floor."""
        ...

    def keep_root(self, signed: bytes) -> None:
        """Remember a signed root that was accepted: the newest from now on."""
        ...

    def keep_floor(self, floor: LedgerFloor) -> None:
        """Remember the floor of a proof that was accepted."""
        ...

    def revocations(self) -> Mapping[bytes, Revocation]:
        """Return every revocation that was ever proven, by release id."""
        ...

    def keep_revocations(self, revoked: Mapping[bytes, Revocation]) -> None:
        """Remember proven revocations."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one source was not used: its name, and what it did."""

    source: str
    error: DeviceError


@dataclass(frozen=True, slots=True)
class Learned:
    """The newest proven state that any source gave, who gave it, and why the others did not count."""

    view: LedgerView
    source: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Consultation:
    """The whole answer: what to do, the verified release to do it with (None unless it installs), and from
    what.
    """

    decision: Decision
    release: VerifiedRelease | None
    learned: Learned


def learn(
    facts: DeviceFacts,
    *,
    sources: Sequence[LedgerSource],
    memory: Memory,
    also_revoked: tuple[bytes, ...] = (),
    with_device: bool = False,
) -> Learned:
    """V0 to V4 over every source: walk roots from all, then take the newest proof that verifies.

    All are asked, not the first that answers: a source that withholds the newest block is found out by any
    other one. Arguments: `also_revoked` are further releases whose revocation is wanted; `with_device` asks
    for the device's own word in the journal even where it follows a channel or group by configuration. Roots,
    floor and revocations are kept in `memory` the moment they are accepted. Raises NotTrusted when every
    answer is refused (or two blocks contradict each other), SourceUnreachable when nobody answers.
    """
    refusals: list[Refusal] = []
    _walk_roots(facts, sources, memory, refusals)
    root = _ledger(facts, memory).root
    query = StateQuery(
        channel=facts.channel,
        group=facts.group,
        installed=None if facts.installed is None else facts.installed.release,
        operator=root.operator,
        also_revoked=also_revoked,
        device=facts.address if with_device or (facts.channel is None and facts.group is None) else None,
        headers=root.headers,
    )
    best: Learned | None = None
    hints: list[tuple[bytes, ...]] = []

    def any_accepted(proofs: Sequence[bytes]) -> bool:
        # Whoever answers at once with what is refused must not break off those who tell the truth.
        return any(_is_accepted(proof, _ledger(facts, memory)) for proof in proofs)

    for source, proof in ask_all(
        sources, lambda source: source.proof(query, ledger=root.ledger), enough=any_accepted
    ):
        ledger = _ledger(facts, memory)
        try:
            if isinstance(proof, DeviceError):
                raise proof
            hints.append(_hints(proof))
            ledger.update_header(proof)
            try:
                view = ledger.read(query)
            except NotTrusted as error:
                if error.reason is not Reason.TRUST_ROOT_MISSING:
                    raise
                # Or the ledger lags behind a factory root whose ancestors we never saw.
                ledger = _with_ancestors(facts, memory, source)
                ledger.update_header(proof)
                view = ledger.read(query)
        except DeviceError as error:
            error.with_steps(ledger.steps)
            refusals.append(Refusal(source.name, error))
            if error.reason is Reason.SPLIT_VIEW:
                raise
            continue
        # Revocations first: a cut in between may lose what can be proven again, never what a floor hides.
        memory.keep_revocations(_revoked(view, query))
        memory.keep_floor(ledger.new_floor)
        # What is accepted later is never older: the floor that the one before it set sees to that.
        best = Learned(view, source.name, ())
    if best is None:
        raise _nobody(refusals)
    view = replace(_with_known(best.view, query, memory.revocations()), envelope_hints=_in_turn(hints))
    return Learned(view, best.source, tuple(refusals))


def consult(
    facts: DeviceFacts, *, ledgers: Sequence[LedgerSource], blocks: Sequence[BlockSource], memory: Memory
) -> Consultation:
    """V0 to V9: learn, decide, fetch and verify the release, judge it, by way of its stepping stones if need
    be.

    Raises NotTrusted or SourceUnreachable; a release that is merely not for this device is a `Decision`, no
    error.
    """
    learned = learn(facts, sources=ledgers, memory=memory)
    decision = policy.decide(learned.view, facts)
    if decision.target is None:
        return Consultation(decision, None, learned)
    try:
        release = obtain_release(decision.target, learned.view, blocks=blocks)
        judged = policy.judge_release(release, learned.view, facts, so_far=decision)
        for _ in range(MAX_STONES):
            stone = judged.target
            if stone is None or stone == release.release_id:
                return Consultation(judged, None if stone is None else release, learned)
            learned = learn(facts, sources=ledgers, memory=memory, also_revoked=(stone,))
            again = policy.decide(learned.view, facts)
            if again.target != decision.target:
                # The ledger moved on meanwhile; the next check starts afresh.
                return Consultation(_not_now(again), None, learned)
            parent, release = release, obtain_release(stone, learned.view, blocks=blocks)
            revoked = learned.view.revocation_of(stone)
            judged = policy.judge_via(
                release, parent, revoked=revoked, view=learned.view, facts=facts, so_far=judged
            )
        raise NotTrusted(
            "the way to the newest release is too long",
            reason=Reason.UNREACHABLE_FROM,
            expected=f"at most {MAX_STONES} stepping stones",
            got="more",
            hint="the manufacturer should publish a shorter way",
        )
    except DeviceError as error:
        error.release = decision.target
        raise


def obtain_release(
    release: bytes, view: LedgerView, *, blocks: Sequence[BlockSource], hints: Sequence[Cid] = ()
) -> VerifiedRelease:
    """V6 and V7: fetch the manifest of `release` and an envelope over it, and verify both under the view's
    root.

    Envelopes are found by `hints` and by the view's; all are unverified, and one that does not verify is
    passed over. Raises NotTrusted (the last refusal) or SourceUnreachable.
    """
    manifest = fetch_block(Cid(DAG_CBOR, release), sources=blocks, max_bytes=MAX_MANIFEST_BYTES)
    refusal: DeviceError = SourceUnreachable(
        "no source names an envelope of the release",
        reason=Reason.CONTENT_UNAVAILABLE,
        expected=f"an envelope of 0x{release.hex()}",
        hint="ask a source that keeps the ledger's log, or use a bundle",
    )
    for cid in (*hints, *_readable_cids(view.envelope_hints)):
        try:
            envelope = fetch_block(cid, sources=blocks, max_bytes=MAX_ENVELOPE_BYTES)
            if Envelope.decode(envelope).manifest.digest != release:
                continue  # another release's: the same proof file serves devices on several
            return verify_release(envelope, manifest, head=release, root=view.root)
        except ProtocolError:
            continue
        except DeviceError as error:
            refusal = error
    refusal.with_steps(view.steps)
    raise refusal


def _not_now(decision: Decision) -> Decision:
    """Return the decision without its target, whose release nobody fetched."""
    if decision.target is None:
        return decision
    return Decision(Action.WAIT, Reason.DECISION_CHANGED, None, decision.steps)


def _walk_roots(
    facts: DeviceFacts, sources: Sequence[LedgerSource], memory: Memory, refusals: list[Refusal]
) -> None:
    """V0: take every root that any source offers and that follows by signature; keep each at once."""
    held = _ledger(facts, memory).root

    def ask(source: LedgerSource, after_version: int) -> list[bytes]:
        return source.trust_roots(after_version=after_version, ledger=held.ledger)

    for source, offered in ask_all(sources, lambda source: ask(source, held.version)):
        ledger = _ledger(facts, memory)
        try:
            if isinstance(offered, DeviceError):
                raise offered
            try:
                ledger.update_roots(offered)
            except NotTrusted:
                # Perhaps our own root came in another envelope than the next one names: ask for it as well.
                ledger.update_roots(ask(source, held.version - 1))
        except DeviceError as error:
            refusals.append(Refusal(source.name, error))
        for signed in ledger.new_roots:
            memory.keep_root(signed)


def _with_ancestors(facts: DeviceFacts, memory: Memory, source: LedgerSource) -> TrustedLedger:
    """Start again with every root that `source` knows, those before our own included."""
    ledger = _ledger(facts, memory)
    # A refusal was noted when the newer roots were asked for; here it is the ledger's word that tells more.
    with contextlib.suppress(DeviceError):
        ledger.update_roots(source.trust_roots(after_version=0, ledger=ledger.root.ledger))
    for signed in ledger.new_roots:
        memory.keep_root(signed)
    return ledger


def _ledger(facts: DeviceFacts, memory: Memory) -> TrustedLedger:
    held = memory.held()
    return TrustedLedger(trust_root=held.trust_root, floor=held.floor, now_s=facts.now_s, walked=held.walked)


def _is_accepted(proof: bytes, ledger: TrustedLedger) -> bool:
    """Say whether V1 and V2 accept the header of a proof."""
    try:
        ledger.update_header(proof)
    except DeviceError:
        return False
    return True


def _revoked(view: LedgerView, query: StateQuery) -> dict[bytes, Revocation]:
    """Return the revocations that a view proves."""
    asked = [(view.head, view.head_revoked), (query.installed, view.installed_revoked), *view.also_revoked]
    return {release: revoked for release, revoked in asked if release is not None and revoked is not None}


def _with_known(view: LedgerView, query: StateQuery, known: Mapping[bytes, Revocation]) -> LedgerView:
    """Return the view with what was proven before: a revocation is for ever, a floor only until a trust root
    starts it afresh.
    """
    return replace(
        view,
        head_revoked=view.head_revoked or (None if view.head is None else known.get(view.head)),
        installed_revoked=view.installed_revoked
        or (None if query.installed is None else known.get(query.installed)),
        also_revoked=tuple((release, now or known.get(release)) for release, now in view.also_revoked),
    )


def _hints(proof: bytes) -> tuple[bytes, ...]:
    """Return a proof's hints. They need no trust, and not only the newest block's bearer may give them."""
    try:
        return LedgerProof.decode(proof).envelopes
    except ProtocolError:
        return ()


def _in_turn(hints: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Merge every source's hints, one of each in turn, so that false ones cannot crowd out the others'."""
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*hints))
    return tuple(dict.fromkeys(hint for hint in rounds if hint is not None))


def _readable_cids(hints: Sequence[bytes]) -> list[Cid]:
    cids: list[Cid] = []
    for hint in hints:
        try:
            cids.append(Cid.from_bytes(hint))
        except ProtocolError:
            continue  # a hint is worth nothing by itself
    return cids


def _nobody(refusals: list[Refusal]) -> DeviceError:
    """Return the refusal that says most, with the others as notes."""
    if not refusals:
        return SourceUnreachable(
            "there is no source of the ledger's state",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="one source at least",
            got="none",
            hint="name one in device.toml, or use a bundle",
        )

    def rank(refusal: Refusal) -> tuple[int, int]:
        error = refusal.error
        telling = _TELLING.index(error.reason) if error.reason in _TELLING else len(_TELLING)
        return telling, 0 if isinstance(error, NotTrusted) else 1

    chosen = min(refusals, key=rank)
    for refusal in refusals:
        if refusal is not chosen:
            chosen.error.add_note(f"{refusal.source}: {refusal.error}")
    return chosen.error
