"""Methods that run a transaction again, or a call, and tell what it did step by step, in geth's forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from local_chain.errors import ChainError
from local_chain.evm import NO_CHANGES
from local_chain.replay import replay_block, replay_call, replay_mined, replaying
from local_chain.rpc.overrides import block_overrides, known, state_overrides
from local_chain.rpc.quantities import (
    LATEST,
    BlockRef,
    InvalidParams,
    Json,
    block_hash,
    block_ref,
    boolean,
    hash32,
    hex_data,
    mapping,
    member,
    quantity,
)
from local_chain.rpc.registry import method, optional
from local_chain.rpc.state import call_from_json
from local_chain.tracing.budget import TraceBudget
from local_chain.tracing.calls import CallOptions, CallTracer
from local_chain.tracing.opcodes import OpcodeOptions, OpcodeTracer
from local_chain.tracing.prestate import PrestateOptions, PrestateTracer
from local_chain.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_chain.evm import Changes
    from local_chain.node import Node
    from local_chain.replay import Replayed


class Tracer(Watcher, Protocol):
    """A watcher that tells at the end what it saw."""

    def result(self, replayed: Replayed) -> Json:
        """What it saw, once the transaction has ended."""
        ...


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What to trace: ``make`` gives a new tracer for a node and the coinbase of the block that is run."""

    make: Callable[[Node, bytes], Tracer]
    changes: Changes
    visible: Mapping[str, Any] | None


def trace_options(value: Json) -> TraceOptions:
    """A trace object as geth takes it; times and re-execution bounds are for nodes that prune."""
    fields = known(value, _TRACE_FIELDS)
    name = fields.get("tracer")
    nothing: Mapping[str, Json] = {}
    config = member(fields, "tracerConfig", mapping, nothing)
    if name in (None, ""):
        make = _opcodes(fields)
    elif isinstance(name, str) and name in _TRACERS:
        make = _TRACERS[name](config)
    else:
        raise InvalidParams(f"tracer not found: expected {', '.join(_TRACERS)} or none, got {str(name)[:80]}")
    return TraceOptions(
        make,
        member(fields, "stateOverrides", state_overrides, NO_CHANGES),
        member(fields, "blockOverrides", block_overrides, None),
    )


@method("debug_traceTransaction", hash32, optional(trace_options))
def trace_transaction(node: Node, transaction_hash: bytes, options: TraceOptions | None) -> Json:
    """Run a mined transaction again on the state that it found."""
    mined = node.chain.store.transaction(transaction_hash)
    if mined is None:
        raise ChainError("transaction not found")
    options = options or trace_options({})
    tracer = options.make(node, node.chain.block_at(mined.number).header.coinbase)
    with replaying(node.chain):
        return tracer.result(replay_mined(node.chain, mined, tracer))


@method("debug_traceCall", mapping, optional(block_ref, LATEST), optional(trace_options))
def trace_call(node: Node, fields: Mapping[str, Json], ref: BlockRef, options: TraceOptions | None) -> Json:
    """Run a message, if accounts and the block were as the overrides say."""
    options = options or trace_options({})
    call, block = call_from_json(node, fields), node.resolve(ref)
    tracer = options.make(node, (options.visible or {}).get("coinbase", block.header.coinbase))
    with replaying(node.chain):
        replayed = replay_call(
            node.chain, call, block, tracer, changes=options.changes, visible=options.visible
        )
        return tracer.result(replayed)


@method("debug_traceBlockByNumber", block_ref, optional(trace_options))
@method("debug_traceBlockByHash", block_hash, optional(trace_options))
def trace_block(node: Node, ref: BlockRef, options: TraceOptions | None) -> Json:
    """Run every transaction of a block again."""
    options = options or trace_options({})
    block = node.resolve(ref)
    tracers = [options.make(node, block.header.coinbase) for _ in node.chain.store.transactions(block.number)]
    with replaying(node.chain):
        replayed = replay_block(node.chain, block, lambda mined: tracers[mined.position])
        return [
            {"txHash": hex_data(one.transaction.hash), "result": tracer.result(one)}
            for one, tracer in zip(replayed, tracers, strict=True)
        ]


def _opcodes(fields: Mapping[str, Json]) -> Callable[[Node, bytes], Tracer]:
    budget = TraceBudget()
    options = OpcodeOptions(
        memory=member(fields, "enableMemory", boolean, default=False),
        stack=not member(fields, "disableStack", boolean, default=False),
        storage=not member(fields, "disableStorage", boolean, default=False),
        returned=member(fields, "enableReturnData", boolean, default=False),
        limit=member(fields, "limit", quantity, 0),
    )
    return lambda _node, _coinbase: OpcodeTracer(options, budget)


def _calls(config: Mapping[str, Json]) -> Callable[[Node, bytes], Tracer]:
    fields = known(config, ("onlyTopCall", "withLog"))
    budget = TraceBudget()
    options = CallOptions(
        only_top=member(fields, "onlyTopCall", boolean, default=False),
        logs=member(fields, "withLog", boolean, default=False),
    )
    return lambda _node, _coinbase: CallTracer(options, budget)


def _prestate(config: Mapping[str, Json]) -> Callable[[Node, bytes], Tracer]:
    fields = known(config, ("diffMode", "disableCode", "disableStorage", "includeEmpty"))
    budget = TraceBudget()
    options = PrestateOptions(
        diff=member(fields, "diffMode", boolean, default=False),
        code=not member(fields, "disableCode", boolean, default=False),
        storage=not member(fields, "disableStorage", boolean, default=False),
        empty=member(fields, "includeEmpty", boolean, default=False),
    )
    return lambda node, coinbase: PrestateTracer(options, budget, node.chain.store.nodes, coinbase=coinbase)


_TRACERS: dict[str, Callable[[Mapping[str, Json]], Callable[[Node, bytes], Tracer]]] = {
    "callTracer": _calls,
    "prestateTracer": _prestate,
}
_TRACE_FIELDS = (
    "tracer",
    "tracerConfig",
    "timeout",
    "reexec",
    "enableMemory",
    "disableStack",
    "disableStorage",
    "enableReturnData",
    "limit",
    "stateOverrides",
    "blockOverrides",
)
