"""Files that hold secrets: small, and readable by their owner alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ledger_client.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path

# A v3 keystore is about 500 bytes, an encrypted PEM about 1 kB; more is some other file (bytes).
MAX_KEY_FILE_BYTES = 64 * 1024


def read_password(path: Path) -> str:
    """The first line of a password file that only its owner can read."""
    try:
        text = read_private_file(path, what="password file").decode()
    except UnicodeDecodeError as error:
        raise KeyFileError(f"password file {path}", expected="UTF-8 text") from error
    password = text.split("\n", 1)[0].rstrip("\r")
    if not password:
        raise KeyFileError(f"password file {path}", expected="a password on the first line", got="nothing")
    return password


def read_private_file(path: Path, *, what: str) -> bytes:
    """Read a small file that nobody but its owner may read; KeyFileError otherwise."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read {what} {path}", got=error.strerror or error) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(
            f"{what} {path} is open to others",
            expected="mode 0600",
            got=f"mode {stat.S_IMODE(mode):04o}",
            hint=f"chmod 600 {path}",
        )
    if len(raw) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{what} {path}", expected=f"at most {MAX_KEY_FILE_BYTES} bytes", got="more")
    return raw


def write_private_file(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600. An existing one is never overwritten."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as error:
        raise KeyFileError(
            f"{path} exists already", hint="a key is never overwritten; choose another name"
        ) from error
    except OSError as error:
        raise KeyFileError(f"cannot write {path}", got=error.strerror or error) from error
