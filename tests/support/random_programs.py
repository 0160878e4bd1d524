"""Random EVM programs and transactions, the same for the same seed: what two chains are compared with.

Programs never look at what two chains are allowed to answer differently (BLOCKHASH, PREVRANDAO).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_chain.transactions import contract_address

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FORKS = ("berlin", "london", "paris", "shanghai", "cancun", "prague")
# Arithmetic of two, three and one words.
TWO = bytes([*range(0x01, 0x08), 0x0A, 0x0B, *range(0x10, 0x15), 0x16, 0x17, 0x18, 0x1A, 0x1B, 0x1C, 0x1D])
THREE, ONE = b"\x08\x09", b"\x15\x19"
# ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER CHAINID SELFBALANCE PC
# MSIZE GAS
FACTS = bytes.fromhex("303233343638" + "3a3d" + "414243" + "4647" + "58595a")
OR, BALANCE, SHA3, CALLDATALOAD, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH = (
    0x17,
    0x31,
    0x20,
    0x35,
    0x3B,
    0x3C,
    0x3F,
)
CALLDATACOPY, CODECOPY, RETURNDATACOPY = 0x37, 0x39, 0x3E
MSTORE, MLOAD, SLOAD, SSTORE, JUMPI, JUMPDEST = 0x52, 0x51, 0x54, 0x55, 0x57, 0x5B
BASEFEE, BLOBHASH, BLOBBASEFEE, TLOAD, TSTORE, MCOPY, PUSH0 = 0x48, 0x49, 0x4A, 0x5C, 0x5D, 0x5E, 0x5F
CREATE, CALL, CALLCODE, RETURN, DELEGATECALL, CREATE2, STATICCALL, REVERT, INVALID, SELFDESTRUCT = (
    *(0xF0, 0xF1, 0xF2, 0xF3, 0xF4),
    *(0xF5, 0xFA, 0xFD, 0xFE, 0xFF),
)
MEMORY = 0x200  # offsets and lengths stay below, but for the ones that are to run out of gas
SLOTS = 6

# What programs do. Wild ones do everything; unrefunded ones neither destroy themselves nor clear words; tidy ones neither read nor leave a
# word of zero, nor touch accounts that are not there, so that even a careless trie holds nothing that it should not.
WILD, UNREFUNDED, TIDY = "wild", "unrefunded", "tidy"


class Writer:
    """One program, written snippet by snippet; each leaves the stack as it found it."""

    def __init__(
        self, draw: random.Random, fork: str, addresses: list[bytes], *, habits: str = WILD, depth: int = 0
    ) -> None:
        self.draw, self.addresses, self.habits, self.depth = draw, addresses, habits, depth
        self.keeps = draw.random() < 0.6  # a tidy program either keeps words or fails
        self.since = FORKS.index(fork)
        self.code = bytearray()

    def has(self, fork: str) -> bool:
        return self.since >= FORKS.index(fork)

    def push(self, value: int | bytes) -> None:
        raw = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
        if not raw and self.has("shanghai") and self.draw.random() < 0.5:
            self.code.append(PUSH0)
            return
        raw = raw or b"\0"
        self.code.append(0x5F + len(raw))
        self.code += raw

    def do(self, opcode: int, *arguments: int | bytes) -> None:
        """Push arguments, the first one on top, and run an instruction."""
        for argument in reversed(arguments):
            self.push(argument)
        self.code.append(opcode)

    def keep(self) -> None:
        """Put the word on top of the stack into memory, from where logs, storage and answers take it."""
        self.do(MSTORE, self.offset())

    def offset(self) -> int:
        return self.draw.randrange(0, MEMORY, 32)

    def span(self) -> tuple[int, int]:
        return self.offset(), self.draw.choice([0, 1, 31, 32, 33, self.draw.randrange(MEMORY // 2)])

    def word(self) -> int:
        return self.draw.choice(
            [0, 1, 2, 31, 32, 255, 2**255, 2**256 - 1, self.draw.getrandbits(8), self.draw.getrandbits(256)]
        )

    def address(self) -> bytes:
        if self.habits == TIDY:
            return self.draw.choice(self.addresses)
        return self.draw.choice(
            [*self.draw.choices(self.addresses, k=3), self.some_address(), self.precompile()]
        )

    def some_address(self) -> bytes:
        return bytes([self.draw.randrange(1, 256)]) * 20

    def precompile(self) -> bytes:
        return self.draw.randrange(1, 0x12).to_bytes(20, "big")

    # -- snippets

    def arithmetic(self) -> None:
        kind = self.draw.random()
        if kind < 0.7:
            self.do(self.draw.choice(TWO), self.word(), self.word())
        elif kind < 0.85:
            self.do(self.draw.choice(THREE), self.word(), self.word(), self.word())
        else:
            self.do(self.draw.choice(ONE), self.word())
        self.keep()

    def hash(self) -> None:
        self.do(SHA3, *self.span())
        self.keep()

    def fact(self) -> None:
        facts = (
            FACTS
            + (bytes([BASEFEE]) if self.has("london") else b"")
            + (b"\x4a" if self.has("cancun") else b"")
        )
        self.do(self.draw.choice(facts))
        self.keep()

    def question(self) -> None:
        self.do(self.draw.choice([BALANCE, EXTCODESIZE, EXTCODEHASH]), self.address())
        self.keep()

    def calldata(self) -> None:
        self.do(CALLDATALOAD, self.draw.randrange(96))
        self.keep()

    def copy(self) -> None:
        target, length = self.span()
        match self.draw.randrange(5):
            case 0:
                self.do(CALLDATACOPY, target, self.draw.randrange(64), length)
            case 1:
                self.do(CODECOPY, target, self.draw.randrange(64), length)
            case 2:
                self.do(EXTCODECOPY, self.address(), target, self.draw.randrange(64), length)
            case 3 if self.has("cancun"):
                self.do(MCOPY, target, self.offset(), length)
            case _:
                self.do(RETURNDATACOPY, target, 0, self.draw.choice([*[0] * 9, 32]))

    def load(self) -> None:
        self.do(SLOAD, self.draw.randrange(SLOTS))
        self.keep()

    def store(self) -> None:
        if self.habits == TIDY:
            self.do(SSTORE, self.draw.randrange(SLOTS), self.draw.getrandbits(64) + 1)
        elif self.draw.random() < 0.5:
            word = self.draw.choice([0, 0, 1, self.word()])
            self.do(SSTORE, self.draw.randrange(SLOTS), word or int(self.habits == UNREFUNDED))
        else:  # what the memory holds
            self.do(MLOAD, self.offset())
            if self.habits == UNREFUNDED:
                self.do(OR, 1)
            self.do(SSTORE, self.draw.randrange(SLOTS))

    def fleeting(self) -> None:
        if self.has("cancun"):
            self.do(TSTORE, self.draw.randrange(SLOTS), self.word())
            self.do(TLOAD, self.draw.randrange(SLOTS))
            self.keep()

    def log(self) -> None:
        topics = self.draw.randrange(5)
        self.do(0xA0 + topics, *self.span(), *(self.word() for _ in range(topics)))

    def call(self) -> None:
        opcode = self.draw.choice([CALL, CALL, CALL, CALLCODE, DELEGATECALL, STATICCALL])
        gas = self.draw.choice([0, 2_300, 30_000, 100_000, 2**64])
        value = [self.draw.choice([0, 0, 1, 10**15, 10**30])] if opcode in (CALL, CALLCODE) else []
        self.do(opcode, gas, self.address(), *value, *self.span(), *self.span())
        self.keep()

    def create(self) -> None:
        inner = Writer(self.draw, FORKS[self.since], self.addresses, habits=self.habits, depth=self.depth + 1)
        code = inner.small()
        for start in range(0, len(code), 32):
            self.do(MSTORE, start, code[start : start + 32].ljust(32, b"\0"))
        salt = [self.draw.randrange(3)] if self.draw.random() < 0.5 else []
        self.do(CREATE2 if salt else CREATE, self.draw.choice([0, 0, 1]), 0, len(code), *salt)
        self.keep()

    def unless(self) -> None:
        """Skip a snippet if a word of the calldata is not zero."""
        self.do(CALLDATALOAD, self.draw.choice([0, 32]))
        at = len(self.code)
        self.code += bytes([0x61, 0, 0, JUMPI])
        self.snippet()
        self.code[at + 1 : at + 3] = len(self.code).to_bytes(2, "big")
        self.code.append(JUMPDEST)

    def snippet(self) -> None:
        if self.habits == TIDY:
            tidy = [self.arithmetic, self.fact, self.calldata, self.log, self.hash, self.question]
            self.draw.choice([*tidy, *[self.store if self.keeps else self.question] * 3])()
            return
        often: list[Callable[[], None]] = [
            self.arithmetic,
            self.fact,
            self.calldata,
            self.log,
            self.question,
            self.copy,
        ]
        state = [
            self.store,
            self.store,
            self.load,
            self.call,
            self.call,
            self.hash,
            self.fleeting,
            self.unless,
        ]
        rarely = [self.create] if self.depth == 0 else []
        self.draw.choice(often + 2 * state + rarely)()

    def end(self) -> None:
        choice = self.draw.random()
        if choice < 0.7 or (self.habits == TIDY and self.keeps):
            self.log()
            self.do(RETURN, *self.span())
        elif choice < 0.78:
            self.do(REVERT, *self.span())
        elif choice < 0.88 and self.habits == WILD:
            self.do(SELFDESTRUCT, self.address())
        elif choice < 0.91:
            self.code.append(INVALID)
        elif choice < 0.94:  # memory that nobody can pay for
            self.do(MSTORE, 2**40, 1)
        elif choice < 0.97:
            self.code += self.draw.randbytes(9)
        else:
            self.code.append(0)

    def program(self, snippets: int) -> bytes:
        for _ in range(snippets):
            self.snippet()
        self.end()
        return bytes(self.code)

    def small(self) -> bytes:
        """Give init code that runs a little and leaves a little code, or fails."""
        if self.draw.random() < 0.5:
            return installing(
                Writer(self.draw, FORKS[self.since], self.addresses, habits=self.habits, depth=2).program(2)
            )
        return self.program(2)


def installing(runtime: bytes) -> bytes:
    """Give init code that leaves this code."""
    size = len(runtime).to_bytes(2, "big")
    return b"\x61" + size + bytes.fromhex("80600c6000396000f3") + runtime


@dataclass
class Crowd:
    """Accounts that send, and contracts that they made: gives one signed transaction after the other.

    `delegating` accounts lend themselves to code (EIP-7702) and send nothing: code may change their nonces.
    """

    draw: random.Random
    fork: str
    chain_id: int
    keys: list[Any]  # eth_account's
    delegating: list[Any]
    habits: str = WILD
    nonces: dict[str, int] = field(default_factory=dict)
    contracts: list[bytes] = field(default_factory=list)

    def block(self, base_fee: int | None) -> list[bytes]:
        """Give a block's transactions, each with a lower tip than the one before: pools agree on their order."""
        count = self.draw.randrange(1, 13)
        return [self.transaction(base_fee, tip) for tip in range(10**9 + count, 10**9, -1)]

    def transaction(self, base_fee: int | None, tip: int) -> bytes:
        """Sign one; `base_fee` of the block in wei, None before London; `tip` in wei."""
        key = self.draw.choice(self.keys)
        nonce = self.nonces.get(key.address, 0)
        self.nonces[key.address] = nonce + 1
        fields: dict[str, Any] = {"chainId": self.chain_id, "nonce": nonce} | self.content(key, nonce)
        kind = self.draw.choice([kind for kind in self.kinds() if kind != 4 or "to" in fields])
        if kind in (0, 1):
            fields["gasPrice"] = tip + (base_fee or 0)
        else:
            fields |= {"type": kind, "maxPriorityFeePerGas": tip, "maxFeePerGas": tip + 2 * (base_fee or 0)}
        if kind == 1:
            fields["type"] = 1
        if kind:
            fields["accessList"] = self.access_list()
            fields["gas"] += sum(2_400 + 1_900 * len(entry["storageKeys"]) for entry in fields["accessList"])
        if kind == 4:
            fields["authorizationList"] = [self.authorization() for _ in range(self.draw.randrange(1, 4))]
            fields["gas"] += 25_000 * len(fields["authorizationList"])
        return bytes(key.sign_transaction(fields).raw_transaction)

    def kinds(self) -> list[int]:
        since = FORKS.index(self.fork)
        return [0, 0, 1] + ([2, 2] if since >= 1 else []) + ([4] if since >= 5 else [])

    def writer(self) -> Writer:
        known = [bytes.fromhex(key.address[2:]) for key in (*self.keys[:2], *self.delegating)]
        return Writer(self.draw, self.fork, self.contracts[-12:] + known, habits=self.habits)

    def content(self, key: Any, nonce: int) -> dict[str, Any]:
        draw = self.draw
        choice = draw.random()
        if self.habits == TIDY:
            return self.tidy_content(key, nonce)
        if choice < 0.25 or not self.contracts:
            program = self.writer().program(draw.randrange(2, 20))
            code = installing(program) if draw.random() < 0.85 else program
            self.contracts.append(contract_address(bytes.fromhex(key.address[2:]), nonce))
            gas = draw.choice([80_000, 900_000, 900_000]) + 56 * len(code)
            return {"value": draw.choice([0, 0, 5]), "gas": gas, "data": code}
        data = draw.choice([b"", bytes(64), draw.randbytes(draw.randrange(200))])
        if choice < 0.32:
            return {"to": self.writer().some_address(), "value": draw.choice([0, 1, 10**18]), "gas": 40_000}
        if choice < 0.42:
            return {
                "to": self.writer().precompile(),
                "value": draw.choice([0, 0, 7]),
                "gas": 400_000,
                "data": data,
            }
        gas = draw.choice([45_000, 150_000, 700_000, 700_000])
        target = draw.choice(draw.choice([self.contracts, self.contracts[-8:]]))
        return {"to": target, "value": draw.choice([0, 0, 3]), "gas": gas, "data": data}

    def tidy_content(self, key: Any, nonce: int) -> dict[str, Any]:
        draw = self.draw
        choice = draw.random()
        if choice < 0.3 or not self.contracts:
            self.contracts.append(contract_address(bytes.fromhex(key.address[2:]), nonce))
            code = installing(self.writer().program(draw.randrange(1, 14)))
            return {"value": draw.choice([0, 5]), "gas": 1_500_000, "data": code}
        if choice < 0.5:
            return {"to": self.writer().some_address(), "value": draw.choice([1, 10**18]), "gas": 40_000}
        if choice < 0.6:
            never_fails = draw.randrange(1, 5).to_bytes(20, "big")
            return {"to": never_fails, "value": 7, "gas": 400_000, "data": draw.randbytes(64)}
        return {"to": draw.choice(self.contracts), "value": 1, "gas": 700_000, "data": draw.randbytes(64)}

    def access_list(self) -> list[dict[str, Any]]:
        writer = self.writer()
        return [
            {
                "address": "0x" + writer.address().hex(),
                "storageKeys": [
                    f"0x{self.draw.randrange(SLOTS):064x}"
                    for _ in range(self.draw.randrange(1 if self.habits == TIDY else 3))
                ],
            }
            for _ in range(self.draw.randrange(3))
        ]

    def authorization(self) -> Any:
        """Sign a delegation (EIP-7702): good, of another chain, or under a nonce that is not the account's."""
        key = self.draw.choice(self.delegating)
        nonce = self.nonces.get(key.address, 0)
        usual = self.draw.random() < 0.7
        if usual:
            self.nonces[key.address] = nonce + 1
        chain = self.chain_id if usual else self.draw.choice([0, self.chain_id + 1])
        return key.sign_authorization(
            {
                "chainId": chain,
                "address": self.draw.choice(self.contracts),
                "nonce": nonce if usual else nonce + 9,
            }
        )
