"""Keys of people who sign releases and trust roots: PEM files or anything else that securesystemslib has an
URI for.

`file:PATH` is a PKCS#8 PEM file, encrypted or readable by its owner alone; `hsm:`, `awskms:`, `gcpkms:` and
the others of securesystemslib need the public key beside (`--public-key FILE`) and the extra that talks to
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import (  # type: ignore[attr-defined]  # it has no __all__
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    Signer,
    SSlibKey,
)

from ledger_client.config_file import replace_file
from ledger_client.errors import ClientError, KeyFileError, UsageError
from ledger_client.private_files import MAX_KEY_FILE_BYTES, read_private_file, write_private_file
from ledger_protocol.errors import ProtocolError
from ledger_protocol.release.signing import PublicKey, Signature, pae, signature_from_raw

if TYPE_CHECKING:
    from securesystemslib.signer import SecretsHandler  # type: ignore[attr-defined]  # it has no __all__

KEY_TYPES = ("ed25519", "p256")

# Not the default of securesystemslib's own scheme (`file2:`): that one reads neither passwords nor file
# modes.
FILE_SCHEME = "file"


@dataclass(frozen=True, slots=True)
class FirmwareSigner:
    """A key that can sign. Where it lies is securesystemslib's business; what it signs is ours."""

    public: PublicKey
    _signer: Any

    def sign(self, payload_type: str, payload: bytes) -> Signature:
        """A DSSE signature over `payload`, checked against the public key before it is handed out."""
        try:
            raw = bytes.fromhex(self._signer.sign(pae(payload_type, payload)).signature)
            signature = signature_from_raw(self.public, raw)
            self.public.verify(payload_type, payload, signature.sig)
        except (ClientError, ProtocolError):
            raise
        except (
            Exception
        ) as error:  # signers of hardware and clouds raise what they like, and none of it may leak
            raise KeyFileError(
                "the signer failed", got=f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        return signature


def generate(kind: str) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    """A new private key of one of KEY_TYPES."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    raise UsageError("key type", expected=" or ".join(KEY_TYPES), got=kind)


def create_key(path: Path, *, kind: str, password: str | None) -> PublicKey:
    """Make a key: PKCS#8 PEM at `path` (0600, encrypted where there is a password) and its public part at
    `path`.pub.

    An existing file is never overwritten.
    """
    key = generate(kind)
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    public = PublicKey.from_private(key)
    write_private_file(
        path, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    replace_file(public_path(path), public.to_pem())
    return public


def public_path(path: Path) -> Path:
    """Where the public part of a key file lies."""
    return path.with_name(path.name + ".pub")


def read_public_key(path: Path) -> PublicKey:
    """A PEM public key. Raises KeyFileError that says what the file is instead."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read public key {path}", got=error.strerror or error) from error
    if b"PRIVATE KEY" in raw:
        raise KeyFileError(
            f"{path} holds a private key", hint=f"give its public part, {public_path(path).name}"
        )
    try:
        return PublicKey.from_pem(raw)
    except ProtocolError as error:
        raise KeyFileError(f"{path} is not a public key", got=str(error)) from error


def open_signer(
    uri: str, *, password: str | None = None, public_key: PublicKey | None = None
) -> FirmwareSigner:
    """Open a signer by URI; a plain path means `file:`.

    `password` opens an encrypted file or is the PIN of a device. `public_key` is required for schemes other
    than
    `file:`, and checked against the file's own where both are given.
    """
    scheme, _, place = uri.partition(":")
    if not place or scheme not in SIGNER_FOR_URI_SCHEME:
        scheme, place = FILE_SCHEME, uri
    if scheme == FILE_SCHEME:
        key = _load_private(Path(place), password)
        own = PublicKey.from_private(key)
        if public_key is not None and public_key != own:
            raise KeyFileError(
                f"{place} is another key", expected=public_key.key_id.hex()[:16], got=own.key_id.hex()[:16]
            )
        public_key = own
    if public_key is None:
        raise UsageError(f"a {scheme}: signer needs its public key", hint="--public-key FILE")
    try:
        signer = Signer.from_priv_key_uri(
            f"{scheme}:{place}", _library_key(public_key), lambda _name: password or ""
        )
    except (ClientError, ProtocolError):
        raise
    except Exception as error:  # the library and its plug-ins raise what they like
        raise KeyFileError(
            f"cannot open signer {scheme}:", got=f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
    return FirmwareSigner(public_key, signer)


def read_private_key(
    path: Path, *, password: str | None
) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    """A PEM private key, for signatures that are not DSSE's. Raises KeyFileError."""
    return _load_private(path, password)


class _FileSigner(CryptoSigner):
    """securesystemslib's signer for `file:`; unlike its `file2:` it reads passwords and checks who may
    read.
    """

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Any, secrets_handler: SecretsHandler | None = None
    ) -> _FileSigner:
        password = secrets_handler("password") if secrets_handler else ""
        key = _load_private(Path(priv_key_uri.partition(":")[2]), password or None)
        return cls(key, public_key)


SIGNER_FOR_URI_SCHEME[FILE_SCHEME] = _FileSigner


def _library_key(public: PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(serialization.load_der_public_key(public.spki))


def _load_private(path: Path, password: str | None) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    raw = _read_key_file(path)
    encrypted = b"ENCRYPTED" in raw
    if encrypted and not password:
        raise KeyFileError(f"{path} is encrypted", hint="give its password with --password-file")
    try:
        key = serialization.load_pem_private_key(raw, password.encode() if encrypted and password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted and b"-----BEGIN" in raw:
            raise KeyFileError(f"the password does not open {path}") from error
        raise KeyFileError(f"{path} is not a PEM private key", hint="`fwledger key new` makes one") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{path}: kind of key", expected=" or ".join(KEY_TYPES), got=type(key).__name__)
    return key


def _read_key_file(path: Path) -> bytes:
    """An encrypted key may be readable by others; an open one may not."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read key {path}", got=error.strerror or error) from error
    return raw if b"ENCRYPTED" in raw else read_private_file(path, what="key")
