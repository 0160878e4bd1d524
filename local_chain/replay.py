"""Running again what was mined, or what never will be, with a watcher; nothing of it is kept."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from local_chain.calls import check_call, seen_by
from local_chain.errors import ChainError, InvalidTransaction
from local_chain.evm import NO_CHANGES
from local_chain.transactions import (
    ACCESS_LIST,
    SET_CODE,
    Transaction,
    contract_address,
    decode_transaction,
)
from local_chain.tries import read_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_chain.chain import Chain
    from local_chain.evm import Call, Changes, Outcome
    from local_chain.headers import Block
    from local_chain.storage import StoredTransaction
    from local_chain.watching import Watcher


@dataclass(frozen=True, slots=True)
class Replayed:
    """One transaction that ran again: on which state, how it ended, and what state it left.

    Both states can be read until ``replaying`` is left.
    """

    transaction: Transaction
    before: bytes
    after: bytes
    outcome: Outcome

    @property
    def recipient(self) -> bytes:
        """The account that was called, or made."""
        return self.transaction.to or contract_address(self.transaction.sender, self.transaction.nonce)


@contextlib.contextmanager
def replaying(chain: Chain) -> Iterator[None]:
    """Forget, at the end, every state that was made inside."""
    try:
        yield
    finally:
        chain.store.nodes.discard()


def replay_mined(chain: Chain, mined: StoredTransaction, watcher: Watcher) -> Replayed:
    """Run a mined transaction again, on the state that it found in its block."""
    return replay_block(chain, chain.block_at(mined.number), lambda _: watcher, only=mined.position)[-1]


def replay_block(
    chain: Chain,
    block: Block,
    watcher_of: Callable[[StoredTransaction], Watcher | None],
    *,
    only: int | None = None,
) -> list[Replayed]:
    """Run a block's transactions again; with ``only`` those up to that position, and watch but that one."""
    if block.number == 0:
        raise ChainError("genesis is not traceable")
    root, environment = chain.block_at(block.number - 1).header.state_root, chain.environment(block.header)
    replayed: list[Replayed] = []
    gas_before = 0
    for mined in chain.store.transactions(block.number):
        if only is not None and mined.position > only:
            break
        transaction = decode_transaction(mined.raw, sender=mined.sender)
        watcher = watcher_of(mined) if only is None or mined.position == only else None
        execution = chain.backend.begin(root, environment)
        outcome = execution.apply(transaction, gas_before=gas_before, watcher=watcher)
        before, root = root, execution.finish()
        gas_before += outcome.gas_used
        replayed.append(Replayed(transaction, before, root, outcome))
    return replayed


def replay_call(
    chain: Chain,
    call: Call,
    block: Block,
    watcher: Watcher,
    *,
    changes: Changes = NO_CHANGES,
    visible: Mapping[str, Any] | None = None,
) -> Replayed:
    """Run a message as a transaction that pays what it offers, on the state after ``block``."""
    environment = seen_by(call, replace(chain.environment(block.header), **(visible or {})), visible)
    try:
        check_call(chain, call, block, environment, changes)
    except InvalidTransaction as error:
        raise ChainError(f"tracing failed: {error}") from error
    before = chain.backend.change(block.header.state_root, changes) if changes else block.header.state_root
    transaction = as_transaction(chain, call, before, price=call.price(environment.base_fee))
    execution = chain.backend.begin(before, environment)
    outcome = execution.apply(transaction, gas_before=0, watcher=watcher, free=True)
    return Replayed(transaction, before, execution.finish(), outcome)


def as_transaction(chain: Chain, call: Call, state_root: bytes, *, price: int) -> Transaction:
    """The message as a transaction that its sender did not sign, with the nonce that comes next."""
    return Transaction(
        type=SET_CODE if call.authorizations else ACCESS_LIST,
        chain_id=chain.genesis.chain_id,
        nonce=read_account(chain.store.nodes, state_root, call.sender).nonce,
        gas=call.gas,
        to=call.to,
        value=call.value,
        data=call.data,
        max_fee=price,
        max_priority_fee=price,
        access_list=call.access_list,
        authorizations=call.authorizations,
    ).impersonated(call.sender)
