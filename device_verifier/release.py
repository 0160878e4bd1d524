"""Checks V6 and V7: from an envelope and a manifest block to a verified release. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from device_verifier.errors import NotTrusted
from device_verifier.steps import Step
from ledger_protocol.errors import MismatchError, ProtocolError, QuorumError, SignatureError
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Manifest, release_id
from ledger_protocol.release.signing import MANIFEST_TYPE, Signature, verify_threshold
from ledger_protocol.release.trust_root import KeySet, TrustRoot
from ledger_protocol.report.reasons import Reason

__all__ = ["VerifiedRelease", "verify_release"]


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """A release whose manifest is the one asked for and carries enough signatures. Only `verify_release`
    makes one.
    """

    manifest: Manifest
    release_id: bytes
    signers: frozenset[bytes]
    """Key ids (32 bytes) of the distinct release keys that signed."""
    steps: tuple[Step, ...]


def verify_release(envelope: bytes, manifest: bytes, *, head: bytes, root: TrustRoot) -> VerifiedRelease:
    """Return the release behind `manifest`, the very block whose SHA-256 is `head`, signed as `root` demands.

    Arguments: `envelope` and `manifest` are unverified blocks; `head` the release id that the ledger proved
    (or that a verified release names as its stepping stone); `root` the newest trust root held. Raises
    NotTrusted: wrong-content (V6), bad-signature or threshold (V7), malformed.
    """
    found = release_id(manifest)
    if found != head:
        raise NotTrusted(
            "the manifest is not the one that the ledger names",
            reason=Reason.WRONG_CONTENT,
            check="V6",
            expected=head,
            got=found,
            hint="the source is broken or lying; ask another",
        )
    try:
        signed = Envelope.decode(envelope)
        signed.manifest.verify(manifest)
    except MismatchError as error:
        raise NotTrusted(
            "the envelope is another release's",
            reason=Reason.WRONG_CONTENT,
            check="V6",
            expected=error.expected,
            got=error.got,
            hint="the source mixes releases; ask another",
        ) from error
    except SignatureError as error:
        raise _bad_signature(error) from error
    except ProtocolError as error:
        raise _malformed(error, "the envelope") from error
    keys = root.release_keys
    try:
        signers = verify_threshold(
            MANIFEST_TYPE, manifest, signed.signatures, keys=keys.keys, threshold=keys.threshold
        )
    except QuorumError as error:
        if _has_false_signature(manifest, signed.signatures, keys):
            raise _bad_signature(error) from error
        raise NotTrusted(
            "the manifest does not carry enough signatures of release keys",
            reason=Reason.THRESHOLD,
            expected=error.expected,
            got=error.got,
            hint="do not install it; fetch the envelope from another source, or tell the manufacturer",
        ) from error
    except ProtocolError as error:
        raise _bad_signature(error) from error
    try:
        decoded = Manifest.decode(manifest)
    except ProtocolError as error:
        raise _malformed(error, "the signed manifest") from error
    steps = (
        Step("V6", "manifest", "0x" + head.hex(), "0x" + found.hex(), ok=True),
        Step(
            "V7",
            "signatures",
            f"{keys.threshold} distinct release keys",
            f"{len(signers)} of {len(keys.keys)}",
            ok=True,
        ),
    )
    return VerifiedRelease(manifest=decoded, release_id=found, signers=signers, steps=steps)


def _has_false_signature(manifest: bytes, signatures: Sequence[Signature], keys: KeySet) -> bool:
    """Say whether a signature claims a release key that did not make it: forged or damaged."""
    by_id = {key.key_id: key for key in keys.keys}
    for signature in signatures:
        key = by_id.get(signature.key_id)
        if key is None:
            continue
        try:
            key.verify(MANIFEST_TYPE, manifest, signature.sig)
        except SignatureError:
            return True
    return False


def _bad_signature(error: ProtocolError) -> NotTrusted:
    return NotTrusted(
        f"a signature over the manifest is wrong: {error.what}",
        reason=Reason.BAD_SIGNATURE,
        expected=error.expected,
        got=error.got,
        hint="do not install it; fetch the envelope from another source, or tell the manufacturer",
    )


def _malformed(error: ProtocolError, what: str) -> NotTrusted:
    return NotTrusted(
        f"{what} cannot be read: {error.what}",
        reason=Reason.BAD_MANIFEST,
        check="V6",
        expected=error.expected,
        got=error.got,
        hint="the source is broken or lying, or the publisher's tool is newer than this device",
    )
