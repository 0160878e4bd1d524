"""Receipt proofs: a log proved against a header's receipts root (protocol.md §6; EIP-2718 for typed
receipts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, ProofError
from ledger_protocol.fields import Fields
from ledger_protocol.ledger import merkle_patricia, rlp, trie_builder
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import read_nodes, read_source
from ledger_protocol.limits import MAX_RECEIPT_PROOF_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_protocol.ledger.header import Header

SCHEMA = "fwledger/receipt-proof/1"
MAX_INDEX = 65_535  # transactions of a block; 21,000 gas each fill 1.4 billion gas
MAX_NODES = 16  # a path of three bytes crosses at most seven nodes
MAX_LOGS = 4_096  # 512 events a transaction, and room for other contracts' transactions
MAX_TOPICS = 4  # LOG4 is the EVM's largest
_LEGACY = 0
_TYPES = (1, 2, 3, 4)  # access list, fee market, blob, set code
_RECEIPT_ITEMS = 4  # status, cumulative gas used, bloom, logs
_LOG_ITEMS = 3  # address, topics, data
_BLOOM_BYTES = 256


@dataclass(frozen=True, slots=True)
class Log:
    """One log: the 20-byte address that wrote it, up to four 32-byte topics, ABI-encoded data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A transaction's receipt: its type (0 = legacy), whether it succeeded, gas used by the block up to it,
    and its logs.
    """

    type: int
    succeeded: bool
    cumulative_gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]

    def encode(self) -> bytes:
        """Give the receipt as it stands in the trie."""
        logs: list[rlp.Item] = [[log.address, list(log.topics), log.data] for log in self.logs]
        status = rlp.encode_scalar(int(self.succeeded))
        body = rlp.encode([status, rlp.encode_scalar(self.cumulative_gas_used), self.bloom, logs])
        return body if self.type == _LEGACY else bytes([self.type]) + body


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptProof:
    """An unverified proof of one receipt: the block's header (RLP), the transaction's index, trie nodes; a
    note beside it where witnesses are the trust.
    """

    header: bytes
    index: int
    nodes: tuple[bytes, ...]
    note: bytes | None = None

    def encode(self) -> bytes:
        """Give the document. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": SCHEMA,
                "header": self.header,
                "note": self.note,
                "index": self.index,
                "nodes": self.nodes,
            }
        )
        ReceiptProof.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> ReceiptProof:
        """Read a document. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=SCHEMA, max_bytes=MAX_RECEIPT_PROOF_BYTES)
        header, note = read_source(fields)
        if header is None:
            raise MalformedError(
                "receipt proof: header", expected="a header: its receipts root is needed", got="null"
            )
        index = fields.integer("index", high=MAX_INDEX)
        nodes = read_nodes(fields, max_count=MAX_NODES, max_node_bytes=MAX_RECEIPT_PROOF_BYTES)
        fields.end()
        return cls(header=header, index=index, nodes=nodes, note=note)


def verify_receipt(proof: ReceiptProof, *, header: Header) -> Receipt:
    """Give the receipt that a proof shows under a header that the caller has verified.

    Raises ProofError where the proof is for another header, leads nowhere, or shows that the block has no
    such transaction.
    """
    if proof.header != header.encode():
        raise ProofError("receipt proof: header", expected="the verified header", got="another")
    nodes = NodeSet(proof.nodes, max_nodes=MAX_NODES, max_node_bytes=MAX_RECEIPT_PROOF_BYTES)
    encoded = merkle_patricia.get(header.receipts_root, _key(proof.index), nodes)
    if encoded is None:
        raise ProofError(f"receipt {proof.index}", expected="a receipt", got="proven absent")
    try:
        return decode_receipt(encoded)
    except MalformedError as error:
        raise ProofError(f"receipt {proof.index} is not a receipt: {error}") from error


def decode_receipt(encoded: bytes) -> Receipt:
    """Read a legacy receipt or one of types 1 to 4. Raises MalformedError or LimitError."""
    if not encoded:
        raise MalformedError("receipt", expected="a receipt", got="no bytes")
    # A list is a legacy receipt; a byte before the list is the type, and 0 is not one.
    type_ = _LEGACY if encoded[0] >= 0xC0 else encoded[0]
    if encoded[0] < 0xC0 and type_ not in _TYPES:
        raise MalformedError("receipt: type", expected="a list or type 1 to 4", got=encoded[0])
    items = rlp.decode_list(encoded if type_ == _LEGACY else encoded[1:], max_depth=4)
    if len(items) != _RECEIPT_ITEMS:
        raise MalformedError("receipt: items", expected=_RECEIPT_ITEMS, got=len(items))
    status, gas, bloom, logs = items
    if status not in (b"", b"\x01"):
        raise MalformedError("receipt: status", expected="0 or 1", hint="state roots ended with Byzantium")
    if not isinstance(logs, list):
        raise MalformedError("receipt: logs", expected="a list", got="a byte string")
    if len(logs) > MAX_LOGS:
        raise LimitError("receipt: logs", expected=f"at most {MAX_LOGS}", got=len(logs))
    return Receipt(
        type=type_,
        succeeded=status == b"\x01",
        cumulative_gas_used=rlp.scalar(gas, max_bytes=8, what="receipt: gas used"),
        bloom=_octets(bloom, _BLOOM_BYTES, "receipt: bloom"),
        logs=tuple(map(_log, logs)),
    )


def build_receipt_proof(encoded_receipts: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Give the nodes that prove receipt `index` of a block, from all its receipts as the trie holds them,
    in order.
    """
    return _build(encoded_receipts, index)[1]


def receipts_root(encoded_receipts: Sequence[bytes]) -> bytes:
    """Give the receipts root of a block from all its receipts, to compare with its header's."""
    return _build(encoded_receipts, 0)[0]


def _build(encoded_receipts: Sequence[bytes], index: int) -> tuple[bytes, tuple[bytes, ...]]:
    entries = {_key(place): receipt for place, receipt in enumerate(encoded_receipts)}
    return trie_builder.build(entries, key=_key(index))


def _key(index: int) -> bytes:
    return rlp.encode(rlp.encode_scalar(index))


def _log(item: rlp.Item) -> Log:
    if not isinstance(item, list) or len(item) != _LOG_ITEMS:
        raise MalformedError("receipt: log", expected="a list of address, topics and data")
    address, topics, data = item
    if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
        raise MalformedError("receipt: topics", expected=f"a list of at most {MAX_TOPICS}")
    if isinstance(data, list):
        raise MalformedError("receipt: data", expected="a byte string", got="a list")
    return Log(
        address=_octets(address, 20, "receipt: address of a log"),
        topics=tuple(_octets(topic, 32, "receipt: topic") for topic in topics),
        data=data,
    )


def _octets(item: rlp.Item, size_bytes: int, what: str) -> bytes:
    if isinstance(item, list) or len(item) != size_bytes:
        raise MalformedError(
            what, expected=f"{size_bytes} bytes", got="a list" if isinstance(item, list) else len(item)
        )
    return item
