"""Snapshots, resets and clocks: what listeners are told when blocks are gone, and who makes the next one."""

from __future__ import annotations

import asyncio
import json

import pytest
from eth_utils import function_signature_to_4byte_selector

from local_chain import server
from local_chain.channels import Channel
from local_chain.library import LocalChain
from local_chain.rpc import subscriptions
from local_chain.rpc.dispatch import answer
from tests.support.chain import RpcError, wait_until

NOBODY = "0x" + "ab" * 20


@pytest.fixture
def box_at(node, box) -> str:
    return node.send(node.signed(to=None, data=bytes.fromhex(box["bytecode"][2:]), gas=3_000_000))[
        "contractAddress"
    ]


def store(node, box_at: str, key: int) -> None:
    data = function_signature_to_4byte_selector("store(uint256,uint256)")
    data += key.to_bytes(32, "big") + (1).to_bytes(32, "big")
    receipt = node.send(node.signed(to=bytes.fromhex(box_at[2:]), data=data, value=0))
    assert receipt["status"] == "0x1"


def keys(logs: list[dict]) -> list[tuple[int, bool]]:
    return [(int(log["topics"][1], 16), log["removed"]) for log in logs]


# --- refusals


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("anvil_reset", [{"forking": {"jsonRpcUrl": "http://127.0.0.1:1"}}], "does not fork another one"),
        ("hardhat_reset", ["0x"], "expected an object"),
        ("evm_setIntervalMining", ["0xffffffff"], "at most 31536000 s"),
        ("anvil_setNextBlockBaseFeePerGas", [None], "expected a hex quantity"),
    ],
)
def test_what_cannot_be_is_refused(node, method: str, params: list, says: str) -> None:
    with pytest.raises(RpcError, match=says):
        node.rpc(method, *params)


def test_a_base_fee_needs_a_fork_that_has_one(make_node) -> None:
    with pytest.raises(RpcError, match="base fees came with london"):
        make_node(fork="berlin").rpc("anvil_setNextBlockBaseFeePerGas", "0x1")


def test_an_unknown_snapshot_changes_nothing(node) -> None:
    node.rpc("evm_mine")
    assert node.rpc("evm_revert", "0x9") is False
    assert node.rpc("eth_blockNumber") == "0x1"


# --- logs that are gone


def test_a_filter_tells_logs_that_were_reverted_as_removed_newest_first(node, box_at: str) -> None:
    told, untold = (node.rpc("eth_newFilter", {"address": box_at}) for _ in range(2))
    store(node, box_at, 1)
    mark = node.rpc("evm_snapshot")
    store(node, box_at, 2)
    store(node, box_at, 3)
    assert keys(node.rpc("eth_getFilterChanges", told)) == [(1, False), (2, False), (3, False)]
    node.rpc("evm_revert", mark)
    store(node, box_at, 4)
    assert keys(node.rpc("eth_getFilterChanges", told)) == [(3, True), (2, True), (4, False)]
    assert node.rpc("eth_getFilterChanges", told) == []
    assert keys(node.rpc("eth_getFilterChanges", untold)) == [(1, False), (4, False)]


def test_a_block_filter_tells_every_block_that_took_the_place_of_another(node) -> None:
    blocks = node.rpc("eth_newBlockFilter")
    mark = node.rpc("evm_snapshot")
    node.rpc("anvil_mine", "0x3")
    node.rpc("eth_getFilterChanges", blocks)
    node.rpc("evm_revert", mark)
    node.rpc("anvil_mine", "0x3")
    made = [node.rpc("eth_getBlockByNumber", hex(number))["hash"] for number in (1, 2, 3)]
    assert node.rpc("eth_getFilterChanges", blocks) == made


