"""One way to reach a chain. web3 stays behind this module and `contract.py`: its exceptions never leave.

Nothing that a node says is trusted because it said so; what a release or an audit rests on is proved
(`ledger_client.proofs`). Reads here serve people's screens and the preview of transactions.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from eth_abi.exceptions import EncodingError
from web3 import Web3
from web3.exceptions import (
    BadFunctionCallOutput,
    ContractLogicError,
    MismatchedABI,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
    Web3ValidationError,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import RPCEndpoint

from ledger_client.errors import (
    NodeRefusedError,
    RevertedError,
    UsageError,
    WrongLedgerError,
)
from ledger_client.refusals import refusal
from ledger_client.rpc import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger_client.config import ChainConfig


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction says: `data` for the contract at `to` (None creates one); `what` names it to
    people.

    `subject` names it to a later run of the same command: what it does, but for deadlines; empty = its data.
    `epoch` is the one that its act spends.
    """

    to: bytes | None
    data: bytes
    what: str
    subject: str = ""
    epoch: int | None = None

    @property
    def key(self) -> str:
        """Its subject, or its bytes' digest where it has none."""
        return self.subject or bytes(Web3.keccak((self.to or b"") + self.data)).hex()


@dataclass(frozen=True, slots=True)
class Fees:
    """What a unit of gas may cost, in wei. `tip` None means the chain has no base fee: a plain gasPrice."""

    max_fee: int
    tip: int | None

    def fields(self) -> dict[str, int]:
        """As a transaction names them."""
        if self.tip is None:
            return {"gasPrice": self.max_fee}
        return {"type": 2, "maxFeePerGas": self.max_fee, "maxPriorityFeePerGas": self.tip}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. `logs` are as the node gave them, for `contract.py` to decode."""

    transaction: bytes
    block_number: int
    gas_used: int
    price: int
    contract: bytes | None
    logs: tuple[Any, ...]

    @property
    def cost(self) -> int:
        """What was paid, in wei."""
        return self.gas_used * self.price


class Network:
    """A chain behind one or more RPC nodes."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int | None,
        timeout_s: float,
        receipt_timeout_s: float,
        raise_fee_after_s: float = 60.0,
    ) -> None:
        self._nodes = Nodes(urls, expected_chain_id=chain_id, timeout_s=timeout_s)
        self.receipt_timeout_s = receipt_timeout_s
        self.raise_fee_after_s = raise_fee_after_s
        self.web3 = Web3(self._nodes)
        # QBFT and Clique chains carry seals in extraData; plain web3 refuses such blocks.
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.chain_id = self._chain_id()

    def close(self) -> None:
        """Close kept connections."""
        self._nodes.close()

    def rpc(self, method: str, *params: object) -> Any:
        """The raw `result` of a JSON-RPC call. Raises NodeRefusedError when the node answers with an
        error.
        """
        with translated(method):
            answer = self._nodes.make_request(RPCEndpoint(method), list(params))
        if "error" in answer:
            error = answer["error"]
            message = error.get("message") if isinstance(error, dict) else error
            raise NodeRefusedError(f"the node refused {method}: {str(message)[:200]}")
        return answer["result"]

    def block_number(self) -> int:
        """The newest block's height, as the node says."""
        with translated("eth_blockNumber"):
            return int(self.web3.eth.block_number)

    def block_time(self, number: int | Literal["latest"] = "latest") -> int:
        """A block's timestamp (Unix seconds), as the node says."""
        with translated("eth_getBlockByNumber"):
            return int(self.web3.eth.get_block(number)["timestamp"])

    def code(self, address: bytes) -> bytes:
        """A contract's runtime code; empty where there is none."""
        with translated("eth_getCode"):
            return bytes(self.web3.eth.get_code(Web3.to_checksum_address(address)))

    def balance(self, address: bytes) -> int:
        """In wei."""
        with translated("eth_getBalance"):
            return int(self.web3.eth.get_balance(Web3.to_checksum_address(address)))

    def nonce(self, address: bytes) -> int:
        """The next free nonce, counting what waits in the pool."""
        with translated("eth_getTransactionCount"):
            return int(self.web3.eth.get_transaction_count(Web3.to_checksum_address(address), "pending"))

    def used_nonces(self, address: bytes) -> int:
        """How many transactions of an account are mined: the nonce of the next one that can be."""
        with translated("eth_getTransactionCount"):
            return int(self.web3.eth.get_transaction_count(Web3.to_checksum_address(address), "latest"))

    def fees(self) -> Fees:
        """What to offer: twice the base fee plus a tip, or the node's gasPrice on chains without EIP-1559."""
        with translated("fees"):
            base = self.web3.eth.get_block("latest").get("baseFeePerGas")
            if base is None:
                return Fees(max_fee=int(self.web3.eth.gas_price), tip=None)
            try:
                tip = int(self.rpc("eth_maxPriorityFeePerGas"), 16)
            except NodeRefusedError:  # not every node offers the method; its gasPrice holds base fee and tip
                tip = max(int(self.web3.eth.gas_price) - int(base), 0)
            return Fees(max_fee=2 * int(base) + tip, tip=tip)

    def estimate(self, call: Call, *, sender: bytes) -> int:
        """The gas that a call would use now. Raises the contract's refusal when it would be refused."""
        with translated(call.what):
            return int(self.web3.eth.estimate_gas(_fields(call, sender=sender)))

    def send_raw(self, raw: bytes) -> bytes:
        """Hand a signed transaction to a node; its hash. A node that has it already is no error."""
        digest = bytes(Web3.keccak(raw))
        try:
            with translated("eth_sendRawTransaction"):
                return bytes(self.web3.eth.send_raw_transaction(raw))
        except NodeRefusedError as error:
            if "already known" in str(error).lower() or "known transaction" in str(error).lower():
                return digest
            raise

    def knows(self, transaction: bytes) -> bool:
        """Whether a node has a transaction, mined or waiting in its pool."""
        with translated("eth_getTransactionByHash"), contextlib.suppress(TransactionNotFound):
            self.web3.eth.get_transaction(transaction)  # type: ignore[arg-type]
            return True
        return False

    def receipt(self, transaction: bytes, *, call: Call, sender: bytes) -> Receipt | None:
        """The receipt of a transaction, None where there is none yet. Raises the contract's refusal for a
        call that failed on chain.

        One that the node's newest state does not hold yet is none: geth shows receipts a moment before that,
        and a second node may be behind.
        """
        with translated("eth_getTransactionReceipt"):
            try:
                found = self.web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
            except TransactionNotFound:
                return None
            if self.web3.eth.block_number < found["blockNumber"]:
                return None
            if found["status"] != 1:
                self._explain(call, sender=sender, block=int(found["blockNumber"]))
            created = found.get("contractAddress")
            return Receipt(
                transaction=transaction,
                block_number=int(found["blockNumber"]),
                gas_used=int(found["gasUsed"]),
                price=int(found.get("effectiveGasPrice") or 0),
                contract=bytes.fromhex(created[2:]) if created else None,
                logs=tuple(found["logs"]),
            )

    def _explain(self, call: Call, *, sender: bytes, block: int) -> None:
        """Ask for the reason of a mined failure by calling again on the state it met; always raises."""
        with translated(call.what):
            self.web3.eth.call(_fields(call, sender=sender), block)
        raise RevertedError(f"{call.what} failed on chain, and gives no reason when it is called again")

    def _chain_id(self) -> int:
        with translated("eth_chainId"):
            return int(self.web3.eth.chain_id)


