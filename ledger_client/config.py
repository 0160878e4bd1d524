"""`fwledger.toml`: where the chain, the contracts, the IPFS node, the account and the releases are.

A value comes from a flag, else from an environment variable (`FWLEDGER_<SECTION>_<KEY>`, and the names that
Ethereum tools share: `ETH_RPC_URL`, `ETH_KEYSTORE`, `ETH_KEYSTORE_ACCOUNT`, `ETH_PASSWORD`), else from the
file, else from the default. Unknown sections and keys are refused by name. Paths in the file are relative to
the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ledger_client.errors import ConfigError
from ledger_protocol.keccak import keccak256

CONFIG_NAME = "fwledger.toml"
DEFAULT_RPC = ("http://127.0.0.1:8545",)

# A configuration is written by hand; anything larger is some other file given by mistake (bytes).
MAX_CONFIG_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """How to reach the chain, and which pair of contracts on it is ours. Addresses are 20 bytes or None."""

    rpc: tuple[str, ...] = DEFAULT_RPC
    chain_id: int | None = None
    ledger: bytes | None = None
    journal: bytes | None = None
    from_block: int = 0
    timeout_s: float = 20.0
    receipt_timeout_s: float = 120.0
    raise_fee_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class IpfsConfig:
    """The IPFS node that publishes (a multiaddr or an URL of the Kubo RPC), and gateways that devices may
    use.
    """

    api: str = "/ip4/127.0.0.1/tcp/5001/http"
    gateways: tuple[str, ...] = ("http://127.0.0.1:8080",)
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """Who pays and approves: a v3 keystore with its password file, or the n-th account of a dev chain."""

    keystore: Path | None = None
    password_file: Path | None = None
    dev_account: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """Where releases, blocks, the trust root and the device registry lie on this machine."""

    dir: Path = Path("releases")
    blocks: Path = Path("blocks")
    trust_root: Path = Path("trust-root.cbor")
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Where `fwledger relay up` listens."""

    listen: str = "127.0.0.1:8181"


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    """Who gives notes of witnesses: URLs of `fwledger witness run`, folders of its `--out`, or note files."""

    sources: tuple[str, ...] = ()
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. `path` is the file that was read, or None."""

    chain: ChainConfig = field(default_factory=ChainConfig)
    ipfs: IpfsConfig = field(default_factory=IpfsConfig)
    account: AccountConfig = field(default_factory=AccountConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    relay: RelayConfig = field(default_factory=RelayConfig)
    witness: WitnessConfig = field(default_factory=WitnessConfig)
    path: Path | None = None


SECTIONS: dict[str, type] = {
    "chain": ChainConfig,
    "ipfs": IpfsConfig,
    "account": AccountConfig,
    "release": ReleaseConfig,
    "relay": RelayConfig,
    "witness": WitnessConfig,
}

# Names that other Ethereum tools read already (Foundry's `cast`), so that one environment serves all.
SHARED_ENVIRONMENT = {
    "ETH_RPC_URL": ("chain", "rpc"),
    "ETH_KEYSTORE": ("account", "keystore"),
    "ETH_PASSWORD": ("account", "password_file"),
}

FOUNDRY_KEYSTORES = "~/.foundry/keystores"

# Variables of ours that are not keys of the file.
OTHER_ENVIRONMENT = frozenset({"FWLEDGER_CONFIG"})


def load_config(
    path: Path | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the file (if any), then environment variables, then `flags` (`{"chain.rpc": [...], ...}`) over it.

    `path` None means `$FWLEDGER_CONFIG`, else `fwledger.toml` in the current folder, else no file at all; a
    path that was named must exist. Raises ConfigError that names the key, what it should be and what it is.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ["FWLEDGER_CONFIG"]) if environ.get("FWLEDGER_CONFIG") else None)
    found = named or (Path(CONFIG_NAME) if Path(CONFIG_NAME).is_file() else None)
    config = Config()
    if found is not None:
        config = replace(
            _apply(config, _read(found), base=found.resolve().parent, where=str(found)), path=found
        )
    config = _apply(config, _from_environment(environ), base=Path.cwd(), where="environment")
    return _apply(config, _nest(flags or {}), base=Path.cwd(), where="flag")


def parse_address(text: object, *, where: str = "address") -> bytes:
    """20 bytes from `0x` and 40 hex digits; mixed case must carry a right EIP-55 checksum."""
    if not isinstance(text, str) or len(text) != 42 or not text.startswith("0x"):
        raise ConfigError(where, expected="0x and 40 hex digits", got=repr(text))
    try:
        raw = bytes.fromhex(text[2:])
    except ValueError as error:
        raise ConfigError(where, expected="0x and 40 hex digits", got=repr(text)) from error
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and checksum_address(raw) != text:
        raise ConfigError(
            where,
            expected=checksum_address(raw),
            got=text,
            hint="the checksum in the letters' case does not match: was the address mistyped?",
        )
    return raw


def checksum_address(address: bytes) -> str:
    """`0x` text of 20 bytes in the mixed case of EIP-55."""
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(nibbles[i], 16) >= 8 else c for i, c in enumerate(digits))


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}",
            got=error.strerror or error,
            hint="`fwledger init` writes one with comments",
        ) from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), expected=f"at most {MAX_CONFIG_BYTES} bytes", got="more")
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML", got=str(error)) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, (section, key) in SHARED_ENVIRONMENT.items():
        if environ.get(name):
            values[f"{section}.{key}"] = environ[name]
    # A name in Foundry's keystore folder, as `cast wallet import` makes them.
    name = environ.get("ETH_KEYSTORE_ACCOUNT", "")
    if name and "account.keystore" not in values:
        values["account.keystore"] = str(Path(FOUNDRY_KEYSTORES) / Path(name).name)
    for name in sorted(environ):
        if name.startswith("FWLEDGER_") and name not in OTHER_ENVIRONMENT and environ[name]:
            section, _, key = name.removeprefix("FWLEDGER_").lower().partition("_")
            if section in SECTIONS:
                values[f"{section}.{key}"] = environ[name]
    return _nest(values)


def _nest(values: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if value is not None:
            section, _, key = name.partition(".")
            nested.setdefault(section, {})[key] = value
    return dict(nested)


def _apply(config: Config, document: Mapping[str, object], *, base: Path, where: str) -> Config:
    for section, values in document.items():
        if section not in SECTIONS:
            raise ConfigError(
                f"{where}: unknown section [{section}]", expected="one of " + ", ".join(SECTIONS), got=section
            )
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: {section}", expected="a section", got=type(values).__name__)
        current = getattr(config, section)
        known = {f.name: f for f in fields(current)}
        parsed: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise ConfigError(
                    f"{where}: unknown key {section}.{key}", expected="one of " + ", ".join(known), got=key
                )
            parsed[key] = _value(known[key].type, value, name=f"{where}: {section}.{key}", base=base)
        if section == "account":
            parsed |= _only_one_account(parsed, where=where)
        config = replace(config, **{section: replace(current, **parsed)})
    return config


def _only_one_account(parsed: Mapping[str, object], *, where: str) -> dict[str, object]:
    """A layer that names one kind of account puts the other kind of the layers below out of force."""
    keystore, dev = "keystore" in parsed, "dev_account" in parsed
    if keystore and dev:
        raise ConfigError(f"{where}: account", expected="a keystore or a dev_account", got="both")
    return {"dev_account": None} if keystore else {"keystore": None} if dev else {}


def _value(kind: object, value: object, *, name: str, base: Path) -> object:
    """One value in the type of its field; text (from the environment) is read where a number or list is
    due.
    """
    if kind == "tuple[str, ...]":
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(i, str) and i.strip() for i in items):
            raise ConfigError(name, expected="a list of texts", got=repr(value))
        texts = tuple(i.strip() for i in items)
        if name.endswith(".rpc") and not texts:
            raise ConfigError(name, expected="at least one URL", got="none")
        if name.endswith((".rpc", ".gateways")):
            for text in texts:
                check_url(text, name=name)
        if name.endswith("witness.sources"):
            return tuple(text if "://" in text else str(base / text) for text in texts)
        return texts
    if kind == "bytes | None":
        return parse_address(value, where=name)
    if kind in ("int", "int | None"):
        return _number(value, int, name=name, least=0)
    if kind == "float":
        return _number(value, float, name=name, least=0.001)
    if not isinstance(value, str | Path) or not str(value):
        raise ConfigError(name, expected="a text", got=repr(value))
    if kind in ("Path", "Path | None"):
        return base / Path(value).expanduser()
    return str(value)


def _number(value: object, kind: type[int | float], *, name: str, least: float) -> int | float:
    what = "a whole number" if kind is int else "a number"
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or (kind is int and isinstance(value, float))
    ):
        raise ConfigError(name, expected=what, got=repr(value))
    try:
        number = kind(value)
    except (ValueError, OverflowError) as error:
        raise ConfigError(name, expected=what, got=repr(value)) from error
    if not least <= number < 2**64:
        raise ConfigError(name, expected=f"{what} from {least} to 2^64", got=value)
    return number


def check_url(url: str, *, name: str) -> None:
    """Refuse what is no http:// or https:// URL; `name` is the key or flag that it came by."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(name, expected="URLs with http:// or https://", got=url)
