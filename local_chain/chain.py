"""The chain: takes transactions in, makes sealed blocks of them, imports blocks that others sealed, and can be read.

Nothing here knows of RPC or threads; one caller at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ledger_protocol.ledger import qbft
from local_chain import tries
from local_chain.backend import Environment, Outcome, PyEvm
from local_chain.errors import ChainError, InvalidTransaction, StateError, UnknownBlock
from local_chain.forks import Fork
from local_chain.genesis import Genesis, genesis_from_json
from local_chain.headers import EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH, Block, Header, fork_fields, next_base_fee
from local_chain.pool import Pool
from local_chain.receipts import Receipt, logs_bloom, union_bloom
from local_chain.sealing import Sealer, extra_data
from local_chain.storage import Store, StoredLog, StoredTransaction
from local_chain.transactions import ACCESS_LIST, DYNAMIC_FEE, SET_CODE, Transaction, decode_transaction

MAX_TIMESTAMP = 2**63 - 1  # far beyond use; keeps every time inside SQLite's and JSON readers' integers
_FIRST_FORK_OF_TYPE = {ACCESS_LIST: Fork.BERLIN, DYNAMIC_FEE: Fork.LONDON, SET_CODE: Fork.PRAGUE}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where ``revert`` goes back to."""

    number: int
    time_offset_s: int


