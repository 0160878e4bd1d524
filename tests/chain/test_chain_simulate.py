"""``eth_simulateV1``: what cannot be simulated first, then blocks that build on one another."""

from __future__ import annotations

from pathlib import Path

import pytest
import vyper

from local_chain import simulation
from local_chain.transactions import contract_address
from tests.chain.test_chain_traces import message
from tests.support.chain import RpcError

RICH = "0x" + "c1" * 20
OTHER = "0x" + "c2" * 20
ETHER = "0x" + "ee" * 20


@pytest.fixture(scope="module")
def code() -> str:
    source = Path(__file__).with_name("Nest.vy").read_text()
    return vyper.compile_code(source, output_formats=["bytecode"])["bytecode"]


def run(node, *blocks: dict, at: str = "latest", **options) -> list:
    return node.rpc("eth_simulateV1", {"blockStateCalls": list(blocks), **options}, at)


def refused(node, *blocks: dict, **options) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        run(node, *blocks, **options)
    return caught.value.code, caught.value.message


def rich(*calls: dict, **overrides) -> dict:
    return {"stateOverrides": {RICH: {"balance": hex(10**18)}}, "calls": list(calls), **overrides}


@pytest.mark.parametrize(
    ("block", "options", "code", "said"),
    [
        ({"calls": [{"from": RICH, "nonce": "0x5"}]}, {"validation": True}, -38011, "nonce too high"),
        ({"calls": [{"from": RICH, "gas": "0x5"}]}, {}, -38013, "intrinsic gas too low"),
        ({"calls": [{"from": OTHER, "value": "0x5"}]}, {}, -38014, "insufficient funds"),
        (
            {"calls": [{"from": RICH}]},
            {"validation": True},
            -38012,
            "max fee per gas less than block base fee",
        ),
        ({"calls": [{"from": RICH, "gas": hex(31_000_000)}]}, {}, -38015, "block gas limit reached"),
        ({"blockOverrides": {"number": "0x0"}}, {}, -38020, "block numbers must be in order"),
        ({"blockOverrides": {"time": "0x1"}}, {}, -38021, "block timestamps must be in order"),
        ({"blockOverrides": {"number": "0x102"}}, {}, -38026, "too many blocks"),
        ({"blockoverrides": {}}, {}, -32602, "got blockoverrides"),
        (
            {"stateOverrides": {OTHER: {"movePrecompileToAddress": RICH}}},
            {},
            -32602,
            "got movePrecompileToAddress",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_the_specifications_number(
    node, block: dict, options: dict, code: int, said: str
) -> None:
    got, words = refused(node, rich() | block, **options)
    assert (got, said in words) == (code, True), words


def test_a_nonce_that_was_used_is_too_low(node) -> None:
    calls = [{"from": RICH, "to": OTHER, "nonce": "0x0", "gas": "0x5208", "maxFeePerGas": hex(10**11)}] * 2
    assert refused(node, rich(*calls, blockOverrides={"baseFeePerGas": "0x1"}), validation=True)[0] == -38010


def test_nothing_at_all_is_refused(node) -> None:
    assert refused(node)[0] == -32602


def test_blocks_see_what_the_blocks_before_them_did_and_the_chain_sees_nothing(node, code: str) -> None:
    head = node.rpc("eth_getBlockByNumber", "latest", False)
    deploy = {"from": RICH, "input": code}
    first = run(node, rich(deploy))[0]
    at = "0x" + node_address(RICH, 0)
    store = {"from": RICH, "to": at, "input": "0x" + message("store(uint256,uint256)", 7, 9).hex()}
    look = {"from": OTHER, "to": at, "input": "0x" + message("look()").hex()}
    blocks = run(node, rich(deploy), {"calls": [store]}, {"calls": [look]})
    assert blocks[0]["hash"] == first["hash"]
    assert [block["calls"][0]["status"] for block in blocks] == ["0x1"] * 3
    assert int(blocks[2]["calls"][0]["returnData"], 16) == 9
    assert blocks[1]["calls"][0]["logs"][0]["address"] == at
    assert [block["parentHash"] for block in blocks] == [head["hash"], blocks[0]["hash"], blocks[1]["hash"]]
    assert node.rpc("eth_getBlockByNumber", "latest", False) == head
    assert node.rpc("eth_getCode", at, "latest") == "0x"


def test_a_failed_call_tells_why_and_the_next_one_runs(node, code: str) -> None:
    at = "0x" + node_address(RICH, 0)
    fail = {"from": RICH, "to": at, "input": "0x" + message("fail()").hex()}
    look = {"from": RICH, "to": at, "input": "0x" + message("look()").hex()}
    endless = {"from": RICH, "input": "0x5b600056", "gas": hex(60_000)}
    calls = run(node, rich({"from": RICH, "input": code}, fail, look, endless))[0]["calls"]
    assert [call["status"] for call in calls] == ["0x1", "0x0", "0x1", "0x0"]
    assert calls[1]["error"]["code"] == 3
    assert calls[1]["error"]["message"] == "execution reverted: nest: failed"
    assert calls[1]["logs"] == []
    assert (calls[3]["error"], calls[3]["gasUsed"]) == (
        {"code": -32015, "message": "out of gas"},
        hex(60_000),
    )


def test_transfers_are_told_like_a_tokens_when_asked_for(node, code: str) -> None:
    at = "0x" + node_address(RICH, 0)
    give = message("give(address)", OTHER)
    calls = [
        {"from": RICH, "input": code},
        {"from": RICH, "to": at, "value": "0x5", "input": "0x" + give.hex()},
        {"from": RICH, "to": OTHER, "value": "0x3"},
        {"from": RICH, "to": at, "value": "0x4", "input": "0x12345678"},
    ]
    told = [call["logs"] for call in run(node, rich(*calls), traceTransfers=True)[0]["calls"]]
    moves = [
        [(log["topics"][1][26:], log["topics"][2][26:], int(log["data"], 16)) for log in logs]
        for logs in told
    ]
    assert moves == [
        [],
        [(RICH[2:], at[2:], 5), (at[2:], OTHER[2:], 5)],
        [(RICH[2:], OTHER[2:], 3)],
        [],
    ]
    assert {log["address"] for logs in told for log in logs} == {ETHER}
    assert [call["logs"] for call in run(node, rich(*calls))[0]["calls"]] == [[], [], [], []]


def test_a_gap_between_numbers_is_filled_with_empty_blocks(node) -> None:
    blocks = run(node, rich(blockOverrides={"number": "0x3", "time": hex(2**40)}))
    assert [int(block["number"], 16) for block in blocks] == [1, 2, 3]
    assert int(blocks[2]["timestamp"], 16) == 2**40


def test_the_header_says_what_was_overridden_and_carries_no_seals(node) -> None:
    fields = {
        "baseFeePerGas": "0x7",
        "feeRecipient": OTHER,
        "gasLimit": hex(9_000_000),
        "prevRandao": "0x" + "ab" * 32,
    }
    block = run(node, rich({"from": RICH}, blockOverrides=fields), returnFullTransactions=True)[0]
    assert (block["baseFeePerGas"], block["miner"], block["gasLimit"]) == ("0x7", OTHER, hex(9_000_000))
    assert (block["mixHash"], block["extraData"]) == ("0x" + "ab" * 32, "0x")
    assert block["transactions"][0]["from"] == RICH
    assert block["transactions"][0]["blockHash"] == block["hash"]


def test_fees_are_paid_where_they_are_offered(node) -> None:
    fee = {"gas": hex(100_000), "maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(10**9)}
    look = {"from": OTHER, "input": "0x73" + RICH[2:] + "3160005260206000f3"}
    money = {OTHER: {"balance": hex(10**18)}}
    left = {}
    for offer, validation in (({}, False), (fee, False), (fee, True)):
        call = {"from": RICH, "to": OTHER, **offer}
        blocks = run(
            node, rich(call), {"calls": [look | offer], "stateOverrides": money}, validation=validation
        )
        left[bool(offer), validation] = int(blocks[1]["calls"][0]["returnData"], 16)
    assert left[False, False] == 10**18
    assert left[True, False] == 10**18 - 21_000 * 10**9  # without a base fee, the tip alone
    assert left[True, True] < left[True, False]


def test_no_request_may_cost_more_gas_than_the_bound(make_node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "MAX_GAS", 1)  # then the bound is one real block
    node = make_node(gas_limit=5_000_000)
    endless = {"from": RICH, "input": "0x5b600056"}
    large = {"gasLimit": hex(2**40)}
    assert run(node, rich(endless, blockOverrides=large))[0]["calls"][0]["gasUsed"] == hex(5_000_000)
    assert refused(node, rich(endless, endless, blockOverrides=large))[0] == -38026


def node_address(sender: str, nonce: int) -> str:
    return contract_address(bytes.fromhex(sender[2:]), nonce).hex()
