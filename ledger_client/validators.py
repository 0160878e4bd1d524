"""The validators of a QBFT chain with their public keys: recovered from seals, or read from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_keys.datatypes import PublicKey as EthPublicKey
from eth_keys.datatypes import Signature as EthSignature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.json_text import parse_json
from ledger_client.proofs import raw_header
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import Validator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger_client.network import Network

# How many headers back to look for a seal of each validator. A quorum seals each, so a few are enough.
_HEADERS_SEARCHED = 64

_MAX_FILE_BYTES = 256 * 1024


def recover_validators(network: Network) -> tuple[Validator, ...]:
    """The chain's QBFT validators with the public keys that their seals reveal, in the order of the newest
    header.

    What a node says, to be confirmed by people who run validators. Raises NotTrustedError where the newest
    header is not of QBFT or a validator has sealed none of the newest headers.
    """
    number = network.block_number()
    wanted: tuple[bytes, ...] = ()
    found: dict[bytes, bytes] = {}
    for height in range(number, max(number - _HEADERS_SEARCHED, -1), -1):
        try:
            header = parse_header(raw_header(network, height))
            extra = qbft.parse_extra(header.extra_data)
            digest = qbft.seal_digest(header)
        except ProtocolError as error:
            if height == number:
                raise NotTrustedError(
                    f"the newest header is not of a QBFT chain: {error}",
                    hint="trust roots of other chains name witnesses",
                ) from error
            break  # a genesis block carries no seals, and a chain may have moved to QBFT
        wanted = wanted or extra.validators
        found |= _sealers(digest, extra.seals)
        if set(wanted) <= set(found):
            return tuple(Validator(address, found[address]) for address in wanted)
    missing = [address.hex() for address in wanted if address not in found]
    raise NotTrustedError(
        f"validators that sealed none of the last {_HEADERS_SEARCHED} headers",
        got=", ".join(missing) or "all",
        hint="wait for more blocks, or give all public keys with --validators FILE",
    )


def read_validators(path: Path) -> tuple[Validator, ...]:
    """Validators from a JSON file: `[{"address": "0x...", "public_key": "0x04..."}, ...]`, or that as
    `validators`.
    """
    try:
        raw = path.read_bytes()[: _MAX_FILE_BYTES + 1]
        document = parse_json(raw)
    except OSError as error:
        raise UsageError(f"cannot read {path}", got=error.strerror or error) from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON", got=str(error)[:80]) from error
    entries = document.get("validators") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}", expected="a list of validators", got=type(entries).__name__)
    found = []
    for index, entry in enumerate(entries):
        try:
            text = entry["publicKey"] if "publicKey" in entry else entry["public_key"]
            key = bytes.fromhex(text.removeprefix("0x"))
            if len(key) == 65 and key[0] == 4:
                key = key[1:]
            public = EthPublicKey(key)
            address = bytes.fromhex(entry["address"].removeprefix("0x"))
        except (TypeError, KeyError, AttributeError, ValueError, ValidationError) as error:
            raise UsageError(
                f"{path}: validator {index}", expected="address and public_key in hex", got=error
            ) from error
        if public.to_canonical_address() != address:
            raise UsageError(
                f"{path}: validator {index}",
                expected=f"the address of its key, {public.to_address()}",
                got=entry["address"],
            )
        found.append(Validator(address, b"\x04" + key))
    return tuple(found)


def _sealers(digest: bytes, seals: Sequence[bytes]) -> dict[bytes, bytes]:
    found = {}
    for seal in seals:
        try:
            public = EthSignature(seal).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            continue
        found[public.to_canonical_address()] = b"\x04" + public.to_bytes()
    return found
