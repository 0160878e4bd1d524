"""Check V10, first half: stream an image's verified leaves, in order, from any mix of sources.

No source is trusted. Each block is hashed before it is used; a source that lies, stalls or refuses is dropped
for the run and reported, and the others finish. Memory holds a few blocks, never an image.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.sources import BlockMissing, BlockSource
from ledger_protocol.content.cid import DAG_PB, Cid
from ledger_protocol.content.unixfs import EMPTY, Link, decode_node
from ledger_protocol.errors import MismatchError, ProtocolError
from ledger_protocol.limits import MAX_BLOCK_BYTES, MAX_NODE_BYTES, MAX_TREE_DEPTH
from ledger_protocol.release.manifest import Component
from ledger_protocol.report.reasons import Reason

__all__ = ["Fetched", "Leaf", "SourceReport", "fetch_block", "fetch_image"]

# Requests in flight; more than four gains nothing on one link and costs every gateway sockets.
CONNECTIONS: Final = 4
# Blocks asked for ahead of the one being written, by their bytes and by their count: what memory they may
# take.
WINDOW_BYTES: Final = 4 * 2**20
WINDOW_BLOCKS: Final = 32
# Failures in a row after which a source is dropped; one may be a lost packet.
MAX_FAILURES: Final = 2
# Blocks in a row that a source does not hold before it is dropped: it has another release, or none.
MAX_MISSES: Final = 8


@dataclass(frozen=True, slots=True)
class Leaf:
    """One verified leaf as it was written; keep all three to reuse its bytes at the next update."""

    digest: bytes
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source did in a run. `dropped` is why it was left, or None."""

    name: str
    blocks: int
    size_bytes: int
    dropped: str | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a run: bytes written to the sink (after `offset`), and what each source did."""

    size_bytes: int
    reused_bytes: int
    sources: tuple[SourceReport, ...]


def fetch_image(
    component: Component,
    *,
    sources: Sequence[BlockSource],
    write: Callable[[bytes], object],
    offset: int = 0,
    reuse: BlockSource | None = None,
    on_leaf: Callable[[Leaf], object] | None = None,
    connections: int = CONNECTIONS,
) -> Fetched:
    """Stream the plain image of a verified `component` into `write`, in order, from byte `offset` to its
    signed size.

    Arguments: `sources` in order of preference; `write` takes each leaf's bytes and may raise, which ends the
    run; `offset` (bytes) is where an interrupted run goes on: leaves that end below it are not fetched;
    `reuse` is a source of chunks that the device already holds, asked first; `on_leaf` hears of every leaf
    from `offset` on. Raises NotTrusted (corrupt-content, too-large) when only liars are left or the tree is
    not the signed one, and SourceUnreachable (content-unavailable) when nobody holds a block.
    """
    if not 0 <= offset <= component.size:
        raise ValueError(f"offset {offset} lies outside an image of {component.size} bytes")
    pool = _Pool(sources, reuse)
    written = 0
    executor = ThreadPoolExecutor(max_workers=max(1, connections), thread_name_prefix="fetch")
    try:
        position = None
        for leaf, block in _ahead(executor, pool, _leaves(pool, component, offset)):
            if position is None:
                position = leaf.offset
            part = block[max(0, offset - leaf.offset) :]
            write(part)
            written += len(part)
            if on_leaf is not None:
                on_leaf(leaf)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    if written != component.size - offset:
        raise _not_the_signed_size(component, offset + written)
    return Fetched(written, pool.reused_bytes, pool.reports())


def fetch_block(cid: Cid, *, sources: Sequence[BlockSource], max_bytes: int = MAX_BLOCK_BYTES) -> bytes:
    """Return one verified block from the first of `sources` that gives it. Raises as `fetch_image` does."""
    return _Pool(sources, None).fetch(cid, max_bytes)


def _leaves(pool: "_Pool", component: Component, offset: int) -> Iterator[tuple[Leaf, Cid]]:
    """Walk the tree in file order; fetch the nodes on the way; leave out what ends at or below `offset`."""
    if component.image == EMPTY:
        return
    stack = [(Link(component.image, 0, component.size), 0, 0)]
    while stack:
        link, start, depth = stack.pop()
        if start + link.file_size <= offset:
            continue
        if link.cid.codec != DAG_PB:
            yield Leaf(link.cid.digest, start, link.file_size), link.cid
            continue
        if depth == MAX_TREE_DEPTH:
            raise _not_the_signed_tree(link.cid, f"at most {MAX_TREE_DEPTH} levels", "more")
        try:
            node = decode_node(pool.fetch(link.cid, MAX_NODE_BYTES))
        except ProtocolError as error:
            raise _not_the_signed_tree(link.cid, "a UnixFS file node", str(error)) from error
        if node.file_size != link.file_size:
            raise _not_the_signed_tree(link.cid, f"{link.file_size} bytes of file", f"{node.file_size} bytes")
        children: list[tuple[Link, int, int]] = []
        for child in node.links:
            children.append((child, start, depth + 1))
            start += child.file_size
        stack.extend(reversed(children))


def _ahead(
    executor: ThreadPoolExecutor, pool: "_Pool", leaves: Iterator[tuple[Leaf, Cid]]
) -> Iterator[tuple[Leaf, bytes]]:
    """Yield the leaves with their bytes in order, keeping a bounded window of requests in flight."""
    waiting: deque[tuple[Leaf, Future[bytes]]] = deque()
    ahead_bytes = 0
    upcoming = next(leaves, None)
    while waiting or upcoming is not None:
        while upcoming is not None and (
            not waiting
            or (len(waiting) < WINDOW_BLOCKS and ahead_bytes + upcoming[0].size_bytes <= WINDOW_BYTES)
        ):
            leaf, cid = upcoming
            if leaf.size_bytes > MAX_BLOCK_BYTES:
                raise _not_the_signed_tree(
                    cid, f"leaves of at most {MAX_BLOCK_BYTES} bytes", f"{leaf.size_bytes}"
                )
            waiting.append((leaf, executor.submit(pool.fetch, cid, leaf.size_bytes)))
            ahead_bytes += leaf.size_bytes
            upcoming = next(leaves, None)
        leaf, future = waiting.popleft()
        block = future.result()
        ahead_bytes -= leaf.size_bytes
        if len(block) != leaf.size_bytes:
            raise _not_the_signed_tree(
                Cid(0x55, leaf.digest), f"a leaf of {leaf.size_bytes} bytes", f"{len(block)}"
            )
        yield leaf, block


@dataclass(slots=True)
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


class _Pool:
    """The sources of a run. `fetch` may be called from several threads."""

    def __init__(self, sources: Sequence[BlockSource], reuse: BlockSource | None) -> None:
        self._standings = [_Standing(source) for source in sources]
        self._reuse = reuse
        self._lock = threading.Lock()
        self.reused_bytes = 0

    def fetch(self, cid: Cid, max_bytes: int) -> bytes:
        """Return the verified block from the least busy source that gives it."""
        block = self._reused(cid, max_bytes)
        if block is not None:
            return block
        tried: list[_Standing] = []
        last: SourceUnreachable | None = None
        while (standing := self._take(tried)) is not None:
            tried.append(standing)
            try:
                block = standing.source.get(cid, max_bytes=max_bytes)
                cid.verify(block)
            except BlockMissing as error:
                self._give_back(standing, missed=str(error))
                last = error
            except SourceUnreachable as error:
                self._give_back(standing, failed=str(error))
                last = error
            except MismatchError:
                self._give_back(standing, lied=f"sent other bytes for {cid}")
            except NotTrusted as error:  # a source that checks for itself, as a bundle does
                self._give_back(standing, lied=str(error))
            else:
                self._give_back(standing, got_bytes=len(block))
                return block
        raise self._exhausted(cid) from last

    def reports(self) -> tuple[SourceReport, ...]:
        """Return what each source did, in the order given."""
        return tuple(SourceReport(s.source.name, s.blocks, s.size_bytes, s.dropped) for s in self._standings)

    def _reused(self, cid: Cid, max_bytes: int) -> bytes | None:
        if self._reuse is None:
            return None
        try:
            block = self._reuse.get(cid, max_bytes=max_bytes)
            cid.verify(block)
        except (SourceUnreachable, MismatchError):
            return None
        with self._lock:
            self.reused_bytes += len(block)
        return block

    def _take(self, tried: list[_Standing]) -> _Standing | None:
        with self._lock:
            free = [s for s in self._standings if s.dropped is None and s not in tried]
            if not free:
                return None
            standing = min(
                free, key=lambda s: s.in_flight
            )  # the first of equals, so the order given is a preference
            standing.in_flight += 1
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
                    standing.dropped = missed
            if failed is not None:
                standing.failures += 1
                if standing.failures >= MAX_FAILURES:
                    standing.dropped = failed
            if lied is not None:
                standing.lied, standing.dropped = True, lied

    def _exhausted(self, cid: Cid) -> NotTrusted | SourceUnreachable:
        got = (
            "; ".join(f"{s.source.name}: {s.dropped or 'does not hold it'}" for s in self._standings)
            or "no source"
        )
        if any(s.lied for s in self._standings):
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
            got=got,
            hint="check the network, add a gateway, or use a bundle; the run goes on where it stopped",
        )


def _not_the_signed_tree(cid: Cid, expected: str, got: str) -> NotTrusted:
    return NotTrusted(
        f"the image's tree is not usable at {cid}",
        reason=Reason.CORRUPT_CONTENT,
        expected=expected,
        got=got,
        hint="the release was built wrongly; tell the manufacturer",
    )


def _not_the_signed_size(component: Component, got: int) -> NotTrusted:
    return NotTrusted(
        f"component {component.name} has another size than was signed",
        reason=Reason.CORRUPT_CONTENT,
        expected=f"{component.size} bytes",
        got=f"{got} bytes",
        hint="the release was built wrongly; tell the manufacturer",
    )
