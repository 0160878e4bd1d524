"""Accounts that pay and approve: v3 keystore files, and the well-known accounts of a development chain.

A key is never an argument and never printed; a file that holds one must be readable by its owner alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eth_account import Account as _EthAccount

from ledger_client.config import checksum_address
from ledger_client.errors import ConfigError, KeyFileError, UsageError
from ledger_client.json_text import parse_json
from ledger_client.private_files import read_password, read_private_file, write_private_file

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.config import AccountConfig

# The words that anvil, hardhat and fwledger-chain give money to. Everybody knows them: never on a real chain.
DEV_MNEMONIC = "test test test test test test test test test test test junk"
DEV_CHAIN_IDS = frozenset({1337, 31337})
MAX_DEV_ACCOUNT = 99


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign transactions and EIP-712 approvals. The key stays inside."""

    address: bytes
    source: str
    _key: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The address with its checksum."""
        return checksum_address(self.address)

    def sign_transaction(self, fields: dict[str, Any]) -> bytes:
        """The raw signed transaction."""
        return bytes(_EthAccount.sign_transaction(fields, self._key).raw_transaction)

    def sign_typed(self, typed: dict[str, Any]) -> bytes:
        """65 bytes r, s, v over EIP-712 typed data (the JSON that wallets show)."""
        return bytes(_EthAccount.sign_typed_data(self._key, full_message=typed).signature)


def open_account(config: AccountConfig, *, chain_id: int) -> Account:
    """The configured account. Raises ConfigError when there is none, KeyFileError when its files are not
    right.
    """
    if config.keystore is not None:
        if config.password_file is None:
            raise ConfigError(
                "the keystore needs a password file",
                hint="set account.password_file, --password-file or ETH_PASSWORD",
            )
        return load_keystore(config.keystore, password=read_password(config.password_file))
    if config.dev_account is not None:
        return dev_account(config.dev_account, chain_id=chain_id)
    raise ConfigError(
        "no account is configured",
        hint="set account.keystore and account.password_file (or --dev-account N on a development chain)",
    )


def dev_account(index: int, *, chain_id: int) -> Account:
    """The n-th account of a development chain. Refused on any chain that is not one."""
    if chain_id not in DEV_CHAIN_IDS:
        known = " or ".join(str(i) for i in sorted(DEV_CHAIN_IDS))
        raise UsageError(
            "development accounts are for development chains",
            expected=f"chain id {known}",
            got=chain_id,
            hint="everybody knows their keys; use a keystore",
        )
    if not 0 <= index <= MAX_DEV_ACCOUNT:
        raise UsageError("development account", expected=f"0 to {MAX_DEV_ACCOUNT}", got=index)
    _EthAccount.enable_unaudited_hdwallet_features()
    found = _EthAccount.from_mnemonic(DEV_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return Account(bytes.fromhex(found.address[2:]), f"development account {index}", bytes(found.key))


def load_keystore(path: Path, *, password: str) -> Account:
    """Open a v3 keystore file, as geth, cast, clef and `fwledger key new` write it."""
    raw = read_private_file(path, what="keystore")
    try:
        document = parse_json(raw)
        key = bytes(_EthAccount.decrypt(document, password))
        address = bytes.fromhex(_EthAccount.from_key(key).address[2:])
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise KeyFileError(f"the password does not open {path}") from None
        raise KeyFileError(f"{path} is not a v3 keystore", got=type(error).__name__) from error
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError) as error:
        raise KeyFileError(f"{path} is not a v3 keystore", got=type(error).__name__) from error
    return Account(address, str(path), key)


def create_keystore(path: Path, *, password: str, iterations: int | None = None) -> Account:
    """Make a new account and write its v3 keystore (0600, scrypt). An existing file is never overwritten.

    `iterations` is scrypt's N, a power of two; None takes eth-keyfile's own (2^18).
    """
    made = _EthAccount.create()
    document = _EthAccount.encrypt(made.key, password, iterations=iterations)
    write_private_file(path, json.dumps(document).encode() + b"\n")
    return Account(bytes.fromhex(made.address[2:]), str(path), bytes(made.key))
