"""Proofs fetched from a node: what devices and auditors verify without believing the node.

A proof is only assembled here; `ledger_protocol` verifies it. Node answers are read as hex and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger_client.config import checksum_address
from ledger_client.errors import NodeRefusedError, UsageError
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import contract_state, rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import MAX_ENVELOPES, MAX_NOTE_BYTES, LedgerProof, proof_from_rpc
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
)
from ledger_protocol.ledger.witness_note import verify_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ledger_client.ledger import Ledger
    from ledger_client.network import Network
    from ledger_protocol.ledger.witness_note import VerifiedNote
    from ledger_protocol.release.trust_root import TrustRoot

# A channel's published proof serves devices on any of its newest releases (protocol.md §5).
COVERED_RELEASES = 16

# Header fields in RLP order, by their JSON names (execution-apis; the optional ones came with London to
# Prague).
_HEADER_FIELDS = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom",
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot",
    "requestsHash",
)  # fmt: skip
_HEADER_QUANTITIES = frozenset(
    {
        "difficulty", "number", "gasLimit", "gasUsed", "timestamp",
        "baseFeePerGas", "blobGasUsed", "excessBlobGas",
    }
)  # fmt: skip
_BERLIN_FIELDS = 15


def raw_header(network: Network, number: int) -> bytes:
    """The sealed header's RLP at a height: from `debug_getRawHeader`, or rebuilt from the block's JSON.

    Not every node offers the debug methods; JSON carries the same fields, and the seals in extraData.
    """
    try:
        return _hex_bytes(network.rpc("debug_getRawHeader", hex(number)), "debug_getRawHeader")
    except NodeRefusedError:
        block = network.rpc("eth_getBlockByNumber", hex(number), False)
    if not isinstance(block, dict):
        raise NodeRefusedError(f"the node has no block {number}")
    fields: list[rlp.Item] = []
    for index, name in enumerate(_HEADER_FIELDS):
        value = block.get(name)
        if value is None and index >= _BERLIN_FIELDS:
            break
        raw = _hex_bytes(value, f"eth_getBlockByNumber: {name}")
        fields.append(raw.lstrip(b"\0") if name in _HEADER_QUANTITIES else raw)
    return rlp.encode(fields)


def ledger_proof(
    network: Network,
    *,
    ledger: bytes,
    keys: Sequence[bytes],
    journal: bytes | None = None,
    journal_keys: Sequence[bytes] = (),
    block: int | None = None,
    envelopes: Iterable[bytes] = (),
) -> LedgerProof:
    """A proof of storage keys of the ledger, and of the journal where asked, at one height (None: the
    newest).
    """
    number = network.block_number() if block is None else block
    answers = [_get_proof(network, ledger, keys, number)]
    if journal is not None and journal_keys:
        answers.append(_get_proof(network, journal, journal_keys, number))
    try:
        return proof_from_rpc(raw_header(network, number), *answers, envelopes=envelopes)
    except ProtocolError as error:
        raise NodeRefusedError(f"the node's eth_getProof makes no proof: {error}") from error


def channel_proof(
    ledger: Ledger,
    channel: bytes,
    *,
    groups: Sequence[int] = (),
    devices: Sequence[bytes] = (),
    journal: bytes | None = None,
    from_block: int = 0,
    block: int | None = None,
) -> LedgerProof:
    """The proof file of a channel: its head and word, the newest releases' revocations, the trust root and
    groups.

    `devices` (with `journal`) adds their own words. Envelopes of the covered releases travel as hints, newest
    first.
    """
    network = ledger.network
    number = network.block_number() if block is None else block
    newest: dict[bytes, bytes] = {}
    published = list(ledger.publications(from_block=from_block, to_block=number, channel=channel))
    for publication in reversed(published):
        if len(newest) == COVERED_RELEASES:
            break
        newest.setdefault(publication.release, publication.envelope)
    keys = [
        contract_state.head_key(channel),
        contract_state.word_key(channel),
        contract_state.trust_root_key(),
        *(contract_state.channel_of_key(group) for group in groups),
        *(contract_state.revoked_key(release) for release in newest),
    ]
    hints = [Cid(DAG_CBOR, digest).to_bytes() for digest in newest.values() if any(digest)]
    return ledger_proof(
        network,
        ledger=ledger.address,
        keys=keys,
        journal=journal,
        journal_keys=[contract_state.device_key(device) for device in devices],
        block=number,
        envelopes=hints[:MAX_ENVELOPES],
    )


def read_note(path: Path, root: TrustRoot) -> tuple[bytes, VerifiedNote]:
    """A file's note and what it says, checked as a device checks it.

    Raises UsageError, or ProtocolError where it does not hold.
    """
    if root.headers.witnesses is None:
        raise UsageError("the trust root pins no witnesses", hint="leave out --note")
    try:
        with path.open("rb") as stream:
            note = stream.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read note {path}", got=error.strerror or error) from error
    return note, verify_note(note, root.headers.witnesses)


def receipt_proof(
    network: Network, transaction: bytes, *, note_at: Callable[[int], bytes | None] = lambda _: None
) -> ReceiptProof:
    """A proof of a mined transaction's receipt, with its block's header and the note that `note_at` gives.

    Raises NodeRefusedError where the node does not know the transaction, or gives receipts that are not the
    block's.
    """
    found = network.rpc("eth_getTransactionReceipt", "0x" + transaction.hex())
    if not isinstance(found, dict):
        raise NodeRefusedError(f"the node knows no mined transaction 0x{transaction.hex()}")
    number = _quantity(found, "blockNumber")
    return block_receipt_proof(network, number, _quantity(found, "transactionIndex"), note=note_at(number))


def block_receipt_proof(
    network: Network, number: int, index: int, *, note: bytes | None = None
) -> ReceiptProof:
    """A proof of the receipt of a block's `index`-th transaction; `note` goes beside the header."""
    header = raw_header(network, number)
    encoded = [_encode_receipt(entry) for entry in _block_receipts(network, number)]
    try:
        parsed = parse_header(header)
        root = receipts_root(encoded)
        if parsed.receipts_root != root:
            raise NodeRefusedError(
                f"receipts of block {number} are not the block's",
                expected=f"receipts root {parsed.receipts_root.hex()}",
                got=root.hex(),
                hint="ask another node",
            )
        return ReceiptProof(header=header, index=index, nodes=build_receipt_proof(encoded, index), note=note)
    except ProtocolError as error:
        raise NodeRefusedError(f"receipts of block {number} make no proof: {error}") from error


