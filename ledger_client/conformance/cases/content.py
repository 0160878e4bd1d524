"""Images: every block against its address, the whole against its digest, the slot against both (V10)."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, CONTENT, FIT, GONE, RELEASE, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import documents
from ledger_client.conformance.world.bundles import varint
from ledger_protocol.content.cid import DAG_PB, RAW, Cid

ARBITRARY: Final = "arbitrary software"
SIGNING: Final = "oversize or truncated signing"
MIRROR: Final = "malicious mirror"
CORRUPT: Final = refuse(*CONTENT, *GONE)
# A block that is longer than its link says may be refused as a source that sends too much.
WRONG: Final = refuse(*CONTENT, *RELEASE, *GONE)


def _served(
    name: str,
    expected: Expected,
    why: str,
    change: Callable[[Scenario], dict[str, bytes | None]],
    attack: str = MIRROR,
) -> None:
    """Register a case that installs the head from a directory with these files changed (None: removed)."""

    @case(f"content.{name}", attack, "V10", expected, why)
    def _(s: Scenario) -> None:
        files: dict[str, bytes | None] = {**s.stick(), **change(s)}
        s.install({name: data for name, data in files.items() if data is not None})


def _tree(s: Scenario) -> tuple[list[Cid], list[Cid]]:
    """Give the CIDs of the head's leaves in file order, and of its nodes, the root last."""
    root, blocks = documents.image_tree(s.head.images["rootfs"])
    found = list(blocks)
    return [cid for cid in found if cid.codec == RAW], [
        *(cid for cid in found if cid.codec == DAG_PB and cid != root),
        root,
    ]


def _leaf(s: Scenario, place: int) -> Cid:
    return _tree(s)[0][place]


_served("whole", ACCEPT, "the signed image is written and armed", lambda _s: {})
for place, what in ((0, "first"), (3, "middle"), (-1, "last")):

    def _zeros(s: Scenario, at: int = place) -> dict[str, bytes | None]:
        return {str(_leaf(s, at)): bytes(len(s.world.blocks[_leaf(s, at)]))}

    def _gone(s: Scenario, at: int = place) -> dict[str, bytes | None]:
        return {str(_leaf(s, at)): None}

    _served(f"{what}-block-altered", CORRUPT, "every block is hashed before it is written", _zeros, ARBITRARY)
    _served(
        f"{what}-block-missing",
        refuse(*GONE),
        "nothing is armed before the last block is there",
        _gone,
        "dropped requests",
    )
_served(
    "block-truncated",
    CORRUPT,
    "a block that was cut is another block",
    lambda s: {str(_leaf(s, 1)): s.world.blocks[_leaf(s, 1)][:-1]},
)
_served(
    "block-with-bytes-behind",
    CORRUPT,
    "a block with more bytes is another block",
    lambda s: {str(_leaf(s, 1)): s.world.blocks[_leaf(s, 1)] + b"\x00"},
)
_served("block-empty", CORRUPT, "an empty block is another block", lambda s: {str(_leaf(s, 1)): b""})
_served(
    "blocks-swapped",
    CORRUPT,
    "two right blocks in each other's place are wrong",
    lambda s: {str(_leaf(s, 1)): s.world.blocks[_leaf(s, 2)], str(_leaf(s, 2)): s.world.blocks[_leaf(s, 1)]},
)
_served(
    "tree-node-altered",
    CORRUPT,
    "the nodes of a tree are hashed as well",
    lambda s: {str(_tree(s)[1][0]): s.world.blocks[_tree(s)[1][0]][:-1] + b"\x01"},
)
_served(
    "root-of-another-image",
    CORRUPT,
    "the tree that is walked is the signed one",
    lambda s: {str(_tree(s)[1][-1]): s.world.blocks[_other(s)]},
    ARBITRARY,
)


def _other(s: Scenario) -> Cid:
    tree, blocks = documents.image_tree(b"another image" * 500)
    s.world.blocks |= blocks
    return tree


