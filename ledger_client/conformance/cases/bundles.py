"""Bundles on a stick: whole, in parts, damaged, old, or put together from several (§7)."""

from collections.abc import Callable
from typing import Final

from ledger_client.conformance.case import (
    ACCEPT,
    CONTENT,
    GONE,
    PROOF,
    RELEASE,
    ROOT,
    Expected,
    Transport,
    refuse,
)
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import bundles
from ledger_client.conformance.world.bundles import car, documents, images, roots
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.report.reasons import Reason

SECTION: Final = "§7"
PARTIAL: Final = "partial bundle"
DAMAGED: Final = refuse(*CONTENT, *GONE, *RELEASE, *PROOF, *ROOT)
BY_STICK: Final = (Transport.BUNDLE,)


def whole(s: Scenario) -> bytes:
    """Give the honest bundle of the head, now."""
    sections = [*documents(s.world, s.head), *images(s.world, s.head)]
    return car(roots(s.world, s.head), sections)


def _bundle(
    name: str,
    expected: Expected,
    why: str,
    make: Callable[[Scenario], dict[str, bytes]],
    attack: str = PARTIAL,
) -> None:
    """Register a case that installs from these files."""

    @case(f"bundle.{name}", attack, SECTION, expected, why, needs=BY_STICK)
    def _(s: Scenario) -> None:
        s.install(bundle=make(s))


def _one(
    name: str, expected: Expected, why: str, make: Callable[[Scenario], bytes], attack: str = PARTIAL
) -> None:
    _bundle(name, expected, why, lambda s: {"stick.car": make(s)}, attack)


def _parts(s: Scenario) -> tuple[bytes, bytes]:
    """Give the bundle in two parts, each a CAR of its own with the same roots."""
    blocks = images(s.world, s.head)
    named = roots(s.world, s.head)
    return car(named, [*documents(s.world, s.head), *blocks[:4]]), car(named, blocks[4:])


def _two(s: Scenario) -> dict[str, bytes]:
    first, second = _parts(s)
    return {"stick.car": first, "stick.1.car": second}


_one("whole", ACCEPT, "one file is enough for a device without network", whole)
_bundle("in-two-parts", ACCEPT, "a bundle may be cut for a stick that holds no large files", _two)
_bundle(
    "parts-swapped",
    DAMAGED,
    "parts are read in their order",
    lambda s: dict(zip(("stick.car", "stick.1.car"), reversed(_parts(s)), strict=True)),
)
_bundle(
    "second-part-missing",
    refuse(*GONE, *CONTENT),
    "a missing part is missing blocks, and nothing is armed",
    lambda s: {"stick.car": _parts(s)[0]},
)
_bundle(
    "first-part-missing",
    refuse(*GONE, *CONTENT),
    "without the first part there is no bundle",
    lambda s: {"stick.1.car": _parts(s)[1]},
)
_bundle(
    "second-part-of-another-bundle",
    DAMAGED,
    "each part repeats the roots: parts of two bundles do not mix",
    lambda s: {
        "stick.car": _parts(s)[0],
        "stick.1.car": car([Cid.of(DAG_CBOR, b"x"), s.head.envelope_cid], images(s.world, s.head)[4:]),
    },
    "mix-and-match",
)
_bundle(
    "second-part-truncated",
    DAMAGED,
    "a copy that was broken off is not a copy",
    lambda s: {"stick.car": _parts(s)[0], "stick.1.car": _parts(s)[1][:-700]},
)
_one("truncated-in-a-block", DAMAGED, "a copy that was broken off is not a copy", lambda s: whole(s)[:-100])
_one(
    "truncated-in-the-documents",
    DAMAGED,
    "a copy that was broken off is not a copy",
    lambda s: whole(s)[:1_500],
)
_one(
    "without-the-last-block",
    refuse(*GONE, *CONTENT),
    "nothing is armed before the last block is there",
    lambda s: car(roots(s.world, s.head), [*documents(s.world, s.head), *images(s.world, s.head)[:-1]]),
)
_one(
    "without-the-manifest",
    DAMAGED,
    "every document is in the bundle",
    lambda s: car(roots(s.world, s.head), documents(s.world, s.head)[:-1]),
)
_one(
    "without-the-proof",
    DAMAGED,
    "every document is in the bundle",
    lambda s: car(roots(s.world, s.head), [*documents(s.world, s.head)[1:], *images(s.world, s.head)]),
)
_one("empty", DAMAGED, "no bytes are no bundle", lambda _s: b"")
_one("not-a-car", DAMAGED, "a file of another kind is no bundle", lambda _s: b"PK\x03\x04" + bytes(4_000))
_one(
    "header-of-a-gigabyte",
    DAMAGED,
    "a length is bounded before it is used",
    lambda _s: bundles.varint(2**30) + bytes(4_000),
    "endless data",
)
_one("varint-without-end", DAMAGED, "a length has a last byte", lambda _s: b"\xff" * 4_000, "endless data")
_one(
    "car-of-version-2",
    DAMAGED,
    "a bundle is a CAR of version 1",
    lambda s: car(roots(s.world, s.head), documents(s.world, s.head), version=2),
)
_one(
    "with-one-root",
    DAMAGED,
    "a bundle has two roots: proof and envelope",
    lambda s: car(roots(s.world, s.head)[:1], documents(s.world, s.head)),
)
_one(
    "with-one-root-twice",
    DAMAGED,
    "a bundle has two roots: proof and envelope",
    lambda s: car([roots(s.world, s.head)[0]] * 2, documents(s.world, s.head)),
)


