"""Finds names in UnixFS directories that are sharded over many blocks (HAMT):
https://specs.ipfs.tech/unixfs/.

fwledger makes no directories; its gateway serves those of others, byte for byte as Kubo's does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger_client.content import dag
from ledger_protocol.errors import LimitError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger_client.content.address import Address
    from ledger_client.content.dag import PbNode

    Fetch = Callable[[Address], bytes]

_MAX_FANOUT: Final = 1024  # Kubo's own bound; 256 is what everybody writes
_HASH_BITS: Final = 64
_M64: Final = 0xFFFFFFFFFFFFFFFF


def find(root: PbNode, name: str, fetch: Fetch) -> tuple[list[tuple[Address, bytes]], Address | None]:
    """The shards below `root` that lead to `name`, and its address, None where there is no such entry."""
    passed: list[tuple[Address, bytes]] = []
    node = root
    digest = murmur3_64(name.encode("utf-8"))
    used = 0
    while True:
        width, bits = _shape(node)
        used += bits
        if used > _HASH_BITS:
            raise LimitError("depth of sharded directory", expected=f"{_HASH_BITS} bits of hash", got="more")
        slot = f"{digest >> (_HASH_BITS - used) & ((1 << bits) - 1):0{width}X}"
        child: Address | None = None
        for link in node.links:
            if link.name == slot:
                child = link.address
            elif link.name[:width] == slot and link.name[width:] == name:
                return passed, link.address
        if child is None:
            return passed, None
        block = fetch(child)
        passed.append((child, block))
        node = dag.decode_pb(block)


def shards(root: PbNode, fetch: Fetch) -> Iterator[tuple[Address, bytes]]:
    """All shards below `root`, depth first: what listing the directory needs, without its entries."""
    pending: list[tuple[Address | None, int]] = [(None, 0)]
    while pending:
        address, used = pending.pop()
        node = root
        if address is not None:
            block = fetch(address)
            yield address, block
            node = dag.decode_pb(block)
        width, bits = _shape(node)
        if used + bits > _HASH_BITS:
            raise LimitError("depth of sharded directory", expected=f"{_HASH_BITS} bits of hash", got="more")
        pending += [(link.address, used + bits) for link in reversed(node.links) if len(link.name) == width]


def _shape(node: PbNode) -> tuple[int, int]:
    """Hex digits of a slot's name, and bits of the hash that choose it."""
    unixfs = dag.decode_unixfs(node)
    fanout = unixfs.fanout
    if unixfs.type != dag.FileType.HAMT_SHARD or not 8 <= fanout <= _MAX_FANOUT or fanout & (fanout - 1):
        raise MalformedError("shard of directory", expected="a power of two of 8 to 1024 slots", got=fanout)
    return len(f"{fanout - 1:X}"), fanout.bit_length() - 1


def murmur3_64(data: bytes) -> int:
    """The first 64 bits of MurmurHash3 x64 128 with seed 0: what chooses the slots of a sharded directory."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    whole = len(data) - len(data) % 16
    for at in range(0, whole, 16):
        k1 = int.from_bytes(data[at : at + 8], "little")
        k2 = int.from_bytes(data[at + 8 : at + 16], "little")
        h1 ^= _rotate(k1 * c1 & _M64, 31) * c2 & _M64
        h1 = ((_rotate(h1, 27) + h2) * 5 + 0x52DCE729) & _M64
        h2 ^= _rotate(k2 * c2 & _M64, 33) * c1 & _M64
        h2 = ((_rotate(h2, 31) + h1) * 5 + 0x38495AB5) & _M64
    k1 = int.from_bytes(data[whole : whole + 8], "little")
    k2 = int.from_bytes(data[whole + 8 :], "little")
    h2 ^= _rotate(k2 * c2 & _M64, 33) * c1 & _M64
    h1 ^= _rotate(k1 * c1 & _M64, 31) * c2 & _M64
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = (h1 + h2) & _M64
    h2 = (h2 + h1) & _M64
    h1, h2 = _mix(h1), _mix(h2)
    return (h1 + h2) & _M64


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _M64


def _mix(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _M64
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _M64
    return value ^ value >> 33
