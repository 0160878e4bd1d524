"""Which trust root a header is checked under: the one whose range of blocks holds it (protocol.md §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.errors import NotTrustedError
from ledger_protocol.errors import QuorumError
from ledger_protocol.ledger.qbft import verify_seals
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger_protocol.ledger.header import Header


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

    @property
    def newest(self) -> TrustRoot:
        """The newest root held."""
        return self.roots[-1]

    def root_for(self, block: int) -> TrustRoot:
        """Return the newest root whose range holds `block`. Raises NotTrustedError below the first one's
        range.
        """
        for root in reversed(self.roots):
            if root.ledger.from_block <= block:
                return root
        raise NotTrustedError(
            "block before the trust root's range",
            expected=f"at least {self.roots[0].ledger.from_block}",
            got=block,
        )

    def verify_header(self, raw: bytes, *, number: int) -> Header:
        """Return the header that `raw` holds, sealed by a quorum of the validators pinned for block `number`.

        Raises QuorumError, MalformedError, or NotTrustedError where it is another block's header.
        """
        root = self.root_for(number)
        if root.headers.qbft is None:
            raise QuorumError(
                "header trust of the trust root", expected="pinned QBFT validators", got="witness notes only"
            )
        header = verify_seals(raw, root.headers.qbft)
        if header.number != number:
            raise NotTrustedError("number of the header", expected=number, got=header.number)
        return header
