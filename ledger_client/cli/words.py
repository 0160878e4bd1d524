"""Releases, times and shares as text, and ids read from text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from ledger_client.releases import Release


def read_release_id(text: str) -> bytes:
    """32 bytes from hex, `0x` before it or not."""
    digits = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise UsageError(
            "release", expected="its folder, its manifest file, or its id in 64 hex digits", got=text[:80]
        )
    return raw


def release_of(text: str) -> bytes:
    """A release id given as hex, or as the folder or manifest file of the release."""
    path = Path(text)
    if path.exists():
        from ledger_client.releases import load_release  # noqa: PLC0415 - it imports the device's verifier

        return load_release(path).id
    return read_release_id(text)


def release_lines(release: Release, *, folder: str | None = None) -> list[str]:
    """A release for people."""
    manifest = release.manifest
    lines = [
        f"release     {release.id.hex()}",
        f"version     {manifest.version} for {manifest.compatible}",
        f"numbers     sequence {manifest.sequence}, security version {manifest.security_version}",
        f"channels    {', '.join(manifest.channels)}",
    ]
    lines += [
        f"component   {c.name}: {c.size:,} bytes for slot {c.slot_class} ({c.handler}, {c.arch})"
        for c in manifest.components
    ]
    if folder is not None:
        lines.append(f"folder      {folder}")
    return lines


def utc(seconds: int) -> str:
    """A Unix time as UTC text."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else "never"


def percent(bps: int) -> str:
    """A share of 1/10,000 as per cent."""
    return f"{bps / 100:g} %"
