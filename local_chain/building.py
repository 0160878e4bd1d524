"""Making the content of a block: an unsealed header, and what executing transactions fills in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_protocol.ledger import qbft
from local_chain import tries
from local_chain.errors import InvalidTransaction
from local_chain.headers import EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH, Header, fork_fields, next_base_fee
from local_chain.receipts import BLOOM_BYTES, Receipt, logs_bloom, union_bloom
from local_chain.sealing import extra_data
from local_chain.storage import StoredLog, StoredTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_chain.evm import Execution, Outcome
    from local_chain.genesis import Genesis
    from local_chain.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Body:
    """What a block holds: its header without seals, and one outcome and one encoded receipt a transaction."""

    header: Header
    transactions: tuple[Transaction, ...]
    outcomes: tuple[Outcome, ...]
    receipts: tuple[bytes, ...]

    @property
    def raw(self) -> tuple[bytes, ...]:
        """The transactions as they travel."""
        return tuple(transaction.raw for transaction in self.transactions)

    def stored_transactions(self) -> list[StoredTransaction]:
        """The transactions as they are kept."""
        number, rows = self.header.number, zip(self.transactions, self.outcomes, self.receipts, strict=True)
        return [
            StoredTransaction(
                t.hash, number, position, t.raw, t.sender, receipt, outcome.gas_used, outcome.error is None
            )
            for position, (t, outcome, receipt) in enumerate(rows)
        ]

    def stored_logs(self) -> list[StoredLog]:
        """The logs as they are kept, numbered through the block."""
        placed = [(position, log) for position, outcome in enumerate(self.outcomes) for log in outcome.logs]
        return [
            StoredLog(self.header.number, index, position, log.address, log.topics, log.data)
            for index, (position, log) in enumerate(placed)
        ]


def draft_header(genesis: Genesis, parent: Header, *, timestamp: int, coinbase: bytes) -> Header:
    """The header of an empty block after ``parent``, with its parent's state root."""
    return Header(
        parent_hash=parent.hash,
        uncles_hash=EMPTY_UNCLES_HASH,
        coinbase=coinbase,
        state_root=parent.state_root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=bytes(BLOOM_BYTES),
        difficulty=qbft.DIFFICULTY,
        number=parent.number + 1,
        gas_limit=genesis.gas_limit,
        gas_used=0,
        timestamp=timestamp,
        extra_data=extra_data(genesis.validators, 0, ()),
        mix_hash=qbft.MIX_HASH,
        nonce=qbft.NONCE,
        **fork_fields(genesis.fork, base_fee=next_base_fee(parent)),  # type: ignore[arg-type] # Header's own names
    )


def fill(
    draft: Header,
    execution: Execution,
    transactions: Iterable[Transaction],
    *,
    refused: Callable[[Transaction], None] | None,
) -> Body:
    """Run ``transactions`` and give the block's content.

    One that no block may hold here is told to ``refused`` and left out, with what its sender sent after it;
    with None the InvalidTransaction is raised.
    """
    done: list[Transaction] = []
    outcomes: list[Outcome] = []
    receipts: list[Receipt] = []
    stopped: set[bytes] = set()
    gas_used = 0
    for transaction in transactions:
        if transaction.sender in stopped:
            continue
        try:
            outcome = execution.apply(transaction, gas_before=gas_used)
        except InvalidTransaction:
            if refused is None:
                raise
            refused(transaction)
            stopped.add(transaction.sender)  # its later nonces wait for a replacement
            continue
        gas_used += outcome.gas_used
        done.append(transaction)
        outcomes.append(outcome)
        receipts.append(Receipt(transaction.type, outcome.error is None, gas_used, outcome.logs))
    encoded = tuple(receipt.encode() for receipt in receipts)
    header = replace(
        draft,
        state_root=execution.finish(),
        transactions_root=tries.ordered_root([transaction.raw for transaction in done]),
        receipts_root=tries.ordered_root(encoded),
        logs_bloom=union_bloom([logs_bloom(receipt.logs) for receipt in receipts]),
        gas_used=gas_used,
    )
    return Body(header, tuple(done), tuple(outcomes), encoded)
