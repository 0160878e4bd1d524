"""The ten funded development accounts that every local chain has, as anvil and hardhat have them.

Their keys are public knowledge: they are for chains that hold nothing of value.
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic

from local_chain.transactions import address_of

MNEMONIC = "test test test test test test test test test test test junk"
ACCOUNTS = 10
BALANCE_WEI = 10_000 * 10**18


@dataclass(frozen=True, slots=True)
class DevAccount:
    """One unlocked account."""

    address: bytes
    secret_key: bytes


def dev_accounts(mnemonic: str = MNEMONIC, count: int = ACCOUNTS) -> tuple[DevAccount, ...]:
    """The first ``count`` accounts of ``mnemonic`` on Ethereum's usual path (BIP-44, m/44'/60'/0'/0/i)."""
    seed = seed_from_mnemonic(mnemonic, passphrase="")
    secrets = (bytes(key_from_seed(seed, f"m/44'/60'/0'/0/{index}")) for index in range(count))
    return tuple(DevAccount(address_of(PrivateKey(secret).public_key), secret) for secret in secrets)
