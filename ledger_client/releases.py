"""Releases on the manufacturer's side: built, signed apart, merged, checked, planned for publication.

A release is a folder with `manifest.cbor` (what is signed; its SHA-256 is the release id) and `envelope.cbor`
(the signatures so far). Signers need only the manifest file; their signature files are envelopes too, and
merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_verifier.errors import NotTrusted
from device_verifier.release import VerifiedRelease, verify_release
from ledger_client.config_file import replace_file
from ledger_client.errors import NotEnoughApprovalsError, NotTrustedError, UsageError
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError, SignatureError
from ledger_protocol.limits import MAX_ENVELOPE_BYTES, MAX_MANIFEST_BYTES
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Manifest, channel_id, release_id
from ledger_protocol.release.signing import MANIFEST_TYPE
from ledger_protocol.report.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ledger_client.acts import Act, Rollout
    from ledger_client.firmware_keys import FirmwareSigner
    from ledger_client.ledger import Ledger
    from ledger_protocol.release.signing import PublicKey
    from ledger_protocol.release.trust_root import TrustRoot

MANIFEST_NAME = "manifest.cbor"
ENVELOPE_NAME = "envelope.cbor"

# The contract refuses a larger step: it would burn the channel's numbers by mistake (ledger.md, Publish).
MAX_SEQUENCE_STEP = 65_536


@dataclass(frozen=True, slots=True)
class Release:
    """A release as files: the manifest block, what it says, and the envelope so far. No signature is checked
    yet.
    """

    block: bytes
    manifest: Manifest
    envelope: Envelope

    @property
    def id(self) -> bytes:
        """The release id: 32 bytes."""
        return release_id(self.block)


def new_release(manifest: Manifest) -> Release:
    """A release without signatures. Raises UsageError where the manifest is not one that devices take."""
    try:
        block = manifest.encode()
    except ProtocolError as error:
        raise UsageError(f"no manifest can be made of this: {error}", hint=error.hint) from error
    return Release(block, manifest, Envelope(Cid.of(DAG_CBOR, block)))


def save_release(release: Release, folder: Path) -> None:
    """Write both files. A folder that holds another manifest is not touched."""
    path = folder / MANIFEST_NAME
    if path.exists() and path.read_bytes() != release.block:
        raise UsageError(f"{folder} holds another release", hint="choose another folder with --out")
    replace_file(path, release.block)
    replace_file(folder / ENVELOPE_NAME, release.envelope.encode())


def load_release(path: Path) -> Release:
    """Read a release folder, or a manifest file (with the envelope beside it, if there is one)."""
    file = path / MANIFEST_NAME if path.is_dir() else path
    block = _read(file, MAX_MANIFEST_BYTES, "manifest")
    try:
        manifest = Manifest.decode(block)
    except ProtocolError as error:
        raise UsageError(
            f"{file} is not a manifest: {error}", hint="`fwledger release build` makes one"
        ) from error
    beside = file.with_name(ENVELOPE_NAME)
    envelope = read_envelope(beside) if beside.exists() else Envelope(Cid.of(DAG_CBOR, block))
    release = Release(block, manifest, envelope)
    return merge(release, [])


def read_envelope(path: Path) -> Envelope:
    """Read an envelope or signature file; nothing is verified."""
    try:
        return Envelope.decode(_read(path, MAX_ENVELOPE_BYTES, "envelope"))
    except ProtocolError as error:
        raise UsageError(f"{path} is not a signature file: {error}") from error


def sign_release(release: Release, signer: FirmwareSigner) -> Release:
    """Add one key's signature."""
    signature = signer.sign(MANIFEST_TYPE, release.block)
    return Release(release.block, release.manifest, release.envelope.with_signature(signature))


def merge(release: Release, others: Iterable[Envelope]) -> Release:
    """Add the signatures of other files over the same manifest. Raises NotTrustedError for another
    manifest's.
    """
    envelope = release.envelope
    for other in (envelope, *others):
        if other.manifest != Cid.of(DAG_CBOR, release.block):
            raise NotTrustedError(
                "these signatures are over another manifest",
                expected=Cid.of(DAG_CBOR, release.block),
                got=other.manifest,
                hint="everybody must sign the same manifest.cbor",
            )
        for signature in other.signatures:
            envelope = envelope.with_signature(signature)
    return Release(release.block, release.manifest, envelope)


