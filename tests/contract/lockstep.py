"""py-evm in step with another engine: each transaction runs on both, and everything that can be seen is equal.

`Lockstep` is a machine like `evm.Machine`, so the scenarios run on it unchanged; what it gives them is the other engine's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from tests.contract.evm import FUNDS, Machine, Receipt, private_key

if TYPE_CHECKING:
    from collections.abc import Callable

FAUCET = private_key(0xFA0CE7)
FAUCET_ADDRESS = FAUCET.public_key.to_canonical_address()
FAUCET_FUNDS = 10**36


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction before it is signed."""

    key: Any
    to: bytes
    data: bytes
    gas: int
    value: int


class Engine(Protocol):
    """Another account state. It starts with the faucet's funds and nothing else."""

    def transact(self, sent: Sent, done: Receipt, machine: Machine) -> Receipt:
        """Run what `machine` has just done, at its time."""

    def call(self, sender: bytes, to: bytes, data: bytes, time: int) -> bytes: ...

    def storage(self, address: bytes, slot: int) -> int: ...

    def set_storage(self, address: bytes, slot: int, value: int) -> None: ...

    def storage_agrees(self, address: bytes, machine: Machine) -> bool: ...

    def code(self, address: bytes) -> bytes: ...

    def copy(self) -> Engine: ...


def the_same(gas: int, _to: bytes, _data: bytes) -> int:
    return gas


class Lockstep:
    """A machine of py-evm, and an engine that must agree with it after every transaction.

    `as_here(gas, to, data)` says what gas the machine must use where the engine used `gas`: the same, but where their
    rules differ.
    """

    def __init__(
        self, machine: Machine, engine: Engine, *, as_here: Callable[[int, bytes, bytes], int] = the_same
    ) -> None:
        self._machine, self._engine, self._as_here = machine, engine, as_here
        self.fork_name = machine.fork_name

    @property
    def time(self) -> int:
        return self._machine.time

    @time.setter
    def time(self, value: int) -> None:
        self._machine.time = value

    def advance(self, seconds: int) -> None:
        self._machine.advance(seconds)

    def copy(self) -> Lockstep:
        return Lockstep(self._machine.copy(), self._engine.copy(), as_here=self._as_here)

    def send(self, key: Any, to: bytes, data: bytes, *, gas: int = 16_000_000, value: int = 0) -> Receipt:
        sender = key.public_key.to_canonical_address()
        if not self._machine.state.get_balance(sender):
            self.send(FAUCET, sender, b"", gas=21_000, value=FUNDS)
        expected = self._machine.send(key, to, data, gas=gas, value=value)
        got = self._engine.transact(Sent(key, to, data, gas, value), expected, self._machine)
        assert replace(got, gas=self._as_here(got.gas, to, data)) == expected
        self.storage_roots(*sorted({to or got.created, *(log.address for log in got.logs)}))
        return got

    def call(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        got = self._engine.call(sender, to, data, self.time)
        assert got == self._machine.call(sender, to, data)
        return got

    def storage(self, address: bytes, slot: int) -> int:
        got = self._engine.storage(address, slot)
        assert got == self._machine.storage(address, slot)
        return got

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._machine.set_storage(address, slot, value)
        self._engine.set_storage(address, slot, value)

    def storage_roots(self, *addresses: bytes) -> tuple[bytes, ...]:
        assert all(self._engine.storage_agrees(address, self._machine) for address in addresses)
        return self._machine.storage_roots(*addresses)

    def code(self, address: bytes) -> bytes:
        got = self._engine.code(address)
        assert got == self._machine.code(address)
        return got


def in_step(fork: str, engine: Engine, **options: Any) -> Lockstep:
    """Put an engine that stands at its genesis in step with py-evm under a fork's rules."""
    machine = Machine(fork)
    machine.fund(FAUCET_ADDRESS, FAUCET_FUNDS)
    return Lockstep(machine, engine, **options)


# ---------------------------------------------------------------- py-evm under older rules


class OlderRules:
    """Another machine of py-evm, whose fork is older."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.storage, self.set_storage, self.code = machine.storage, machine.set_storage, machine.code

    def transact(self, sent: Sent, done: Receipt, machine: Machine) -> Receipt:
        self._machine.advance(machine.time - self._machine.time)
        return self._machine.send(sent.key, sent.to, sent.data, gas=sent.gas, value=sent.value)

    def call(self, sender: bytes, to: bytes, data: bytes, time: int) -> bytes:
        self._machine.advance(time - self._machine.time)
        return self._machine.call(sender, to, data)

    def storage_agrees(self, address: bytes, machine: Machine) -> bool:
        return self._machine.storage_roots(address) == machine.storage_roots(address)

    def copy(self) -> OlderRules:
        return OlderRules(self._machine.copy())


def berlin() -> Lockstep:
    """Berlin's rules beside Prague's."""
    machine = Machine("berlin")
    machine.fund(FAUCET_ADDRESS, FAUCET_FUNDS)
    return in_step("prague", OlderRules(machine), as_here=in_prague)


INITCODE_WORD_GAS = 2  # EIP-3860, Shanghai
FLOOR_TOKEN_GAS = (
    10  # EIP-7623, Prague: calldata costs at least this a token; a byte that is not zero has four
)
BASE_GAS = 21_000


def in_prague(berlin_gas: int, to: bytes, data: bytes) -> int:
    """Say what a transaction costs under Prague's rules that costs this under Berlin's (docs/engines.md).

    The contracts clear no slot and read neither the block's coinbase nor its base fee, so that what else changed
    (EIP-3529, 3651, 3198) does not meet them.
    """
    gas = berlin_gas if to else berlin_gas + INITCODE_WORD_GAS * ((len(data) + 31) // 32)
    return max(gas, BASE_GAS + FLOOR_TOKEN_GAS * (4 * len(data) - 3 * data.count(0)))
