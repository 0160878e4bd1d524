"""Unsigned LEB128 as IPFS uses it: at most 63 bits, minimal length (https://github.com/multiformats/unsigned-varint)."""

from __future__ import annotations

from typing import Final

from ledger_protocol.errors import LimitError, MalformedError

MAX_VARINT_BYTES: Final = 9  # 63 bits, the bound of the specification


def encode(number: int) -> bytes:
    """Return the minimal encoding of `number`, 0 to 2^63 - 1."""
    if not 0 <= number < 1 << 63:
        raise LimitError("varint", expected="0 to 2^63 - 1", got=number)
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(data: bytes, at: int) -> tuple[int, int]:
    """Read one varint at offset `at`; return the number and the offset after it."""
    number = 0
    for index in range(MAX_VARINT_BYTES):
        if at + index >= len(data):
            raise MalformedError("truncated varint", expected=f"a byte at {at + index}", got="the end")
        byte = data[at + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index:
                raise MalformedError(
                    f"varint at byte {at}", expected="minimal length", got=f"{index + 1} bytes"
                )
            return number, at + index + 1
    raise LimitError(f"varint at byte {at}", expected=f"at most {MAX_VARINT_BYTES} bytes", got="more")
