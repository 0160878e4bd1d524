"""Content addresses as IPFS at large writes them, for the node and for walking DAGs that others made.

`ledger_protocol.content.cid.Cid` is the one form that fwledger publishes. A node also meets CIDv0 (`Qm...`,
dag-pb with sha2-256) in older DAGs, other spellings of the text, and identity addresses, whose block is in
the address itself.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from ledger_protocol.content import varint
from ledger_protocol.content.cid import CODECS, DAG_PB, Cid
from ledger_protocol.errors import MalformedError

_SHA2_256: Final = 0x12
_IDENTITY: Final = 0x00
_V0_BYTES: Final = 34  # 12 20 and the digest
_V0_TEXT: Final = 46
_MAX_INLINE_BYTES: Final = 128  # what Kubo inlines at most; the address travels in every URL and header
_MAX_BYTES: Final = 4 + varint.MAX_VARINT_BYTES + _MAX_INLINE_BYTES
_MAX_TEXT: Final = 2 * _MAX_BYTES + 1  # hex is the longest spelling
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Address:
    """A CID of version 0 or 1: `digest` is a SHA-256 of 32 bytes, or where `inline`, the block itself."""

    version: int
    codec: int
    digest: bytes
    inline: bool = False

    @classmethod
    def of(cls, cid: Cid) -> Address:
        """The same address in the general form."""
        return cls(1, cid.codec, cid.digest)

    @property
    def cid(self) -> Cid:
        """The CIDv1 of the same block; MalformedError for an inline one, which no store holds."""
        if self.inline:
            raise MalformedError("hash of CID", expected="sha2-256", got="identity")
        return Cid(self.codec, self.digest)

    def to_bytes(self) -> bytes:
        """The binary form, as it stands in CARs and links."""
        hashed = varint.encode(_IDENTITY if self.inline else _SHA2_256) + varint.encode(len(self.digest))
        head = b"" if self.version == 0 else b"\x01" + varint.encode(self.codec)
        return head + hashed + self.digest

    def __str__(self) -> str:
        if self.version == 0:
            return _to_base58(self.to_bytes())
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").rstrip("=").lower()

    @classmethod
    def from_bytes(cls, data: bytes) -> Address:
        """Read exactly one binary CID; MalformedError for another hash or codec than this node serves."""
        if len(data) == _V0_BYTES and data[:2] == b"\x12\x20":
            return cls(0, DAG_PB, data[2:])
        if len(data) > _MAX_BYTES:
            raise MalformedError("length of CID", expected=f"at most {_MAX_BYTES} bytes", got=len(data))
        version, at = varint.decode(data, 0)
        codec, at = varint.decode(data, at)
        function, at = varint.decode(data, at)
        size, at = varint.decode(data, at)
        digest = data[at:]
        if version != 1:
            raise MalformedError("version of CID", expected="0 or 1", got=version)
        if codec not in CODECS:
            raise MalformedError("codec of CID", expected="raw, dag-pb or dag-cbor", got=hex(codec))
        if len(digest) != size:
            raise MalformedError("length of digest", expected=f"{size} bytes", got=f"{len(digest)} bytes")
        if function == _IDENTITY and size <= _MAX_INLINE_BYTES:
            return cls(1, codec, digest, inline=True)
        if function != _SHA2_256 or size != 32:
            raise MalformedError("hash of CID", expected="sha2-256 of 32 bytes", got=f"{function:#x}, {size}")
        return cls(1, codec, digest)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read the text form: `Qm...`, or multibase with `b` (base32), `z` (base58) or `f` (hex)."""
        if not text.isascii() or len(text) > _MAX_TEXT:
            raise MalformedError("text of CID", expected=f"at most {_MAX_TEXT} ASCII characters", got=text)
        try:
            if len(text) == _V0_TEXT and text.startswith("Qm"):
                return cls.from_bytes(_from_base58(text))
            body = text[1:]
            match text[:1]:
                case "b" | "B":
                    data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
                case "z":
                    data = _from_base58(body)
                case "f" | "F":
                    data = bytes.fromhex(body) if body.isalnum() else b""
                case _:
                    raise MalformedError("text of CID", expected="Qm..., or base b, z or f", got=text)
        except (ValueError, binascii.Error):
            raise MalformedError("text of CID", expected="characters of its base only", got=text) from None
        address = cls.from_bytes(data)
        if address.version == 0:
            raise MalformedError("text of CID", expected="CIDv0 without a base letter", got=text)
        if text[0] in "bB" and text.lower() != str(address):  # the last character has unused bits
            raise MalformedError("text of CID", expected=str(address), got=text)
        return address


def _to_base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _from_base58(text: str) -> bytes:
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
