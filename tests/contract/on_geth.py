"""geth as an engine of tests/contract/lockstep.py.

It builds no block. py-evm seals what it has done as a block of a merged chain, with its state root, receipts root and
gas, and geth's `engine_newPayload` takes the block only if all of that is what geth computes. So every transaction is checked
against the whole state, times are the test's, and a state is a block's hash.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import rlp
from eth_bloom import BloomFilter
from eth_hash.auto import keccak
from trie import HexaryTrie

from tests.contract.answers import BLOCK_GAS, ONLY_THE_TOP, call_of, processes, receipt_of, to_bytes, to_hex
from tests.contract.evm import CHAIN_ID, COINBASE, GENESIS_TIME, Receipt, reason_of
from tests.contract.lockstep import FAUCET_ADDRESS, FAUCET_FUNDS, Sent, in_step
from tests.support.engines import Socket, geth_process

if TYPE_CHECKING:
    from tests.contract.evm import Machine
    from tests.contract.lockstep import Lockstep

FIRST_BERLIN_GAS = 2 * 10**7  # it doubles with every block, and ends at 2**63: 38 blocks
EMPTY_ROOT = keccak(rlp.encode(b""))
NO_UNCLES = keccak(rlp.encode([]))


class Geth:
    """One geth process on a chain that was born merged, whose states are blocks. It ends when nobody holds it."""

    def __init__(self, fork: str, accounts: dict[str, Any], time: int) -> None:
        forks = (
            "homestead",
            "eip150",
            "eip155",
            "eip158",
            "byzantium",
            "constantinople",
            "petersburg",
            "istanbul",
        )
        config: dict[str, Any] = {"chainId": CHAIN_ID, "terminalTotalDifficulty": 0}
        config |= {"terminalTotalDifficultyPassed": True} | {f"{name}Block": 0 for name in (*forks, "berlin")}
        if fork == "cancun":
            config |= {"londonBlock": 0, "shanghaiTime": 0, "cancunTime": 0}
        genesis = {
            "config": config,
            "timestamp": hex(time),
            "gasLimit": hex(BLOCK_GAS if fork == "cancun" else FIRST_BERLIN_GAS),
            "baseFeePerGas": "0x0",
            "difficulty": "0x0",
            "extraData": "0x",
            "alloc": accounts,
        }
        process = ExitStack()
        processes.push(process)
        weakref.finalize(self, process.close)
        self.fork, self.cancun = fork, fork == "cancun"
        # Preimages are the slots' own numbers, for `with_storage`.
        self.rpc: Socket = process.enter_context(geth_process(genesis, "--cache.preimages"))
        self.genesis = Sealed.of(self.rpc("eth_getBlockByNumber", "0x0", False))

    def with_storage(self, at: Sealed, address: bytes, slot: int, value: int) -> Geth:
        """Start another geth whose genesis is the state of a block but for one word."""
        dump = self.rpc("debug_accountRange", to_hex(at.hash), "0x", 1_000, False, False, True)["accounts"]
        accounts = {
            name: {"balance": hex(int(held["balance"])), "nonce": hex(held["nonce"])}
            | {"code": held.get("code", "0x"), "storage": _words(held.get("storage", {}))}
            for name, held in dump.items()
        }
        (changed,) = (held for name, held in accounts.items() if to_bytes(name) == address)
        changed["storage"][f"0x{slot:064x}"] = f"0x{value:064x}"
        return Geth(self.fork, accounts, at.time)


def _words(storage: dict[str, str]) -> dict[str, str]:
    return {slot: f"0x{value:0>64}" for slot, value in storage.items()}


class Sealed:
    """What the next block needs to know of a block."""

    def __init__(self, name: bytes, number: int, time: int, gas_limit: int, root: bytes) -> None:
        self.hash, self.number, self.time, self.gas_limit, self.root = name, number, time, gas_limit, root

    @classmethod
    def of(cls, block: dict[str, Any]) -> Sealed:
        number, time, limit = (int(block[name], 16) for name in ("number", "timestamp", "gasLimit"))
        return cls(to_bytes(block["hash"]), number, time, limit, to_bytes(block["stateRoot"]))


class OnGeth:
    """A state on geth: the block that holds the transactions of the present time, and its parent.

    A block grows while time stands: the same transactions and one more make a sibling of it.
    """

    def __init__(self, geth: Geth, parent: Sealed, head: Sealed, done: tuple[Receipt, ...]) -> None:
        self._geth, self._rpc, self._parent, self._head, self._done = geth, geth.rpc, parent, head, done

    def transact(self, sent: Sent, done: Receipt, machine: Machine) -> Receipt:
        if machine.time != self._head.time:
            self._parent, self._done = self._head, ()
        self._done += (done,)
        self._head = self._seal(machine.time, machine.root())
        got = self._rpc("eth_getBlockReceipts", self._at)[-1]
        reason = ""
        if got["status"] != "0x1":
            traces = self._rpc("debug_traceBlockByHash", to_hex(self._head.hash), ONLY_THE_TOP)
            reason = reason_of(to_bytes(traces[-1]["result"].get("output", "0x")))
        return receipt_of(got, reason, done)

    def _seal(self, time: int, state_root: bytes) -> Sealed:
        """Make the block and have geth run it; anything in it that geth does not compute itself is an error."""
        parent, receipts, gas, bloom = self._parent, [], 0, BloomFilter()
        for done in self._done:
            gas += done.gas
            own = BloomFilter()
            for log in done.logs:
                own |= BloomFilter.from_iterable([log.address, *(t.to_bytes(32, "big") for t in log.topics)])
            bloom |= own
            logs = [[log.address, [t.to_bytes(32, "big") for t in log.topics], log.data] for log in done.logs]
            receipts.append(rlp.encode([int(done.ok), gas, int(own).to_bytes(256, "big"), logs]))
        blocks_bloom = int(bloom).to_bytes(256, "big")
        transactions = [done.transaction for done in self._done]
        # geth takes each block of a merged chain without London's rules for London's first: the limit doubles.
        limit, base_fee = (parent.gas_limit, 0) if self._geth.cancun else (2 * parent.gas_limit, 10**9)
        header: list[Any] = [
            *(
                parent.hash,
                NO_UNCLES,
                COINBASE,
                state_root,
                _root(transactions),
                _root(receipts),
                blocks_bloom,
            ),
            *(0, parent.number + 1, limit, gas, time, b"", bytes(32), bytes(8), base_fee),
        ]
        if self._geth.cancun:
            header += [EMPTY_ROOT, 0, 0, bytes(32)]
        name = keccak(rlp.encode(header))
        payload: dict[str, Any] = {
            "parentHash": to_hex(parent.hash),
            "feeRecipient": to_hex(COINBASE),
            "stateRoot": to_hex(state_root),
            "receiptsRoot": to_hex(header[5]),
            "logsBloom": to_hex(blocks_bloom),
            "prevRandao": to_hex(bytes(32)),
            "blockNumber": hex(parent.number + 1),
            "gasLimit": hex(limit),
            "gasUsed": hex(gas),
            "timestamp": hex(time),
            "extraData": "0x",
            "baseFeePerGas": hex(base_fee),
            "blockHash": to_hex(name),
            "transactions": [to_hex(raw) for raw in transactions],
        }
        if self._geth.cancun:
            payload |= {"withdrawals": [], "blobGasUsed": "0x0", "excessBlobGas": "0x0"}
            answer = self._rpc("engine_newPayloadV3", payload, [], to_hex(bytes(32)))
        else:
            answer = self._rpc("engine_newPayloadV1", payload)
        assert answer["status"] == "VALID", answer
        choice = {"headBlockHash": to_hex(name)} | dict.fromkeys(
            ("safeBlockHash", "finalizedBlockHash"), to_hex(bytes(32))
        )
        chosen = self._rpc(f"engine_forkchoiceUpdatedV{3 if self._geth.cancun else 1}", choice, None)
        assert chosen["payloadStatus"]["status"] == "VALID", chosen
        return Sealed(name, parent.number + 1, time, limit, state_root)

    @property
    def _at(self) -> dict[str, str]:
        return {"blockHash": to_hex(self._head.hash)}

    def call(self, sender: bytes, to: bytes, data: bytes, time: int) -> bytes:
        return call_of(self._rpc, sender, to, data, self._at, time)

    def storage(self, address: bytes, slot: int) -> int:
        return int(self._rpc("eth_getStorageAt", to_hex(address), hex(slot), self._at), 16)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._geth = self._geth.with_storage(self._head, address, slot, value)
        self._rpc, self._parent, self._head, self._done = (
            self._geth.rpc,
            self._geth.genesis,
            self._geth.genesis,
            (),
        )

    def storage_agrees(self, address: bytes, machine: Machine) -> bool:
        """Compare nothing more than each block did: its state root holds every account's storage."""
        return self._head.root == machine.root()

    def code(self, address: bytes) -> bytes:
        return to_bytes(self._rpc("eth_getCode", to_hex(address), self._at))

    def copy(self) -> OnGeth:
        return OnGeth(self._geth, self._parent, self._head, self._done)


def _root(items: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return trie.root_hash


_geths: dict[str, Geth] = {}


def geth(fork: str) -> Lockstep:
    """Make a machine of py-evm with geth in step, under the rules of Berlin or Cancun (its newest)."""
    if fork not in _geths:
        faucet = {FAUCET_ADDRESS.hex(): {"balance": hex(FAUCET_FUNDS)}}
        _geths[fork] = Geth(fork, faucet, GENESIS_TIME - 1)
    genesis = _geths[fork].genesis
    return in_step(fork, OnGeth(_geths[fork], genesis, genesis, ()))
