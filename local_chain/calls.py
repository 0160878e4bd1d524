"""Calls and gas estimates: running a message without mining it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address

from local_chain.admission import check_init_code
from local_chain.errors import ChainError, ExecutionFailed, InvalidTransaction
from local_chain.evm import NO_CHANGES, OUT_OF_GAS, Change
from local_chain.forks import Fork
from local_chain.headers import EMPTY_CODE_HASH
from local_chain.transactions import LEGACY, Transaction, contract_address
from local_chain.tries import read_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.chain import Chain
    from local_chain.evm import Call, Changes, Environment, Outcome
    from local_chain.headers import Block
    from local_chain.transactions import AccessList

# geth stops its search within 1.5 % as well: an exact figure costs ten more executions.
_ESTIMATE_TOLERANCE = 0.015
_CALL_STIPEND = 2_300
_TRANSFER_GAS = 21_000  # nothing runs with less: geth takes a smaller limit for none
_GAS_PER_AUTHORIZATION = 25_000  # EIP-7702
_DELEGATION = bytes.fromhex("ef0100")
_MAX_ACCESS_ROUNDS = 8  # announcing changes the gas that is left, and so, rarely, what is used
_PRECOMPILES = tuple(number.to_bytes(20, "big") for number in range(1, 0x12))
_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
_MAX_REASON_BYTES = 4_096  # what of a reason is shown
# What Solidity's panics mean, in geth's words.
_PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
NOTHING_TO_CREATE = "contract creation without any data provided"


def run_call(
    chain: Chain,
    call: Call,
    block: Block,
    *,
    changes: Changes = NO_CHANGES,
    visible: Mapping[str, Any] | None = None,
) -> bytes:
    """What the call returns on the state after ``block``; ExecutionFailed when it fails.

    ``changes`` are made to the state before, and ``visible`` to what the contract sees of its block.
    """
    environment = seen_by(call, replace(chain.environment(block.header), **(visible or {})), visible)
    changes = {**_delegations(chain, call, block), **changes}
    try:
        check_call(chain, call, block, environment, changes)
    except InvalidTransaction as error:
        raise ChainError(f"err: {error} (supplied gas {call.gas})") from error
    outcome = chain.backend.call(block.header.state_root, environment, call, changes)
    if outcome.error is not None:
        raise failure(outcome)
    return outcome.output


def access_list_of(
    chain: Chain, call: Call, block: Block, *, changes: Changes = NO_CHANGES
) -> tuple[AccessList, Outcome]:
    """The accounts and slots that the message uses on top of ``block``, beside those that cost nothing to
    use, and how the message ends when it announces them (EIP-2930).
    """
    if call.to is None and not call.data:
        raise ChainError(NOTHING_TO_CREATE)
    environment = seen_by(call, _environment_on(chain, block))
    try:
        check_call(chain, call, block, environment, changes)
    except InvalidTransaction as error:
        raise ChainError(f"failed to apply transaction: err: {error}") from error
    free = {call.sender, _recipient(chain, call, block), *_PRECOMPILES}
    if chain.genesis.fork >= Fork.SHANGHAI:  # EIP-3651
        free.add(environment.coinbase)
    for _ in range(_MAX_ACCESS_ROUNDS):
        outcome, used = chain.backend.touched(block.header.state_root, environment, call, changes)
        announced = tuple((who, slots) for who, slots in used if slots or who not in free)
        if announced == call.access_list:
            break
        call = replace(call, access_list=announced)
    return call.access_list, outcome


def estimate_gas(chain: Chain, call: Call, block: Block, *, changes: Changes = NO_CHANGES) -> int:
    """A gas limit with which the message succeeds on top of ``block``, within 1.5 % of the least;
    ExecutionFailed if none.

    ``call.gas`` is the most that is tried.
    """
    environment = seen_by(call, _environment_on(chain, block))
    changes = {**_delegations(chain, call, block), **changes}
    call = replace(call, gas=_affordable_gas(chain, call, block, changes))
    # Their gas is taken before the message runs, and what of it is given back comes after.
    beforehand = _GAS_PER_AUTHORIZATION * len(call.authorizations)
    call = replace(call, gas=max(call.gas - beforehand, 0))

    def attempt(gas: int) -> Outcome:
        return chain.backend.call(block.header.state_root, environment, replace(call, gas=gas), changes)

    floor = chain.backend.intrinsic_gas(_as_transaction(call))
    if call.gas < floor:
        raise ChainError(f"gas required exceeds allowance ({call.gas + beforehand})")
    try:
        check_call(chain, call, block, environment, changes)
    except InvalidTransaction as error:
        raise ChainError(f"failed with {call.gas + beforehand} gas: {error}") from error
    outcome = attempt(call.gas)
    if outcome.error == OUT_OF_GAS:
        raise ChainError(f"gas required exceeds allowance ({call.gas + beforehand})")
    if outcome.error is not None:
        raise failure(outcome)
    # What it used is not enough where gas was refunded at the end, or where a call kept back a 64th
    # (EIP-150).
    low, high = max(floor, outcome.gas_used) - 1, call.gas
    likely = (outcome.gas_used + outcome.gas_refunded + _CALL_STIPEND) * 64 // 63
    for candidate in (low + 1, likely):
        if low < candidate < high:
            if attempt(candidate).error is None:
                high = candidate
            else:
                low = candidate
    while high - low > 1 and (high - low) / high > _ESTIMATE_TOLERANCE:
        middle = (low + high) // 2
        if attempt(middle).error is None:
            high = middle
        else:
            low = middle
    return high + beforehand


def check_call(chain: Chain, call: Call, block: Block, environment: Environment, changes: Changes) -> None:
    """Raise InvalidTransaction, in geth's words, unless the sender could pay what the message offers and
    sends on the state after ``block`` with ``changes``, and its gas is enough to begin.
    """
    who, base_fee = to_checksum_address(call.sender), environment.base_fee or 0
    if call.max_priority_fee > call.max_fee:
        raise InvalidTransaction(
            f"max priority fee per gas higher than max fee per gas: address {who}, "
            f"maxPriorityFeePerGas: {call.max_priority_fee}, maxFeePerGas: {call.max_fee}"
        )
    if call.max_fee and call.max_fee < base_fee:
        raise InvalidTransaction(
            f"max fee per gas less than block base fee: address {who}, "
            f"maxFeePerGas: {call.max_fee}, baseFee: {base_fee}"
        )
    balance, cost = _balance(chain, call, block, changes), call.value + call.gas * call.max_fee
    if balance < cost:
        raise InvalidTransaction(
            f"insufficient funds for gas * price + value: address {who} have {balance} want {cost}"
        )
    least = chain.backend.intrinsic_gas(_as_transaction(call))
    if call.gas < least:
        raise InvalidTransaction(f"intrinsic gas too low: have {call.gas}, want {least}")
    check_init_code(chain.genesis.fork, call.to, call.data, before_limit=" ")


def seen_by(call: Call, environment: Environment, visible: Mapping[str, Any] | None = None) -> Environment:
    """The block as the message sees it: without a base fee when it pays nothing and none was asked for, as
    in geth.
    """
    if call.max_fee or environment.base_fee is None or "base_fee" in (visible or {}):
        return environment
    return replace(environment, base_fee=0)


def failure(outcome: Outcome) -> ExecutionFailed:
    """The error of an outcome that did not succeed, with the contract's reason in its message."""
    message = outcome.error or "execution failed"
    reason = revert_reason(outcome.output) if outcome.reverted else None
    if reason is not None:
        message = f"{message}: {reason}"
    return ExecutionFailed(message, output=outcome.output, reverted=outcome.reverted)


