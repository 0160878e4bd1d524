"""Which block to prove, and the note that goes with it: for proofs, bundles, the relay and audits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_client.errors import ClientError, UsageError
from ledger_client.witness.collect import collect, collect_at
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_client.network import Network
    from ledger_protocol.ledger.proof import LedgerProof
    from ledger_protocol.release.trust_root import TrustRoot


@dataclass(frozen=True, slots=True)
class Vouched:
    """A block that devices of a trust root believe: its height, and the note (None: its seals do)."""

    number: int
    note: bytes | None

    def attach(self, proof: LedgerProof, root: TrustRoot) -> LedgerProof:
        """The proof with this note; its header stays only where pinned validators sealed it."""
        if self.note is None:
            return proof
        return replace(proof, note=self.note, header=proof.header if root.headers.qbft is not None else None)


class Notes:
    """Where notes are asked for: URLs of `fwledger witness run`, folders of its `--out`, note files."""

    def __init__(self, sources: Sequence[str], *, timeout_s: float) -> None:
        self.sources = tuple(sources)
        self._timeout_s = timeout_s

    def newest(self, network: Network, root: TrustRoot) -> Vouched:
        """The newest block that can be proved to devices of this trust root.

        Without pinned witnesses that is the node's newest; where either path is enough, too, as long as
        nobody is named to ask. Raises UsageError where notes are needed and nobody is named who gives them,
        else what `collect` raises.
        """
        trust = root.headers.witnesses
        if trust is None or (not self.sources and not needs_note(root)):
            return Vouched(network.block_number(), None)
        if not self.sources:
            raise no_sources()
        try:
            found = collect(self.sources, trust, timeout_s=self._timeout_s)
        except (ClientError, ProtocolError):
            if needs_note(root):
                raise
            # Seals are enough here, and witnesses that rest shall not stop a site.
            return Vouched(network.block_number(), None)
        return Vouched(found.verified.checkpoint.number, found.note)

    def at(self, number: int, root: TrustRoot) -> bytes | None:
        """The note of one block, joined of what the sources still have; None where too few have it."""
        trust = root.headers.witnesses
        if trust is None or not self.sources:
            return None
        try:
            return collect_at(self.sources, number, trust, timeout_s=self._timeout_s)
        except (ClientError, ProtocolError):
            return None


def needs_note(root: TrustRoot) -> bool:
    """Whether seals alone are not enough for this trust root."""
    return root.headers.witnesses is not None and (root.headers.qbft is None or root.headers.require == "all")


def no_sources() -> UsageError:
    """What to say where a note is needed and nobody is named who gives one."""
    return UsageError(
        "the trust root pins witnesses, and nobody is named who gives their notes",
        hint="witness.sources in fwledger.toml, or --note FILE of `fwledger witness collect`",
    )
