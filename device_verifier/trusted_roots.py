"""Check V0: the trust roots that a device holds and walks over, by their signatures alone. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from device_verifier.errors import NotTrusted
from device_verifier.refusals import as_not_trusted, refused
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError, TrustRootError
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, walk
from ledger_protocol.report.reasons import Reason

__all__ = ["TrustedRoots", "floor_scope"]

# Envelopes of the held root's document that one source may offer; an honest one knows of one.
MAX_OTHER_ENVELOPES: Final = 4


def floor_scope(signed_root: bytes) -> bytes:
    """Return the SHA-256 that names a trust root's (ledger, headers): the scope of a height floor."""
    signed = SignedTrustRoot.decode(signed_root)
    document = dag_cbor.decode(signed.document, max_bytes=MAX_TRUST_ROOT_BYTES)
    if not isinstance(
        document, dict
    ):  # decode() of a verified root cannot bring us here; a caller's bytes can
        raise TypeError("a trust root document is a map")
    return hashlib.sha256(dag_cbor.encode([document["ledger"], document["headers"]])).digest()


class TrustedRoots:
    """The newest trust root held, and the digests of those before it.

    Arguments: `trust_root` is the signed root that came with the factory image, or the newest one that this
    device verified and stored; `walked` are the digests of the roots before it.
    """

    def __init__(self, *, trust_root: bytes, walked: Sequence[bytes]) -> None:
        with as_not_trusted(Reason.BAD_TRUST_ROOT, "the trust root that this device holds"):
            self.root = verify_first(trust_root, now_s=None)
            self._digests = {SignedTrustRoot.decode(trust_root).digest, *walked}
            self.scope = floor_scope(trust_root)
        self._signed = trust_root
        self._before_first = self.root.previous
        self._accepted: list[bytes] = []

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """The signed roots accepted by this object, oldest first."""
        return tuple(self._accepted)

    def update(self, offered: Iterable[bytes]) -> None:
        """Walk from the held root over `offered` ones, in ascending order, by their signatures alone (V0).

        Roots at or below the held version are passed over (a bundle carries every root since the first), and
        at most `MAX_ROOT_STEPS` are taken. An expired root may be walked over: only the newest is asked for
        its expiry. Offers that the held root descends from are noted, for `refuse_unseen`. Raises NotTrusted
        (bad-trust-root) for a root that claims to follow and does not; those before it stay accepted.
        """
        offers = list(offered)
        refusal: TrustRootError | None = None
        steps: tuple[bytes, ...] = ()
        # `previous` names the CID of an envelope, and signatures beyond the threshold can be stripped from
        # one: the same document may have reached us in another envelope than the one that the next version
        # names.
        for held in (self._signed, *self._other_envelopes(offers)):
            try:
                steps, refusal = walk(held, offers, now_s=None).steps, None
                break
            except TrustRootError as error:
                if refusal is None or len(error.steps) > len(steps):
                    steps, refusal = error.steps, error
            except ProtocolError:
                continue  # an envelope of our own document that is not rightly signed
        for signed in steps:
            self._hold(signed)
        self._note_ancestors(offers)
        if refusal is not None:
            raise refused(refusal, Reason.BAD_TRUST_ROOT, "an offered trust root") from refusal

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

    def _note_ancestors(self, offers: Iterable[bytes]) -> None:
        """Note the digests of the roots before the first held: each is named by the CID in the one after it.

        A factory image may carry a newer root than the ledger names yet.
        """
        by_cid = {Cid.of(DAG_CBOR, offer): offer for offer in offers}
        while self._before_first is not None and self._before_first in by_cid:
            try:
                envelope = SignedTrustRoot.decode(by_cid[self._before_first])
                before = TrustRoot.decode(envelope.document).previous
            except ProtocolError:
                return
            self._digests.add(envelope.digest)
            self._before_first = before

    def _hold(self, signed: bytes) -> None:
        envelope = SignedTrustRoot.decode(signed)
        self.root = TrustRoot.decode(envelope.document)
        self._digests.add(envelope.digest)
        self.scope = floor_scope(signed)
        self._signed = signed
        self._accepted.append(signed)

    def refuse_expired(self, at_s: int | None, whose: str) -> None:
        """V0: stop when the newest root has expired at `at_s` (Unix seconds; None = unknown), by `whose`
        time.
        """
        expires = self.root.expires
        if at_s is not None and expires is not None and at_s >= expires:
            raise NotTrusted(
                f"trust root version {self.root.version} has expired by {whose}",
                reason=Reason.TRUST_ROOT_EXPIRED,
                expected=f"a time before {expires}",
                got=at_s,
                hint="fetch the newer trust root, from a bundle if the sources have none",
            )

    def refuse_unseen(self, word: int) -> None:
        """V4: the ledger's digest authorises nothing; one that was never walked over shows that a root is
        missing.
        """
        digest = word.to_bytes(32, "big")
        if word and digest not in self._digests:
            raise NotTrusted(
                "the ledger names a trust root that this device has not seen",
                reason=Reason.TRUST_ROOT_MISSING,
                expected=f"the digest of version {self.root.version} or of one before it",
                got=digest,
                hint="ask another source for the newer trust root, or use a newer bundle",
            )
