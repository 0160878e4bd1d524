"""Collects evidence from an RPC node. The node's word decides only where we look; what it gave is proved
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger_client.audit.evidence import Evidence
from ledger_client.errors import NodeRefusedError
from ledger_client.proofs import block_receipt_proof, ledger_proof
from ledger_protocol.errors import LimitError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger_client.network import Network
    from ledger_protocol.ledger.proof import LedgerProof
    from ledger_protocol.release.trust_root import LedgerRef

# Public nodes refuse log queries over more blocks than this (10,000 is the usual limit).
_BLOCKS_PER_QUERY = 5_000


# Words asked for in one proof at first; a proof that grows over the protocol's bounds is asked for in halves.
_WORDS_PER_PROOF = 64


# The note of a block, or None where nobody has it.
NoteAt = Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True)
class StateEvidence:
    """Unverified: a ledger proof at block `number` over some words of the ledger, of the journal, or both."""

    number: int
    proof: LedgerProof


def collect(
    network: Network,
    ledger: LedgerRef,
    *,
    from_block: int,
    to_block: int,
    note_at: NoteAt = lambda _: None,
    known: Mapping[tuple[int, int], Evidence] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Evidence]:
    """Give evidence for every receipt in which the pair logged something, oldest first, both ends included.

    `note_at` gives the note of a block where headers need one; `known` is evidence that was collected before,
    by block and index: what it holds is not asked for again. `progress` is told blocks done and in all.
    Raises UnreachableError, NodeRefusedError.
    """
    held = known or {}
    for start in range(from_block, to_block + 1, _BLOCKS_PER_QUERY):
        end = min(start + _BLOCKS_PER_QUERY - 1, to_block)
        places = sorted(set(_places(network, ledger, start, end)))
        for block, index in places:
            found = held.get((block, index))
            yield found if found is not None else _evidence(network, block, index, note_at(block))
            if progress is not None:
                progress(block - from_block + 1, to_block - from_block + 1)
    if progress is not None:
        progress(to_block - from_block + 1, to_block - from_block + 1)


def collect_state(
    network: Network,
    ledger: LedgerRef,
    *,
    number: int,
    ledger_keys: Sequence[bytes],
    device_keys: Sequence[bytes],
    note: bytes | None = None,
) -> Iterator[StateEvidence]:
    """Give proofs of what the contracts' words say at a block, as many as the protocol's bounds ask for, each
    with the block's `note` where there is one.

    Raises UnreachableError, NodeRefusedError.
    """
    for keys in _batches(ledger_keys):
        yield from _state(network, ledger, number, keys, (), note)
    for keys in _batches(device_keys):
        yield from _state(network, ledger, number, (), keys, note)


def _batches(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _WORDS_PER_PROOF):
        yield keys[start : start + _WORDS_PER_PROOF]


def _state(
    network: Network,
    ledger: LedgerRef,
    number: int,
    keys: Sequence[bytes],
    device_keys: Sequence[bytes],
    note: bytes | None,
) -> Iterator[StateEvidence]:
    bare = ledger_proof(
        network,
        ledger=ledger.address,
        keys=keys,
        journal=ledger.journal,
        journal_keys=device_keys,
        block=number,
    )
    # The header stays: the auditor holds it against the note.
    proof = replace(bare, note=note)
    try:
        proof.encode()
    except LimitError as error:
        half = len(keys) // 2, len(device_keys) // 2
        if half == (0, 0):
            raise NodeRefusedError(f"the node's eth_getProof makes no proof: {error}") from error
        yield from _state(network, ledger, number, keys[: half[0]], device_keys[: half[1]], note)
        yield from _state(network, ledger, number, keys[half[0] :], device_keys[half[1] :], note)
        return
    except ProtocolError as error:
        raise NodeRefusedError(f"the node's eth_getProof makes no proof: {error}") from error
    yield StateEvidence(number, proof)


def _places(network: Network, ledger: LedgerRef, start: int, end: int) -> Iterator[tuple[int, int]]:
    query = {
        "fromBlock": hex(start),
        "toBlock": hex(end),
        "address": ["0x" + ledger.address.hex(), "0x" + ledger.journal.hex()],
    }
    answer = network.rpc("eth_getLogs", query)
    try:
        for log in answer:
            yield int(log["blockNumber"], 16), int(log["transactionIndex"], 16)
    except (TypeError, KeyError, ValueError) as error:
        raise NodeRefusedError(
            "eth_getLogs: the node's answer made no sense", expected="a list of logs"
        ) from error


def _evidence(network: Network, block: int, index: int, note: bytes | None) -> Evidence:
    transaction = network.rpc("eth_getTransactionByBlockNumberAndIndex", hex(block), hex(index))
    try:
        calldata = bytes.fromhex(transaction["input"].removeprefix("0x"))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise NodeRefusedError(
            f"transaction {index} of block {block}: the node's answer made no sense", expected="its input"
        ) from error
    return Evidence(block_receipt_proof(network, block, index, note=note), calldata)
