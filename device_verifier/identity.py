"""Who this device is: a secp256k1 key in a file, the address that follows from it, and the request to be
enrolled.
"""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_verifier.durable import DurableSteps, replace_file
from device_verifier.errors import UsageError
from ledger_protocol.report import device_key
from ledger_protocol.report.enrolment import SALT_BYTES, make_request
from ledger_protocol.report.reasons import Reason

__all__ = ["Identity", "create_identity", "enrolment_request", "load_identity", "new_salt"]

# A PKCS #8 PEM of a secp256k1 key has about 240 bytes.
MAX_KEY_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """The device's key pair and address (20 bytes). The key never appears in text form."""

    address: bytes
    public_key: bytes
    """65 bytes, uncompressed."""
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)


def load_identity(path: Path) -> Identity:
    """Read the device's key; UsageError where it is missing, readable by others, or no secp256k1 key."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
            data = file.read(MAX_KEY_BYTES)
    except FileNotFoundError as error:
        raise _refused(path, "the device's key", "no file", "run `fwledger-device enrol` once") from error
    except OSError as error:
        raise _refused(
            path, "a readable key file", error.strerror or str(error), "run as the agent's user"
        ) from error
    if mode & 0o077:
        raise _refused(path, "mode 0600", f"mode {mode:04o}", f"chmod 600 {path}, if nobody else has read it")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(path, "a private key in PEM", "something else", "restore the key file") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256K1):
        raise _refused(path, "a secp256k1 key", "another kind of key", "restore the key file")
    return _identity(key)


def create_identity(path: Path, *, steps: DurableSteps) -> Identity:
    """Make a key and write it to `path` (mode 0600); UsageError if something is there: a key is never
    replaced.
    """
    if path.exists() or path.is_symlink():
        raise _refused(path, "no key yet", "a file", "to replace a key, move the old one away first")
    key = device_key.new_private_key()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, pem, steps=steps)
    except OSError as error:
        raise _refused(
            path, "a place for the key", error.strerror or str(error), "correct device_key in device.toml"
        ) from error
    return _identity(key)


def enrolment_request(
    identity: Identity, *, serial: str, salt: bytes, compatible: str, hw_revision: str
) -> bytes:
    """Return the request's document; `salt` stays on the device, it opens the commitment to the serial
    number.
    """
    return make_request(
        identity.private_key, serial=serial, salt=salt, compatible=compatible, hw_revision=hw_revision
    ).encode()


def new_salt() -> bytes:
    """Return a fresh salt for the commitment to the serial number."""
    return secrets.token_bytes(SALT_BYTES)


def _identity(key: ec.EllipticCurvePrivateKey) -> Identity:
    public_key = device_key.public_key_bytes(key)
    return Identity(device_key.address_of(public_key), public_key, key)


def _refused(path: Path, expected: str, got: str, hint: str) -> UsageError:
    return UsageError(f"device key {path}", reason=Reason.USAGE, expected=expected, got=got, hint=hint)
