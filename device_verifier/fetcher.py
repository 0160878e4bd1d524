"""Check V10, first half: stream an image's verified leaves, in order, from any mix of sources.

Each block is hashed before it is used, whoever sent it (`pool`). Memory holds a few blocks, never an image.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from device_verifier.errors import NotTrusted
from device_verifier.pool import CONNECTIONS, PATIENCE_S, SourcePool, SourceReport, Ticket
from device_verifier.sources import BlockSource
from ledger_protocol.content.cid import DAG_PB, RAW, Cid
from ledger_protocol.content.unixfs import EMPTY, Link, decode_node
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_BLOCK_BYTES, MAX_NODE_BYTES, MAX_TREE_DEPTH
from ledger_protocol.release.manifest import Component
from ledger_protocol.report.reasons import Reason

__all__ = ["Fetched", "Leaf", "SourceReport", "fetch_block", "fetch_image"]

# Blocks asked for ahead of the one being written, by their bytes and by their count: what memory they may
# take.
WINDOW_BYTES: Final = 4 * 2**20
WINDOW_BLOCKS: Final = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """One verified leaf as it was written; keep all three to reuse its bytes at the next update."""

    digest: bytes
    offset: int
    size_bytes: int


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
    patience_s: float = PATIENCE_S,
) -> Fetched:
    """Stream the plain image of a verified `component` into `write`, in order, from byte `offset` on.

    Arguments: `sources` in order of preference; `write` takes each leaf's bytes and may raise, which ends the
    run; `offset` (bytes) is where an interrupted run goes on: leaves that end below it are not fetched;
    `reuse` is a source of chunks that the device already holds, asked first; `on_leaf` hears of every leaf
    from `offset` on; `patience_s` is how long a block may be late before another source is asked too.
    Raises NotTrusted (corrupt-content) when only liars are left or the tree is not the signed one, and
    SourceUnreachable (content-unavailable) when nobody holds a block.
    """
    if not 0 <= offset <= component.size:
        raise ValueError(f"offset {offset} lies outside an image of {component.size} bytes")
    written = 0
    with SourcePool(sources, reuse=reuse, connections=connections, patience_s=patience_s) as pool:
        for leaf, block in _ahead(pool, _leaves(pool, component, offset)):
            part = block[max(0, offset - leaf.offset) :]
            write(part)
            written += len(part)
            if on_leaf is not None:
                on_leaf(leaf)
    if written != component.size - offset:
        raise _not_the_signed_size(component, offset + written)
    return Fetched(written, pool.reused_bytes, pool.reports())


def fetch_block(cid: Cid, *, sources: Sequence[BlockSource], max_bytes: int = MAX_BLOCK_BYTES) -> bytes:
    """Return one verified block from the first of `sources` that gives it. Raises as `fetch_image` does."""
    with SourcePool(sources, connections=1) as pool:
        return pool.fetch(cid, max_bytes)


def _leaves(pool: SourcePool, component: Component, offset: int) -> Iterator[tuple[Leaf, Cid]]:
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


def _ahead(pool: SourcePool, leaves: Iterator[tuple[Leaf, Cid]]) -> Iterator[tuple[Leaf, bytes]]:
    """Yield the leaves with their bytes in order, keeping a bounded window of requests in flight."""
    waiting: deque[tuple[Leaf, Ticket]] = deque()
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
            waiting.append((leaf, pool.start(cid, leaf.size_bytes)))
            ahead_bytes += leaf.size_bytes
            upcoming = next(leaves, None)
        leaf, ticket = waiting.popleft()
        block = pool.finish(ticket)
        ahead_bytes -= leaf.size_bytes
        if len(block) != leaf.size_bytes:
            raise _not_the_signed_tree(
                Cid(RAW, leaf.digest), f"a leaf of {leaf.size_bytes} bytes", f"{len(block)}"
            )
        yield leaf, block


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
