"""The one place where JSON values become Python values and back (Ethereum JSON-RPC: quantities and data).

A parser takes a JSON value and gives the typed one, or raises ``InvalidParams`` with what was expected and
what came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from local_chain.transactions import Authorization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_chain.transactions import AccessList

T = TypeVar("T")
Json = object

MAX_QUANTITY_BITS = 256
MAX_DATA_BYTES = 1 << 20  # one parameter; init code ends at 48 kB, a call's data far below a megabyte
MAX_AUTHORIZATIONS = 256  # 25,000 gas each: more than a block holds costs only recoveries
MAX_LIST_ITEMS = 1_024  # slots of a proof, addresses of a filter, entries of an access list
_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SHOWN_CHARACTERS = 80  # of a wrong value in a message

TAGS = ("latest", "pending", "safe", "finalized", "earliest")


class InvalidParams(Exception):  # noqa: N818 - JSON-RPC's name for it
    """A parameter of the wrong type or form (-32602)."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Which block is meant: a tag, a height or a hash; exactly one is set."""

    tag: str | None = None
    number: int | None = None
    hash: bytes | None = None


LATEST = BlockRef(tag="latest")


def hex_quantity(value: int) -> str:
    """``value`` as JSON-RPC writes numbers: hex without leading zeros."""
    return hex(value)


def hex_data(value: bytes) -> str:
    """``value`` as JSON-RPC writes bytes."""
    return "0x" + value.hex()


def quantity(value: Json) -> int:
    """A number of at most 256 bits; plain JSON integers are taken too, as geth's clients expect of dev
    nodes.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << MAX_QUANTITY_BITS:
        return value
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise wrong("a hex quantity such as 0x1f", value)
    return int(value, 16)


def data(value: Json) -> bytes:
    """Bytes of any length up to the limit."""
    if not isinstance(value, str) or len(value) > 2 + 2 * MAX_DATA_BYTES or _HEX.fullmatch(value) is None:
        raise wrong("hex data such as 0x00ff", value)
    return bytes.fromhex(value[2:])


def fixed(size_bytes: int) -> Callable[[Json], bytes]:
    """A parser for exactly ``size_bytes`` bytes."""

    def parse(value: Json) -> bytes:
        octets = data(value)
        if len(octets) != size_bytes:
            raise InvalidParams(f"expected {size_bytes} bytes, got {len(octets)}")
        return octets

    parse.__name__ = f"{size_bytes} bytes"  # for the reference page
    return parse


address = fixed(20)
hash32 = fixed(32)


def slot(value: Json) -> int:
    """A storage slot, as 32 bytes or as a quantity with or without leading zeros."""
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value):
        return int(value, 16)
    raise wrong("a storage slot of at most 32 bytes", value)


def proof_slot(value: Json) -> tuple[int, str]:
    """A storage slot and how the answer writes it: 32 bytes stay 32 bytes, all else is a quantity (as
    geth).
    """
    number = slot(value)
    return number, hex_data(number.to_bytes(32, "big")) if len(str(value)) == 66 else hex_quantity(number)


def boolean(value: Json) -> bool:
    """JSON true or false."""
    if not isinstance(value, bool):
        raise wrong("true or false", value)
    return value


def block_ref(value: Json) -> BlockRef:
    """A tag, a number, or EIP-1898's object."""
    if isinstance(value, str) and value in TAGS:
        return BlockRef(tag=value)
    if isinstance(value, str) and len(value) == 66:
        return BlockRef(hash=hash32(value))
    if isinstance(value, dict):
        fields = {name: item for name, item in value.items() if name != "requireCanonical"}  # ours always is
        if set(fields) == {"blockHash"}:
            return BlockRef(hash=hash32(fields["blockHash"]))
        if set(fields) == {"blockNumber"}:
            return block_ref(fields["blockNumber"])
        raise wrong("an object with either blockHash or blockNumber", value)
    number = quantity(value)
    if number >= 1 << 63:
        raise wrong("a block number of at most 63 bits", value)
    return BlockRef(number=number)


def block_hash(value: Json) -> BlockRef:
    """A block by its hash alone."""
    return BlockRef(hash=hash32(value))


def listing(parser: Callable[[Json], T], *, limit: int = MAX_LIST_ITEMS) -> Callable[[Json], tuple[T, ...]]:
    """A parser for a list of what ``parser`` reads."""

    def parse(value: Json) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise wrong("a list", value)
        if len(value) > limit:
            raise InvalidParams(f"expected at most {limit} items, got {len(value)}")
        return tuple(parser(item) for item in value)

    parse.__name__ = f"list of {parser.__name__}"  # for the reference page
    return parse


def one_or_more(parser: Callable[[Json], T]) -> Callable[[Json], tuple[T, ...]]:
    """A parser for one value or a list of them; null is none."""
    several = listing(parser)

    def parse(value: Json) -> tuple[T, ...]:
        if value is None:
            return ()
        return several(value) if isinstance(value, list) else (parser(value),)

    return parse


def mapping(value: Json) -> Mapping[str, Json]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise wrong("an object", value)
    return value


def access_list(value: Json) -> AccessList:
    """An access list as EIP-2930 writes it."""

    def entry(item: Json) -> tuple[bytes, tuple[int, ...]]:
        fields = mapping(item)
        return address(fields.get("address")), listing(slot)(fields.get("storageKeys", []))

    return listing(entry)(value)


def authorizations(value: Json) -> tuple[Authorization, ...]:
    """An authorisation list as EIP-7702's clients write it."""

    def entry(item: Json) -> Authorization:
        fields = mapping(item)
        chain_id, nonce, y_parity, r, s = (
            quantity(fields.get(name)) for name in ("chainId", "nonce", "yParity", "r", "s")
        )
        if y_parity > 1:
            raise InvalidParams(f"yParity: expected 0 or 1, got {y_parity}")
        return Authorization(chain_id, address(fields.get("address")), nonce, y_parity, r, s)

    return listing(entry, limit=MAX_AUTHORIZATIONS)(value)


def member(fields: Mapping[str, Json], name: str, parser: Callable[[Json], T], default: T) -> T:
    """``fields[name]`` read by ``parser``, or ``default`` when absent or null; errors name the field."""
    value = fields.get(name)
    if value is None:
        return default
    try:
        return parser(value)
    except InvalidParams as error:
        raise InvalidParams(f"{name}: {error}") from error


def wrong(expected: str, got: Json) -> InvalidParams:
    """The error for a value that is not what was expected."""
    text = repr(got)
    return InvalidParams(
        f"expected {expected}, got {text[:_SHOWN_CHARACTERS]}{'…' * (len(text) > _SHOWN_CHARACTERS)}"
    )
