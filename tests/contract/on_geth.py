"""geth as an engine of tests/contract/lockstep.py: py-evm seals what it has done, and geth takes it or not
(tests/support/merged.py).
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import rlp
from eth_bloom import BloomFilter

from tests.contract.answers import BLOCK_GAS, ONLY_THE_TOP, borrowed, call_of, processes, receipt_of
from tests.contract.evm import CHAIN_ID, COINBASE, GENESIS_TIME, Receipt, reason_of
from tests.contract.lockstep import FAUCET_ADDRESS, FAUCET_FUNDS, Sent, in_step
from tests.support.engines import Socket, geth_process
from tests.support.merged import Sealed, first, hand_in, merged_genesis, ordered_root, to_bytes, to_hex

if TYPE_CHECKING:
    from tests.contract.evm import Machine
    from tests.contract.lockstep import Lockstep

FIRST_BERLIN_GAS = 2 * 10**7  # it doubles with every block, and ends at 2**63: 38 blocks


class Geth:
    """One geth process on a chain that was born merged, whose states are blocks. It ends when nobody holds it."""

    def __init__(self, fork: str, accounts: dict[str, Any], time: int) -> None:
        gas_limit = BLOCK_GAS if fork == "cancun" else FIRST_BERLIN_GAS
        genesis = merged_genesis(
            fork, accounts, chain_id=CHAIN_ID, time=time, gas_limit=gas_limit, base_fee=0
        )
        process = ExitStack()
        processes.push(process)
        self.close = weakref.finalize(self, process.close)
        self.fork = fork
        # Preimages are the slots' own numbers, for `with_storage`.
        self.rpc: Socket = process.enter_context(geth_process(genesis, "--cache.preimages"))
        self.genesis = first(self.rpc)

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
        other = Geth(self.fork, accounts, at.time)
        borrowed.callback(other.close)
        return other


def _words(storage: dict[str, str]) -> dict[str, str]:
    return {slot: f"0x{value:0>64}" for slot, value in storage.items()}


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
        got = self._rpc("eth_getBlockReceipts", self._head.at)[-1]
        reason = ""
        if got["status"] != "0x1":
            traces = self._rpc("debug_traceBlockByHash", to_hex(self._head.hash), ONLY_THE_TOP)
            reason = reason_of(to_bytes(traces[-1]["result"].get("output", "0x")))
        return receipt_of(got, reason, done)

    def _seal(self, time: int, state_root: bytes) -> Sealed:
        """Make the block and have geth run it; anything in it that geth does not compute itself is an error."""
        receipts, gas, bloom = [], 0, BloomFilter()
        for done in self._done:
            gas += done.gas
            own = BloomFilter()
            for log in done.logs:
                own |= BloomFilter.from_iterable([log.address, *(t.to_bytes(32, "big") for t in log.topics)])
            bloom |= own
            logs = [[log.address, [t.to_bytes(32, "big") for t in log.topics], log.data] for log in done.logs]
            receipts.append(rlp.encode([int(done.ok), gas, int(own).to_bytes(256, "big"), logs]))
        return hand_in(
            self._rpc,
            self._geth.fork,
            self._parent,
            time=time,
            coinbase=COINBASE,
            base_fee=0,
            transactions=[done.transaction for done in self._done],
            state_root=state_root,
            receipts_root=ordered_root(receipts),
            bloom=int(bloom).to_bytes(256, "big"),
            gas_used=gas,
        )

    def call(self, sender: bytes, to: bytes, data: bytes, time: int) -> bytes:
        return call_of(self._rpc, sender, to, data, self._head.at, time)

    def storage(self, address: bytes, slot: int) -> int:
        return int(self._rpc("eth_getStorageAt", to_hex(address), hex(slot), self._head.at), 16)

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
        return to_bytes(self._rpc("eth_getCode", to_hex(address), self._head.at))

    def copy(self) -> OnGeth:
        return OnGeth(self._geth, self._parent, self._head, self._done)


_geths: dict[str, Geth] = {}


def geth(fork: str) -> Lockstep:
    """Make a machine of py-evm with geth in step, under the rules of Berlin or Cancun (its newest)."""
    if fork not in _geths:
        faucet = {FAUCET_ADDRESS.hex(): {"balance": hex(FAUCET_FUNDS)}}
        _geths[fork] = Geth(fork, faucet, GENESIS_TIME - 1)
    genesis = _geths[fork].genesis
    return in_step(fork, OnGeth(_geths[fork], genesis, genesis, ()))
