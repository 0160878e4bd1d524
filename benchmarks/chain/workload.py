"""The same work for every node: signed transactions of ten senders, half of ether and half of a token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import vyper

from ledger_protocol.keccak import keccak256
from local_chain.accounts import dev_accounts
from local_chain.transactions import LEGACY, Transaction, contract_address

if TYPE_CHECKING:
    from local_chain.accounts import DevAccount

SENDERS = 10
GAS_PRICE_WEI = 20 * 10**9
GAS = 100_000
TOKENS = 10**24


@dataclass(frozen=True)
class Workload:
    """``setup`` runs first, one transaction a block; ``work`` is what is timed. All are raw transactions."""

    setup: tuple[bytes, ...]
    work: tuple[bytes, ...]


def workload(chain_id: int, count: int, *, done: int = 0) -> Workload:
    """``count`` transactions for a chain on which the development accounts are funded.

    ``done`` goes on after an earlier workload of that many transactions, which has set everything up.
    """
    senders = dev_accounts()[:SENDERS]
    owner = senders[0]
    token = contract_address(owner.address, 0)
    begin = [_signed(owner, chain_id, 0, None, token_code(), gas=3_000_000)]
    for index, sender in enumerate(senders):
        mint = _call("mint(address,uint256)", sender.address, TOKENS)
        begin.append(_signed(owner, chain_id, 1 + index, token, mint))
    spent = {sender.address: done // SENDERS for sender in senders}
    spent[owner.address] += len(begin)
    work: list[bytes] = []
    for number in range(done, done + count):
        sender = senders[number % SENDERS]
        nonce = spent[sender.address]
        spent[sender.address] += 1
        # The receivers repeat, as people's do; a new account each time would measure the trie's growth alone.
        receiver = keccak256(b"receiver" + (number % 500).to_bytes(4, "big"))[12:]
        # Senders take turns, so every sender makes both kinds.
        if (number // SENDERS) % 2:
            work.append(
                _signed(sender, chain_id, nonce, token, _call("transfer(address,uint256)", receiver, 1))
            )
        else:
            work.append(_signed(sender, chain_id, nonce, receiver, b"", value=1))
    return Workload(() if done else tuple(begin), tuple(work))


@cache
def token_code() -> bytes:
    """The token's init code."""
    source = Path(__file__).with_name("Token.vy").read_text()
    return bytes.fromhex(vyper.compile_code(source, output_formats=["bytecode"])["bytecode"][2:])


def _signed(
    account: DevAccount,
    chain_id: int,
    nonce: int,
    to: bytes | None,
    data: bytes,
    *,
    value: int = 0,
    gas: int = GAS,
) -> bytes:
    price = GAS_PRICE_WEI
    return (
        Transaction(LEGACY, chain_id, nonce, gas, to, value, data, price, price)
        .signed(account.secret_key)
        .raw
    )


def _call(signature: str, address: bytes, amount: int) -> bytes:
    return keccak256(signature.encode())[:4] + bytes(12) + address + amount.to_bytes(32, "big")
