"""Witness notes: C2SP signed notes over a block, right ones and wrong ones (protocol.md §4)."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ed25519

from ledger_client.conformance.world.documents import Document
from ledger_client.conformance.world.keys import ed25519_key, vkey, witness_key_id


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name, and its key."""

    name: str
    key: ed25519.Ed25519PrivateKey

    @property
    def vkey(self) -> str:
        """How a trust root pins it."""
        return vkey(self.key, self.name)

    def under(self, name: str) -> "Witness":
        """Give the same key under another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a note says of a block: number, hash and state root (32 bytes each), time (Unix seconds)."""

    origin: str
    number: int
    hash: bytes
    state_root: bytes
    time: int

    @property
    def text(self) -> str:
        """The note's text."""
        lines = (self.origin, str(self.number), b64(self.hash), b64(self.state_root), str(self.time))
        return "".join(line + "\n" for line in lines)


def witnesses(count: int, name: str = "witness") -> list[Witness]:
    """Give `count` witnesses; another name gives other keys."""
    return [Witness(f"w{place}.example", ed25519_key(f"{name} {place}")) for place in range(count)]


def pinned(keys: Sequence[Witness], threshold: int, *, origin: str, final: str = "depth:12") -> Document:
    """Give witnesses as a trust root pins them."""
    return {
        "threshold": threshold,
        "keys": [witness.vkey for witness in keys],
        "origin": origin,
        "final": final,
    }


def signature_line(witness: Witness, text: str, at_s: int, *, with_time: bool = True) -> str:
    """Give the line of one witness over a note's text, signed at `at_s` by its own clock."""
    message = f"evm-checkpoint/v1\ntime {at_s}\n{text}" if with_time else text
    signature = witness.key.sign(message.encode())
    blob = witness_key_id(witness.key, witness.name) + at_s.to_bytes(8, "big") + signature
    return f"\N{EM DASH} {witness.name} {b64(blob)}\n"


def note(text: str, lines: Sequence[str]) -> bytes:
    """Give a note of this text and these lines."""
    return (text + "\n" + "".join(lines)).encode()


def b64(data: bytes) -> str:
    """Give standard base64."""
    return base64.b64encode(data).decode("ascii")
