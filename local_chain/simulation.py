"""Blocks that never were: calls that build on one another, on top of a real block (execution-apis,
``eth_simulateV1``).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from local_chain import tries
from local_chain.admission import check_init_code
from local_chain.building import draft_header
from local_chain.errors import ChainError, InvalidTransaction
from local_chain.forks import Fork
from local_chain.headers import Block, Header
from local_chain.receipts import Log, Receipt, logs_bloom, union_bloom
from local_chain.transactions import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE, Transaction
from local_chain.transfers import TransferLogger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from local_chain.chain import Chain
    from local_chain.evm import Call, Changes, Environment, Outcome

MAX_BLOCKS = 256  # as geth: also of the empty ones that fill a gap between numbers
MAX_GAS = 50_000_000  # of all calls together, geth's default for what one request may cost
BLOCK_TIME_S = 12  # between two simulated blocks that are given no time
NONCE_TOO_LOW, NONCE_TOO_HIGH, FEE_TOO_LOW, GAS_TOO_LOW, NO_FUNDS, BLOCK_FULL = range(-38010, -38016, -1)
NUMBERS_UNORDERED, TIMES_UNORDERED, INIT_CODE_TOO_LONG, LIMIT_EXCEEDED = -38020, -38021, -38025, -38026


class SimulationRefused(ChainError):  # noqa: N818 - the specification's words
    """The request cannot be simulated; ``code`` is the specification's number for the reason."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One call; ``gas`` and ``nonce`` None take what is left and what comes next. Fees are wei per gas."""

    call: Call
    gas: int | None
    nonce: int | None
    gas_price: int | None
    max_fee: int
    max_priority_fee: int


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """What a block is to be: fields of its ``Environment`` by name, changes of the state before it, calls."""

    visible: Mapping[str, Any]
    changes: Changes
    calls: tuple[SimulatedCall, ...]


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """A block that came of it, each transaction with its outcome and its logs as they are to be shown."""

    block: Block
    transactions: tuple[Transaction, ...]
    outcomes: tuple[Outcome, ...]
    logs: tuple[tuple[Log, ...], ...]


def simulate(
    chain: Chain,
    base: Block,
    blocks: Sequence[SimulatedBlock],
    *,
    validation: bool,
    transfers: bool,
) -> list[SimulationResult]:
    """Run the blocks on top of ``base``; SimulationRefused when they cannot follow one another.

    With ``validation`` every transaction must be one that a block may hold, but for its signature; without,
    nonces do not matter, and who offers no fee pays none. ``transfers`` logs every move of ether like a
    token's. This must run inside ``replay.replaying``, which forgets the states that come of it.
    """
    simulator = _Simulator(chain, base, validation=validation, transfers=transfers)
    return [simulator.run(block) for block in _filled(base.header, blocks)]


