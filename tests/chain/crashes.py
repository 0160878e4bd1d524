"""Killing a chain under load and looking at what is left: for the everyday test, and for the long one."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from local_chain.accounts import dev_accounts
from local_chain.transactions import DYNAMIC_FEE, Transaction
from tests.support.chain import RpcError, rpc, start_chain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chain import RunningChain

GWEI = 10**9
# Stores its first word under its second: every call changes a storage trie.
CONTRACT = bytes.fromhex("6008600c60003960086000f3" + "6000356020355500")


class Ledger:
    """What was acknowledged: a transaction once its receipt was served, a block with it."""

    def __init__(self) -> None:
        self.receipts: dict[str, dict] = {}
        self.refused: list[Exception] = []

    def load(self, chain: RunningChain, account: int, stopped: threading.Event) -> None:
        """Send transactions of one account, each after the receipt of the one before, until the chain is gone."""
        sender = dev_accounts()[account]
        who = "0x" + sender.address.hex()
        try:
            nonce = int(rpc(chain.url, "eth_getTransactionCount", who, "latest"), 16)
            while not stopped.is_set():
                made = Transaction(
                    type=DYNAMIC_FEE,
                    chain_id=chain.chain_id,
                    nonce=nonce,
                    gas=100_000,
                    to=None if nonce == 0 else bytes([nonce % 250 + 1]) * 20,
                    value=nonce and 1,
                    data=CONTRACT if nonce == 0 else b"",
                    max_fee=3 * GWEI,
                    max_priority_fee=GWEI,
                ).signed(sender.secret_key)
                sent = rpc(chain.url, "eth_sendRawTransaction", "0x" + made.raw.hex())
                receipt = None
                while receipt is None:
                    receipt = rpc(chain.url, "eth_getTransactionReceipt", sent)
                self.receipts[sent] = receipt
                nonce += 1
        except RpcError as error:
            self.refused.append(error)
        except OSError:
            return  # killed


def crash_and_check(state: Path, times: int, seed: int) -> int:
    """Kill a chain ``times`` times at random moments and check it after each; gives how many receipts it served."""
    draw = random.Random(seed)
    ledger = Ledger()
    for _ in range(times):
        chain = start_chain("--state", str(state), "--round-jitter", "0.3")
        try:
            _check(chain, ledger, draw)
            stopped = threading.Event()
            loads = [
                threading.Thread(target=ledger.load, args=(chain, account, stopped)) for account in range(3)
            ]
            for load in loads:
                load.start()
            # A moment counted in served receipts, and then in parts of a block, is the same on any machine.
            target = len(ledger.receipts) + draw.randrange(1, 40)
            while len(ledger.receipts) < target and any(load.is_alive() for load in loads):
                stopped.wait(0.001)
            stopped.wait(draw.uniform(0, 0.02))
            chain.kill()
            for load in loads:
                load.join()
        finally:
            if chain.process.poll() is None:
                chain.kill()
            chain.process.stdout.close()
        assert not ledger.refused, ledger.refused
    chain = start_chain("--state", str(state))
    try:
        _check(chain, ledger, draw)
    finally:
        chain.stop()
        chain.process.stdout.close()
    return len(ledger.receipts)


def _check(chain: RunningChain, ledger: Ledger, draw: random.Random) -> None:
    """Every receipt that was served is served again, letter by letter, and the whole state can be proved."""
    sample = list(ledger.receipts)
    for sent in draw.sample(sample, min(len(sample), 60)) + sample[-10:]:
        assert rpc(chain.url, "eth_getTransactionReceipt", sent) == ledger.receipts[sent]
    for account in dev_accounts()[:3]:
        who = "0x" + account.address.hex()
        proof = rpc(chain.url, "eth_getProof", who, [], "latest")
        assert proof["nonce"] == rpc(chain.url, "eth_getTransactionCount", who, "latest")
    head = int(rpc(chain.url, "eth_blockNumber"), 16)
    newest = max((int(receipt["blockNumber"], 16) for receipt in ledger.receipts.values()), default=0)
    assert head >= newest
    for number in range(max(1, head - 3), head + 1):
        block = rpc(chain.url, "eth_getBlockByNumber", hex(number), False)
        parent = rpc(chain.url, "eth_getBlockByNumber", hex(number - 1), False)
        assert block["parentHash"] == parent["hash"]
