"""Public keys of witnesses as C2SP signed-note vkeys, `name+id+base64(ff ‖ identifier ‖ point)` (protocol.md
§4).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from ledger_protocol.errors import SignatureError, TrustRootError
from ledger_protocol.limits import MAX_VKEY_BYTES
from ledger_protocol.release.signing import check_ed25519_point

IDENTIFIER: Final = b"evm-checkpoint/v1"
KEY_TYPE: Final = b"\xff" + IDENTIFIER  # C2SP signed-note: ff = a type named by the text that follows
KEY_ID_BYTES: Final = 4
POINT_BYTES: Final = 32  # Ed25519

NAME: Final = re.compile(r"[^\s\x00-\x20\x7f+\ud800-\udfff]{1,255}")
VKEY: Final = re.compile(r"([^\s\x00-\x20\x7f+\ud800-\udfff]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key: its name, and the Ed25519 point (32 bytes)."""

    name: str
    point: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ newline ‖ key): it finds a key, and is no identity."""
        return hashlib.sha256(self.name.encode() + b"\n" + KEY_TYPE + self.point).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """The text form that a trust root pins."""
        encoded = base64.b64encode(KEY_TYPE + self.point).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> WitnessKey:
        """Read a vkey. Raises TrustRootError for another type, another encoding, an id that is not the key's,
        or a key for which anyone can sign.
        """
        match = VKEY.fullmatch(vkey) if len(vkey) <= MAX_VKEY_BYTES else None
        if match is None:
            raise TrustRootError("vkey of witness", expected="name+8 hex digits+base64", got=vkey)
        name, key_id, encoded = match.groups()
        try:
            data = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise TrustRootError("vkey of witness", expected="base64", got=encoded) from None
        if not data.startswith(KEY_TYPE) or len(data) != len(KEY_TYPE) + POINT_BYTES:
            raise TrustRootError(
                "vkey of witness", expected=f"type ff {IDENTIFIER.decode()} and 32 bytes", got=vkey
            )
        key = cls(name, data[-POINT_BYTES:])
        if key.key_id.hex() != key_id:
            raise TrustRootError("key id of witness", expected="hash of name and key", got=key_id)
        if key.vkey != vkey:
            raise TrustRootError("vkey of witness", expected="canonical base64", got=vkey)
        try:
            check_ed25519_point(key.point)
        except SignatureError as error:
            raise TrustRootError("vkey of witness", expected=error.expected, got=key.point) from error
        return key
