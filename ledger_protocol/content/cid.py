"""CIDv1 with sha2-256 and one of three codecs: the only content addresses that fwledger writes or reads.

Source: protocol.md §1; https://github.com/multiformats/cid. Bytes are `01 | codec | 12 20 | digest`, text
is `b` and lower-case base32 without padding.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from ledger_protocol.errors import MalformedError, MismatchError

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
CODECS: Final = {RAW: "raw", DAG_PB: "dag-pb", DAG_CBOR: "dag-cbor"}

CID_BYTES: Final = 36
_TEXT_CHARS: Final = 59  # "b" and 58 characters of base32
_HASH_HEAD: Final = b"\x12\x20"  # multihash: sha2-256, 32 bytes


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """The address of one block: `codec` is RAW, DAG_PB or DAG_CBOR; `digest` is its SHA-256, 32 bytes."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise MalformedError("codec of CID", expected="raw, dag-pb or dag-cbor", got=hex(self.codec))
        if len(self.digest) != 32:
            raise MalformedError("digest of CID", expected="32 bytes", got=f"{len(self.digest)} bytes")

    @classmethod
    def of(cls, codec: int, block: bytes) -> Cid:
        """Return the CID of `block` read as `codec`."""
        return cls(codec, hashlib.sha256(block).digest())

    def to_bytes(self) -> bytes:
        """Return the 36 bytes of the binary form."""
        return bytes((1, self.codec)) + _HASH_HEAD + self.digest

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Read exactly one binary CID of 36 bytes; raise MalformedError for anything else, CIDv0 included."""
        if len(data) != CID_BYTES:
            raise MalformedError("length of CID", expected=f"{CID_BYTES} bytes", got=f"{len(data)} bytes")
        if data[0] != 1:
            raise MalformedError("version of CID", expected=1, got=data[0])
        if data[2:4] != _HASH_HEAD:
            raise MalformedError("hash of CID", expected="sha2-256 of 32 bytes (1220)", got=bytes(data[2:4]))
        return cls(data[1], bytes(data[4:]))

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").rstrip("=").lower()

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read the text form, lower-case base32 with its `b`: each CID has one spelling here."""
        if len(text) != _TEXT_CHARS or not text.startswith("b") or not text.isascii() or text != text.lower():
            raise MalformedError(
                "text of CID",
                expected="CIDv1 in lower-case base32, 59 characters from 'b'",
                got=text,
                hint="convert it with `ipfs cid base32`",
            )
        try:
            data = base64.b32decode(text[1:].upper() + "======")
        except ValueError:
            raise MalformedError("text of CID", expected="base32", got=text) from None
        cid = cls.from_bytes(data)
        if str(cid) != text:  # the last character has unused bits
            raise MalformedError("text of CID", expected=str(cid), got=text)
        return cid

    def verify(self, block: bytes) -> None:
        """Raise MismatchError unless `block` is the content that this CID names."""
        digest = hashlib.sha256(block).digest()
        if digest != self.digest:
            raise MismatchError(
                "content of block",
                expected=str(self),
                got=str(Cid(self.codec, digest)),
                hint="the source sent other bytes; try another source",
            )