def _get_proof(network: Network, account: bytes, keys: Sequence[bytes], number: int) -> dict[str, Any]:
    texts = ["0x" + key.hex() for key in keys]
    answer = network.rpc("eth_getProof", checksum_address(account), texts, hex(number))
    if not isinstance(answer, dict):
        raise NodeRefusedError("eth_getProof: the answer is not an object")
    return answer


def _block_receipts(network: Network, number: int) -> list[dict[str, Any]]:
    try:
        answer = network.rpc("eth_getBlockReceipts", hex(number))
    except NodeRefusedError:
        block = network.rpc("eth_getBlockByNumber", hex(number), False) or {}
        answer = [network.rpc("eth_getTransactionReceipt", tx) for tx in block.get("transactions", ())]
    if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
        raise NodeRefusedError(f"the node has no receipts of block {number}")
    return sorted(answer, key=lambda entry: _quantity(entry, "transactionIndex"))


def _encode_receipt(entry: dict[str, Any]) -> bytes:
    logs = entry.get("logs")
    if not isinstance(logs, list):
        raise NodeRefusedError("receipt: the node gives no list of logs")
    return Receipt(
        type=_quantity(entry, "type", missing=0),
        succeeded=_quantity(entry, "status") == 1,
        cumulative_gas_used=_quantity(entry, "cumulativeGasUsed"),
        bloom=_hex_bytes(entry.get("logsBloom"), "logsBloom"),
        logs=tuple(
            Log(
                _hex_bytes(log.get("address"), "address of a log"),
                tuple(_hex_bytes(topic, "topic") for topic in log.get("topics", ())),
                _hex_bytes(log.get("data"), "data of a log"),
            )
            for log in logs
        ),
    ).encode()


def _quantity(entry: dict[str, Any], name: str, *, missing: int | None = None) -> int:
    value = entry.get(name)
    if value is None and missing is not None:
        return missing
    try:
        return int(str(value), 16)
    except ValueError:
        raise NodeRefusedError(f"{name}: the node's answer is not a number", got=repr(value)[:40]) from None


def _hex_bytes(value: object, where: str) -> bytes:
    """Bytes of hex text; a quantity's missing leading zero is added."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise NodeRefusedError(f"{where}: the node's answer is not hex", got=repr(value)[:40])
    digits = value[2:]
    try:
        return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
    except ValueError:
        raise NodeRefusedError(f"{where}: the node's answer is not hex", got=repr(value)[:40]) from None
