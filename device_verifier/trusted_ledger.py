"""Checks V0 to V4: from trust roots and proof bytes to proven ledger state. Pure: no files, network or clock.

The order is the security property, so it is enforced: roots, then a header, then words. A call out of order
is a programming error (`RuntimeError`), a bad document is the other side's (`NotTrusted`).
"""

import hashlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from device_verifier.errors import NotTrusted, readable
from device_verifier.sources import StateQuery
from device_verifier.steps import Step
from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import ProofError, ProtocolError, QuorumError, TrustRootError
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import LedgerProof, prove_account, prove_word
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES
from ledger_protocol.release import trust_root as roots
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot
from ledger_protocol.report.reasons import Reason

__all__ = ["MAX_CLOCK_LEAD_S", "LedgerFloor", "LedgerView", "TrustedLedger", "VerifiedHeader", "floor_scope"]

# A header may be this far ahead of the device's clock (seconds): a day covers any drift and a wrong time
# zone, and still stops a quorum of stolen validator keys from pushing the floor years ahead, where it would
# refuse the truth.
MAX_CLOCK_LEAD_S: Final = 86_400
# Envelopes of the held root's document that one source may offer; an honest one knows of one.
MAX_OTHER_ENVELOPES: Final = 4


@dataclass(frozen=True, slots=True)
class LedgerFloor:
    """The newest ledger state that the device has accepted; nothing older is accepted again.

    It belongs to one ledger under one header trust (`scope`, from `floor_scope`): a root that changes either
    starts afresh from its own `from_block`. `hash` is None for a floor that an image build set without
    knowing it.
    """

    number: int
    hash: bytes | None
    time: int
    root_version: int
    scope: bytes


@dataclass(frozen=True, slots=True)
class VerifiedHeader:
    """A block header that a quorum of the pinned validators sealed."""

    number: int
    hash: bytes
    state_root: bytes
    receipts_root: bytes
    time: int
    age_s: int | None
    """Seconds between its time and the device's clock (never negative); None where there is no usable clock.
    """


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the ledger says to one device at one proven height. Every field is proven; nothing is taken on
    trust.
    """

    header: VerifiedHeader
    root: TrustRoot
    """The newest trust root held, under which all of this was proven."""
    device: DeviceWord | None
    """The device's own word in the journal; None when it was not asked for, or is proven absent (not
    enrolled).
    """
    channel: bytes | None
    """The channel id followed; None when the device's group is assigned to none, or its group is not known.
    """
    head: bytes | None
    """Release id of the channel's newest publication; None when there is none."""
    word: ChannelWord | None
    head_revoked: Revocation | None
    installed_revoked: Revocation | None
    approved_at: int | None
    """When the pinned operator approved the head; None when it did not, or none is pinned."""
    also_revoked: tuple[tuple[bytes, Revocation | None], ...]
    """The further releases asked about, each with its revocation or None."""
    envelope_hints: tuple[bytes, ...]
    """Unverified CIDs (36 bytes) of envelopes that may be the head's; only hints of what to fetch."""
    steps: tuple[Step, ...]

    def revocation_of(self, release: bytes) -> Revocation | None:
        """Return the proven revocation of a release in `also_revoked`; KeyError for another."""
        return dict(self.also_revoked)[release]


def floor_scope(signed_root: bytes) -> bytes:
    """Return the SHA-256 that names a trust root's (ledger, headers): the scope of a height floor."""
    signed = SignedTrustRoot.decode(signed_root)
    document = dag_cbor.decode(signed.document, max_bytes=MAX_TRUST_ROOT_BYTES)
    if not isinstance(
        document, dict
    ):  # decode() of a verified root cannot bring us here; a caller's bytes can
        raise TypeError("a trust root document is a map")
    return hashlib.sha256(dag_cbor.encode([document["ledger"], document["headers"]])).digest()


