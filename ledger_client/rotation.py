"""The next version of a trust root: what changes, who has to sign it, and the older versions beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_client.config_file import replace_file
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.trust import check_root, key_set
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError, SignatureError
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES, MAX_U32
from ledger_protocol.release.signing import TRUST_ROOT_TYPE
from ledger_protocol.release.trust_root import (
    SignedTrustRoot,
    TrustRoot,
    WitnessTrust,
    check_witness_trust,
    verify_next,
)
from ledger_protocol.release.witness_key import WitnessKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger_client.firmware_keys import FirmwareSigner
    from ledger_client.trust import HeldRoot
    from ledger_protocol.release.signing import PublicKey
    from ledger_protocol.release.trust_root import KeySet

# Fewer hex digits of a key id name a key too loosely to take it away.
MIN_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Quorum:
    """One set of root keys that has to sign: `signed` of its keys did, `threshold` must."""

    whose: str
    threshold: int
    keys: int
    signed: int

    @property
    def is_complete(self) -> bool:
        """Whether enough signed."""
        return self.signed >= self.threshold


def next_root(held: HeldRoot, changed: TrustRoot, *, issued_at: int) -> TrustRoot:
    """The version after the held one: `changed` is the held root with other contents. Times are Unix seconds.

    Raises UsageError where nothing changes, or where no device could read the result.
    """
    old = held.root
    if changed == old:
        raise UsageError("the next version would say what this one says", hint="name a change: see --help")
    if old.version == MAX_U32:
        raise UsageError("version of the trust root", expected=f"at most {MAX_U32}", got="the one after it")
    made = replace(
        changed,
        version=old.version + 1,
        issued_at=max(issued_at, old.issued_at),
        previous=Cid.of(DAG_CBOR, held.signed),
    )
    try:
        made.encode()
    except ProtocolError as error:
        raise UsageError(f"no trust root can be made of this: {error}", hint=error.hint) from error
    return made


def changed_keys(
    keys: KeySet, *, add: Sequence[PublicKey], remove: Sequence[str], threshold: int | None, what: str
) -> KeySet:
    """Other keys, another threshold. `remove` holds key ids in hex, or their first digits."""
    kept = list(keys.keys)
    for text in remove:
        digits = text.lower().removeprefix("0x")
        found = [key for key in kept if key.key_id.hex().startswith(digits)]
        if len(found) != 1 or len(digits) < MIN_ID_DIGITS:
            raise UsageError(
                f"{what}: key {text[:80]}",
                expected=f"the id of one of them, or at least {MIN_ID_DIGITS} digits of it",
                got=f"{len(found)} keys",
                hint="`fwledger trust show` lists them",
            )
        kept.remove(found[0])
    return key_set([*kept, *add], keys.threshold if threshold is None else threshold, what=what)


def changed_witnesses(
    held: WitnessTrust | None,
    *,
    add: Sequence[str],
    remove: Sequence[str],
    threshold: int | None,
    final: str | None,
    origin: str | None,
) -> WitnessTrust | None:
    """Other witnesses. `add` holds vkeys, `remove` vkeys or names; None where none are left."""
    keys = list(held.keys) if held is not None else []
    for text in remove:
        found = [vkey for vkey in keys if text in (vkey, WitnessKey.parse(vkey).name)]
        if len(found) != 1:
            raise UsageError(
                f"witness {text[:80]}", expected="the vkey or the name of one", got=f"{len(found)} of them"
            )
        keys.remove(found[0])
    keys += add
    if not keys:
        return None
    missing = [
        flag
        for flag, value in (("--witness-threshold", threshold), ("--final", final), ("--origin", origin))
        if held is None and value is None
    ]
    if missing:
        raise UsageError("the first witnesses need a rule", expected=" and ".join(missing), got="not given")
    made = WitnessTrust(
        threshold=threshold if threshold is not None or held is None else held.threshold,  # type: ignore[arg-type]
        keys=tuple(keys),
        origin=origin or (held.origin if held is not None else ""),
        final=final or (held.final if held is not None else ""),
    )
    try:
        check_witness_trust(made)
    except ProtocolError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return made


def resets_floor(old: TrustRoot, new: TrustRoot) -> bool:
    """Whether devices forget their height floor on the way from `old` to `new` (protocol.md §3)."""
    return (old.ledger, old.headers) != (new.ledger, new.headers)


def quorums(signed: SignedTrustRoot, previous: TrustRoot | None) -> tuple[Quorum, ...]:
    """Who has to sign a trust root, and how far that is. `previous` is None for version 1 alone."""
    root = TrustRoot.decode(signed.document)
    sets = [] if previous is None else [(f"root keys of version {previous.version}", previous.root_keys)]
    sets.append((f"root keys of version {root.version}", root.root_keys))
    signers = _signers(signed, [key for _, keys in sets for key in keys.keys])
    return tuple(
        Quorum(whose, keys.threshold, len(keys.keys), sum(key in signers for key in keys.keys))
        for whose, keys in sets
    )


def sign_next(signed: SignedTrustRoot, signer: FirmwareSigner, *, previous: HeldRoot) -> SignedTrustRoot:
    """Add a root key's signature to a version after the first. Raises UsageError where the key is needed by
    neither set of root keys.

    A spare signature would make a second envelope of the same root, and the next version links to one.
    """
    root = check_follows(signed, previous)
    needed: list[PublicKey] = []
    for keys, quorum in zip(
        (previous.root.root_keys, root.root_keys), quorums(signed, previous.root), strict=True
    ):
        if not quorum.is_complete:
            needed += keys.keys
    if not needed:
        raise UsageError("this trust root has the signatures that it needs")
    if signer.public not in needed or signer.public in _signers(signed, needed):
        raise UsageError(
            "no signature of this key is missing",
            expected="a root key of the version before or of this one, whose set is not complete",
            got=signer.public.key_id.hex()[:16],
        )
    return signed.with_signature(signer.sign(TRUST_ROOT_TYPE, signed.document))


def check_follows(signed: SignedTrustRoot, previous: HeldRoot) -> TrustRoot:
    """What an unsigned next version says. Raises UsageError where it does not follow `previous`."""
    root = TrustRoot.decode(signed.document)
    link = Cid.of(DAG_CBOR, previous.signed)
    if root.version != previous.root.version + 1 or root.previous != link:
        raise UsageError(
            f"version {root.version} of the trust root does not follow the one before",
            expected=f"version {previous.root.version + 1} after {link}",
            got=f"version {root.version} after {root.previous}",
            hint="--previous FILE names the version before it, in the very bytes that were published",
        )
    return root


def is_whole(signed: SignedTrustRoot, *, previous: HeldRoot) -> bool:
    """Whether a device that holds `previous` would take this version."""
    try:
        verify_next(
            signed.encode(),
            held=previous.root,
            held_cid=Cid.of(DAG_CBOR, previous.signed),
            now_s=None,
        )
    except ProtocolError:
        return False
    return True


class RootShelf:
    """The versions of the trust root that this machine holds: the newest at `path`, each older one beside it
    (`trust-root-1.cbor`). Whoever lost a version finds it on IPFS by the link in the next one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def older(self, version: int) -> Path:
        """Where a version lies once a newer one has taken its place."""
        return self.path.with_name(f"{self.path.stem}-{version}{self.path.suffix}")

    def put(self, signed: bytes) -> None:
        """Make this the newest version; the one in its place moves beside it."""
        if self.path.exists():
            held = _bytes_of(self.path)
            replace_file(self.older(check_root(held, where=str(self.path)).root.version), held)
        replace_file(self.path, signed)

    def get(self, version: int) -> bytes | None:
        """A version by its number, its own signatures checked; None where it is not here."""
        for path in (self.path, self.older(version)):
            try:
                held = check_root(_bytes_of(path), where=str(path))
            except (NotTrustedError, UsageError):
                continue
            if held.root.version == version:
                return held.signed
        return None

    def block(self, cid: Cid, *, version: int) -> bytes | None:
        """The block of a version if it is here with this very CID: what a link names."""
        found = self.get(version)
        return found if found is not None and Cid.of(DAG_CBOR, found) == cid else None


def _signers(signed: SignedTrustRoot, keys: Sequence[PublicKey]) -> set[PublicKey]:
    """The keys among `keys` that have signed."""
    found = set()
    for key in keys:
        for signature in signed.signatures:
            try:
                if signature.key_id == key.key_id:
                    key.verify(TRUST_ROOT_TYPE, signed.document, signature.sig)
                    found.add(key)
            except SignatureError:
                continue
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_TRUST_ROOT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read trust root {path}", got=error.strerror or error) from error