def signers_of(release: Release, keys: Sequence[PublicKey]) -> tuple[list[PublicKey], int]:
    """Which of `keys` signed validly, and how many signatures are by nobody of them or wrong."""
    by_id = {key.key_id: key for key in keys}
    good: list[PublicKey] = []
    for signature in release.envelope.signatures:
        key = by_id.get(signature.key_id)
        try:
            if key is not None:
                key.verify(MANIFEST_TYPE, release.block, signature.sig)
                good.append(key)
        except SignatureError:
            continue
    return good, len(release.envelope.signatures) - len(good)


def verify(release: Release, *, root: TrustRoot) -> VerifiedRelease:
    """The device's own checks V6 and V7. Raises NotEnoughApprovalsError under the threshold, NotTrustedError
    else.
    """
    try:
        return verify_release(release.envelope.encode(), release.block, head=release.id, root=root)
    except NotTrusted as error:
        family = NotEnoughApprovalsError if error.reason == Reason.THRESHOLD else NotTrustedError
        raise family(
            f"release {release.manifest.version} is not signed as the trust root demands",
            expected=error.expected,
            got=error.got,
            hint="`fwledger release sign` adds a signature, `release merge` joins files of signers",
        ) from error


def plan_publication(
    ledger: Ledger,
    release: Release,
    *,
    root: TrustRoot,
    channel: str,
    rollout: Rollout,
    deadline: int,
) -> Act:
    """What publishers approve to publish a release on a channel, once all that a device or the contract would
    refuse is ruled out: signatures, channel, sequence, floor, revocation. Raises with the reason.
    """
    verify(release, root=root)
    manifest = release.manifest
    if channel not in manifest.channels:
        raise UsageError(
            f"release {manifest.version} is not made for channel {channel}",
            expected="one of " + ", ".join(manifest.channels),
            got=channel,
            hint="its signers named the channels; build and sign one that names this channel too",
        )
    word = ledger.word(channel_id(channel))
    if manifest.sequence == word.sequence and ledger.head(channel_id(channel)) == release.id:
        raise UsageError(
            f"release {manifest.version} is the head of channel {channel} already",
            hint="nothing is left to send; `fwledger channel status` shows its rollout",
        )
    if manifest.sequence <= word.sequence or (
        word.sequence and manifest.sequence - word.sequence > MAX_SEQUENCE_STEP
    ):
        raise UsageError(
            f"sequence of release {manifest.version}",
            expected=f"{word.sequence + 1} to {word.sequence + MAX_SEQUENCE_STEP} on channel {channel}",
            got=manifest.sequence,
            hint="build and sign it with the next number; an old image needs a new manifest too",
        )
    if manifest.security_version < word.security_version:
        raise UsageError(
            f"security version of release {manifest.version}",
            expected=f"at least {word.security_version}",
            got=manifest.security_version,
        )
    if ledger.revoked(release.id) is not None:
        raise UsageError(f"release {manifest.version} is revoked", hint="build and sign a new one")
    return publication_act(
        ledger, release, channel=channel, rollout=rollout, epoch=word.epoch, deadline=deadline
    )


def publication_act(
    ledger: Ledger, release: Release, *, channel: str, rollout: Rollout, epoch: int, deadline: int
) -> Act:
    """The act that publishes a release, unchecked; `plan_publication` checks first."""
    return ledger.publish_act(
        channel=channel_id(channel),
        release=release.id,
        envelope=release.envelope.cid.digest,
        sequence=release.manifest.sequence,
        security_version=release.manifest.security_version,
        rollout=rollout,
        epoch=epoch,
        deadline=deadline,
    )


def _read(path: Path, limit: int, what: str) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}", got=error.strerror or error) from error
    if len(raw) > limit:
        raise UsageError(f"{what} {path}", expected=f"at most {limit} bytes", got="more")
    return raw
