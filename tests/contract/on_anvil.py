"""anvil as an engine of tests/contract/lockstep.py: each transaction in a block of its own."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from tests.contract.answers import BLOCK_GAS, ONLY_THE_TOP, borrowed, call_of, processes, receipt_of
from tests.contract.evm import CHAIN_ID, COINBASE, GENESIS_TIME, Receipt, reason_of
from tests.contract.lockstep import FAUCET_ADDRESS, FAUCET_FUNDS, Sent, in_step
from tests.support.engines import Http, anvil_process
from tests.support.merged import to_bytes, to_hex

if TYPE_CHECKING:
    from tests.contract.evm import Machine
    from tests.contract.lockstep import Lockstep


class Anvils:
    """anvil processes under one fork's rules; each holds one state at a time."""

    def __init__(self, fork: str) -> None:
        self._fork, self._idle = fork, list[Http]()
        self._genesis: dict[Http, str] = {}

    def lend(self, owner: OnAnvil) -> tuple[Http, weakref.finalize[Any, OnAnvil]]:
        """Give a process at its genesis, and what ends the loan: `owner` is forgotten, or the test is over."""
        rpc = self._idle.pop() if self._idle else self._start()
        loan = weakref.finalize(owner, self._idle.append, rpc)
        borrowed.callback(loan)
        if rpc in self._genesis:
            assert rpc("evm_revert", self._genesis[rpc])
        self._genesis[rpc] = rpc("evm_snapshot")
        return rpc, loan

    def _start(self) -> Http:
        rpc = processes.enter_context(
            anvil_process(
                *(
                    "--hardfork",
                    self._fork,
                    "--chain-id",
                    str(CHAIN_ID),
                    "--timestamp",
                    str(GENESIS_TIME - 1),
                ),
                *("--base-fee", "0", "--gas-limit", str(BLOCK_GAS), "--accounts", "1", "--no-mining"),
            )
        )
        rpc("anvil_setBalance", to_hex(FAUCET_ADDRESS), hex(FAUCET_FUNDS))
        rpc("anvil_setCoinbase", to_hex(COINBASE))
        return rpc


def _play(rpc: Http, *step: Any) -> Any:
    match step:
        case (int() as time, str() as raw):
            name = rpc("eth_sendRawTransaction", raw)
            rpc("evm_mine", {"timestamp": time})
            return name
        case (str() as address, slot, word):
            return rpc("anvil_setStorageAt", address, slot, word)


class OnAnvil:
    """A state on anvil, and how it came about."""

    def __init__(self, anvils: Anvils, history: tuple[tuple[Any, ...], ...] = ()) -> None:
        self._anvils, self._history = anvils, history
        self._process: Http | None = None
        self._loan: weakref.finalize[Any, OnAnvil] | None = None

    @property
    def _rpc(self) -> Http:
        """A process that holds this state: a new one plays the history again."""
        if self._process is None or self._loan is None or not self._loan.alive:
            self._process, self._loan = self._anvils.lend(self)
            for step in self._history:
                _play(self._process, *step)
        return self._process

    def _do(self, *step: Any) -> Any:
        done = _play(self._rpc, *step)
        self._history += (step,)
        return done

    def transact(self, sent: Sent, done: Receipt, machine: Machine) -> Receipt:
        name = self._do(machine.time, to_hex(done.transaction))
        got = self._rpc("eth_getTransactionReceipt", name)
        reason = ""
        if got["status"] != "0x1":
            reason = reason_of(
                to_bytes(self._rpc("debug_traceTransaction", name, ONLY_THE_TOP).get("output", "0x"))
            )
        return receipt_of(got, reason, done)

    def call(self, sender: bytes, to: bytes, data: bytes, time: int) -> bytes:
        return call_of(self._rpc, sender, to, data, "latest", time)

    def storage(self, address: bytes, slot: int) -> int:
        return int(self._rpc("eth_getStorageAt", to_hex(address), hex(slot), "latest"), 16)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._do(to_hex(address), f"0x{slot:064x}", f"0x{value:064x}")

    def storage_agrees(self, address: bytes, machine: Machine) -> bool:
        """Compare word by word: anvil's own root counts slots that were read and never written (docs/engines.md)."""
        slots = machine.slots_met(address)
        proven = self._rpc("eth_getProof", to_hex(address), [f"0x{slot:064x}" for slot in slots], "latest")
        return [int(entry["value"], 16) for entry in proven["storageProof"]] == [
            machine.storage(address, slot) for slot in slots
        ]

    def code(self, address: bytes) -> bytes:
        return to_bytes(self._rpc("eth_getCode", to_hex(address), "latest"))

    def copy(self) -> OnAnvil:
        return OnAnvil(self._anvils, self._history)


_anvils: dict[str, Anvils] = {}


def anvil(fork: str) -> Lockstep:
    """Make a machine of py-evm with anvil in step."""
    if fork not in _anvils:
        _anvils[fork] = Anvils(fork)
    return in_step(fork, OnAnvil(_anvils[fork]))
