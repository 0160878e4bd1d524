"""What a witness does, without HTTP: look, check, sign, store; then tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.config_file import replace_file
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.witness.finality import checkpoint, newest_final
from ledger_client.witness.store import MAX_KEPT, NoteStore, Signed
from ledger_protocol.ledger.witness_note import sign_note, witness_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger_client.network import Network
    from ledger_protocol.release.trust_root import TrustRoot, WitnessTrust

# Blocks signed in one step, so that a witness far behind still answers signals between steps.
MAX_CATCH_UP = 64


@dataclass(frozen=True, slots=True)
class Witness:
    """One witness of the chain that `root` pins. `now_s` is its clock (Unix seconds); `out` a folder for
    notes as files, or None.
    """

    network: Network
    root: TrustRoot
    key: Ed25519PrivateKey
    name: str
    store: NoteStore
    now_s: Callable[[], int]
    out: Path | None = None

    def step(self) -> list[int]:
        """Sign what became final since the last step, or the newest again; the heights that are new.

        A new witness begins at the ledger's first block and one that was away where it left off, so that an
        auditor finds notes of all that the ledger did; but no further back than it keeps notes. At most
        MAX_CATCH_UP heights are signed in one step.

        Raises NotTrustedError where the node contradicts what was signed before, or itself, and
        UnreachableError where it does not answer. What was signed before stays as it is.
        """
        trust = pinned_trust(self.root, witness_key(self.key, self.name).vkey)
        final = newest_final(self.network, trust.final)
        last = self.store.newest()
        start = self.root.ledger.from_block
        if final is None or final < start:
            return []
        if last is not None and final > last.number:
            self._refuse_reorganisation(last, trust)
            start = max(start, last.number + 1)
        if last is None or final > last.number:
            first = max(start, final - self.store.max_kept + 1)
            new = range(first, min(final, first + MAX_CATCH_UP - 1) + 1)
            for number in new:
                last = self._sign(number, trust, after=last)
            return list(new)
        if final == last.number and self.now_s() > last.signed_at:
            self._sign(final, trust)
        return []

    def _sign(self, number: int, trust: WitnessTrust, *, after: Signed | None = None) -> Signed:
        found, parent = checkpoint(self.network, number, origin=trust.origin, trust=self.root.headers)
        if after is not None and after.number == number - 1 and parent != after.hash:
            raise self._contradiction(after, parent)
        at = self.now_s()
        note = sign_note(found, self.key, name=self.name, time_s=at).encode()
        self.store.keep(found, signed_at=at, note=note)
        if self.out is not None:
            # Files come after the store: what is lost in between is written by the next step.
            replace_file(self.out / f"{number}.note", note)
            replace_file(self.out / "newest.note", note)
            (self.out / f"{number - self.store.max_kept}.note").unlink(missing_ok=True)
        return Signed(number, found.hash, at, note)

    def _refuse_reorganisation(self, last: Signed, trust: WitnessTrust) -> None:
        """Stop where the node now has another block at the height that was signed last."""
        found, _ = checkpoint(self.network, last.number, origin=trust.origin, trust=self.root.headers)
        if found.hash != last.hash:
            raise self._contradiction(last, found.hash)

    def _contradiction(self, last: Signed, found: bytes) -> NotTrustedError:
        return NotTrustedError(
            f"block {last.number} was signed as final, and the node has another one now",
            expected="0x" + last.hash.hex(),
            got="0x" + found.hex(),
            hint="nothing more is signed until the node has the signed block again; tell the others",
        )


def open_store(
    path: Path, *, root: TrustRoot, key: Ed25519PrivateKey, name: str, max_kept: int = MAX_KEPT
) -> NoteStore:
    """The state of a witness that the trust root pins. Raises UsageError for any other."""
    vkey = witness_key(key, name).vkey
    return NoteStore(path, vkey=vkey, origin=pinned_trust(root, vkey).origin, max_kept=max_kept)


def pinned_trust(root: TrustRoot, vkey: str) -> WitnessTrust:
    """The witnesses of a trust root that pins this one. Raises UsageError."""
    trust = root.headers.witnesses
    if trust is None or vkey not in trust.keys:
        raise UsageError(
            "the trust root does not pin this witness",
            expected="one of " + (", ".join(trust.keys) if trust is not None else "no witnesses"),
            got=vkey,
            hint="`fwledger trust new --add-witness VKEY` pins it; the name is part of it",
        )
    return trust
