"""Approvals: signatures of members over one act, gathered as files that pass between people.

An approval file is JSON: the act as EIP-712 typed data, who approved, and the signature. Reading one
re-derives the typed data from its values and recovers the signer; nothing in the file is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_account import Account as _EthAccount
from eth_account.messages import encode_typed_data

from ledger_client.acts import MAX_PLACED_DEVICES, STRUCTS, Act
from ledger_client.config import checksum_address, parse_address
from ledger_client.errors import NotEnoughApprovalsError, NotTrustedError, UsageError
from ledger_client.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ledger_client.signers import Account

SCHEMA = "fwledger/approval/1"

# Typed data of the largest act is about 3 kB (bytes).
MAX_APPROVAL_BYTES = 64 * 1024
SIGNATURE_BYTES = 65

# secp256k1's group order: a signature with s above its half repeats another one, and the contract refuses it.
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# The contract takes at most 16 approvals.
MAX_APPROVALS = 16


@dataclass(frozen=True, slots=True)
class Approval:
    """A verified approval: `signer` (20 bytes) did sign `act`. Whether it may is the ledger's to say."""

    act: Act
    signer: bytes
    signature: bytes

    def values(self) -> tuple[int, int]:
        """(r, vs), as the contract takes it."""
        return compact(self.signature[:64], self.signature[64])

    def encode(self) -> bytes:
        """The file's content."""
        document = {
            "schema": SCHEMA,
            "typed_data": self.act.typed_data(),
            "signer": checksum_address(self.signer),
            "signature": "0x" + self.signature.hex(),
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes, *, where: str = "approval") -> Approval:
        """Read and verify a file's content. Raises UsageError for a wrong form, NotTrustedError for a wrong
        signature.
        """
        document = _parse(raw, where)
        act = act_from_typed_data(document.get("typed_data"), where=where)
        signer = parse_address(document.get("signer"), where=f"{where}: signer")
        return verify_approval(
            act, signer, _hex(document.get("signature"), f"{where}: signature"), where=where
        )


def approve(act: Act, account: Account) -> Approval:
    """Sign an act."""
    return verify_approval(act, account.address, account.sign_typed(act.typed_data()), where="own signature")


def verify_approval(act: Act, signer: bytes, signature: bytes, *, where: str) -> Approval:
    """Check that `signer` made `signature` (65 bytes r, s, v) over the act."""
    if len(signature) != SIGNATURE_BYTES:
        raise UsageError(f"{where}: signature", expected=f"{SIGNATURE_BYTES} bytes", got=len(signature))
    if signature[64] in (0, 1):
        signature = signature[:64] + bytes([signature[64] + 27])
    if int.from_bytes(signature[32:64], "big") > _ORDER // 2 or signature[64] not in (27, 28):
        raise NotTrustedError(f"{where}: signature", expected="low s and v of 27 or 28", got="another form")
    try:
        recovered = _EthAccount.recover_message(
            encode_typed_data(full_message=act.typed_data()), signature=signature
        )
    except Exception as error:  # eth-keys raises its own kinds for points that are on no curve
        raise NotTrustedError(f"{where}: the signature is not one", got=type(error).__name__) from error
    if recovered != checksum_address(signer):
        raise NotTrustedError(
            f"{where}: signature", expected=f"by {checksum_address(signer)}", got=f"by {recovered}"
        )
    return Approval(act, signer, signature)


def read_approval(path: Path) -> Approval:
    """Read and verify an approval file."""
    return Approval.decode(_read(path), where=str(path))


def read_act(path: Path) -> Act:
    """The act of an approval file or of bare typed data: what the next person is asked to approve."""
    raw = _read(path)
    document = _parse(raw, str(path), schema=None)
    if document.get("schema") == SCHEMA:
        return Approval.decode(raw, where=str(path)).act
    return act_from_typed_data(document, where=str(path))


