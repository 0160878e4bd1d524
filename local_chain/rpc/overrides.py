"""What a call may find otherwise than it is: accounts (geth's state overrides), and its block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address

from local_chain.errors import ChainError
from local_chain.evm import Change, Changes
from local_chain.rpc.quantities import (
    InvalidParams,
    Json,
    address,
    data,
    hash32,
    mapping,
    member,
    quantity,
    slot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_OVERRIDES = 1_024  # accounts, and slots of one account: bounds what one request makes us build
_BITS_64 = 1 << 64


def nonce(value: Json) -> int:
    """A number of at most 64 bits."""
    number = quantity(value)
    if number >= _BITS_64:
        raise InvalidParams("expected a number of at most 64 bits")
    return number


def state_overrides(value: Json) -> Changes:
    """Accounts by address, each with what of it is to be otherwise."""
    return {address(who): _change(who, fields) for who, fields in _bounded(value).items()}


def block_overrides(value: Json) -> Mapping[str, Any]:
    """Fields of ``Environment`` by name, from geth's names for them."""
    fields = known(value, _BLOCK_FIELDS)
    return {
        ours: member(fields, theirs, parser, None)
        for theirs, (ours, parser) in _BLOCK_FIELDS.items()
        if fields.get(theirs) is not None
    }


def known(value: Json, names: tuple[str, ...] | Mapping[str, object]) -> Mapping[str, Json]:
    """An object with no other fields: one that was ignored would make an answer to another question."""
    fields = mapping(value)
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise InvalidParams(f"expected only {', '.join(names)}, got {unknown[0][:40]}")
    return fields


_BLOCK_FIELDS: dict[str, tuple[str, Callable[[Json], Any]]] = {
    "number": ("number", nonce),
    "time": ("timestamp", nonce),
    "gasLimit": ("gas_limit", nonce),
    "feeRecipient": ("coinbase", address),
    "prevRandao": ("mix_hash", hash32),
    "baseFeePerGas": ("base_fee", quantity),
}
_ACCOUNT_FIELDS = ("balance", "nonce", "code", "state", "stateDiff")


def _change(who: str, value: Json) -> Change:
    fields = known(value, _ACCOUNT_FIELDS)
    if fields.get("state") is not None and fields.get("stateDiff") is not None:
        raise ChainError(f"account {to_checksum_address(who)} has both 'state' and 'stateDiff'")
    return Change(
        balance=member(fields, "balance", quantity, None),
        nonce=member(fields, "nonce", nonce, None),
        code=member(fields, "code", data, None),
        storage=member(fields, "state", _words, None),
        slots=member(fields, "stateDiff", _words, None),
    )


def _words(value: Json) -> Mapping[int, int]:
    return {slot(at): int.from_bytes(hash32(word), "big") for at, word in _bounded(value).items()}


def _bounded(value: Json) -> Mapping[str, Json]:
    fields = mapping(value)
    if len(fields) > MAX_OVERRIDES:
        raise InvalidParams(f"expected at most {MAX_OVERRIDES} entries, got {len(fields)}")
    return fields
