"""Bundles: CAR v1 files put together section by section (protocol.md §7)."""

from collections.abc import Iterable, Sequence

from ledger_client.conformance.world.manufacturer import Block, Release, World
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid

Section = tuple[Cid, bytes]


def car(roots: Sequence[Cid], sections: Iterable[Section], *, version: int = 1) -> bytes:
    """Give a CAR of these roots and sections, whether the blocks are what their CIDs say or not."""
    header = dag_cbor.encode({"roots": list(roots), "version": version})
    return varint(len(header)) + header + b"".join(section(cid, block) for cid, block in sections)


def section(cid: Cid, block: bytes) -> bytes:
    """Give one section."""
    return varint(36 + len(block)) + cid.to_bytes() + block


def varint(number: int) -> bytes:
    """Give an unsigned LEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def roots(world: World, release: Release, block: Block | None = None) -> tuple[Cid, Cid]:
    """Give a bundle's roots: its proof and its release envelope."""
    return Cid.of(DAG_CBOR, world.proof(block)), release.envelope_cid


def documents(world: World, release: Release, block: Block | None = None) -> list[Section]:
    """Give the documents at the front, in their order: proof, trust roots, envelope, manifest."""
    found = [world.proof(block), *world.roots, release.envelope, release.manifest]
    return [(Cid.of(DAG_CBOR, each), each) for each in found]


def images(world: World, release: Release) -> list[Section]:
    """Give the blocks of a release's images."""
    front = {cid for cid, _ in documents(world, release)}
    others = {Cid.of(DAG_CBOR, each.manifest) for each in world.releases}
    others |= {each.envelope_cid for each in world.releases}
    return [(cid, block) for cid, block in world.blocks.items() if cid not in front | others]