def revert_reason(output: bytes) -> str | None:
    """The text of Error(string) or Panic(uint256); None for anything else, such as a custom error."""
    body = output[4:]
    if output[:4] == _PANIC_SELECTOR and len(body) == 32:
        code = int.from_bytes(body, "big")
        return _PANICS.get(code, f"unknown panic code: {code:#x}")
    if output[:4] != _ERROR_SELECTOR or len(body) < 64 or int.from_bytes(body[:32], "big") != 32:
        return None
    size = int.from_bytes(body[32:64], "big")
    if size > len(body) - 64:
        return None
    return body[64 : 64 + min(size, _MAX_REASON_BYTES)].decode("utf-8", "replace")


def _affordable_gas(chain: Chain, call: Call, block: Block, changes: Changes) -> int:
    """The most gas to try: what was asked for, unless the sender cannot pay for so much."""
    gas = call.gas if call.gas >= _TRANSFER_GAS else chain.genesis.gas_limit
    if not call.max_fee:
        return gas
    balance = _balance(chain, call, block, changes)
    if call.value and call.value >= balance:
        raise ChainError("insufficient funds for transfer")
    return min(gas, (balance - call.value) // call.max_fee)


def _balance(chain: Chain, call: Call, block: Block, changes: Changes) -> int:
    changed = changes.get(call.sender)
    if changed is not None and changed.balance is not None:
        return changed.balance
    return read_account(chain.store.nodes, block.header.state_root, call.sender).balance


def _environment_on(chain: Chain, block: Block) -> Environment:
    return chain.pending_environment() if block is chain.head else chain.environment(block.header)


def _delegations(chain: Chain, call: Call, block: Block) -> Changes:
    """What the message's authorisations make of the accounts that signed them (EIP-7702)."""
    changes: dict[bytes, Change] = {}
    nodes, root = chain.store.nodes, block.header.state_root
    for item in call.authorizations:
        who = item.authority()
        if who is None or item.chain_id not in (0, chain.genesis.chain_id):
            continue
        account, before = read_account(nodes, root, who), changes.get(who)
        code = b"" if account.code_hash == EMPTY_CODE_HASH else nodes[account.code_hash]
        nonce = account.nonce + (who == call.sender) if before is None else before.nonce
        if item.nonce != nonce or (code and not code.startswith(_DELEGATION)):
            continue
        clears = item.address == bytes(20)
        changes[who] = Change(nonce=item.nonce + 1, code=b"" if clears else _DELEGATION + item.address)
    return changes


def _recipient(chain: Chain, call: Call, block: Block) -> bytes:
    if call.to is not None:
        return call.to
    nonce = read_account(chain.store.nodes, block.header.state_root, call.sender).nonce
    return contract_address(call.sender, nonce)


def _as_transaction(call: Call) -> Transaction:
    return Transaction(
        type=LEGACY,
        chain_id=None,
        nonce=0,
        gas=call.gas,
        to=call.to,
        value=call.value,
        data=call.data,
        max_fee=call.max_fee,
        max_priority_fee=call.max_fee,
        access_list=call.access_list,
    )
