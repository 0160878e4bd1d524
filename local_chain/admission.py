"""Which transactions may wait for a block: the rules that a node checks before it keeps one, in geth's
words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_chain.errors import InvalidTransaction
from local_chain.forks import Fork
from local_chain.headers import Header, next_base_fee
from local_chain.transactions import ACCESS_LIST, DYNAMIC_FEE, SET_CODE, Transaction

if TYPE_CHECKING:
    from local_chain.evm import Backend
    from local_chain.genesis import Genesis
    from local_chain.tries import Account

MAX_INIT_CODE_BYTES = 49_152  # EIP-3860
_FIRST_FORK_OF_TYPE = {ACCESS_LIST: Fork.BERLIN, DYNAMIC_FEE: Fork.LONDON, SET_CODE: Fork.PRAGUE}


def check_admission(
    transaction: Transaction, *, genesis: Genesis, head: Header, sender: Account, backend: Backend
) -> None:
    """Raise InvalidTransaction unless ``transaction`` can be mined on top of ``head``, now or once its turn
    comes.

    ``sender`` is its sender's account at the head.
    """
    first_fork = _FIRST_FORK_OF_TYPE.get(transaction.type, Fork.BERLIN)
    if genesis.fork < first_fork:
        raise InvalidTransaction(
            f"transaction type not supported: type {transaction.type} needs {first_fork.label}, "
            f"this chain runs {genesis.fork.label}"
        )
    if transaction.chain_id not in (None, genesis.chain_id):
        raise InvalidTransaction(
            "invalid sender: invalid chain id for signer: "
            f"have {transaction.chain_id} want {genesis.chain_id}"
        )
    check_init_code(genesis.fork, transaction.to, transaction.data)
    if transaction.gas > head.gas_limit:
        raise InvalidTransaction("exceeds block gas limit")
    least_gas = backend.intrinsic_gas(transaction)
    if transaction.gas < least_gas:
        raise InvalidTransaction(f"intrinsic gas too low: gas {transaction.gas}, minimum needed {least_gas}")
    if transaction.nonce < sender.nonce:
        raise InvalidTransaction(f"nonce too low: next nonce {sender.nonce}, tx nonce {transaction.nonce}")
    base_fee = next_base_fee(head)
    if base_fee is not None and transaction.max_fee < base_fee:
        raise InvalidTransaction(
            "max fee per gas less than block base fee: "
            f"maxFeePerGas: {transaction.max_fee}, baseFee: {base_fee}"
        )
    cost = transaction.value + transaction.gas * transaction.max_fee
    if sender.balance < cost:
        raise InvalidTransaction(
            f"insufficient funds for gas * price + value: balance {sender.balance}, tx cost {cost}, "
            f"overshot {cost - sender.balance}"
        )


def check_init_code(fork: Fork, to: bytes | None, data: bytes, *, before_limit: str = ", ") -> None:
    """Raise InvalidTransaction for a creation whose code is too long to run (EIP-3860).

    ``before_limit`` is how geth goes on after the size: it differs between its pool and its calls.
    """
    if to is None and fork >= Fork.SHANGHAI and len(data) > MAX_INIT_CODE_BYTES:
        raise InvalidTransaction(
            f"max initcode size exceeded: code size {len(data)}{before_limit}limit {MAX_INIT_CODE_BYTES}"
        )
