"""The method that simulates blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_chain.calls import failure
from local_chain.evm import NO_CHANGES
from local_chain.replay import replaying
from local_chain.rpc.overrides import block_overrides, known, nonce, state_overrides
from local_chain.rpc.quantities import (
    LATEST,
    BlockRef,
    InvalidParams,
    Json,
    block_ref,
    boolean,
    hex_data,
    hex_quantity,
    listing,
    mapping,
    member,
    quantity,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.state import call_from_json
from local_chain.rpc.views import header_json, log_json, transaction_json
from local_chain.simulation import (
    MAX_BLOCKS,
    SimulatedBlock,
    SimulatedCall,
    SimulationResult,
    simulate,
)
from local_chain.storage import StoredLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_chain.evm import Outcome
    from local_chain.node import Node

_NONE: tuple[Mapping[str, Json], ...] = ()
REVERTED, FAILED = 3, -32015  # of a call, in the specification's numbers


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate and how to show it."""

    blocks: tuple[Mapping[str, Json], ...]
    transfers: bool
    validation: bool
    full: bool


def simulation(value: Json) -> Simulation:
    """The specification's object."""
    fields = known(value, ("blockStateCalls", "traceTransfers", "validation", "returnFullTransactions"))
    blocks = member(fields, "blockStateCalls", listing(mapping, limit=MAX_BLOCKS), _NONE)
    if not blocks:
        raise InvalidParams("empty input: expected blockStateCalls")
    for block in blocks:
        known(block, ("blockOverrides", "stateOverrides", "calls"))
    return Simulation(
        blocks,
        transfers=member(fields, "traceTransfers", boolean, default=False),
        validation=member(fields, "validation", boolean, default=False),
        full=member(fields, "returnFullTransactions", boolean, default=False),
    )


@method("eth_simulateV1", simulation, optional(block_ref, LATEST))
def simulate_blocks(node: Node, wanted: Simulation, ref: BlockRef) -> Json:
    """Run calls in blocks of their own on top of a block, each seeing what those before it did."""
    base = node.resolve(ref)
    blocks = [_block(node, fields) for fields in wanted.blocks]
    with replaying(node.chain):
        results = simulate(node.chain, base, blocks, validation=wanted.validation, transfers=wanted.transfers)
    return [_result_json(result, full=wanted.full) for result in results]


def _block(node: Node, fields: Mapping[str, Json]) -> SimulatedBlock:
    nothing: Mapping[str, Json] = {}
    calls = member(fields, "calls", listing(mapping), _NONE)
    return SimulatedBlock(
        visible=member(fields, "blockOverrides", block_overrides, nothing),
        changes=member(fields, "stateOverrides", state_overrides, NO_CHANGES),
        calls=tuple(_call(node, call) for call in calls),
    )


def _call(node: Node, fields: Mapping[str, Json]) -> SimulatedCall:
    return SimulatedCall(
        call=call_from_json(node, fields),
        gas=member(fields, "gas", quantity, None),
        nonce=member(fields, "nonce", nonce, None),
        gas_price=member(fields, "gasPrice", quantity, None),
        max_fee=member(fields, "maxFeePerGas", quantity, 0),
        max_priority_fee=member(fields, "maxPriorityFeePerGas", quantity, 0),
    )


def _result_json(result: SimulationResult, *, full: bool) -> dict[str, Json]:
    block, header = result.block, result.block.header
    place = {"blockHash": hex_data(block.hash), "blockNumber": hex_quantity(block.number)}
    transactions: list[Json] = [
        transaction_json(one, base_fee=header.base_fee) | place | {"transactionIndex": hex_quantity(index)}
        if full
        else hex_data(one.hash)
        for index, one in enumerate(result.transactions)
    ]
    view = header_json(block)
    view |= {"size": hex_quantity(len(block.encode())), "uncles": [], "transactions": transactions}
    if header.withdrawals_root is not None:
        view["withdrawals"] = []
    return view | {"calls": _calls_json(result)}


def _calls_json(result: SimulationResult) -> list[Json]:
    block, views, position = result.block, [], 0
    for index, outcome in enumerate(result.outcomes):
        logs: list[Json] = []
        for log in result.logs[index]:
            stored = StoredLog(block.number, position, index, log.address, log.topics, log.data)
            position += 1
            logs.append(
                log_json(
                    stored,
                    block_hash=block.hash,
                    transaction_hash=result.transactions[index].hash,
                    timestamp=block.header.timestamp,
                )
            )
        views.append(_outcome_json(outcome) | {"logs": logs})
    return list[Json](views)


def _outcome_json(outcome: Outcome) -> dict[str, Json]:
    shown = outcome.output if outcome.error is None or outcome.reverted else b""
    view: dict[str, Json] = {
        "returnData": hex_data(shown),
        "gasUsed": hex_quantity(outcome.gas_used),
        "status": hex_quantity(int(outcome.error is None)),
    }
    if outcome.error is None:
        return view
    error: dict[str, Json] = {
        "code": REVERTED if outcome.reverted else FAILED,
        "message": str(failure(outcome)),
    }
    if outcome.reverted:
        error["data"] = hex_data(outcome.output)
    return view | {"error": error}