def test_a_filter_whose_client_would_be_told_too_much_is_forgotten(node, box_at: str, monkeypatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_LOGS", 1)
    changes = node.rpc("eth_newFilter", {"address": box_at})
    mark = node.rpc("evm_snapshot")
    store(node, box_at, 1)
    store(node, box_at, 2)
    node.rpc("eth_getFilterChanges", changes)
    node.rpc("evm_revert", mark)
    with pytest.raises(RpcError, match="filter not found"):
        node.rpc("eth_getFilterChanges", changes)


def test_a_subscriber_is_told_of_logs_that_are_gone(node, box_at: str) -> None:
    subscriptions.publish(node.node)
    messages: list[dict] = []
    channel = Channel(lambda message: messages.append(json.loads(message)["params"]["result"]))
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", {"address": box_at}]}
    answer(node.node, json.dumps(request).encode(), privileged=True, channel=channel)
    mark = node.rpc("evm_snapshot")
    store(node, box_at, 1)
    store(node, box_at, 2)
    node.rpc("evm_revert", mark)
    assert keys(messages) == [(1, False), (2, False), (2, True), (1, True)]


# --- a new beginning


def test_a_reset_leaves_the_first_block_alone(node, box_at: str) -> None:
    first = node.rpc("eth_getBlockByNumber", "0x0")
    logs = node.rpc("eth_newFilter", {"address": box_at})
    store(node, box_at, 1)
    node.rpc("eth_getFilterChanges", logs)
    mark = node.rpc("evm_snapshot")
    node.rpc("anvil_impersonateAccount", NOBODY)
    node.rpc("anvil_setCoinbase", NOBODY)
    node.rpc("evm_increaseTime", "0xe10")
    assert node.rpc("hardhat_reset", {"forking": {"blockNumber": None}}) is True
    assert node.rpc("eth_getBlockByNumber", "latest") == first
    assert keys(node.rpc("eth_getFilterChanges", logs)) == [(1, True)]
    assert node.rpc("evm_revert", mark) is False
    with pytest.raises(RpcError, match="unknown account"):
        node.rpc("eth_sendTransaction", {"from": NOBODY, "to": NOBODY})
    assert node.send(node.signed())["status"] == "0x1"
    made = node.rpc("eth_getBlockByNumber", "latest")
    assert made["miner"] != NOBODY
    assert int(made["timestamp"], 16) < int(first["timestamp"], 16) + 3_600


# --- the next block


def test_the_next_block_alone_has_the_base_fee_that_was_set(node) -> None:
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(2 * 10**9))
    assert node.rpc("eth_getBlockByNumber", "pending")["baseFeePerGas"] == hex(2 * 10**9)
    receipt = node.send(node.signed(max_fee=5 * 10**9))
    assert receipt["effectiveGasPrice"] == hex(3 * 10**9)
    node.rpc("evm_mine")
    assert int(node.rpc("eth_getBlockByNumber", "latest")["baseFeePerGas"], 16) < 2 * 10**9


def test_blocks_come_by_the_clock_until_automining_is_set() -> None:
    with LocalChain() as chain:
        assert chain.rpc("anvil_getIntervalMining") is None
        chain.rpc("evm_setIntervalMining", 1)
        assert (chain.rpc("anvil_getIntervalMining"), chain.rpc("anvil_getAutomine")) == (1, False)
        wait_until(lambda: int(chain.rpc("eth_blockNumber"), 16) >= 2, "two blocks came")
        chain.rpc("evm_setAutomine", True)
        assert (chain.rpc("anvil_getIntervalMining"), chain.rpc("anvil_getAutomine")) == (None, True)


def test_a_clock_that_is_stopped_seals_no_more(node) -> None:
    async def scene() -> None:
        worker = server.Worker()
        ticks = server._clock(node.node, worker)
        node.node.set_block_time(0.01)
        await anext(ticks)
        assert node.chain.head.number == 1
        node.node.set_block_time(None)
        await anext(ticks)  # woken by the change
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(ticks), 0.1)
        assert node.chain.head.number == 1
        worker.close()

    asyncio.run(scene())


def test_a_transaction_is_completed_and_not_sent(node) -> None:
    who = node.rpc("eth_accounts")[0]
    filled = node.rpc("eth_fillTransaction", {"from": who, "to": NOBODY, "value": "0x1"})
    assert filled["tx"] | {"gas": "0x5208", "nonce": "0x0", "from": who, "to": NOBODY} == filled["tx"]
    assert filled["raw"].startswith("0x02")
    assert node.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    with pytest.raises(RpcError, match="signature"):
        node.rpc("eth_sendRawTransaction", filled["raw"])


def test_an_account_is_told_as_a_whole(node) -> None:
    node.rpc("anvil_setCode", NOBODY, "0x6001")
    assert node.rpc("eth_getAccountInfo", NOBODY) == {"balance": "0x0", "nonce": "0x0", "code": "0x6001"}
    assert node.rpc("eth_getAccountInfo", NOBODY, "0x0")["code"] == "0x"
