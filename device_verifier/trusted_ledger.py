"""Checks V0 to V4: from trust roots and proof bytes to proven ledger state. Pure: no files, network or clock.

The order is the security property, so it is enforced: roots, then a header, then words. A call out of order
is a programming error (`RuntimeError`), a bad document is the other side's (`NotTrusted`).
"""

from collections.abc import Iterable, Sequence

from device_verifier.errors import NotTrusted, readable
from device_verifier.freshness import MAX_CLOCK_LEAD_S, age_text, usable_clock
from device_verifier.headers import authentic_header, dated, refuse_old
from device_verifier.ledger_view import LedgerFloor, LedgerView, VerifiedHeader
from device_verifier.refusals import as_not_trusted, passed
from device_verifier.sources import StateQuery
from device_verifier.steps import Step
from device_verifier.trusted_roots import TrustedRoots, floor_scope
from ledger_protocol.errors import ProofError
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import LedgerProof, prove_account, prove_word
from ledger_protocol.release.trust_root import TrustRoot
from ledger_protocol.report.reasons import Reason

__all__ = ["MAX_CLOCK_LEAD_S", "LedgerFloor", "LedgerView", "TrustedLedger", "VerifiedHeader", "floor_scope"]


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
        self._roots = TrustedRoots(trust_root=trust_root, walked=walked)
        self._floor = floor
        self._now_s = now_s
        self._header: VerifiedHeader | None = None
        self._nodes: NodeSet | None = None
        self._hints: tuple[bytes, ...] = ()
        self._steps: list[Step] = []
        self._read_through = False

    @property
    def root(self) -> TrustRoot:
        """The newest trust root held."""
        return self._roots.root

    @property
    def steps(self) -> tuple[Step, ...]:
        """The checks that passed so far, in order."""
        return tuple(self._steps)

    @property
    def new_roots(self) -> tuple[bytes, ...]:
        """The signed roots accepted by this object, oldest first: store them at once, whatever follows."""
        return self._roots.accepted

    def update_roots(self, offered: Iterable[bytes]) -> TrustRoot:
        """Walk from the held root over `offered` ones (V0), as `TrustedRoots.update` says; return the newest.

        Raises NotTrusted (bad-trust-root); those accepted before the bad one stay, in `new_roots`.
        RuntimeError after a header.
        """
        if self._header is not None:
            raise RuntimeError("cannot update the trust root after the header")
        self._roots.update(offered)
        return self.root

    def update_header(self, proof: bytes) -> VerifiedHeader:
        """Accept the header inside an encoded ledger proof (V1, V2).

        Raises NotTrusted; RuntimeError when a header was accepted before.
        """
        if self._header is not None:
            raise RuntimeError("a header was accepted already; start a new TrustedLedger")
        self._refuse_older_root()
        self._steps = [passed("V0", "trust root held", "the newest on offer", f"version {self.root.version}")]
        self._roots.refuse_expired(self._now_s, "the device's clock")
        with as_not_trusted(Reason.BAD_PROOF, "the ledger proof", check="V1"):
            decoded = LedgerProof.decode(proof)
        floor = self._scoped_floor()
        clock_s = usable_clock(self._now_s, self.root, floor)
        header = authentic_header(decoded, self.root)
        self._steps.append(passed("V1", "header", _vouched_by(header), f"block {header.number}"))
        header = dated(header, self.root, floor=floor, clock_s=clock_s)
        refuse_old(header, self.root, floor=floor, clock_s=clock_s)
        age = age_text(header.age_s, header.least_age_s)
        self._steps.append(passed("V2", "header", "not behind the newest accepted, fresh", age))
        self._roots.refuse_expired(header.seen_at, "the proven header")
        with as_not_trusted(Reason.BAD_PROOF, "the ledger proof", check="V3"):
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
        header, before = self._accepted_header(), self._scoped_floor()
        return LedgerFloor(
            number=header.number,
            hash=header.hash,
            time=header.time,
            root_version=self.root.version,
            scope=self._roots.scope,
            seen_at=max(header.witnessed_at or 0, 0 if before is None else before.seen_at),
        )

    def read(self, query: StateQuery) -> LedgerView:
        """Prove every word that `query` and the root's operator ask for (V3, V4).

        Raises NotTrusted (bad-proof, wrong-contract, trust-root-missing); RuntimeError before a header.
        """
        header = self._accepted_header()
        storage_root = self._prove_account()
        with as_not_trusted(Reason.BAD_PROOF, "a word of the ledger", check="V4"):
            self._roots.refuse_unseen(self._word(storage_root, state.trust_root_key()))
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
            if self.root.operator is not None and head is not None:
                approved_at = self._word(storage_root, state.approval_key(self.root.operator, head)) or None
        self._steps.append(passed("V4", "ledger words", "proven at one height", f"block {header.number}"))
        self._read_through = True
        return LedgerView(
            header=header,
            root=self.root,
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

    def _scoped_floor(self) -> LedgerFloor | None:
        """The stored floor, if it is of the ledger and header trust of the newest root held."""
        return self._floor if self._floor is not None and self._floor.scope == self._roots.scope else None

    def _refuse_older_root(self) -> None:
        """V0: stop where the newest root held, after the walk, is older than one that was accepted here."""
        if self._floor is not None and self._floor.root_version > self.root.version:
            raise NotTrusted(
                "the trust root that this device holds is older than one it has accepted",
                reason=Reason.BAD_TRUST_ROOT,
                expected=f"version {self._floor.root_version} or newer",
                got=f"version {self.root.version}",
                hint="restore the stored trust roots, or fetch them again from any source",
            )

    def _prove_account(self) -> bytes:
        """V3: the pinned ledger exists in this state, with the pinned code; return its storage root."""
        ledger = self.root.ledger
        with as_not_trusted(Reason.BAD_PROOF, "the ledger's account", check="V3"):
            account = prove_account(self._accepted_header().state_root, self._node_set(), ledger.address)
        if account is None or account.code_hash != ledger.code_hash:
            raise NotTrusted(
                "the contract at the ledger's address is not the pinned one",
                reason=Reason.WRONG_CONTRACT,
                expected=ledger.code_hash,
                got="no account" if account is None else account.code_hash,
                hint="this is another chain or another contract; check which network the source serves",
            )
        self._steps.append(passed("V3", "ledger contract", "the pinned code", readable(ledger.address)))
        return account.storage_root

    def _device_word(self, device: bytes) -> DeviceWord | None:
        """V4: the device's word, from the journal's account; None when it is proven absent."""
        journal = self.root.ledger.journal
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


def _vouched_by(header: VerifiedHeader) -> str:
    """Say by which path a header was accepted."""
    sealed = "sealed by a quorum of pinned validators"
    noted = "noted by enough pinned witnesses"
    if header.witnessed_at is None:
        return sealed
    return noted if header.receipts_root is None else f"{sealed} and {noted}"


def _word_or_none(value: int) -> bytes | None:
    return value.to_bytes(32, "big") if value else None
