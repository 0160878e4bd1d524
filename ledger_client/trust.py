"""Trust roots on the manufacturer's side: the first one made, signed, announced, and read back.

Making and signing are apart, so that root keys stay with people who never share a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.errors import ClientError, NotTrustedError, UsageError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.signing import TRUST_ROOT_TYPE, PublicKey, check_threshold
from ledger_protocol.release.trust_root import (
    HeaderTrust,
    KeySet,
    LedgerRef,
    QbftTrust,
    SignedTrustRoot,
    TrustRoot,
    Validator,
    WitnessTrust,
    verify_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger_client.acts import Act
    from ledger_client.deploy import Pair
    from ledger_client.firmware_keys import FirmwareSigner
    from ledger_client.ledger import Ledger
    from ledger_protocol.content.cid import Cid

# Fewer validators than this cannot lose one and still agree (protocol.md §4).
MIN_VALIDATORS = 4


@dataclass(frozen=True, slots=True)
class HeldRoot:
    """A trust root that this machine holds: the signed bytes, and what they say once their signatures
    held.
    """

    signed: bytes
    root: TrustRoot

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the document, in hex: what people compare over the telephone, and what the ledger
        records.
        """
        return SignedTrustRoot.decode(self.signed).digest.hex()


def first_root(
    pair: Pair,
    *,
    root_keys: KeySet,
    release_keys: KeySet,
    validators: Sequence[Validator],
    min_validators: int,
    witnesses: WitnessTrust | None = None,
    require: str = "any",
    issued_at: int,
    expires: int | None,
    max_checkpoint_age_s: int | None,
) -> TrustRoot:
    """Version 1 for a deployed pair. Times are Unix seconds.

    No `validators` means that the chain has no seals to believe, and `witnesses` alone count.
    """
    if validators or witnesses is None:
        check_validators(validators, min_validators)
    root = TrustRoot(
        version=1,
        issued_at=issued_at,
        expires=expires,
        previous=None,
        root_keys=root_keys,
        release_keys=release_keys,
        ledger=LedgerRef(
            chain_id=pair.chain_id,
            address=pair.ledger,
            code_hash=pair.code_hash,
            journal=pair.journal,
            from_block=pair.from_block,
            from_time=pair.from_time,
        ),
        headers=HeaderTrust(
            QbftTrust(tuple(validators), min_validators) if validators else None, witnesses, require
        ),
        max_checkpoint_age=max_checkpoint_age_s,
    )
    try:
        root.encode()
    except ProtocolError as error:
        raise UsageError(f"no trust root can be made of this: {error}", hint=error.hint) from error
    return root


def key_set(keys: Sequence[PublicKey], threshold: int, *, what: str) -> KeySet:
    """`threshold` of these keys. Raises UsageError where they are not distinct or too few."""
    try:
        check_threshold(keys, threshold, what=what)
    except ProtocolError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return KeySet(threshold, tuple(keys))


def check_validators(validators: Sequence[Validator], min_validators: int) -> None:
    """Raise UsageError where a chain has fewer validators than devices shall accept."""
    if len(validators) < min_validators:
        raise UsageError(
            "validators of the chain",
            expected=f"at least {min_validators}",
            got=len(validators),
            hint="--min-validators lowers the bound for a development chain",
        )


def sign_root(signed: SignedTrustRoot, signer: FirmwareSigner) -> SignedTrustRoot:
    """Add a root key's signature. Raises UsageError where the key is not one of the root's, or none is
    missing.

    One more than the threshold asks for would make a second envelope of the same root, and the next version
    links to one envelope.
    """
    if is_complete(signed):
        raise UsageError("this trust root has the signatures that it needs")
    root = TrustRoot.decode(signed.document)
    if signer.public not in root.root_keys.keys:
        raise UsageError("this key is not a root key of the trust root", got=signer.public.key_id.hex()[:16])
    return signed.with_signature(signer.sign(TRUST_ROOT_TYPE, signed.document))


def announcement(signed: bytes) -> dict[str, object]:
    """What governors say of a trust root: its digest, its version, and where the signed document lies."""
    held = check_root(signed, where="trust root")
    envelope = SignedTrustRoot.decode(signed)
    return {"digest": envelope.digest, "version": held.root.version, "envelope": envelope.cid.digest}


def announce_act(ledger: Ledger, signed: bytes, *, deadline: int) -> Act:
    """What governors approve to record a trust root's digest on the ledger."""
    return ledger.new_act("SetTrustRoot", **announcement(signed), deadline=deadline)


def read_root(path: Path, *, fingerprint: str | None = None) -> HeldRoot:
    """Read a signed trust root file and check its signatures, and its fingerprint where one is given.

    Without a fingerprint the file is trusted for lying where the configuration says.
    """
    signed = _read(path)
    held = check_root(signed, where=str(path))
    if fingerprint is not None and "".join(fingerprint.lower().split()).replace(":", "") != held.fingerprint:
        raise NotTrustedError(
            f"{path} is not the trust root that you named",
            expected=f"fingerprint {fingerprint}",
            got=held.fingerprint,
            hint="get the file, or the fingerprint, again from the manufacturer",
        )
    return held


def read_unsigned(path: Path) -> SignedTrustRoot:
    """Read a trust root that may lack signatures, for a root key to add its own."""
    try:
        return SignedTrustRoot.decode(_read(path))
    except ProtocolError as error:
        raise UsageError(f"{path} is not a trust root: {error}") from error


def is_complete(signed: SignedTrustRoot) -> bool:
    """Whether enough of a first root's own keys signed it."""
    try:
        verify_first(signed.encode(), now_s=None)
    except ProtocolError:
        return False
    return True


def check_root(signed: bytes, *, where: str) -> HeldRoot:
    """A signed root whose own root keys signed it. Raises NotTrustedError."""
    try:
        return HeldRoot(signed, verify_first(signed, now_s=None))
    except ProtocolError as error:
        raise NotTrustedError(
            f"{where} is not a trust root that holds: {error}",
            hint=error.hint or "give the file that `fwledger deploy` or `fwledger trust sign` wrote",
        ) from error


def roots_up_to(held: HeldRoot, *, get: Callable[[Cid, int], bytes]) -> list[bytes]:
    """The signed roots that lead to the held one, oldest first and without a gap, as far back as `get` finds
    them.

    A device that slept through versions walks them one by one. Each version links to the envelope before it:
    `get` is asked for that CID, and told the version.
    """
    found, root = [held.signed], held.root
    while root.previous is not None:
        try:
            block = get(root.previous, root.version - 1)
            root = TrustRoot.decode(SignedTrustRoot.decode(block).document)
        except (ClientError, ProtocolError):
            break
        found.insert(0, block)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_TRUST_ROOT_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read trust root {path}",
            got=error.strerror or error,
            hint="`fwledger deploy` writes it; `release.trust_root` in fwledger.toml says where",
        ) from error
