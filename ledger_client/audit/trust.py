"""Which trust root a header is checked under: the one whose range of blocks holds it (protocol.md §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.errors import NotTrustedError
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.qbft import verify_seals
from ledger_protocol.ledger.witness_note import noted_hash, verify_note
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger_protocol.ledger.header import Header
    from ledger_protocol.release.trust_root import LedgerRef


class NoNoteError(NotTrustedError):
    """Nobody had the note that a header needs: nothing shows it wrong, and nothing right."""


@dataclass(frozen=True, slots=True)
class Era:
    """The blocks in which one pair of contracts was the pinned one; `last` None = it still is."""

    ledger: LedgerRef
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class TrustHistory:
    """The trust roots that an auditor holds, oldest first, each verified from the one before; the last is
    the newest.
    """

    roots: tuple[TrustRoot, ...]
    digests: tuple[bytes, ...]

    @classmethod
    def open(cls, first: bytes, *, later: Iterable[bytes] = (), fingerprint: bytes | None) -> TrustHistory:
        """Verify the first trust root, and walk over the later ones in ascending order.

        `fingerprint` is what the auditor was told on another way (SHA-256 of the first root's document); None
        accepts the file as it is, and whoever gave it. Raises NotTrustedError where it differs, ProtocolError
        where a root does not verify.
        """
        digest = SignedTrustRoot.decode(first).digest
        if fingerprint is not None and digest != fingerprint:
            raise NotTrustedError(
                "fingerprint of the trust root",
                expected=fingerprint.hex(),
                got=digest.hex(),
                hint="do not use this file; ask for the right one, and compare its fingerprint again",
            )
        steps = walk(first, later, now_s=None).steps
        roots = [verify_first(signed, now_s=None) for signed in (first, *steps)]
        digests = [SignedTrustRoot.decode(signed).digest for signed in (first, *steps)]
        return cls(tuple(roots), tuple(digests))

    def needs_note(self, block: int) -> bool:
        """Whether the header of `block` is believed only with a note. Raises NotTrustedError where it is too
        early.
        """
        trust = self.root_for(block).headers
        return trust.witnesses is not None and (trust.qbft is None or trust.require == "all")

    @property
    def newest(self) -> TrustRoot:
        """The newest root held."""
        return self.roots[-1]

    @property
    def elsewhere(self) -> tuple[tuple[int, int], ...]:
        """Version and chain id of the roots that pinned another chain: their history is not on this one."""
        here = self.newest.ledger.chain_id
        return tuple((r.version, r.ledger.chain_id) for r in self.roots if r.ledger.chain_id != here)

    @property
    def eras(self) -> tuple[Era, ...]:
        """The pairs of contracts that were pinned on the newest root's chain, one after another."""
        starts: list[LedgerRef] = []
        for root in self._here():
            if not starts or _pair(starts[-1]) != _pair(root.ledger):
                starts.append(root.ledger)
        ends = [ref.from_block - 1 for ref in starts[1:]]
        return tuple(Era(ref, ref.from_block, last) for ref, last in zip(starts, [*ends, None], strict=True))

    def era_of(self, block: int) -> Era:
        """Return the era that holds `block`. Raises NotTrustedError below the first one."""
        for era in reversed(self.eras):
            if era.first <= block:
                return era
        raise self._too_early(block)

    def root_for(self, block: int) -> TrustRoot:
        """Return the newest root whose range holds `block`. Raises NotTrustedError below the first one's
        range.
        """
        for root in reversed(self._here()):
            if root.ledger.from_block <= block:
                return root
        raise self._too_early(block)

    def verify_header(self, raw: bytes, *, number: int, note: bytes | None = None) -> Header:
        """Return the header that `raw` holds, sealed by a quorum of the validators pinned for block `number`;
        where only witnesses are pinned, or both paths are required, named by a `note` of enough of them.

        A note beside good seals must hold and agree too, where witnesses are pinned. Raises ProtocolError,
        NoNoteError where a note is needed and there is none, NotTrustedError where it is another block's
        header.
        """
        trust = self.root_for(number).headers
        header = parse_header(raw) if trust.qbft is None else verify_seals(raw, trust.qbft)
        if header.number != number:
            raise NotTrustedError("number of the header", expected=number, got=header.number)
        if trust.witnesses is not None and note is not None:
            found = verify_note(note, trust.witnesses).checkpoint
            named = (header.number, noted_hash(header), header.state_root, header.timestamp)
            if (found.number, found.hash, found.state_root, found.time) != named:
                raise NotTrustedError(
                    f"note beside the header of block {number}",
                    expected=f"hash {named[1].hex()}",
                    got=f"block {found.number} of hash {found.hash.hex()}",
                )
        elif self.needs_note(number):
            raise NoNoteError(
                f"header of block {number}",
                expected="a note of pinned witnesses",
                got="a header alone",
                hint="--witness names who still has notes of that block; an earlier export keeps them",
            )
        return header

    def _here(self) -> list[TrustRoot]:
        """The roots since the newest root's chain was pinned."""
        here: list[TrustRoot] = []
        for root in reversed(self.roots):
            if root.ledger.chain_id != self.newest.ledger.chain_id:
                break
            here.append(root)
        return here[::-1]

    def _too_early(self, block: int) -> NotTrustedError:
        return NotTrustedError(
            "block before the trust root's range",
            expected=f"at least {self._here()[0].ledger.from_block}",
            got=block,
        )


def _pair(ref: LedgerRef) -> tuple[int, bytes, bytes]:
    return ref.chain_id, ref.address, ref.journal
