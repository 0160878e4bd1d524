"""From a call to a mined transaction: prepared first (gas, cost, who pays), shown, then signed and sent.

Nothing is sent by preparing. A call that the contract would refuse fails while it is prepared, with its
reason. `following` waits for what was sent.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger_client.config import checksum_address
from ledger_client.errors import (
    NodeRefusedError,
    NonceTakenError,
    NotMinedError,
    UnreachableError,
    UsageError,
)
from ledger_client.following import follow
from ledger_client.outbox import Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.network import Call, Fees, Network, Receipt
    from ledger_client.outbox import Outbox
    from ledger_client.signers import Account

# An estimate is exact for the state of now; another transaction mined before ours may make ours dearer.
_GAS_MARGIN_PERCENT = 20
# A transaction that is stuck may come to pay so many times what was offered at first, and no more.
_MOST_RAISE = 2

# Somebody else used the same account between our look at the nonce and our sending: look again this often.
_NONCE_TRIES = 8
_NONCE_WORDS = (
    "nonce too low",
    "replacement transaction underpriced",
    "already imported",
    "nonce has already",
)

WEI_PER_ETHER = 10**18


@dataclass(frozen=True, slots=True)
class Prepared:
    """A transaction before it is signed. Wei and units of gas; `balance` is the payer's now."""

    call: Call
    payer: bytes
    gas: int
    gas_limit: int
    fees: Fees
    balance: int
    chain_id: int

    @property
    def expected_cost(self) -> int:
        """What it costs if it uses the estimated gas at the highest price offered, in wei."""
        return self.gas * self.fees.max_fee

    @property
    def highest_cost(self) -> int:
        """What it can cost at most, in wei, with the fee raised as far as it may be."""
        return self.gas_limit * self.fee_limit

    @property
    def fee_limit(self) -> int:
        """The highest price a gas that it may come to offer, in wei."""
        return self.fees.max_fee * _MOST_RAISE

    def lines(self) -> list[str]:
        """What a person reads before agreeing."""
        price = f"{gwei(self.fees.max_fee)} gwei a gas"
        return [
            f"{self.call.what} on chain {self.chain_id}",
            f"gas      {self.gas:,} (limit {self.gas_limit:,}) at up to {price}",
            f"cost     up to {ether(self.expected_cost)} ETH (never over {ether(self.highest_cost)})",
            f"paid by  {checksum_address(self.payer)} (holds {ether(self.balance)} ETH)",
        ]

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "act": self.call.what,
            "chain_id": self.chain_id,
            "gas": self.gas,
            "gas_limit": self.gas_limit,
            "max_fee_per_gas": self.fees.max_fee,
            "max_cost_wei": self.highest_cost,
            "payer": checksum_address(self.payer),
            "balance_wei": self.balance,
        }


def prepare(network: Network, call: Call, account: Account) -> Prepared:
    """Estimate gas and cost. Raises the contract's refusal, or UsageError where the account cannot pay."""
    gas = network.estimate(call, sender=account.address)
    prepared = Prepared(
        call=call,
        payer=account.address,
        gas=gas,
        gas_limit=gas + gas * _GAS_MARGIN_PERCENT // 100,
        fees=network.fees(),
        balance=network.balance(account.address),
        chain_id=network.chain_id,
    )
    needed = prepared.gas_limit * prepared.fees.max_fee
    if needed > prepared.balance:
        raise UsageError(
            f"{account.text} cannot pay for {call.what}",
            expected=f"{ether(needed)} ETH",
            got=f"{ether(prepared.balance)} ETH",
            hint="send it some, or use another account",
        )
    return prepared