def connect(config: ChainConfig) -> Network:
    """Connect to the chain of the configuration.

    Raises UnreachableError when no node answers, WrongLedgerError when one is on another chain than
    `chain_id`.
    """
    return Network(
        config.rpc,
        chain_id=config.chain_id,
        timeout_s=config.timeout_s,
        receipt_timeout_s=config.receipt_timeout_s,
        raise_fee_after_s=config.raise_fee_after_s,
    )


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Let no web3 exception through: each becomes one of `ledger_client.errors`. TransactionNotFound
    passes.
    """
    try:
        yield
    except TransactionNotFound:
        raise
    except ContractLogicError as error:
        raise refusal(str(error), error.data, call=what) from error
    except BadFunctionCallOutput as error:
        raise WrongLedgerError(f"no contract that knows {what} at this address") from error
    except Web3RPCError as error:
        raise NodeRefusedError(f"the node refused {what}: {_rpc_message(error)}") from error
    except (Web3ValidationError, MismatchedABI, EncodingError) as error:
        raise UsageError(f"an argument of {what} does not fit the contract", got=str(error)[:200]) from error
    except (Web3Exception, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # web3 formats answers before it checks their kind, so a lying node surfaces as any of these.
        raise NodeRefusedError(f"{what}: the node's answer made no sense: {str(error)[:200]}") from error


def _fields(call: Call, *, sender: bytes) -> Any:
    fields: dict[str, object] = {"from": Web3.to_checksum_address(sender), "data": "0x" + call.data.hex()}
    if call.to is not None:
        fields["to"] = Web3.to_checksum_address(call.to)
    return fields


def _rpc_message(error: Web3RPCError) -> str:
    response = error.rpc_response or {}
    detail = response.get("error")
    message = detail.get("message") if isinstance(detail, dict) else None
    return str(message or error)[:200]
