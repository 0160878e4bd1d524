"""Writes `fwledger.toml`: the commented template of `fwledger init`, and single values that `deploy`
learns.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from ledger_client.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = """\
# fwledger.toml: where the ledger, the IPFS node, the account and the releases are.
# A flag wins over an environment variable (FWLEDGER_CHAIN_RPC, FWLEDGER_ACCOUNT_KEYSTORE, ...), which wins
# over this file. ETH_RPC_URL, ETH_KEYSTORE and ETH_PASSWORD are read too. Paths are relative to this file.

[chain]
# RPC nodes, tried in this order. None of them is trusted: what matters is proved.
rpc = {rpc}
# The chain that the nodes must be on. `fwledger deploy` fills in these four.
# chain_id = 31337
# ledger = "0x..."
# journal = "0x..."
# from_block = 0
# How long one answer may take, and how long to wait until a transaction is mined (seconds).
timeout_s = 20
receipt_timeout_s = 120
# A transaction that is stuck so long offers more, at most twice what was agreed to (seconds).
raise_fee_after_s = 60

[ipfs]
# The node that publishes: `fwledger ipfs up`, or Kubo's RPC port.
api = "/ip4/127.0.0.1/tcp/5001/http"
# Gateways that bundles and devices may read from.
gateways = ["http://127.0.0.1:8080"]
timeout_s = 60

[account]
# Who pays and approves: a v3 keystore (made by `fwledger key new --kind account`, geth, cast or clef) and a
# file with its password, readable by you alone.
# keystore = "keys/publisher.json"
# password_file = "keys/publisher.password"
# On a development chain only: the n-th account of the well-known "test test ... junk" words.
# dev_account = 0

[release]
# Where `release build` puts manifests and envelopes, and the blocks of images.
dir = "releases"
blocks = "blocks"
# The newest trust root that you hold: it says whose signatures make a release.
trust_root = "trust-root.cbor"
# Channels by name. The ledger knows only their SHA-256.
channels = []

[relay]
# `fwledger relay up` listens here.
listen = "127.0.0.1:8181"

[witness]
# Who gives notes, if the trust root pins witnesses: URLs of `fwledger witness run`, folders of its --out.
sources = []
timeout_s = 10
"""


def write_template(path: Path, *, rpc: tuple[str, ...]) -> None:
    """Write the commented template. An existing file is never overwritten: UsageError."""
    urls = "[" + ", ".join(_quote(url) for url in rpc) + "]"
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(TEMPLATE.replace("{rpc}", urls))
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", hint="edit it, or remove it first") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}", got=error.strerror or error) from error


def set_values(path: Path, values: Mapping[str, str | int | list[str]]) -> None:
    """Set `{"section.key": value}` in the file, keeping its comments; replaced in one step.

    A commented-out line of the key is where the value goes. Raises ConfigError when the result would not read
    back as asked.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read {path}", got=error.strerror or error) from error
    for name, value in values.items():
        section, _, key = name.partition(".")
        _set(lines, section, key, _literal(value))
    text = "\n".join(lines) + "\n"
    document = tomllib.loads(text)
    for name, value in values.items():
        section, _, key = name.partition(".")
        if document.get(section, {}).get(key) != value:
            raise ConfigError(
                f"cannot set {name} in {path}", hint=f"add `{key} = {_literal(value)}` to [{section}] by hand"
            )
    replace_file(path, text.encode())


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file in one step: after a cut there is the old one or the new one. OSError becomes
    UsageError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}", got=error.strerror or error) from error


def _set(lines: list[str], section: str, key: str, literal: str) -> None:
    start = next((i for i, line in enumerate(lines) if line.strip() == f"[{section}]"), None)
    if start is None:
        lines += ["", f"[{section}]", f"{key} = {literal}"]
        return
    end = next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    live = re.compile(rf"\s*{re.escape(key)}\s*=")
    commented = re.compile(rf"\s*#\s*{re.escape(key)}\s*=")
    for pattern in (live, commented):
        for i in range(start + 1, end):
            if pattern.match(lines[i]):
                lines[i] = f"{key} = {literal}"
                return
    lines.insert(start + 1, f"{key} = {literal}")


def _literal(value: str | int | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_quote(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else _quote(value)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in escaped):
        raise UsageError("a value for fwledger.toml", expected="no control characters", got=repr(text))
    return f'"{escaped}"'