class TrustedLedger:
    """The proven state, grown in order: `update_roots` any number of times, `update_header` once, then
    `read`.

    Arguments: `trust_root` is the signed root that came with the factory image, or the newest one that this
    device verified and stored; `walked` the digests of the roots before it; `floor` what was stored at the
    last accept; `now_s` the clock in Unix seconds, or None where the device has none to trust.
    """

    def __init__(
        self,
        *,
        trust_root: bytes,
        floor: LedgerFloor | None,
        now_s: int | None,
        walked: Sequence[bytes] = (),
    ) -> None:
        with _as_not_trusted(Reason.BAD_TRUST_ROOT, "the trust root that this device holds"):
            self._root = roots.verify_first(trust_root, now_s=None)
            self._digests = {SignedTrustRoot.decode(trust_root).digest, *walked}
            self._scope = floor_scope(trust_root)
        self._signed = trust_root
        self._new_roots: list[bytes] = []
        self._floor = floor
        self._now_s = now_s
        self._header: VerifiedHeader | None = None
        self._nodes: NodeSet | None = None
        self._hints: tuple[bytes, ...] = ()
        self._steps: list[Step] = []
        self._read_through = False
        if floor is not None and floor.root_version > self._root.version:
            raise NotTrusted(
                "the trust root that this device holds is older than one it has accepted",
                reason=Reason.BAD_TRUST_ROOT,
                expected=f"version {floor.root_version} or newer",
                got=f"version {self._root.version}",
                hint="restore the stored trust roots, or fetch them again from any source",
            )

    @property
    def root(self) -> TrustRoot:
        """The newest trust root held."""
        return self._root

    @property
    def steps(self) -> tuple[Step, ...]:
        """The checks that passed so far, in order."""
        return tuple(self._steps)

    @property
    def new_roots(self) -> tuple[bytes, ...]:
        """The signed roots accepted by this object, oldest first: store them at once, whatever follows."""
        return tuple(self._new_roots)

    def update_roots(self, offered: Iterable[bytes]) -> TrustRoot:
        """Walk from the held root over `offered` ones, in ascending order, by their signatures alone (V0).

        Roots at or below the held version are passed over (a bundle carries every root since the first), and
        at most `MAX_ROOT_STEPS` are taken. An expired root may be walked over: only the newest is asked for
        its expiry, when the header comes. Raises NotTrusted (bad-trust-root) for a root that claims to follow
        and does not; those before it stay accepted, in `new_roots`. RuntimeError after a header.
        """
        if self._header is not None:
            raise RuntimeError("cannot update the trust root after the header")
        offers = list(offered)
        refusal: TrustRootError | None = None
        steps: tuple[bytes, ...] = ()
        # `previous` names the CID of an envelope, and signatures beyond the threshold can be stripped from
        # one: the same document may have reached us in another envelope than the one that the next version
        # names.
        for held in (self._signed, *self._other_envelopes(offers)):
            try:
                steps, refusal = roots.walk(held, offers, now_s=None).steps, None
                break
            except TrustRootError as error:
                if refusal is None or len(error.steps) > len(steps):
                    steps, refusal = error.steps, error
            except ProtocolError:
                continue  # an envelope of our own document that is not rightly signed
        for signed in steps:
            self._hold(signed)
        if refusal is not None:
            raise _refused(refusal, Reason.BAD_TRUST_ROOT, "an offered trust root") from refusal
        return self._root

    def _other_envelopes(self, offers: Iterable[bytes]) -> list[bytes]:
        """Return the offered envelopes that hold the very document that we hold, in other bytes."""
        digest = SignedTrustRoot.decode(self._signed).digest
        found: list[bytes] = []
        for offer in offers:
            try:
                same = offer != self._signed and SignedTrustRoot.decode(offer).digest == digest
            except ProtocolError:
                continue
            if same and len(found) < MAX_OTHER_ENVELOPES:
                found.append(offer)
        return found

    def _hold(self, signed: bytes) -> None:
        envelope = SignedTrustRoot.decode(signed)
        self._root = TrustRoot.decode(envelope.document)
        self._digests.add(envelope.digest)
        self._scope = floor_scope(signed)
        self._signed = signed
        self._new_roots.append(signed)

    def update_header(self, proof: bytes) -> VerifiedHeader:
        """Accept the header inside an encoded ledger proof (V1, V2).

        Raises NotTrusted; RuntimeError when a header was accepted before.
        """
        if self._header is not None:
            raise RuntimeError("a header was accepted already; start a new TrustedLedger")
        self._steps.append(
            _passed("V0", "trust root held", "the newest on offer", f"version {self._root.version}")
        )
        self._refuse_expired(self._now_s, "the device's clock")
        header, decoded = self._authentic_header(proof)
        self._refuse_old(header)
        self._refuse_expired(header.time, "the proven header")
        with _as_not_trusted(Reason.BAD_PROOF, "the ledger proof", check="V3"):
            self._nodes = NodeSet(decoded.nodes)
        self._header, self._hints = header, decoded.envelopes
        return header

    @property
    def new_floor(self) -> LedgerFloor:
        """The floor that an accepted proof sets: store it at once when `read` returns, whatever follows.

        RuntimeError before: a fresh header beside a broken proof must not push the floor past honest sources.
        """
        if not self._read_through:
            raise RuntimeError("no proof has been accepted yet: call read first")
        header = self._accepted_header()
        return LedgerFloor(
            number=header.number,
            hash=header.hash,
            time=header.time,
            root_version=self._root.version,
            scope=self._scope,
        )

    def read(self, query: StateQuery) -> LedgerView:
        """Prove every word that `query` and the root's operator ask for (V3, V4).

        Raises NotTrusted (bad-proof, wrong-contract, trust-root-missing); RuntimeError before a header.
        """
        header = self._accepted_header()
        storage_root = self._prove_account()
        with _as_not_trusted(Reason.BAD_PROOF, "a word of the ledger", check="V4"):
            self._refuse_unseen_root(self._word(storage_root, state.trust_root_key()))
            device = None if query.device is None else self._device_word(query.device)
            channel = query.channel_id
            group = query.group if query.group is not None or device is None else device.group
            if channel is None and group is not None:
                channel = _word_or_none(self._word(storage_root, state.channel_of_key(group)))
            head, word = (None, None) if channel is None else self._channel(storage_root, channel)
            asked = [
                release for release in (head, query.installed, *query.also_revoked) if release is not None
            ]
            revoked = {release: self._revocation(storage_root, release) for release in asked}
            approved_at = None
            if self._root.operator is not None and head is not None:
                approved_at = self._word(storage_root, state.approval_key(self._root.operator, head)) or None
        self._steps.append(_passed("V4", "ledger words", "proven at one height", f"block {header.number}"))
        self._read_through = True
        return LedgerView(
            header=header,
            root=self._root,
            device=device,
            channel=channel,
            head=head,
            word=word,
            head_revoked=None if head is None else revoked[head],
            installed_revoked=None if query.installed is None else revoked[query.installed],
            approved_at=approved_at,
            also_revoked=tuple((release, revoked[release]) for release in query.also_revoked),
            envelope_hints=self._hints,
            steps=self.steps,
        )

    def _authentic_header(self, proof: bytes) -> tuple[VerifiedHeader, LedgerProof]:
        """V1: a quorum of the pinned validators sealed the header, at or above the root's first block."""
        with _as_not_trusted(Reason.BAD_PROOF, "the ledger proof", check="V1"):
            decoded = LedgerProof.decode(proof)
        trust = self._root.headers.qbft
        if decoded.header is None or trust is None:
            raise NotTrusted(
                "the proof's header comes by a path that this device cannot check",
                reason=Reason.NOTE_UNSUPPORTED,
                expected="a header sealed by validators that the trust root pins",
                got="a witness note"
                if decoded.header is None
                else "a sealed header, but the root pins no validators",
                hint="ask a source that carries sealed headers",
            )
        try:
            header = qbft.verify_seals(decoded.header, trust)
        except QuorumError as error:
            raise NotTrusted(
                "the header is not sealed by enough pinned validators",
                reason=Reason.HEADER_QUORUM,
                expected=error.expected,
                got=error.got,
                hint="the source may be lying or on another chain; ask another, or fetch newer trust roots",
            ) from error
        except ProtocolError as error:
            raise _refused(error, Reason.HEADER_QUORUM, "the header") from error
        first = self._root.ledger
        if header.number < first.from_block or header.timestamp < first.from_time:
            raise NotTrusted(
                "the header is from before the trust root's ledger began",
                reason=Reason.LEDGER_ROLLBACK,
                check="V1",
                expected=f"block {first.from_block} and time {first.from_time}, or later",
                got=f"block {header.number} at time {header.timestamp}",
                hint="the source replays an old header; ask another",
            )
        self._steps.append(
            _passed("V1", "header", "sealed by a quorum of pinned validators", f"block {header.number}")
        )
        clock = self._clock()
        age_s = None if clock is None else max(0, clock - header.timestamp)
        verified = VerifiedHeader(
            number=header.number,
            hash=qbft.block_hash(header),
            state_root=header.state_root,
            receipts_root=header.receipts_root,
            time=header.timestamp,
            age_s=age_s,
        )
        return verified, decoded

    def _refuse_old(self, header: VerifiedHeader) -> None:
        """V2: not behind the newest accepted, not another block at its height, not too old, not from the
        future.
        """
        floor = self._floor
        if floor is not None and floor.scope == self._scope:
            if header.number == floor.number and floor.hash is not None and header.hash != floor.hash:
                raise NotTrusted(
                    "two different blocks at one height are both sealed",
                    reason=Reason.SPLIT_VIEW,
                    expected=floor.hash,
                    got=header.hash,
                    hint="keep both proofs: they show that validators signed twice; tell the manufacturer",
                )
            if header.number < floor.number or header.time < floor.time:
                raise NotTrusted(
                    "the header is older than one accepted before",
                    reason=Reason.LEDGER_ROLLBACK,
                    expected=f"block {floor.number} at time {floor.time}, or newer",
                    got=f"block {header.number} at time {header.time}",
                    hint="the source is behind or replays an old proof; ask another",
                )
        clock, limit = self._clock(), self._root.max_checkpoint_age
        if clock is not None and header.time > clock + MAX_CLOCK_LEAD_S:
            raise NotTrusted(
                "the header is from the future",
                reason=Reason.HEADER_FROM_FUTURE,
                expected=f"a time of at most {clock + MAX_CLOCK_LEAD_S}",
                got=header.time,
                hint="set the device's clock; if it is right, the validators' keys may be stolen",
            )
        if limit is not None and header.age_s is not None and header.age_s > limit:
            raise NotTrusted(
                "the newest header on offer is too old",
                reason=Reason.STALE_LEDGER,
                expected=f"an age of at most {limit} s",
                got=f"{header.age_s} s",
                hint="the sources may be frozen or cut off; ask another, or check the device's clock",
            )
        age = "age unknown (no clock)" if header.age_s is None else f"{header.age_s} s old"
        self._steps.append(_passed("V2", "header", "not behind the newest accepted, fresh", age))

    def _refuse_expired(self, at_s: int | None, whose: str) -> None:
        expires = self._root.expires
        if at_s is not None and expires is not None and at_s >= expires:
            raise NotTrusted(
                f"trust root version {self._root.version} has expired by {whose}",
                reason=Reason.TRUST_ROOT_EXPIRED,
                expected=f"a time before {expires}",
                got=at_s,
                hint="fetch the newer trust root, from a bundle if the sources have none",
            )

    def _refuse_unseen_root(self, word: int) -> None:
        """V4: the ledger's digest authorises nothing; one that was never walked over shows that a root is
        missing.
        """
        digest = word.to_bytes(32, "big")
        if word and digest not in self._digests:
            raise NotTrusted(
                "the ledger names a trust root that this device has not seen",
                reason=Reason.TRUST_ROOT_MISSING,
                expected=f"the digest of version {self._root.version} or of one before it",
                got=digest,
                hint="ask another source for the newer trust root, or use a newer bundle",
            )

    def _clock(self) -> int | None:
        """The clock, unless it is provably wrong: behind what this device has already seen proven."""
        seen = max(self._root.issued_at, self._root.ledger.from_time)
        if self._floor is not None and self._floor.scope == self._scope:
            seen = max(seen, self._floor.time)
        return None if self._now_s is None or self._now_s < seen - MAX_CLOCK_LEAD_S else self._now_s

    def _prove_account(self) -> bytes:
        """V3: the pinned ledger exists in this state, with the pinned code; return its storage root."""
        ledger = self._root.ledger
        with _as_not_trusted(Reason.BAD_PROOF, "the ledger's account", check="V3"):
            account = prove_account(self._accepted_header().state_root, self._node_set(), ledger.address)
        if account is None or account.code_hash != ledger.code_hash:
            raise NotTrusted(
                "the contract at the ledger's address is not the pinned one",
                reason=Reason.WRONG_CONTRACT,
                expected=ledger.code_hash,
                got="no account" if account is None else account.code_hash,
                hint="this is another chain or another contract; check which network the source serves",
            )
        self._steps.append(_passed("V3", "ledger contract", "the pinned code", readable(ledger.address)))
        return account.storage_root

    def _device_word(self, device: bytes) -> DeviceWord | None:
        """V4: the device's word, from the journal's account; None when it is proven absent."""
        journal = self._root.ledger.journal
        account = prove_account(self._accepted_header().state_root, self._node_set(), journal)
        if account is None:
            raise ProofError("the journal's account", expected="a contract", got="proven absent")
        value = self._word(account.storage_root, state.device_key(device))
        return DeviceWord.decode(value) if value else None

    def _channel(self, storage_root: bytes, channel: bytes) -> tuple[bytes | None, ChannelWord | None]:
        head = _word_or_none(self._word(storage_root, state.head_key(channel)))
        word = self._word(storage_root, state.word_key(channel))
        return (None, None) if head is None else (head, ChannelWord.decode(word))

    def _revocation(self, storage_root: bytes, release: bytes) -> Revocation | None:
        return Revocation.decode(self._word(storage_root, state.revoked_key(release)))

    def _word(self, storage_root: bytes, key: bytes) -> int:
        return prove_word(storage_root, self._node_set(), key)

    def _node_set(self) -> NodeSet:
        if self._nodes is None:
            raise RuntimeError("no header has been accepted yet: call update_header first")
        return self._nodes

    def _accepted_header(self) -> VerifiedHeader:
        if self._header is None:
            raise RuntimeError("no header has been accepted yet: call update_header first")
        return self._header


def _word_or_none(value: int) -> bytes | None:
    return value.to_bytes(32, "big") if value else None


def _passed(check: str, what: str, expected: str, found: str) -> Step:
    return Step(check=check, what=what, expected=expected, found=found, ok=True)


def _refused(error: ProtocolError, reason: Reason, what: str, *, check: str | None = None) -> NotTrusted:
    return NotTrusted(
        f"{what} is not right: {error.what}",
        reason=reason,
        check=check,
        expected=error.expected,
        got=error.got,
        hint=error.hint or "the source is broken or lying; ask another",
    )


@contextmanager
def _as_not_trusted(reason: Reason, what: str, *, check: str | None = None) -> Generator[None]:
    """Turn what the protocol refuses inside into `NotTrusted` with this reason."""
    try:
        yield
    except ProtocolError as error:
        raise _refused(error, reason, what, check=check) from error