def _swapped(s: Scenario, place: int, block: bytes) -> bytes:
    """Give the bundle with other bytes under one section's CID."""
    sections = [*documents(s.world, s.head), *images(s.world, s.head)]
    cid, _ = sections[place]
    sections[place] = (cid, block)
    return car(roots(s.world, s.head), sections)


_one(
    "proof-under-a-false-address",
    DAMAGED,
    "every block is hashed, those of a stick too",
    lambda s: _swapped(s, 0, s.world.proof(envelopes=[])),
    "malicious mirror",
)
_one(
    "manifest-under-a-false-address",
    DAMAGED,
    "every block is hashed, those of a stick too",
    lambda s: _swapped(s, 3, s.installed.manifest),
    "arbitrary software",
)
_one(
    "image-block-altered",
    DAMAGED,
    "every block is hashed before it is written",
    lambda s: _swapped(s, -1, bytes(len(images(s.world, s.head)[-1][1]))),
    "arbitrary software",
)
_one(
    "block-above-2-mib",
    DAMAGED,
    "a block has 2 MiB at most",
    lambda s: car(
        roots(s.world, s.head),
        [(Cid.of(RAW, bytes(2**21 + 1)), bytes(2**21 + 1)), *documents(s.world, s.head)],
    ),
    "endless data",
)
_one(
    "with-foreign-blocks",
    ACCEPT,
    "blocks that nobody asks for do no harm",
    lambda s: whole(s) + bundles.section(Cid.of(RAW, b"hello"), b"hello"),
)
_one(
    "of-another-release",
    refuse(*GONE, *RELEASE, *CONTENT),
    "a bundle that brings another release than its proof names has not what is needed",
    lambda s: car(roots(s.world, s.installed), [*documents(s.world, s.installed), *images(s.world, s.head)]),
    "mix-and-match",
)


@case(
    "bundle.after-a-newer-proof",
    "replayed bundle",
    SECTION,
    refuse(Reason.LEDGER_ROLLBACK),
    "a stick of last month must not undo what this month's proof showed",
    needs=BY_STICK,
)
def _(s: Scenario) -> None:
    old = whole(s)
    s.replace_head()
    s.check(bundle={"stick.car": whole(s)}, expect=ACCEPT)
    s.install(bundle={"stick.car": old})


@case(
    "bundle.same-again",
    "replayed bundle",
    SECTION,
    ACCEPT,
    "the newest stick may be read again",
    needs=BY_STICK,
)
def _(s: Scenario) -> None:
    s.check(bundle={"stick.car": whole(s)})
    s.install(bundle={"stick.car": whole(s)})


@case(
    "bundle.of-a-revoked-release",
    "replayed bundle",
    SECTION,
    refuse(Reason.REVOKED),
    "a stick carries the ledger's last word with it",
    needs=BY_STICK,
)
def _(s: Scenario) -> None:
    s.world.revoke(s.head.id)
    s.seal()
    s.install(bundle={"stick.car": whole(s)})


@case(
    "bundle.too-old-for-the-clock",
    "indefinite freeze",
    SECTION,
    refuse(Reason.STALE_LEDGER),
    "a device with a clock sees how old a stick is",
    needs=BY_STICK,
    world={"max_checkpoint_age": 86_400},
)
def _(s: Scenario) -> None:
    s.install(bundle={"stick.car": whole(s)}, now=s.world.time + 90 * 86_400)


@case(
    "bundle.old-and-no-clock",
    "indefinite freeze",
    SECTION,
    ACCEPT,
    "a device without a clock cannot know: it accepts, and says that the age is unknown",
    needs=BY_STICK,
    world={"max_checkpoint_age": 86_400},
)
def _(s: Scenario) -> None:
    s.install(bundle={"stick.car": whole(s)}, now=None)


@case(
    "bundle.with-all-roots",
    "old validators' keys",
    SECTION,
    ACCEPT,
    "a stick carries the trust roots that a sleeping device needs",
    needs=BY_STICK,
)
def _(s: Scenario) -> None:
    for name in ("second", "third"):
        s.world.rotate_validators(name)
    s.seal()
    s.install(bundle={"stick.car": whole(s)}, root_version=3)


@case(
    "bundle.roots-reordered",
    "old validators' keys",
    SECTION,
    refuse(*ROOT, Reason.HEADER_QUORUM, *CONTENT),
    "trust roots stand in the order of their versions",
    needs=BY_STICK,
)
def _(s: Scenario) -> None:
    for name in ("second", "third"):
        s.world.rotate_validators(name)
    s.seal()
    sections = documents(s.world, s.head)
    sections[2], sections[3] = sections[3], sections[2]
    s.install(
        bundle={"stick.car": car(roots(s.world, s.head), [*sections, *images(s.world, s.head)])},
        root_version=1,
    )