class LocalChain:
    """One chain over one store.

    ``sealer`` None makes a chain that only imports. ``now`` gives the time in Unix seconds.
    """

    def __init__(
        self, store: Store, genesis: Genesis, *, sealer: Sealer | None, now: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self.genesis = genesis
        self.pool = Pool()
        self.sealer: Sealer | None = None
        self.backend = PyEvm(store.nodes, chain_id=genesis.chain_id, fork=genesis.fork)
        self.time_offset_s = 0
        self._now = now
        self._next_timestamp: int | None = None
        self._snapshots: list[Snapshot] = []
        self._open_genesis()
        if sealer is not None:
            self.become_sealer(sealer)

    @property
    def head(self) -> Block:
        """The newest block."""
        head = self.store.head
        if head is None:
            raise StateError("the chain has no genesis block")
        return head

    def become_sealer(self, sealer: Sealer) -> None:
        """Seal from now on with these keys, which must be the chain's validators."""
        if sealer.addresses != self.genesis.validators:
            raise StateError("these validator keys are not those of this chain")
        self.sealer = sealer

    # --- transactions and blocks

    def submit(self, raw: bytes) -> Transaction:
        """Check a raw transaction and let it wait for a block; InvalidTransaction when it can never be mined."""
        transaction = self.examine(raw)
        self.pool.add(transaction, account_nonce=self.account(transaction.sender).nonce)
        return transaction

    def examine(self, raw: bytes) -> Transaction:
        """Decode a raw transaction and check that it can be mined on top of the head, now or once its turn comes.

        Raises InvalidTransaction.
        """
        transaction = decode_transaction(raw)
        if self.store.transaction(transaction.hash) is not None:
            raise InvalidTransaction("already known")
        account = self.account(transaction.sender)
        self._check(transaction, nonce=account.nonce, balance=account.balance)
        return transaction

    def mine(self, *, allow_empty: bool) -> Block | None:
        """Seal one block of what waits and fits; None when nothing can run and no empty block is wanted."""
        if self.sealer is None:
            raise ChainError("this node does not seal: it follows another one")
        parent = self.head.header
        round_number = self.sealer.round_for(parent)
        draft = self._draft(
            parent,
            timestamp=self._timestamp(parent),
            coinbase=self.sealer.proposer(parent.number + 1, round_number),
            gas_limit=parent.gas_limit,
        )
        chosen = self._select(parent)
        try:
            body = self._execute(draft, chosen, strict=False)
            if not body.transactions and not allow_empty:
                self.store.nodes.discard()
                return None
            block = replace(self.sealer.seal(body.header, round_number), transactions=body.raw)
            self._commit(block, body)
        except BaseException:
            self.store.nodes.discard()
            raise
        self._next_timestamp = None
        return block

    def import_block(self, block: Block) -> None:
        """Execute a block whose seals were checked, and store it if it is what it says; ChainError otherwise."""
        parent, header = self.head.header, block.header
        if header.number != parent.number + 1 or header.parent_hash != parent.hash:
            raise ChainError(f"block {header.number} does not follow our block {parent.number}")
        if header.timestamp <= parent.timestamp:
            raise ChainError(f"block {header.number} is not later than its parent")
        draft = self._draft(
            parent, timestamp=header.timestamp, coinbase=header.coinbase, gas_limit=self.genesis.gas_limit
        )
        try:
            body = self._execute(draft, [decode_transaction(raw) for raw in block.transactions], strict=True)
            if body.header != header:
                raise ChainError(f"block {header.number} does not follow from its transactions")
            self._commit(block, body)
        except BaseException:
            self.store.nodes.discard()
            raise

    def environment(self, header: Header) -> Environment:
        """What a contract sees in the block of ``header``."""
        return Environment(
            number=header.number,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee,
            difficulty=header.difficulty,
            mix_hash=header.mix_hash,
            ancestors=lambda: self.store.ancestors(header.number - 1),
        )

    def pending_environment(self) -> Environment:
        """What a contract would see in a block made now."""
        parent = self.head.header
        return self.environment(
            self._draft(
                parent,
                timestamp=self._timestamp(parent),
                coinbase=parent.coinbase,
                gas_limit=parent.gas_limit,
            )
        )

    def account(self, address: bytes) -> tries.Account:
        """The account at the head."""
        return tries.read_account(self.store.nodes, self.head.header.state_root, address)

    def block_with_hash(self, block_hash: bytes) -> Block:
        """The block with this hash; UnknownBlock when there is none."""
        block = self.store.block_by_hash(block_hash)
        if block is None:
            raise UnknownBlock("header not found")
        return block

    def block_at(self, number: int) -> Block:
        """The block at a height; UnknownBlock when there is none."""
        block = self.store.block(number)
        if block is None:
            raise UnknownBlock("header not found")
        return block

    # --- time travel, for tests and development

    def snapshot(self) -> int:
        """Remember the present; the answer is for ``revert``."""
        self._snapshots.append(Snapshot(self.head.number, self.time_offset_s))
        return len(self._snapshots)

    def revert(self, snapshot: int) -> bool:
        """Forget every block since ``snapshot``, and the snapshots after it; False when it is unknown."""
        if not 1 <= snapshot <= len(self._snapshots):
            return False
        target = self._snapshots[snapshot - 1]
        del self._snapshots[snapshot - 1 :]
        self.store.rewind(target.number)
        self.time_offset_s = target.time_offset_s
        self._next_timestamp = None
        self.pool.clear()
        return True

    def increase_time(self, seconds: int) -> int:
        """Move the chain's clock forward; the answer is the whole offset in seconds."""
        if not 0 <= seconds <= MAX_TIMESTAMP - self.time_offset_s - self.head.header.timestamp:
            raise ChainError(f"cannot move time by {seconds} s")
        self.time_offset_s += seconds
        return self.time_offset_s

    def set_next_timestamp(self, timestamp: int) -> None:
        """Give the next block this time, from which the clock goes on."""
        if not self.head.header.timestamp < timestamp <= MAX_TIMESTAMP:
            raise ChainError(f"timestamp {timestamp} is not after the head's {self.head.header.timestamp}")
        self._next_timestamp = timestamp
        self.time_offset_s = timestamp - int(self._now())

    # --- inside

    def _open_genesis(self) -> None:
        kept = self.store.meta("genesis")
        if kept is None:
            root = self.backend.genesis_state(self.genesis.balances)
            self.store.commit_block(self.genesis.block(root), (), ())
            self.store.set_meta("genesis", self.genesis.to_json())
        elif genesis_from_json(kept) != self.genesis:
            raise StateError("the state belongs to another chain: its genesis document differs")

    def _check(self, transaction: Transaction, *, nonce: int, balance: int) -> None:
        first_fork = _FIRST_FORK_OF_TYPE.get(transaction.type, Fork.BERLIN)
        if self.genesis.fork < first_fork:
            raise InvalidTransaction(
                f"transaction type not supported: type {transaction.type} needs {first_fork.label}, "
                f"this chain runs {self.genesis.fork.label}"
            )
        if transaction.chain_id not in (None, self.genesis.chain_id):
            raise InvalidTransaction(
                f"invalid chain id: expected {self.genesis.chain_id}, got {transaction.chain_id}"
            )
        if transaction.gas > self.head.header.gas_limit:
            raise InvalidTransaction(
                f"exceeds block gas limit: {transaction.gas} > {self.head.header.gas_limit}"
            )
        floor = self.backend.intrinsic_gas(transaction)
        if transaction.gas < floor:
            raise InvalidTransaction(f"intrinsic gas too low: have {transaction.gas}, want {floor}")
        if transaction.nonce < nonce:
            raise InvalidTransaction(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        base_fee = next_base_fee(self.head.header)
        if base_fee is not None and transaction.max_fee < base_fee:
            raise InvalidTransaction(
                f"max fee per gas less than block base fee: maxFeePerGas: {transaction.max_fee}, baseFee: {base_fee}"
            )
        cost = transaction.value + transaction.gas * transaction.max_fee
        if balance < cost:
            raise InvalidTransaction(
                f"insufficient funds for gas * price + value: have {balance} want {cost}"
            )

    def _select(self, parent: Header) -> Sequence[Transaction]:
        """What is ready and may fit by its gas limits (usage is lower, but then the rest waits for the next block)."""
        chosen: list[Transaction] = []
        room = parent.gas_limit
        for transaction in self.pool.ready(
            lambda sender: tries.read_account(self.store.nodes, parent.state_root, sender).nonce
        ):
            if transaction.gas > room:
                break
            room -= transaction.gas
            chosen.append(transaction)
        return chosen

    def _timestamp(self, parent: Header) -> int:
        wanted = self._next_timestamp or int(self._now()) + self.time_offset_s
        return max(parent.timestamp + 1, wanted)

    def _draft(self, parent: Header, *, timestamp: int, coinbase: bytes, gas_limit: int) -> Header:
        return Header(
            parent_hash=parent.hash,
            uncles_hash=EMPTY_UNCLES_HASH,
            coinbase=coinbase,
            state_root=parent.state_root,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=bytes(256),
            difficulty=qbft.DIFFICULTY,
            number=parent.number + 1,
            gas_limit=gas_limit,
            gas_used=0,
            timestamp=timestamp,
            extra_data=extra_data(self.genesis.validators, 0, ()),
            mix_hash=qbft.MIX_HASH,
            nonce=qbft.NONCE,
            **fork_fields(self.genesis.fork, base_fee=next_base_fee(parent)),  # type: ignore[arg-type]
        )

    def _execute(self, draft: Header, transactions: Sequence[Transaction], *, strict: bool) -> _Body:
        """Run ``transactions`` on the draft's state. Not ``strict``: one that cannot run is dropped from the pool."""
        execution = self.backend.begin(draft.state_root, self.environment(draft))
        done: list[Transaction] = []
        outcomes: list[Outcome] = []
        receipts: list[Receipt] = []
        gas_used = 0
        stopped: set[bytes] = set()
        for transaction in transactions:
            if transaction.sender in stopped:
                continue
            try:
                outcome = execution.apply(transaction, gas_before=gas_used)
            except InvalidTransaction:
                if strict:
                    raise
                self.pool.remove(transaction)
                stopped.add(transaction.sender)  # its later nonces wait for a replacement
                continue
            gas_used += outcome.gas_used
            done.append(transaction)
            outcomes.append(outcome)
            receipts.append(Receipt(transaction.type, outcome.error is None, gas_used, outcome.logs))
        encoded = [receipt.encode() for receipt in receipts]
        header = replace(
            draft,
            state_root=execution.finish(),
            transactions_root=tries.ordered_root([transaction.raw for transaction in done]),
            receipts_root=tries.ordered_root(encoded),
            logs_bloom=union_bloom([logs_bloom(receipt.logs) for receipt in receipts]),
            gas_used=gas_used,
        )
        return _Body(header, tuple(done), tuple(outcomes), tuple(encoded))

    def _commit(self, block: Block, body: _Body) -> None:
        number = block.number
        rows = [
            StoredTransaction(
                t.hash, number, position, t.raw, t.sender, receipt, outcome.gas_used, outcome.error is None
            )
            for position, (t, outcome, receipt) in enumerate(
                zip(body.transactions, body.outcomes, body.receipts, strict=True)
            )
        ]
        placed = [(position, log) for position, outcome in enumerate(body.outcomes) for log in outcome.logs]
        logs = [
            StoredLog(number, index, position, log.address, log.topics, log.data)
            for index, (position, log) in enumerate(placed)
        ]
        self.store.commit_block(block, rows, logs)
        for transaction in body.transactions:
            self.pool.remove(transaction)


@dataclass(frozen=True, slots=True)
class _Body:
    header: Header
    transactions: tuple[Transaction, ...]
    outcomes: tuple[Outcome, ...]
    receipts: tuple[bytes, ...]

    @property
    def raw(self) -> tuple[bytes, ...]:
        return tuple(transaction.raw for transaction in self.transactions)