def _installs(
    name: str,
    expected: Expected,
    why: str,
    images: dict[str, bytes],
    attack: str = ARBITRARY,
    **component: Any,
) -> None:
    """Register a case that installs an image, of a component with these other fields."""

    @case(f"content.{name}", attack, "V10", expected, why)
    def _(s: Scenario) -> None:
        s.replace_head(images=images, component=component or None)
        s.install(s.stick())


_installs("of-one-block", ACCEPT, "an image of one block has no tree", {"rootfs": b"small"})
_installs("of-one-byte", ACCEPT, "an image has a byte at least", {"rootfs": b"s"})
_installs("of-a-deep-tree", ACCEPT, "a tree may have several levels", {"rootfs": bytes(range(256)) * 234})
_installs(
    "of-equal-blocks",
    ACCEPT,
    "equal blocks have one address, and each place its own",
    {"rootfs": bytes(20_000)},
)

IMAGE: Final = hashlib.shake_256(b"the signed image").digest(6_500)
_installs(
    "digest-of-another-image",
    WRONG,
    "tree and digest are both signed, and must mean the same image",
    {"rootfs": IMAGE},
    sha256=hashlib.sha256(b"another").digest(),
)
_installs(
    "size-under-the-tree",
    WRONG,
    "an image longer than its signed size is refused: the rest would be unsigned",
    {"rootfs": IMAGE},
    SIGNING,
    size=6_400,
    sha256=hashlib.sha256(IMAGE[:6_400]).digest(),
)
_installs(
    "size-over-the-tree",
    WRONG,
    "an image shorter than its signed size is refused",
    {"rootfs": IMAGE},
    SIGNING,
    size=6_501,
)
_installs(
    "one-block-size-under-the-block",
    WRONG,
    "the signed size is the image's",
    {"rootfs": b"small image"},
    SIGNING,
    size=5,
    sha256=hashlib.sha256(b"small").digest(),
)
for bits in (31, 32, 33):
    _installs(
        f"size-wraps-at-{bits}-bits",
        refuse(*FIT),
        f"a size of 2^{bits} and a bit is not a bit: digests of the rest would never be looked at",
        {"rootfs": IMAGE},
        SIGNING,
        size=2**bits + len(IMAGE),
    )

# --- trees that nobody should build, rightly signed


def _node(
    links: list[tuple[Cid, int]],
    *,
    sizes: list[int] | None = None,
    total: int | None = None,
    kind: int = 2,
    name: bytes = b"",
) -> bytes:
    """Give a dag-pb node by hand: `links` are (CID, bytes of the file below it)."""
    out = b""
    for cid, size in links:
        tsize = b"\x18" + varint(size)
        link = b"\x0a\x24" + cid.to_bytes() + b"\x12" + varint(len(name)) + name + tsize
        out += b"\x12" + varint(len(link)) + link
    sizes = [size for _, size in links] if sizes is None else sizes
    data = b"\x08" + bytes([kind]) + b"\x18" + varint(sum(sizes) if total is None else total)
    data += b"".join(b"\x20" + varint(size) for size in sizes)
    return out + b"\x0a" + varint(len(data)) + data


LEAVES: Final = [IMAGE[at : at + 1_024] for at in range(0, len(IMAGE), 1_024)]
LINKS: Final = [(Cid.of(RAW, leaf), len(leaf)) for leaf in LEAVES]


def _rooted(
    name: str, expected: Expected, why: str, block: bytes, *others: bytes, codec: int = DAG_PB
) -> None:
    """Register a case whose image is rooted in this block."""

    @case(f"content.{name}", ARBITRARY, "V10", expected, why)
    def _(s: Scenario) -> None:
        tree = Cid.of(codec, block)
        s.replace_head(images={"rootfs": IMAGE}, component={"image": tree})
        s.world.blocks |= {tree: block, **{Cid.of(DAG_PB, other): other for other in others}}
        s.install(s.stick())


