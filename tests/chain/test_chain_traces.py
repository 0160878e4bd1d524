"""``debug_trace*``: what goes wrong first, then calls and blocks. tests/engines compares every step with geth's."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
import vyper
from eth_abi import encode

from ledger_protocol.keccak import keccak256
from local_chain.rpc import tracing
from local_chain.tracing import budget
from local_chain.tracing.opcodes import OpcodeTracer
from tests.support.chain import RpcError


def message(signature: str, *values: object) -> bytes:
    kinds = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(kinds, values)


@pytest.fixture(scope="module")
def code() -> bytes:
    source = Path(__file__).with_name("Nest.vy").read_text()
    return bytes.fromhex(vyper.compile_code(source, output_formats=["bytecode"])["bytecode"][2:])


@pytest.fixture
def nest(node, code: bytes) -> bytes:
    receipt = node.send(node.signed(to=None, value=0, data=code, gas=3_000_000))
    return bytes.fromhex(receipt["contractAddress"][2:])


def refusal(node, method: str, *params: object) -> str:
    with pytest.raises(RpcError) as caught:
        node.rpc(method, *params)
    return caught.value.message


def test_an_unknown_transaction_is_refused_in_geths_words(node) -> None:
    assert refusal(node, "debug_traceTransaction", "0x" + "11" * 32) == "transaction not found"


def test_genesis_cannot_be_traced(node) -> None:
    assert refusal(node, "debug_traceBlockByNumber", "0x0") == "genesis is not traceable"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tracer": "4byteTracer"}, "expected callTracer, prestateTracer or none"),
        ({"tracer": "{result: function() {}}"}, "tracer not found"),
        ({"disablestack": True}, "got disablestack"),
        ({"tracer": "callTracer", "tracerConfig": {"diffMode": True}}, "got diffMode"),
        ({"tracer": "prestateTracer", "tracerConfig": {"diffMode": 1}}, "diffMode: expected true or false"),
        ({"limit": -1}, "limit: expected a hex quantity"),
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(node, options: dict, said: str) -> None:
    assert said in refusal(node, "debug_traceCall", {}, "latest", options)


def test_a_trace_that_would_fill_the_memory_is_refused(
    node, nest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MAX_TRACE_BYTES", 10_000)
    call = {"to": "0x" + nest.hex(), "data": "0x" + message("store(uint256,uint256)", 1, 2).hex()}
    assert '"disableStack"' in refusal(node, "debug_traceCall", call)
    assert len(node.rpc("debug_traceCall", call, "latest", {"limit": 3})["structLogs"]) == 3


def test_a_traced_call_changes_nothing_and_sees_what_is_overridden(node, nest: bytes) -> None:
    who = "0x" + nest.hex()
    head = node.rpc("eth_getBlockByNumber", "latest", False)
    call = {"to": who, "data": "0x" + message("store(uint256,uint256)", 4, 6).hex()}
    total = "0x" + f"{1:064x}"
    options = {
        "tracer": "prestateTracer",
        "tracerConfig": {"diffMode": True},
        "stateOverrides": {who: {"balance": "0x7"}},
        "blockOverrides": {"feeRecipient": "0x" + "55" * 20},
    }
    trace = node.rpc("debug_traceCall", call, "latest", options)
    assert trace["pre"][who]["balance"] == "0x7"
    assert f"{6:064x}" in str(trace["post"][who]["storage"])
    assert node.rpc("eth_getBlockByNumber", "latest", False) == head
    assert node.rpc("eth_getStorageAt", who, total, "latest") == "0x" + "00" * 32


def test_a_call_that_is_given_less_gas_than_it_needs_tells_where_it_ended(node, nest: bytes) -> None:
    call = {
        "to": "0x" + nest.hex(),
        "data": "0x" + message("store(uint256,uint256)", 4, 6).hex(),
        "gas": hex(30_000),
    }
    trace = node.rpc("debug_traceCall", call)
    assert trace["failed"]
    assert (trace["structLogs"][-1]["op"], trace["structLogs"][-1]["error"]) == ("SSTORE", "out of gas")
    calls = node.rpc("debug_traceCall", call, "latest", {"tracer": "callTracer"})
    assert (calls["error"], calls["gasUsed"], calls["to"]) == ("out of gas", hex(30_000), call["to"])


def test_a_blocks_trace_holds_each_transaction_on_the_state_that_the_one_before_left(
    node, nest: bytes
) -> None:
    node.rpc("evm_setAutomine", False)
    nonce = node.chain.account(next(iter(node.node.accounts))).nonce
    raws = [
        node.signed(nonce=nonce + index, to=nest, value=0, data=message("store(uint256,uint256)", 1, word))
        for index, word in enumerate((5, 8))
    ]
    hashes = [node.rpc("eth_sendRawTransaction", "0x" + raw.hex()) for raw in raws]
    node.rpc("evm_mine")
    traced = node.rpc(
        "debug_traceBlockByNumber",
        "latest",
        {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}},
    )
    assert [one["txHash"] for one in traced] == hashes
    after = [sorted(one["result"]["post"]["0x" + nest.hex()]["storage"].values()) for one in traced]
    assert after == [["0x" + f"{5:064x}"] * 2, ["0x" + f"{8:064x}"] * 2]
    one_by_one = [
        node.rpc(
            "debug_traceTransaction", one, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
        )
        for one in hashes
    ]
    assert [one["result"] for one in traced] == one_by_one


def test_the_steps_gas_adds_up_to_the_receipts(node, nest: bytes) -> None:
    receipt = node.send(node.signed(to=nest, value=0, data=message("store(uint256,uint256)", 9, 1)))
    trace = node.rpc("debug_traceTransaction", receipt["transactionHash"])
    assert trace["gas"] == int(receipt["gasUsed"], 16)
    steps = trace["structLogs"]
    for step, after in itertools.pairwise(steps):
        assert step["gas"] - step["gasCost"] == after["gas"]
    intrinsic = 100_000 - steps[0]["gas"]
    assert intrinsic + sum(step["gasCost"] for step in steps) == trace["gas"]


DEEP = {"0x" + "dd" * 20: {"code": "0x5f5f5f5f5f305af100"}}  # calls itself until the gas is gone


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_call", [{"to": "0x" + "dd" * 20}, "latest", DEEP]),
        *(
            (
                "debug_traceCall",
                [{"to": "0x" + "dd" * 20}, "latest", {"stateOverrides": DEEP, "tracer": tracer}],
            )
            for tracer in ("", "callTracer", "prestateTracer")
        ),
        (
            "eth_simulateV1",
            [
                {
                    "blockStateCalls": [{"stateOverrides": DEEP, "calls": [{"to": "0x" + "dd" * 20}]}],
                    "traceTransfers": True,
                }
            ],
        ),
    ],
)
def test_calls_nested_deeper_than_pythons_stack_are_an_error_to_whoever_watches(
    node, monkeypatch: pytest.MonkeyPatch, method: str, params: list
) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)  # as if this were Python 3.12
    try:
        said = refusal(node, method, *params)
    finally:
        sys.setrecursionlimit(limit)
    assert "calls nested too deep for this Python" in said
    assert node.chain.store.nodes._open == {}
    assert node.send(node.signed())["status"] == "0x1"


class Broken(OpcodeTracer):
    """A tracer with a defect."""

    def step(self, step, machine) -> None:
        raise ZeroDivisionError


def test_a_tracer_that_fails_leaves_the_node_as_it_was(
    node, nest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "OpcodeTracer", Broken)
    call = {"to": "0x" + nest.hex(), "data": "0x" + message("store(uint256,uint256)", 1, 2).hex()}
    assert "the EVM failed on it: ZeroDivisionError" in refusal(node, "debug_traceCall", call)
    head = node.rpc("eth_getBlockByNumber", "latest", False)["transactions"][0]
    assert "the EVM failed on it: ZeroDivisionError" in refusal(node, "debug_traceTransaction", head)
    assert node.chain.store.nodes._open == {}
    assert node.send(node.signed())["status"] == "0x1"