def send(
    network: Network,
    prepared: Prepared,
    account: Account,
    *,
    outbox: Outbox | None = None,
    told: Callable[[str], None] | None = None,
) -> Receipt:
    """Sign, send and wait. `outbox` remembers what is out until it is mined; `told` hears what happens.

    Raises the contract's refusal, NodeRefusedError or NotMinedError.
    """
    for attempt in range(_NONCE_TRIES):
        with contextlib.ExitStack() as stack:
            if outbox is not None:
                stack.enter_context(outbox.locked(prepared.chain_id, account.address))
            sent = _sent_by_another(prepared, account, outbox, told)
            if sent is None:
                sent = _launch(network, prepared, account, outbox, last=attempt == _NONCE_TRIES - 1)
            if sent is None:
                continue
        try:
            return follow(network, sent, call=prepared.call, account=account, outbox=outbox, told=told)
        except NonceTakenError:
            # Ours can never be mined any more, so sending it again under the next nonce sends it once.
            if attempt == _NONCE_TRIES - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _sent_by_another(
    prepared: Prepared, account: Account, outbox: Outbox | None, told: Callable[[str], None] | None
) -> Sent | None:
    """What a second run of the same command sent while this one was prepared: whoever waits for that pays
    once.
    """
    sent = None
    if outbox is not None:
        sent = outbox.find(prepared.chain_id, account.address, prepared.call.key)
    if sent is not None and told is not None:
        told(f"another run sent transaction 0x{sent.hashes[0].hex()}: waiting for it")
    return sent


def _launch(
    network: Network, prepared: Prepared, account: Account, outbox: Outbox | None, *, last: bool
) -> Sent | None:
    """Sign, remember and hand to a node, in this order; None where the nonce is somebody else's by now."""
    sent = _sign(network, prepared, account)
    if outbox is not None:
        outbox.put(sent)
    try:
        if _taken(network, sent, last=last):
            return sent
    except NodeRefusedError:
        if outbox is not None:
            outbox.drop(sent)  # nobody took it: there is nothing to wait for
        raise
    if outbox is not None:
        outbox.drop(sent)
    return None


def _sign(network: Network, prepared: Prepared, account: Account) -> Sent:
    fields: dict[str, Any] = {
        "chainId": prepared.chain_id,
        "gas": prepared.gas_limit,
        "value": 0,
        "data": "0x" + prepared.call.data.hex(),
        "nonce": network.nonce(account.address),
    }
    if prepared.call.to is not None:
        fields["to"] = checksum_address(prepared.call.to)
    fees = prepared.fees
    return Sent(
        chain_id=prepared.chain_id,
        account=account.address,
        nonce=fields["nonce"],
        what=prepared.call.what,
        subject=prepared.call.key,
        epoch=prepared.call.epoch,
        fields=fields,
        max_fee=fees.max_fee,
        tip=fees.tip,
        fee_limit=prepared.fee_limit,
        signed=(account.sign_transaction(fields | fees.fields()),),
    )


def _taken(network: Network, sent: Sent, *, last: bool) -> bool:
    """Whether a node took it; False where its nonce is somebody else's by now."""
    (transaction,) = sent.hashes
    try:
        network.send_raw(sent.signed[0])
    except NodeRefusedError as error:
        if not any(words in str(error).lower() for words in _NONCE_WORDS):
            raise
        # A first node may have taken it, and its answer was lost: then the nonce is taken by ourselves,
        # and signing anew would send the same act twice.
        if not network.knows(transaction):
            if last:
                raise
            return False
    except UnreachableError as error:
        raise NotMinedError(
            f"nobody said whether transaction 0x{transaction.hex()} was taken: {error}",
            transaction=transaction,
            hint="it may still be mined; the same command again looks for it first",
        ) from error
    return True


def gwei(wei: int) -> str:
    """A price with as many digits as it has."""
    return _decimal(wei, 9)


def ether(wei: int) -> str:
    """An amount, to a millionth of a millionth."""
    return _decimal(wei // 10**6, 12)


def _decimal(units: int, digits: int) -> str:
    whole, part = divmod(units, 10**digits)
    text = f"{whole:,}.{part:0{digits}d}".rstrip("0").rstrip(".")
    if units and text == "0":
        return f"0.{'0' * (digits - 1)}1"
    return text