_rooted("tree-by-hand", ACCEPT, "a tree need not be the importer's own to be the signed one", _node(LINKS))
_rooted(
    "tree-with-false-sizes",
    WRONG,
    "sizes in a node are those of what it links",
    _node(LINKS, sizes=[1, *(size for _, size in LINKS[1:-1]), LINKS[-1][1] + 1_023]),
)
_rooted("tree-with-false-total", WRONG, "a node's size is the sum of its links", _node(LINKS, total=2**40))
_rooted("tree-with-missing-size", WRONG, "each link has its size", _node(LINKS, sizes=[1_024] * 6))
_rooted("tree-of-a-directory", WRONG, "an image is a file", _node(LINKS, kind=1))
_rooted("tree-with-names", WRONG, "links of a file have no names", _node(LINKS, name=b"part"))
_rooted("tree-with-bytes-behind", WRONG, "nothing stands behind a node", _node(LINKS) + b"\x00")
_rooted("tree-of-nothing", WRONG, "a node without links holds no image", _node([]))
_rooted("tree-truncated", WRONG, "a node ends where it says", _node(LINKS)[:-1])
_rooted("tree-as-raw-block", WRONG, "the codec says how a block is read", _node(LINKS), codec=RAW)


def _chain(depth: int) -> list[bytes]:
    """Give nodes that hold one another, `depth` of them above the leaves' node, the outermost last."""
    nodes = [_node(LINKS)]
    for _ in range(depth):
        nodes.append(_node([(Cid.of(DAG_PB, nodes[-1]), len(IMAGE))]))
    return nodes


_rooted(
    "tree-of-twenty-levels",
    WRONG,
    "depth is bounded: nodes that hold one another cost nothing to make",
    _chain(20)[-1],
    *_chain(20),
)
_rooted(
    "tree-of-1025-links",
    WRONG,
    "the width of a node is bounded: 1,024 links at most",
    _node([(Cid.of(RAW, b"x"), 1)] * 1_025),
)

# --- deltas


@case(
    "content.delta-with-a-wrong-base",
    "wrong delta base",
    "V10",
    ACCEPT,
    "a patch is a shorter way to the signed image: one that is for another base, or garbage, is passed over",
)
def _(s: Scenario) -> None:
    patch = b"this is no patch"
    s.world.blocks[Cid.of(RAW, patch)] = patch
    running = hashlib.sha256(b"a" * 60_000).digest()
    delta = {"from_sha256": running, "algorithm": "zstd-ref", "patch": Cid.of(RAW, patch), "size": len(patch)}
    s.replace_head(images={"rootfs": IMAGE}, component={"deltas": [delta]})
    s.install(s.stick())


# --- between check and use


def _overwritten(room: Any) -> None:
    (room / "rootfs.spare").write_bytes(b"e" * 60_000)


@case(
    "content.slot-changed-after-the-check",
    "swap between check and use",
    "V10",
    ACCEPT,
    "a check touches no slot, and what an install finds there means nothing",
)
def _(s: Scenario) -> None:
    s.check(s.stick())
    s.install(s.stick(), before=_overwritten)


@case(
    "content.install-goes-on",
    "dropped requests",
    "V10",
    ACCEPT,
    "an install that was broken off goes on when the missing block comes",
)
def _(s: Scenario) -> None:
    files = s.stick()
    missing = str(_leaf(s, 4))
    s.install({name: data for name, data in files.items() if name != missing}, expect=refuse(*GONE))
    s.install(files)


@case(
    "content.slot-changed-while-broken-off",
    "swap between check and use",
    "V10",
    CORRUPT,
    "what was written before the break is read again before it counts",
)
def _(s: Scenario) -> None:
    files = s.stick()
    missing = str(_leaf(s, 4))
    without = {name: data for name, data in files.items() if name != missing}
    s.install(without, expect=refuse(*GONE))
    s.install(without, before=_overwritten)
    s.install(files, expect=ACCEPT)
