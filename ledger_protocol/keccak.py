"""Keccak-256 as Ethereum uses it: the padding of the contest, not that of SHA-3."""

from __future__ import annotations

# Debian installs pycryptodome as `Cryptodome`, PyPI as `Crypto`; an old PyCrypto by that name has no keccak.
try:
    from Cryptodome.Hash import keccak as _keccak
except ImportError:
    from Crypto.Hash import keccak as _keccak


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 digest of `data`."""
    digest: bytes = _keccak.new(digest_bits=256, data=data).digest()
    return digest
