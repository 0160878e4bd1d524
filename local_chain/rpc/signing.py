"""Methods that sign messages for the unlocked accounts. They answer on loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey
from eth_account.messages import encode_typed_data

from ledger_protocol.keccak import keccak256
from local_chain.errors import ChainError
from local_chain.json_input import parse_json
from local_chain.rpc.quantities import InvalidParams, Json, address, data, hex_data, mapping
from local_chain.rpc.registry import method, optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.accounts import DevAccount
    from local_chain.node import Node


def typed_data(value: Json) -> Mapping[str, Json]:
    """A typed message (EIP-712) as an object, or as text that holds one."""
    if isinstance(value, str):
        try:
            value = parse_json(value.encode())
        except ValueError as error:
            raise InvalidParams(f"expected typed data as JSON: {error}") from error
    return mapping(value)


def anything(value: Json) -> Json:
    """A parameter that plays no part here."""
    return value


@method("eth_accounts")
def accounts(node: Node) -> Json:
    """The unlocked accounts: none on a node that listens on a network address."""
    return [hex_data(who) for who in node.accounts]


@method("eth_sign", address, data, privileged=True)
def sign(node: Node, who: bytes, message: bytes) -> Json:
    """Sign a message as EIP-191 prefixes it."""
    return _personal_signature(node, who, message)


@method("personal_sign", data, address, optional(anything), privileged=True)
def personal_sign(node: Node, message: bytes, who: bytes, _password: Json) -> Json:
    """Sign a message as EIP-191 prefixes it."""
    return _personal_signature(node, who, message)


@method("eth_signTypedData", address, typed_data, privileged=True)
@method("eth_signTypedData_v3", address, typed_data, privileged=True)
@method("eth_signTypedData_v4", address, typed_data, privileged=True)
def sign_typed_data(node: Node, who: bytes, message: Mapping[str, Json]) -> Json:
    """Sign a typed message (EIP-712)."""
    account = unlocked(node, who)
    whole: dict[str, Any] = dict(message)
    try:
        signable = encode_typed_data(full_message=whole)
    except Exception as error:  # its encoder raises what the wrong part happens to cause
        raise InvalidParams(f"invalid argument 1: not typed data: {str(error)[:200]}") from error
    return _signature(account, keccak256(b"\x19" + signable.version + signable.header + signable.body))


def unlocked(node: Node, who: bytes) -> DevAccount:
    """The unlocked account at an address; ChainError when it is none."""
    account = node.accounts.get(who)
    if account is None:
        raise ChainError("unknown account: expected one of eth_accounts")
    return account


def _personal_signature(node: Node, who: bytes, message: bytes) -> Json:
    prefix = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode()
    return _signature(unlocked(node, who), keccak256(prefix + message))


def _signature(account: DevAccount, digest: bytes) -> Json:
    signature = PrivateKey(account.secret_key).sign_recoverable(digest, hasher=None)
    return hex_data(signature[:64] + bytes([27 + signature[64]]))
