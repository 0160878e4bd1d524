"""The sources of one run: who is asked for a block next, who is dropped and why. No source is trusted.

A block is asked of the least busy source and hashed before anyone sees it. Who lies is left for good; who
fails, or keeps a block back that another gives at once, is asked again only for what nobody else has.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.sources import Abandonable, BlockMissing, BlockSource
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import MismatchError
from ledger_protocol.report.reasons import Reason

__all__ = ["SourcePool", "SourceReport", "Ticket"]

# Requests in flight; more than four gains nothing on one link and costs every gateway sockets.
CONNECTIONS: Final = 4
# Failures in a row after which a source is dropped; one may be a lost packet.
MAX_FAILURES: Final = 2
# Blocks in a row that a source does not hold before it is dropped: it has another release, or none.
MAX_MISSES: Final = 8
# Seconds to wait for a block before another source is asked for it too. On a link so slow that this happens
# to honest sources, the wait doubles each time that asking again was no faster, up to the longest.
PATIENCE_S: Final = 3.0
MAX_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source did in a run. `dropped` is why it was left, or None."""

    name: str
    blocks: int
    size_bytes: int
    dropped: str | None


@dataclass(slots=True, eq=False)
class _Standing:
    """How one source does in this run."""

    source: BlockSource
    blocks: int = 0
    size_bytes: int = 0
    in_flight: int = 0
    failures: int = 0
    misses: int = 0
    lied: bool = False
    dropped: str | None = None


@dataclass(slots=True, eq=False)
class _Attempt:
    """One way in which a block is being obtained: from one source, or after a failure from the next."""

    started_s: float
    waiting_for: _Standing | None = None
    future: "Future[bytes] | None" = None


@dataclass(slots=True, eq=False)
class Ticket:
    """A block that was asked for: hand it to `SourcePool.finish`."""

    cid: Cid
    max_bytes: int
    asked: list[_Standing] = field(default_factory=list)
    """Every source asked so far, by any attempt: none is asked twice."""
    attempts: list[_Attempt] = field(default_factory=list)
    done: bool = False


