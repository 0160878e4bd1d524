"""From a call to a mined transaction: prepared first (gas, cost, who pays), shown, then signed and sent.

Nothing is sent by preparing. A call that the contract would refuse fails while it is prepared, with its
reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger_client.config import checksum_address
from ledger_client.errors import NodeRefusedError, NotMinedError, UnreachableError, UsageError
from ledger_protocol.keccak import keccak256

if TYPE_CHECKING:
    from ledger_client.network import Call, Fees, Network, Receipt
    from ledger_client.signers import Account

# An estimate is exact for the state of now; another transaction mined before ours may make ours dearer.
_GAS_MARGIN_PERCENT = 20

# Somebody else used the same account between our look at the nonce and our sending: look again this often.
_NONCE_TRIES = 4
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
        """What it can cost at most, in wei."""
        return self.gas_limit * self.fees.max_fee

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
    if prepared.highest_cost > prepared.balance:
        raise UsageError(
            f"{account.text} cannot pay for {call.what}",
            expected=f"{ether(prepared.highest_cost)} ETH",
            got=f"{ether(prepared.balance)} ETH",
            hint="send it some, or use another account",
        )
    return prepared


def send(network: Network, prepared: Prepared, account: Account) -> Receipt:
    """Sign, send and wait. Raises the contract's refusal, NodeRefusedError or NotMinedError."""
    fields: dict[str, Any] = {
        "chainId": prepared.chain_id,
        "gas": prepared.gas_limit,
        "value": 0,
        "data": "0x" + prepared.call.data.hex(),
    }
    if prepared.call.to is not None:
        fields["to"] = checksum_address(prepared.call.to)
    if prepared.fees.tip is None:
        fields["gasPrice"] = prepared.fees.max_fee
    else:
        fields |= {
            "type": 2,
            "maxFeePerGas": prepared.fees.max_fee,
            "maxPriorityFeePerGas": prepared.fees.tip,
        }
    for attempt in range(_NONCE_TRIES):
        raw = account.sign_transaction(fields | {"nonce": network.nonce(account.address)})
        transaction = keccak256(raw)
        try:
            network.send_raw(raw)
        except NodeRefusedError as error:
            if not any(words in str(error).lower() for words in _NONCE_WORDS):
                raise
            # A first node may have taken it, and its answer was lost: then the nonce is taken by ourselves,
            # and signing anew would send the same act twice.
            if not network.knows(transaction):
                if attempt < _NONCE_TRIES - 1:
                    continue
                raise
        except UnreachableError as error:
            raise NotMinedError(
                f"nobody said whether transaction 0x{transaction.hex()} was taken: {error}",
                transaction=transaction,
                hint="it may still be mined: look before you send it again",
            ) from error
        return network.wait(transaction, call=prepared.call, sender=account.address)
    raise AssertionError("the loop returns or raises")


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
