"""Witnesses that sign whatever they are told to, with keys that tests can repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger_protocol.ledger.witness_note import Checkpoint, WitnessNote, sign_note, witness_key
from ledger_protocol.release.trust_root import WitnessTrust

if TYPE_CHECKING:
    from collections.abc import Iterable


class Witnesses:
    """`count` witnesses of one origin; `seed` makes a set with other keys."""

    def __init__(self, count: int = 5, *, seed: int = 1, origin: str = "acme.example/evm/1337") -> None:
        self.origin = origin
        self.names = [f"w{place}.example" for place in range(count)]
        self.keys = [
            Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"witness {seed} {place}".encode()).digest())
            for place in range(count)
        ]

    @property
    def vkeys(self) -> tuple[str, ...]:
        return tuple(witness_key(key, name).vkey for key, name in zip(self.keys, self.names, strict=True))

    def trust(self, threshold: int = 3, *, final: str = "depth:12") -> WitnessTrust:
        return WitnessTrust(threshold=threshold, keys=self.vkeys, origin=self.origin, final=final)

    def sign(self, place: int, checkpoint: Checkpoint, time_s: int) -> WitnessNote:
        return sign_note(checkpoint, self.keys[place], name=self.names[place], time_s=time_s)

    def note(
        self,
        checkpoint: Checkpoint,
        signers: Iterable[int] | Mapping[int, int] = range(3),
        *,
        time_s: int = 0,
    ) -> bytes:
        """Give a note signed by the witnesses of these places, each at the time that a mapping names."""
        times = signers if isinstance(signers, Mapping) else dict.fromkeys(signers, time_s)
        notes = [self.sign(place, checkpoint, at) for place, at in times.items()]
        return WitnessNote(checkpoint, tuple(line for note in notes for line in note.signatures)).encode()
