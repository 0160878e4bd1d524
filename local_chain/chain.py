"""The chain: takes transactions in, makes sealed blocks of them, imports blocks that others sealed, and can
be read.

Nothing here knows of RPC or threads; one caller at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from local_chain import tries
from local_chain.admission import check_admission
from local_chain.backend import PyEvm
from local_chain.building import Body, draft_header, fill
from local_chain.errors import ChainError, InvalidTransaction, StateError, UnknownBlock
from local_chain.evm import Backend, Environment, Execution
from local_chain.forks import Fork
from local_chain.genesis import Genesis, genesis_from_json
from local_chain.pool import Pool
from local_chain.transactions import Transaction, decode_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local_chain.evm import Changes
    from local_chain.headers import Block, Header
    from local_chain.sealing import NoSeals, Sealer
    from local_chain.storage import Store

MAX_TIMESTAMP = 2**63 - 1  # far beyond use; keeps every time inside SQLite's integers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where ``revert`` goes back to."""

    number: int
    time_offset_s: int


class Chain:
    """One chain over one store.

    ``sealer`` None makes a chain that only imports. ``now`` gives the time in Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        genesis: Genesis,
        *,
        sealer: Sealer | NoSeals | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.genesis = genesis
        self.pool = Pool()
        self.sealer: Sealer | NoSeals | None = None
        self.backend: Backend = PyEvm(store.nodes, chain_id=genesis.chain_id, fork=genesis.fork)
        # Told of every new block once it stands, and of what was executed in it (None: state set by hand).
        self.on_block: Callable[[Block], None] | None = None
        self.on_body: Callable[[Block, Body | None], None] | None = None
        self.coinbase: bytes | None = None  # None: the proposer of the block
        self.time_offset_s = 0
        self._now = now
        self._next_timestamp: int | None = None
        self._next_base_fee: int | None = None
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

    def become_sealer(self, sealer: Sealer | NoSeals) -> None:
        """Seal from now on with these keys, which must be the chain's validators."""
        if sealer.addresses != self.genesis.validators:
            raise StateError("these validator keys are not those of this chain")
        self.sealer = sealer

    # --- transactions and blocks

    def submit(self, raw: bytes) -> Transaction:
        """Check a raw transaction and let it wait for a block; InvalidTransaction when it can never be
        mined.
        """
        return self.admit(decode_transaction(raw))

    def admit(self, transaction: Transaction) -> Transaction:
        """``submit`` for a transaction whose sender is known: the signature is not looked at."""
        account = self.account(transaction.sender)
        check_admission(
            transaction,
            genesis=self.genesis,
            head=self.head.header,
            sender=account,
            backend=self.backend,
        )
        if self.store.transaction(transaction.hash) is not None:  # its sender was destroyed since
            raise InvalidTransaction("already known")
        self.pool.add(transaction, account_nonce=account.nonce)
        return transaction

    def mine(self, *, allow_empty: bool) -> Block | None:
        """Seal one block of what waits and fits; None when nothing can run and no empty block is wanted."""
        if self.sealer is None:
            raise ChainError("this node does not seal: it follows another one")
        parent = self.head.header
        round_number = self.sealer.round_for(parent)
        coinbase = self.coinbase or self.sealer.proposer(parent.number + 1, round_number)
        draft = draft_header(self.genesis, parent, timestamp=self._timestamp(parent), coinbase=coinbase)
        draft = self._with_next_base_fee(draft)
        try:
            body = fill(draft, self._begin(draft), self._select(parent), refused=self.pool.remove)
            if not body.transactions and not allow_empty:
                self.store.nodes.discard()
                return None
            block = replace(self.sealer.seal(body.header, round_number), transactions=body.raw)
            self._commit(block, body)
        except BaseException:
            self.store.nodes.discard()
            raise
        self._next_timestamp = self._next_base_fee = None
        self._tell(block, body)
        return block

    def change_state(self, changes: Changes) -> Block:
        """Seal an empty block with another state than its parent's: no chain of others accepts it."""
        if self.sealer is None:
            raise ChainError("this node does not seal: it follows another one")
        parent = self.head.header
        round_number = self.sealer.round_for(parent)
        coinbase = self.coinbase or self.sealer.proposer(parent.number + 1, round_number)
        draft = draft_header(self.genesis, parent, timestamp=parent.timestamp + 1, coinbase=coinbase)
        try:
            header = replace(draft, state_root=self.backend.change(parent.state_root, changes))
            block = self.sealer.seal(header, round_number)
            self.store.commit_block(block, (), ())
        except BaseException:
            self.store.nodes.discard()
            raise
        self._tell(block, None)
        return block

    def import_block(self, block: Block) -> None:
        """Execute a block whose seals were checked, and store it if it is what it says; ChainError
        otherwise.
        """
        parent, header = self.head.header, block.header
        if header.number != parent.number + 1 or header.parent_hash != parent.hash:
            raise ChainError(f"block {header.number} does not follow our block {parent.number}")
        if header.timestamp <= parent.timestamp:
            raise ChainError(f"block {header.number} is not later than its parent")
        draft = draft_header(self.genesis, parent, timestamp=header.timestamp, coinbase=header.coinbase)
        transactions = [decode_transaction(raw) for raw in block.transactions]
        try:
            body = fill(draft, self._begin(draft), transactions, refused=None)
            _expect_same(body.header, header)
            self._commit(block, body)
        except BaseException:
            self.store.nodes.discard()
            raise
        self._tell(block, body)

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
        return self.environment(self.pending_header())

    def pending_header(self) -> Header:
        """The header of an empty block made now, with its parent's state root; its proposer is not known."""
        parent = self.head.header
        coinbase = self.coinbase or parent.coinbase
        draft = draft_header(self.genesis, parent, timestamp=self._timestamp(parent), coinbase=coinbase)
        return self._with_next_base_fee(draft)

    def account(self, address: bytes) -> tries.Account:
        """The account at the head."""
        return tries.read_account(self.store.nodes, self.head.header.state_root, address)

    def block_with_hash(self, block_hash: bytes) -> Block:
        """The block with this hash; UnknownBlock when there is none."""
        block = self.store.block_by_hash(block_hash)
        if block is None:
            raise UnknownBlock("header for hash not found")
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

    def snapshot_height(self, snapshot: int) -> int | None:
        """The height that ``revert`` would go back to; None when the snapshot is unknown."""
        if not 1 <= snapshot <= len(self._snapshots):
            return None
        return self._snapshots[snapshot - 1].number

    def revert(self, snapshot: int) -> bool:
        """Forget every block since ``snapshot``, and the snapshots after it; False when it is unknown."""
        if self.snapshot_height(snapshot) is None:
            return False
        target = self._snapshots[snapshot - 1]
        del self._snapshots[snapshot - 1 :]
        self._go_back(target)
        return True

    def reset(self) -> None:
        """Forget every block but the first, every snapshot, and what was moved or set by hand."""
        self._snapshots.clear()
        self._go_back(Snapshot(0, 0))
        self.coinbase = None

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

    def set_next_base_fee(self, base_fee: int) -> None:
        """Give the next block this base fee in wei, against EIP-1559: no chain of others accepts it."""
        if self.genesis.fork < Fork.LONDON:
            raise ChainError("base fees came with london")
        self._next_base_fee = base_fee

    # --- inside

    def _go_back(self, target: Snapshot) -> None:
        self.store.rewind(target.number)
        self.time_offset_s = target.time_offset_s
        self._next_timestamp = self._next_base_fee = None
        self.pool.clear()

    def _with_next_base_fee(self, draft: Header) -> Header:
        return draft if self._next_base_fee is None else replace(draft, base_fee=self._next_base_fee)

    def _open_genesis(self) -> None:
        kept = self.store.meta("genesis")
        if kept is None:
            self.store.set_meta("genesis", self.genesis.to_json())
        elif genesis_from_json(kept) != self.genesis:
            raise StateError("the state belongs to another chain: its genesis document differs")
        if self.store.head is None:  # new, or stopped right after the document was written
            root = self.backend.genesis_state(self.genesis.balances)
            self.store.commit_block(self.genesis.block(root), (), ())

    def _begin(self, draft: Header) -> Execution:
        return self.backend.begin(draft.state_root, self.environment(draft))

    def _select(self, parent: Header) -> Sequence[Transaction]:
        """What is ready and may fit by its gas limits (usage is lower, but then the rest waits for the next
        block).
        """
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

    def _commit(self, block: Block, body: Body) -> None:
        self.store.commit_block(block, body.stored_transactions(), body.stored_logs())
        for transaction in body.transactions:
            self.pool.remove(transaction)

    def _tell(self, block: Block, body: Body | None) -> None:
        if self.on_block is not None:
            self.on_block(block)
        if self.on_body is not None:
            self.on_body(block, body)


def _expect_same(made: Header, claimed: Header) -> None:
    if made != claimed:
        raise ChainError(f"block {claimed.number} does not follow from its transactions")