class _Simulator:
    def __init__(self, chain: Chain, base: Block, *, validation: bool, transfers: bool) -> None:
        self._chain = chain
        self._base = base
        self._parent = base.header
        self._hashes: list[bytes] = []
        self._validation = validation
        self._transfers = transfers
        self._gas_left = max(MAX_GAS, base.header.gas_limit)

    def run(self, wanted: SimulatedBlock) -> SimulationResult:
        draft = self._draft(wanted.visible)
        root = self._parent.state_root
        if wanted.changes:
            root = self._chain.backend.change(root, wanted.changes)
        transactions: list[Transaction] = []
        outcomes: list[Outcome] = []
        logs: list[tuple[Log, ...]] = []
        receipts: list[Receipt] = []
        used = 0
        for call in wanted.calls:
            transaction = self._transaction(call, draft, root, used)
            execution = self._chain.backend.begin(root, self._environment(draft))
            watcher = TransferLogger() if self._transfers else None
            outcome = execution.apply(
                transaction, gas_before=used, watcher=watcher, free=not self._validation
            )
            root = execution.finish()
            used += outcome.gas_used
            self._gas_left -= outcome.gas_used
            transactions.append(transaction)
            outcomes.append(outcome)
            logs.append(outcome.logs if watcher is None else watcher.logs())
            receipts.append(Receipt(transaction.type, outcome.error is None, used, outcome.logs))
        header = replace(
            draft,
            state_root=root,
            transactions_root=tries.ordered_root([one.raw for one in transactions]),
            receipts_root=tries.ordered_root([receipt.encode() for receipt in receipts]),
            logs_bloom=union_bloom([logs_bloom(receipt.logs) for receipt in receipts]),
            gas_used=used,
        )
        self._parent = header
        self._hashes.append(header.hash)
        block = Block(header, 0, (), header, tuple(one.raw for one in transactions))
        return SimulationResult(block, tuple(transactions), tuple(outcomes), tuple(logs))

    def _draft(self, visible: Mapping[str, Any]) -> Header:
        parent = self._parent
        coinbase = visible.get("coinbase", self._base.header.coinbase)
        draft = draft_header(self._chain.genesis, parent, timestamp=visible["timestamp"], coinbase=coinbase)
        # Clients refuse the long extra data of a QBFT header, and nobody sealed this one.
        draft = replace(draft, extra_data=b"", gas_limit=visible.get("gas_limit", parent.gas_limit))
        if draft.base_fee is not None:
            fee = draft.base_fee if self._validation else 0
            draft = replace(draft, base_fee=visible.get("base_fee", fee))
        return replace(draft, mix_hash=visible.get("mix_hash", draft.mix_hash))

    def _environment(self, draft: Header) -> Environment:
        def ancestors() -> Iterator[bytes]:
            return itertools.chain(reversed(self._hashes), self._chain.store.ancestors(self._base.number))

        return replace(self._chain.environment(draft), ancestors=ancestors)

    def _transaction(self, wanted: SimulatedCall, draft: Header, root: bytes, used: int) -> Transaction:
        call, account = wanted.call, tries.read_account(self._chain.store.nodes, root, wanted.call.sender)
        left = draft.gas_limit - used
        gas = left if wanted.gas is None else wanted.gas
        if gas > left:
            raise SimulationRefused(BLOCK_FULL, f"block gas limit reached: {used + gas} > {draft.gas_limit}")
        if self._gas_left <= 0:
            raise SimulationRefused(LIMIT_EXCEEDED, "the calls use more gas than one request may")
        price = wanted.gas_price
        kind = DYNAMIC_FEE if self._chain.genesis.fork >= Fork.LONDON else LEGACY
        if price is not None:
            kind = ACCESS_LIST if call.access_list else LEGACY
        transaction = Transaction(
            type=SET_CODE if call.authorizations else kind,
            chain_id=self._chain.genesis.chain_id,
            nonce=account.nonce if wanted.nonce is None else wanted.nonce,
            gas=min(gas, self._gas_left),
            to=call.to,
            value=call.value,
            data=call.data,
            max_fee=wanted.max_fee if price is None else price,
            max_priority_fee=wanted.max_priority_fee if price is None else price,
            access_list=call.access_list,
            authorizations=call.authorizations,
        ).impersonated(call.sender)
        self._check(transaction, account, draft)
        return transaction

    def _check(self, transaction: Transaction, account: tries.Account, draft: Header) -> None:
        least = self._chain.backend.intrinsic_gas(transaction)
        if transaction.gas < least:
            raise SimulationRefused(
                GAS_TOO_LOW, f"intrinsic gas too low: have {transaction.gas}, want {least}"
            )
        try:
            check_init_code(self._chain.genesis.fork, transaction.to, transaction.data, before_limit=" ")
        except InvalidTransaction as error:
            raise SimulationRefused(INIT_CODE_TOO_LONG, str(error)) from error
        if transaction.max_priority_fee > transaction.max_fee:
            raise ChainError(
                "max priority fee per gas higher than max fee per gas: "
                f"maxPriorityFeePerGas: {transaction.max_priority_fee}, maxFeePerGas: {transaction.max_fee}"
            )
        pays = self._validation or transaction.max_fee >= (draft.base_fee or 0)
        cost = transaction.value + (transaction.gas * transaction.max_fee if pays else 0)
        if self._validation:
            state = f"next nonce {account.nonce}, tx nonce {transaction.nonce}"
            if transaction.nonce != account.nonce:
                low = transaction.nonce < account.nonce
                code, word = (NONCE_TOO_LOW, "low") if low else (NONCE_TOO_HIGH, "high")
                raise SimulationRefused(code, f"nonce too {word}: {state}")
            if transaction.max_fee < (draft.base_fee or 0):
                text = f"maxFeePerGas: {transaction.max_fee}, baseFee: {draft.base_fee}"
                raise SimulationRefused(FEE_TOO_LOW, f"max fee per gas less than block base fee: {text}")
        if account.balance < cost:
            text = f"have {account.balance} want {cost}"
            raise SimulationRefused(NO_FUNDS, f"insufficient funds for gas * price + value: {text}")


def _filled(base: Header, blocks: Sequence[SimulatedBlock]) -> Iterator[SimulatedBlock]:
    """The blocks with their times, and empty ones where numbers leave a gap."""
    number, time = base.number, base.timestamp
    last = number
    for block in blocks:
        wanted = block.visible.get("number", last + 1)
        if wanted <= last:
            raise SimulationRefused(NUMBERS_UNORDERED, f"block numbers must be in order: {wanted} <= {last}")
        if wanted - number > MAX_BLOCKS:
            raise SimulationRefused(LIMIT_EXCEEDED, f"too many blocks: expected at most {MAX_BLOCKS}")
        last = wanted
    for block in blocks:
        target = block.visible.get("number", number + 1)
        while number + 1 < target:
            number, time = number + 1, time + BLOCK_TIME_S
            yield SimulatedBlock({"timestamp": time}, {}, ())
        at = block.visible.get("timestamp", time + BLOCK_TIME_S)
        if at <= time:
            raise SimulationRefused(TIMES_UNORDERED, f"block timestamps must be in order: {at} <= {time}")
        number, time = target, at
        yield replace(block, visible={**block.visible, "timestamp": at})
