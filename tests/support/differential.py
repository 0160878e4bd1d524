"""The embedded chain beside anvil and geth: the same random transactions, and everything that must be equal is compared."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import rlp
from eth_account import Account
from eth_hash.auto import keccak
from trie import HexaryTrie

from local_chain.accounts import BALANCE_WEI, dev_accounts
from tests.support.chain import chain_process
from tests.support.engines import Http, anvil_process, geth_process
from tests.support.merged import (
    EMPTY_ROOT,
    INITIAL_BASE_FEE,
    Sealed,
    first,
    hand_in,
    merged_genesis,
    to_bytes,
    to_hex,
)
from tests.support.random_programs import SLOTS, Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN_ID = 31337
GAS_LIMIT = 30_000_000
COINBASE = b"\xc0" * 20
START = 2_000_000_000  # Unix seconds; later than any genesis
# Where Prague keeps block hashes (EIP-2935). anvil puts the contract into its genesis, the embedded chain does not.
HISTORY_CONTRACT = "0x0000f90827f1c53a10cb7a02335b175320002935"
RECEIPT = (
    *("status", "type", "transactionHash", "transactionIndex", "from", "to", "contractAddress", "gasUsed"),
    *("cumulativeGasUsed", "effectiveGasPrice", "logsBloom"),
)
LOG = ("address", "topics", "data", "logIndex", "transactionIndex", "transactionHash", "removed")
HEADER = (
    *("number", "timestamp", "miner", "gasLimit", "gasUsed", "baseFeePerGas"),
    *("transactionsRoot", "receiptsRoot", "logsBloom"),
)


class Ours:
    """The embedded chain in a process of its own, and the crowd that sends."""

    def __init__(self, rpc: Http, fork: str, seed: str, **options: Any) -> None:
        self.rpc, self.draw = rpc, random.Random(f"{fork} {seed}")
        accounts = [Account.from_key(account.secret_key) for account in dev_accounts()]
        self.crowd = Crowd(self.draw, fork, CHAIN_ID, accounts[:7], accounts[7:], **options)
        self.time, self.seen = START, Counter[str]()
        rpc("evm_setAutomine", False)
        rpc("anvil_setCoinbase", to_hex(COINBASE))
        self.head = rpc("eth_getBlockByNumber", "latest", False)

    def seal(self) -> tuple[list[bytes], list[dict[str, Any]]]:
        """Send a block's worth of new transactions and seal it; gives them and their receipts."""
        for key in self.crowd.delegating:
            self.crowd.nonces[key.address] = int(
                self.rpc("eth_getTransactionCount", key.address, "latest"), 16
            )
        # A price that the next block takes whatever the last one did to the base fee.
        fee = self.head.get("baseFeePerGas")
        raws = self.crowd.block(fee and int(fee, 16) * 9 // 8 + 1)
        self.time += self.draw.randrange(1, 30)
        for raw in raws:
            self.rpc("eth_sendRawTransaction", to_hex(raw))
        self.rpc("evm_mine", hex(self.time))
        self.head = self.rpc("eth_getBlockByNumber", "latest", False)
        receipts = self.rpc("eth_getBlockReceipts", "latest")
        assert len(receipts) == len(raws), "not every transaction was mined"
        for got in receipts:
            made = "creation" if got["to"] is None else "call"
            self.seen[f"{made} that {'succeeds' if got['status'] == '0x1' else 'fails'}"] += 1
            self.seen["log"] += len(got["logs"])
            self.seen["type " + str(int(got["type"], 16))] += 1
        self.seen["transaction"] += len(raws)
        return raws, receipts

    def somebody(self) -> tuple[str, list[str]]:
        """Give an account, known or not, and some of its slots."""
        known = [*self.crowd.contracts, *(bytes.fromhex(key.address[2:]) for key in self.crowd.keys)]
        account = self.draw.choice(
            [self.draw.choice(known), self.draw.choice(known), self.draw.randbytes(20)]
        )
        return to_hex(account), [f"0x{slot:064x}" for slot in range(self.draw.randrange(SLOTS))]


@contextlib.contextmanager
def ours(fork: str, seed: str, **options: Any) -> Iterator[Ours]:
    with chain_process("--fork", fork, "--validators", "1") as chain:
        rpc = Http(chain.url)
        with contextlib.closing(rpc):
            yield Ours(rpc, fork, seed, **options)


# ---------------------------------------------------------------- anvil


def beside_anvil(fork: str, seed: str, count: int, **options: Any) -> Counter[str]:
    """Run `count` transactions or a few more on both; gives what was met."""
    arguments = ("--hardfork", fork, "--no-mining", "--order", "fifo", "--chain-id", str(CHAIN_ID))
    with (
        ours(fork, seed, **options) as chain,
        anvil_process(*arguments, "--disable-default-create2-deployer") as anvil,
    ):
        anvil("anvil_setCoinbase", to_hex(COINBASE))
        if "baseFeePerGas" in chain.head:
            # anvil's first block has its genesis' base fee; EIP-1559 says that it is an eighth lower.
            anvil("anvil_setNextBlockBaseFeePerGas", hex(INITIAL_BASE_FEE * 7 // 8))
        while chain.seen["transaction"] < count:
            raws, receipts = chain.seal()
            for raw in raws:
                anvil("eth_sendRawTransaction", to_hex(raw))
            anvil("evm_mine", {"timestamp": chain.time})
            theirs = anvil("eth_getBlockReceipts", "latest")
            assert [_receipt(one) for one in receipts] == [_receipt(one) for one in theirs]
            head = anvil("eth_getBlockByNumber", "latest", False)
            assert _picked(chain.head, HEADER) == _picked(head, HEADER)
            chain.seen["block"] += 1
            chain.seen["same state root"] += head["stateRoot"] == chain.head["stateRoot"]
        accounts = json.loads(gzip.decompress(to_bytes(anvil("anvil_dumpState"))))["accounts"]
        accounts.pop(HISTORY_CONTRACT, None)
        assert state_root(accounts) == chain.head["stateRoot"]
        for _ in range(count // 5):
            at = chain.draw.randrange(1, chain.seen["block"] + 1)
            _same_proofs(chain, anvil, at)
    return chain.seen


def _same_proofs(chain: Ours, anvil: Http, number: int) -> None:
    """Compare an account and slots at one height: values always, the nodes where both state roots are equal."""
    account, slots = chain.somebody()
    mine, theirs = (rpc("eth_getProof", account, slots, hex(number)) for rpc in (chain.rpc, anvil))
    roots = [rpc("eth_getBlockByNumber", hex(number), False)["stateRoot"] for rpc in (chain.rpc, anvil)]
    if roots[0] == roots[1]:
        for entry in theirs["storageProof"]:
            if entry["proof"] == ["0x80"]:  # the root of an empty trie as a node; geth gives no node
                entry["proof"] = []
        assert mine == theirs
        chain.seen["same proof"] += 1
    else:
        assert _values(mine) == _values(theirs)
        chain.seen["same values"] += 1


def _values(proof: dict[str, Any]) -> list[Any]:
    words = [int(entry["value"], 16) for entry in proof["storageProof"]]
    return [proof["address"], *_picked(proof, ("nonce", "balance", "codeHash")), *words]


def state_root(accounts: dict[str, Any]) -> str:
    """Give the root of Ethereum's trie of these accounts: without words of zero, without empty accounts (EIP-161)."""
    trie = HexaryTrie({})
    for address, held in accounts.items():
        words = HexaryTrie({})
        for slot, word in held["storage"].items():
            if int(word, 16):
                words[keccak(bytes.fromhex(f"{int(slot, 16):064x}"))] = rlp.encode(int(word, 16))
        nonce, balance, code = held["nonce"], int(held["balance"], 16), to_bytes(held["code"])
        if nonce or balance or code:
            trie[keccak(to_bytes(address))] = rlp.encode([nonce, balance, words.root_hash, keccak(code)])
    return to_hex(trie.root_hash)


def _picked(document: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    return [document.get(name) for name in names]


def _receipt(got: dict[str, Any]) -> list[Any]:
    return [*_picked(got, RECEIPT), [_picked(log, LOG) for log in got["logs"]]]


# ---------------------------------------------------------------- geth


def beside_geth(fork: str, seed: str, count: int) -> Counter[str]:
    """Have geth run every block of ours, and compare proofs at head and in history; gives what was met."""
    rules = {"paris": "london"}.get(fork, fork)
    balances = {account.address.hex(): {"balance": hex(BALANCE_WEI)} for account in dev_accounts()}
    genesis = merged_genesis(
        rules, balances, chain_id=CHAIN_ID, time=START - 1, gas_limit=GAS_LIMIT, base_fee=INITIAL_BASE_FEE
    )
    with ours(fork, seed) as chain, geth_process(genesis) as geth:
        blocks = [first(geth)]
        assert to_hex(blocks[0].root) == chain.head["stateRoot"]
        while chain.seen["transaction"] < count:
            raws, receipts = chain.seal()
            head = chain.head
            blocks.append(_handed_in(geth, rules, blocks[-1], head, raws))
            theirs = geth("eth_getBlockReceipts", blocks[-1].at)
            assert [_receipt(one) for one in receipts] == [_receipt(one) for one in theirs]
        for _ in range(count // 5):
            block = chain.draw.choice(blocks)
            account, slots = chain.somebody()
            mine = chain.rpc("eth_getProof", account, slots, hex(block.number))
            theirs = geth("eth_getProof", account, slots, block.at)
            if int(theirs["codeHash"], 16) == 0:  # an account that is not there; newer geth says what we say
                theirs |= {"codeHash": to_hex(keccak(b"")), "storageHash": to_hex(EMPTY_ROOT)}
            assert mine == theirs
            chain.seen["same proof"] += 1
    return chain.seen


def _handed_in(geth: Any, rules: str, parent: Sealed, head: dict[str, Any], raws: list[bytes]) -> Sealed:
    return hand_in(
        geth,
        rules,
        parent,
        time=int(head["timestamp"], 16),
        coinbase=to_bytes(head["miner"]),
        base_fee=int(head.get("baseFeePerGas", "0x0"), 16),
        transactions=raws,
        state_root=to_bytes(head["stateRoot"]),
        receipts_root=to_bytes(head["receiptsRoot"]),
        bloom=to_bytes(head["logsBloom"]),
        gas_used=int(head["gasUsed"], 16),
    )
