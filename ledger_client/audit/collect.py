"""Collects evidence from an RPC node. The node's word decides only where we look; what it gave is proved
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.audit.evidence import Evidence
from ledger_client.errors import NodeRefusedError
from ledger_client.proofs import block_receipt_proof, ledger_proof
from ledger_protocol.ledger import contract_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ledger_client.network import Network
    from ledger_protocol.ledger.proof import LedgerProof
    from ledger_protocol.release.trust_root import LedgerRef

# Public nodes refuse log queries over more blocks than this (10,000 is the usual limit).
_BLOCKS_PER_QUERY = 5_000


@dataclass(frozen=True, slots=True)
class StateEvidence:
    """Unverified: a ledger proof at block `number` over the words of the ledger, and of the devices in the
    journal.
    """

    number: int
    proof: LedgerProof


def collect(
    network: Network, ledger: LedgerRef, *, to_block: int, progress: Callable[[int, int], None] | None = None
) -> Iterator[Evidence]:
    """Give evidence for every receipt in which the pair logged something, oldest first, up to `to_block`.

    `progress` is told blocks done and blocks in all. Raises UnreachableError, NodeRefusedError.
    """
    first = ledger.from_block
    for start in range(first, to_block + 1, _BLOCKS_PER_QUERY):
        end = min(start + _BLOCKS_PER_QUERY - 1, to_block)
        places = sorted(set(_places(network, ledger, start, end)))
        for block, index in places:
            yield _evidence(network, block, index)
            if progress is not None:
                progress(block - first + 1, to_block - first + 1)
    if progress is not None:
        progress(to_block - first + 1, to_block - first + 1)


def collect_state(
    network: Network,
    ledger: LedgerRef,
    *,
    number: int,
    channels: Iterable[bytes],
    groups: Iterable[int],
    releases: Iterable[bytes],
    device: bytes | None,
) -> StateEvidence:
    """Give a proof of what the contracts' words say at a block: for the channels, groups and releases, and
    a device.
    """
    keys = [contract_state.trust_root_key()]
    for channel in channels:
        keys += [contract_state.head_key(channel), contract_state.word_key(channel)]
    keys += [contract_state.channel_of_key(group) for group in groups]
    keys += [contract_state.revoked_key(release) for release in releases]
    proof = ledger_proof(
        network,
        ledger=ledger.address,
        keys=keys,
        journal=ledger.journal,
        journal_keys=() if device is None else [contract_state.device_key(device)],
        block=number,
    )
    return StateEvidence(number, proof)


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


def _evidence(network: Network, block: int, index: int) -> Evidence:
    transaction = network.rpc("eth_getTransactionByBlockNumberAndIndex", hex(block), hex(index))
    try:
        calldata = bytes.fromhex(transaction["input"].removeprefix("0x"))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise NodeRefusedError(
            f"transaction {index} of block {block}: the node's answer made no sense", expected="its input"
        ) from error
    return Evidence(block_receipt_proof(network, block, index), calldata)