def act_from_typed_data(document: object, *, where: str) -> Act:
    """An act from the JSON that wallets sign. Everything that is not exactly one of ours is a UsageError."""
    if not isinstance(document, dict):
        raise UsageError(f"{where}: typed data", expected="an object", got=type(document).__name__)
    name, domain, message = (document.get(k) for k in ("primaryType", "domain", "message"))
    if (
        not isinstance(name, str)
        or name not in STRUCTS
        or not isinstance(domain, dict)
        or not isinstance(message, dict)
    ):
        raise UsageError(f"{where}: typed data", expected="an act of fwledger", got=str(name)[:40])
    values = {}
    for field, kind in STRUCTS[name]:
        value = message.get(field)
        values[field] = _read_value(kind, value, where=f"{where}: {name}.{field}")
    chain_id = domain.get("chainId")
    if not isinstance(chain_id, int) or isinstance(chain_id, bool):
        raise UsageError(f"{where}: chainId", expected="a number", got=repr(chain_id)[:40])
    ledger = parse_address(domain.get("verifyingContract"), where=f"{where}: verifyingContract")
    act = Act.of(name, values, chain_id=chain_id, ledger=ledger)
    if act.typed_data() != document:
        raise UsageError(f"{where}: typed data", expected="the types and domain of fwledger", got="others")
    return act


def gather(approvals: Iterable[Approval], *, act: Act, threshold: int, members: str) -> tuple[Approval, ...]:
    """Approvals of one act by distinct signers, ascending as the contract wants them.

    Raises NotTrustedError where one approves another act, NotEnoughApprovalsError under the threshold.
    """
    by_signer: dict[bytes, Approval] = {}
    for approval in approvals:
        if approval.act != act:
            raise NotTrustedError(
                f"the approval of {checksum_address(approval.signer)} is for another act",
                expected=_difference(act, approval.act),
                got=_difference(approval.act, act),
                hint="all must approve the same file; an act on the channel since then voids approvals",
            )
        by_signer[approval.signer] = approval
    if len(by_signer) < threshold:
        raise NotEnoughApprovalsError(
            f"approvals of {act.name}",
            expected=f"{threshold} distinct {members}",
            got=len(by_signer),
            hint="pass one member's approval file to the next, then give them all with --approval",
        )
    if len(by_signer) > MAX_APPROVALS:
        raise UsageError(f"approvals of {act.name}", expected=f"at most {MAX_APPROVALS}", got=len(by_signer))
    return tuple(by_signer[signer] for signer in sorted(by_signer))


def contract_values(approvals: Sequence[Approval]) -> list[tuple[int, int]]:
    """The list that the contracts take."""
    return [approval.values() for approval in approvals]


def compact(signature: bytes, recovery: int) -> tuple[int, int]:
    """(r, vs) of EIP-2098 from 64 bytes r, s with low s, and a recovery id of 27 or 28."""
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big") | (
        recovery - 27
    ) << 255


def _difference(one: Act, other: Act) -> str:
    mine, theirs = dict(one.describe()), dict(other.describe())
    parts = [f"{k} {v}" for k, v in mine.items() if theirs.get(k) != v]
    if one.name != other.name:
        return one.name
    return ", ".join(parts) or f"chain {one.chain_id}, ledger {checksum_address(one.ledger)}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_APPROVAL_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}", got=error.strerror or error) from error
    if len(raw) > MAX_APPROVAL_BYTES:
        raise UsageError(f"{path}", expected=f"at most {MAX_APPROVAL_BYTES} bytes", got="more")
    return raw


def _parse(raw: bytes, where: str, *, schema: str | None = SCHEMA) -> dict[str, Any]:
    try:
        document = parse_json(raw)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON", got=str(error)[:80]) from error
    if not isinstance(document, dict) or (schema is not None and document.get("schema") != schema):
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise UsageError(f"{where}: schema", expected=schema or "an object", got=str(found)[:80])
    return document


def _read_value(kind: str, value: object, *, where: str) -> object:
    if kind == "bytes32":
        return _hex(value, where)
    if kind == "address":
        return parse_address(value, where=where)
    if kind == "address[]" and isinstance(value, list):
        return tuple(parse_address(text, where=where) for text in value[: MAX_PLACED_DEVICES + 1])
    return value


def read_signature(text: str) -> bytes:
    """65 bytes r, s, v from the hex text that a wallet gives."""
    return _hex(text if text.startswith("0x") else f"0x{text}", "signature")


def _hex(text: object, where: str) -> bytes:
    digits = text.removeprefix("0x") if isinstance(text, str) and text.startswith("0x") else "not hex"
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise UsageError(where, expected="0x and hex digits", got=repr(text)[:80]) from None
