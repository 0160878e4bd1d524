"""In-memory twins of the sources and of the device's memory, with ways to misbehave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from device_verifier.errors import SourceUnreachable
from device_verifier.inquiry import Held
from device_verifier.sources import BlockMissing, StateQuery
from device_verifier.trusted_ledger import LedgerFloor
from ledger_protocol.content.cid import Cid
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.release.trust_root import LedgerRef, SignedTrustRoot
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import Block, Repository


@dataclass
class MemoryLedger:
    """A ledger source over a repository. Honest until told otherwise."""

    repository: Repository
    name: str = "memory ledger"
    down: bool = False
    at: Block | None = None
    """Serve this block for ever."""
    replay: bytes | None = None
    """Serve these very bytes, whatever is asked."""
    tamper: Callable[[bytes], bytes] | None = None
    roots: list[bytes] | None = None
    """Offer these roots instead of the repository's."""
    queries: list[StateQuery] = field(default_factory=list)

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:
        self._answer_or_not()
        if self.roots is not None:
            return self.roots
        return self.repository.signed_roots[after_version:]

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:
        self._answer_or_not()
        self.queries.append(query)
        if self.replay is not None:
            return self.replay
        proof = self.repository.proof(query, self.at)
        return proof if self.tamper is None else self.tamper(proof)

    def _answer_or_not(self) -> None:
        if self.down:
            raise SourceUnreachable(f"{self.name} is down", reason=Reason.SOURCE_UNREACHABLE, hint="wake it")


@dataclass
class MemoryBlocks:
    """A block source over a dict. `lies` are other bytes for a CID, `missing` what it will not give."""

    blocks: dict[Cid, bytes]
    name: str = "memory blocks"
    down: bool = False
    lies: dict[Cid, bytes] = field(default_factory=dict)
    missing: set[Cid] = field(default_factory=set)
    before: Callable[[Cid], object] | None = None
    """Called before each answer; may raise, or change the world."""
    asked: list[Cid] = field(default_factory=list)

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        self.asked.append(cid)
        if self.before is not None:
            self.before(cid)
        if self.down:
            raise SourceUnreachable(f"{self.name} is down", reason=Reason.CONTENT_UNAVAILABLE, hint="wake it")
        block = self.lies.get(cid, self.blocks.get(cid))
        if block is None or cid in self.missing:
            raise BlockMissing(f"{self.name} lacks {cid}", reason=Reason.CONTENT_UNAVAILABLE)
        if len(block) > max_bytes:
            raise SourceUnreachable(f"{self.name} sends too much", reason=Reason.SOURCE_UNREACHABLE)
        return block


@dataclass
class Notebook:
    """A device's memory that forgets when the test ends."""

    factory_root: bytes
    roots: list[bytes] = field(default_factory=list)
    floor: LedgerFloor | None = None
    revoked: dict[bytes, Revocation] = field(default_factory=dict)

    def held(self) -> Held:
        known = [self.factory_root, *self.roots]
        return Held(known[-1], tuple(SignedTrustRoot.decode(r).digest for r in known[:-1]), self.floor)

    def keep_root(self, signed: bytes) -> None:
        self.roots.append(signed)

    def keep_floor(self, floor: LedgerFloor) -> None:
        self.floor = floor

    def revocations(self) -> Mapping[bytes, Revocation]:
        return self.revoked

    def keep_revocations(self, revoked: Mapping[bytes, Revocation]) -> None:
        self.revoked |= revoked
