"""The trust root: which keys, which ledger and which header signers a device believes, and how that changes.

Source: protocol.md §3, in the manner of TUF's root role. A root is signed by its own root keys and, after the
first, by those of the version before, so a device walks from what it holds to the newest by signatures alone.
As in TUF, a root on the way may have expired; only the one that a walk ends at must be current. Where the
reader has no clock (`now_s` None), expiry is unknown and accepted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import (
    LimitError,
    ProtocolError,
    QuorumError,
    RootExpiredError,
    TrustRootError,
)
from ledger_protocol.fields import Fields
from ledger_protocol.limits import (
    MAX_ROOT_STEPS,
    MAX_ROOTS_PASSED_OVER,
    MAX_TRUST_ROOT_BYTES,
)
from ledger_protocol.release.root_document import (
    HeaderTrust,
    KeySet,
    LedgerRef,
    QbftTrust,
    TrustRoot,
    Validator,
    WitnessTrust,
    check_witness_trust,
)
from ledger_protocol.release.signing import (
    TRUST_ROOT_TYPE,
    Signature,
    decode_signatures,
    encode_signatures,
    verify_threshold,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HeaderTrust",
    "KeySet",
    "LedgerRef",
    "QbftTrust",
    "SignedTrustRoot",
    "TrustRoot",
    "Validator",
    "Walk",
    "WitnessTrust",
    "check_current",
    "check_witness_trust",
    "verify_first",
    "verify_next",
    "walk",
]

SCHEMA: Final = "fwledger/trust-root-envelope/1"


@dataclass(frozen=True, slots=True)
class SignedTrustRoot:
    """A trust root's document, as bytes, and claimed signatures over it: one file, nothing verified yet."""

    document: bytes
    signatures: tuple[Signature, ...] = ()

    def encode(self) -> bytes:
        """Return the block; raise ProtocolError for one that `decode` would refuse."""
        signatures = encode_signatures(self.signatures)
        block = dag_cbor.encode({"schema": SCHEMA, "document": self.document, "signatures": signatures})
        SignedTrustRoot.decode(block)
        return block

    @classmethod
    def decode(cls, block: bytes) -> SignedTrustRoot:
        """Read a signed trust root of at most 64 KiB."""
        fields = Fields.document(block, schema=SCHEMA, max_bytes=MAX_TRUST_ROOT_BYTES)
        document = fields.octets_up_to("document", max_bytes=MAX_TRUST_ROOT_BYTES)
        signed = cls(document, decode_signatures(fields))
        fields.end()
        return signed

    @property
    def cid(self) -> Cid:
        """The CID of the block: what the next version's `previous` names."""
        return Cid.of(DAG_CBOR, self.encode())

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document: what the ledger records, and the fingerprint that people compare."""
        return hashlib.sha256(self.document).digest()

    def with_signature(self, signature: Signature) -> SignedTrustRoot:
        """Return it with this signature, in the place of an older one by the same key."""
        others = [held for held in self.signatures if held.key_id != signature.key_id]
        ordered = sorted([*others, signature], key=lambda held: held.key_id)
        return SignedTrustRoot(self.document, tuple(ordered))


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk ended: the newest root, its signed bytes, and the signed roots passed, oldest first."""

    root: TrustRoot
    signed: bytes
    steps: tuple[bytes, ...]


def verify_first(signed: bytes, *, now_s: int | None) -> TrustRoot:
    """Return the root in `signed`, which its own root keys must have signed.

    Only for bytes that are trusted already: the factory's, or those that this device stored after a
    walk. Pass `now_s` None to begin a walk, since a factory root may be older than its expiry.
    Raise MalformedError, QuorumError, or RootExpiredError.
    """
    envelope = SignedTrustRoot.decode(signed)
    root = TrustRoot.decode(envelope.document)
    _check_signed(envelope, root.root_keys, of="its own root keys")
    check_current(root, now_s=now_s)
    return root


