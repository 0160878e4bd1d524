"""EIP-712: what wallets and devices sign so that a contract can check it. Source:
https://eips.ethereum.org/EIPS/eip-712.

Structs of this project hold only atomic members, so each encodes as its type hash and one 32-byte word a
member.
"""

from __future__ import annotations

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256

NAME = "fwledger"
VERSION = "1"
_DOMAIN_TYPE = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_WORD_BYTES = 32


def domain_separator(chain_id: int, verifying_contract: bytes) -> bytes:
    """Give the 32-byte separator of our domain for the contract at a 20-byte address."""
    return keccak256(
        _DOMAIN_TYPE
        + keccak256(NAME.encode())
        + keccak256(VERSION.encode())
        + uint_word(chain_id)
        + address_word(verifying_contract)
    )


def digest(domain: bytes, struct_hash: bytes) -> bytes:
    """Give the 32 bytes to sign for a struct hash under a domain separator."""
    return keccak256(b"\x19\x01" + domain + struct_hash)


def struct_hash(struct_type: str, words: tuple[bytes, ...]) -> bytes:
    """Hash a struct of atomic members: its type as EIP-712 writes it, and each member as a 32-byte word in
    order.
    """
    return keccak256(keccak256(struct_type.encode()) + b"".join(map(bytes32_word, words)))


def uint_word(number: int) -> bytes:
    """Give an unsigned integer as a word. Raises MalformedError where it does not fit 256 bits."""
    if not 0 <= number < 1 << 256:
        raise MalformedError("typed data: integer", expected="0 to 2^256 - 1", got=number)
    return number.to_bytes(_WORD_BYTES, "big")


def address_word(address: bytes) -> bytes:
    """Give a 20-byte address as a word. Raises MalformedError for another length."""
    if len(address) != 20:
        raise MalformedError("typed data: address", expected="20 bytes", got=f"{len(address)} bytes")
    return bytes(12) + address


def bytes32_word(value: bytes) -> bytes:
    """Give 32 bytes as they are. Raises MalformedError for another length."""
    if len(value) != _WORD_BYTES:
        raise MalformedError("typed data: bytes32", expected="32 bytes", got=f"{len(value)} bytes")
    return value