class SourcePool:
    """A context manager over the sources of a run; `start`, `finish` and `fetch` belong to one thread, its
    own threads do the waiting.
    """

    def __init__(
        self,
        sources: Sequence[BlockSource],
        *,
        reuse: BlockSource | None = None,
        connections: int = CONNECTIONS,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._standings = [_Standing(source) for source in sources]
        self._reuse = reuse
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._closed = False
        self._executor = ThreadPoolExecutor(max_workers=max(1, connections), thread_name_prefix="fetch")
        # Further attempts get threads of their own: the others may all be kept waiting.
        self._beside = ThreadPoolExecutor(max_workers=max(1, len(sources)), thread_name_prefix="beside")
        self.reused_bytes = 0

    def fetch(self, cid: Cid, max_bytes: int) -> bytes:
        """Return one verified block. Raises as `finish` does."""
        return self.finish(self.start(cid, max_bytes))

    def start(self, cid: Cid, max_bytes: int) -> Ticket:
        """Ask for a block of at most `max_bytes`, without waiting for it."""
        ticket = Ticket(cid, max_bytes)
        self._attempt(ticket, self._executor)
        return ticket

    def finish(self, ticket: Ticket) -> bytes:
        """Wait for the verified block; whenever it is late, ask one more source beside those that keep us
        waiting.

        Raises NotTrusted (corrupt-content) when only liars are left, SourceUnreachable (content-unavailable)
        when nobody gives it.
        """
        while True:
            pending = [a.future for a in ticket.attempts if a.future is not None and not a.future.done()]
            finished = [a for a in ticket.attempts if a.future is not None and a.future.done()]
            won = next((a for a in finished if a.future is not None and a.future.exception() is None), None)
            if won is not None:
                self._judge_late(ticket, won)
                assert won.future is not None
                return won.future.result()
            if not pending:
                assert finished[-1].future is not None
                return finished[-1].future.result()  # raises what the last attempt met
            can_ask_more = self._has_other(ticket)
            done, _ = wait(pending, self._patience_s if can_ask_more else None, FIRST_COMPLETED)
            if not done and can_ask_more:
                self._attempt(ticket, self._beside)

    def reports(self) -> tuple[SourceReport, ...]:
        """Return what each source did, in the order given."""
        return tuple(SourceReport(s.source.name, s.blocks, s.size_bytes, s.dropped) for s in self._standings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            busy = [standing for standing in self._standings if standing.in_flight]
        for standing in busy:
            _abandon(standing.source)
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._beside.shutdown(wait=True, cancel_futures=True)

    def _attempt(self, ticket: Ticket, executor: ThreadPoolExecutor) -> None:
        attempt = _Attempt(time.monotonic())
        ticket.attempts.append(attempt)
        attempt.future = executor.submit(self._obtain, ticket, attempt)

    def _obtain(self, ticket: Ticket, attempt: _Attempt) -> bytes:
        """Try one source after the other, the least busy first, until one gives the verified block."""
        block = self._reused(ticket)
        if block is not None:
            return block
        last: Exception | None = None
        while (standing := self._take(ticket, attempt)) is not None:
            try:
                block = standing.source.get(ticket.cid, max_bytes=ticket.max_bytes)
                ticket.cid.verify(block)
            except BlockMissing as error:
                self._give_back(standing, missed=str(error))
                last = error
            except SourceUnreachable as error:
                self._give_back(standing, failed=str(error))
                last = error
            except MismatchError as error:
                self._give_back(standing, lied=f"sent other bytes for {ticket.cid}")
                last = error
            except NotTrusted as error:  # a source that checks for itself, as a bundle does
                self._give_back(standing, lied=str(error))
                last = error
            else:
                self._give_back(standing, got_bytes=len(block))
                return block
        raise self._exhausted(ticket.cid) from last

    def _judge_late(self, ticket: Ticket, won: _Attempt) -> None:
        """The block is there: say what it means for the sources that still keep it back."""
        took_s = time.monotonic() - won.started_s
        with self._lock:
            ticket.done = True
            late = [
                attempt.waiting_for
                for attempt in ticket.attempts
                if attempt is not won
                and attempt.started_s < won.started_s
                and attempt.waiting_for is not None
                and attempt.future is not None
                and not attempt.future.done()
            ]
            if took_s > self._patience_s / 2:
                if late:  # asking again was no faster: the link is slow, not the source
                    self._patience_s = min(2 * self._patience_s, MAX_PATIENCE_S)
                return
            for standing in late:
                standing.failures += 1
                # A hiccup is forgiven a source that has given something; one that never did is left at once.
                if standing.dropped is None and (standing.failures >= MAX_FAILURES or not standing.blocks):
                    standing.dropped = "kept a block back that another source gave at once"
        for standing in late:
            if standing.dropped is not None:
                _abandon(standing.source)

    def _reused(self, ticket: Ticket) -> bytes | None:
        if self._reuse is None:
            return None
        try:
            block = self._reuse.get(ticket.cid, max_bytes=ticket.max_bytes)
            ticket.cid.verify(block)
        except (SourceUnreachable, MismatchError):
            return None
        with self._lock:
            self.reused_bytes += len(block)
        return block

    def _has_other(self, ticket: Ticket) -> bool:
        with self._lock:
            return any(s.dropped is None and s not in ticket.asked for s in self._standings)

    def _take(self, ticket: Ticket, attempt: _Attempt) -> _Standing | None:
        with self._lock:
            left = [s for s in self._standings if not s.lied and s not in ticket.asked]
            # Who was dropped for being slow or poor may yet be the only one that holds this block.
            free = [s for s in left if s.dropped is None] or left
            if not free or self._closed or ticket.done:
                return None
            # The first of equals, so that the order given is a preference.
            standing = min(free, key=lambda s: s.in_flight)
            standing.in_flight += 1
            ticket.asked.append(standing)
            attempt.waiting_for = standing
            return standing

    def _give_back(
        self,
        standing: _Standing,
        *,
        got_bytes: int | None = None,
        missed: str | None = None,
        failed: str | None = None,
        lied: str | None = None,
    ) -> None:
        with self._lock:
            standing.in_flight -= 1
            if got_bytes is not None:
                standing.blocks += 1
                standing.size_bytes += got_bytes
                standing.failures = standing.misses = 0
            if missed is not None:
                standing.misses += 1
                if standing.misses >= MAX_MISSES:
                    standing.dropped = standing.dropped or missed
            if failed is not None:
                standing.failures += 1
                if standing.failures >= MAX_FAILURES:
                    standing.dropped = standing.dropped or failed
            if lied is not None:
                standing.lied, standing.dropped = True, lied

    def _exhausted(self, cid: Cid) -> NotTrusted | SourceUnreachable:
        with self._lock:
            got = "; ".join(f"{s.source.name}: {s.dropped or 'does not hold it'}" for s in self._standings)
            lied = any(s.lied for s in self._standings)
        if lied:
            return NotTrusted(
                "content that was offered is not what its address says",
                reason=Reason.CORRUPT_CONTENT,
                expected=str(cid),
                got=got,
                hint="remove the lying source, and add one that holds the release",
            )
        return SourceUnreachable(
            f"nobody gives block {cid}",
            reason=Reason.CONTENT_UNAVAILABLE,
            expected="one source that holds it",
            got=got or "no source",
            hint="check the network, add a gateway, or use a bundle; the run goes on where it stopped",
        )


def _abandon(source: BlockSource) -> None:
    if isinstance(source, Abandonable):
        source.abandon()