def verify_next(signed: bytes, *, held: TrustRoot, held_cid: Cid, now_s: int | None) -> TrustRoot:
    """Return the root in `signed`, which must be the very next version after `held`.

    It has to name `held_cid` as its previous, and carry the thresholds of `held`'s root keys and of its own.
    Raise MalformedError, QuorumError, TrustRootError, or RootExpiredError (pass `now_s` None on the way).
    """
    envelope = SignedTrustRoot.decode(signed)
    root = TrustRoot.decode(envelope.document)
    if root.version != held.version + 1:
        raise TrustRootError(
            "version of trust root",
            expected=held.version + 1,
            got=root.version,
            hint="fetch the versions between, and offer them in order",
        )
    _check_signed(envelope, held.root_keys, of=f"the root keys of version {held.version}")
    _check_signed(envelope, root.root_keys, of="its own root keys")
    if root.previous != held_cid:
        raise TrustRootError("previous of trust root", expected=held_cid, got=root.previous)
    check_current(root, now_s=now_s)
    return root


def walk(held: bytes, offered: Iterable[bytes], *, now_s: int | None) -> Walk:
    """Walk from the signed root `held`, already trusted, over the roots offered in ascending order.

    Older versions, and the held one, are passed over; at most 256 new ones are taken and the rest is left for
    the next walk. Raise RootExpiredError where the time of the last root is over, TrustRootError for a gap, a
    fork, or (as its cause) a root that is malformed or signed by too few; `steps` of either holds what was
    accepted before, to be stored.
    """
    root = verify_first(held, now_s=None)
    newest = held
    steps: list[bytes] = []
    passed_over = 0
    try:
        for signed in offered:
            if len(steps) == MAX_ROOT_STEPS:
                break
            envelope = SignedTrustRoot.decode(signed)
            if _is_known(envelope, root, SignedTrustRoot.decode(newest).digest):
                passed_over += 1
                if passed_over > MAX_ROOTS_PASSED_OVER:
                    limit = f"at most {MAX_ROOTS_PASSED_OVER}"
                    raise LimitError("old trust roots offered", expected=limit, got="more")
                continue
            root = verify_next(signed, held=root, held_cid=Cid.of(DAG_CBOR, newest), now_s=None)
            newest = signed
            steps.append(signed)
        check_current(root, now_s=now_s)
    except TrustRootError as error:
        error.steps = tuple(steps)
        raise
    except ProtocolError as error:
        refused = TrustRootError(
            f"trust root after version {root.version}: {error}", hint="ask another source for it"
        )
        refused.steps = tuple(steps)
        raise refused from error
    return Walk(root, newest, tuple(steps))


def check_current(root: TrustRoot, *, now_s: int | None) -> None:
    """Raise RootExpiredError where the root has expired at `now_s`; None is a reader without a clock."""
    if now_s is not None and root.expires is not None and now_s >= root.expires:
        raise RootExpiredError(
            f"expiry of trust root {root.version}",
            expected=f"after {now_s}",
            got=root.expires,
            hint="fetch the newest trust root; if there is none, its signers have to issue one",
        )


def _check_signed(envelope: SignedTrustRoot, keys: KeySet, *, of: str) -> None:
    try:
        verify_threshold(
            TRUST_ROOT_TYPE,
            envelope.document,
            envelope.signatures,
            keys=keys.keys,
            threshold=keys.threshold,
        )
    except QuorumError as error:
        raise QuorumError(
            f"signatures of trust root by {of}", expected=error.expected, got=error.got, hint=error.hint
        ) from None


def _is_known(envelope: SignedTrustRoot, held: TrustRoot, held_digest: bytes) -> bool:
    version = TrustRoot.decode(envelope.document).version
    if version == held.version and envelope.digest != held_digest:
        raise TrustRootError(
            f"trust root version {version}",
            expected=f"the held document {held_digest.hex()}",
            got=envelope.digest,
            hint="two roots of one version exist: ask the manufacturer before trusting either",
        )
    return version <= held.version
