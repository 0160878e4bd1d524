"""Devices' signatures, found in the input of the transaction that carried their events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from eth_abi import abi
from eth_abi.exceptions import DecodingError
from eth_keys import keys  # type: ignore[attr-defined]
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.audit.statements import abi_type, contract_abi
from ledger_protocol.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator

_SELECTOR_BYTES = 4
_V_AT = 255
_HEAD = ((1 << 160) - 1) << 96
# The largest batch that the journal takes; more in an input that nobody proved would only cost time.
_MAX_SIGNATURES = 512


@dataclass(frozen=True, slots=True)
class Carried:
    """A device's signature (65 bytes: r, s, and v as 0 or 1), and the `previous` (32 bytes) that came with
    it.
    """

    signature: bytes
    previous: bytes


def carried_in(calldata: bytes) -> tuple[Carried, ...]:
    """Give what devices signed in the input of a call of the journal; nothing where it is no such call.

    A call through another contract (a relayer's own) hides the journal's input; then there is none either.
    """
    entry = _functions().get(calldata[:_SELECTOR_BYTES])
    if entry is None:
        return ()
    try:
        values = abi.decode([abi_type(i) for i in entry["inputs"]], calldata[_SELECTOR_BYTES:])
    except DecodingError:
        return ()
    return tuple(islice(_compact(list(zip(entry["inputs"], values, strict=True))), _MAX_SIGNATURES))


def recovered(digest: bytes, signature: bytes) -> bytes | None:
    """Give the 20-byte address whose key made a 65-byte signature of a digest; None where the signature is
    none.
    """
    try:
        signer = keys.Signature(signature).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError):
        return None
    return bytes(signer.to_canonical_address())


def _compact(named: list[tuple[dict[str, Any], Any]]) -> Iterator[Carried]:
    """Find the compact signatures (EIP-2098: r, and s with v in its top bit) among arguments and structs."""
    flat = {argument["name"]: value for argument, value in named}
    if "r" in flat and "vs" in flat:
        v, s = flat["vs"] >> _V_AT, flat["vs"] & ((1 << _V_AT) - 1)
        signature = flat["r"].to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
        linked = (flat.get("link", 0) & _HEAD).to_bytes(32, "big")  # a batch packs `previous` and stamp
        yield Carried(signature, flat.get("previous", linked))
    for argument, value in named:
        if argument["type"] == "tuple":
            yield from _compact(list(zip(argument["components"], value, strict=True)))
        elif argument["type"].startswith("tuple["):
            for item in value:
                yield from _compact(list(zip(argument["components"], item, strict=True)))


@cache
def _functions() -> dict[bytes, dict[str, Any]]:
    found = {}
    for entry in contract_abi("UpdateJournal"):
        if entry["type"] == "function" and entry["name"].startswith("submit_"):
            signature = f"{entry['name']}({','.join(map(abi_type, entry['inputs']))})"
            found[keccak256(signature.encode())[:_SELECTOR_BYTES]] = entry
    return found
