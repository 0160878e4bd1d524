"""Each rule set once through: what it takes, and a contract that is made, called, proved, traced and simulated."""

from __future__ import annotations

import json

import pytest

from local_chain.transactions import SET_CODE, Authorization
from tests.chain.conftest import GWEI
from tests.support.chain import RpcError

# Stores 5 in its first word; its code returns that word.
CREATION = "0x600560005560" + "0b6011600039600b6000f3" + "60005460005260206000f3"
FORKS = ["berlin", "london", "paris", "shanghai", "cancun", "prague"]
KINDS = {0: "berlin", 1: "berlin", 2: "london", 4: "prague"}
CHAIN_ID = 31_337


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fork", FORKS)
def test_a_chain_takes_the_transactions_of_its_fork_and_of_those_before(
    make_node, fork: str, kind: int
) -> None:
    node = make_node(fork=fork)
    fields = {"max_priority_fee": GWEI if kind > 1 else 3 * GWEI}
    if kind == SET_CODE:
        fields["authorizations"] = (Authorization(CHAIN_ID, bytes(20), 0, 0, 1, 1),)
    raw = node.signed(kind=kind, **fields)
    if FORKS.index(fork) >= FORKS.index(KINDS[kind]):
        assert node.send(raw)["type"] == hex(kind)
    else:
        with pytest.raises(
            RpcError, match=f"transaction type not supported: type {kind} needs {KINDS[kind]}"
        ):
            node.send(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "0x3"},
        {"blobVersionedHashes": ["0x01" + "00" * 31]},
        {"maxFeePerBlobGas": "0x1"},
        {"blobs": ["0x00"]},
    ],
)
@pytest.mark.parametrize(
    "method", ["eth_call", "eth_estimateGas", "eth_sendTransaction", "eth_signTransaction", "debug_traceCall"]
)
def test_blobs_are_refused_by_name_wherever_they_are_offered(node, method: str, fields: dict) -> None:
    who = node.rpc("eth_accounts")[0]
    with pytest.raises(RpcError, match=r"blob transactions .type 3. are not supported") as refused:
        node.rpc(method, {"from": who, "to": who} | fields)
    assert refused.value.code == -32602


@pytest.mark.parametrize("fork", FORKS)
def test_a_contract_lives_on_every_fork(make_node, fork: str) -> None:
    node = make_node(fork=fork)
    who = node.rpc("eth_accounts")[0]
    sent = node.rpc("eth_sendTransaction", {"from": who, "data": CREATION})
    receipt = node.rpc("eth_getTransactionReceipt", sent)
    contract = {"to": receipt["contractAddress"]}
    assert int(node.rpc("eth_call", contract), 16) == 5
    assert node.rpc("eth_call", contract, "0x0") == "0x"
    assert int(node.rpc("eth_estimateGas", contract), 16) > 21_000
    proof = node.rpc("eth_getProof", contract["to"], ["0x0"], receipt["blockHash"])
    assert (proof["storageProof"][0]["value"], len(proof["accountProof"]) > 0) == ("0x5", True)
    assert node.rpc("debug_traceTransaction", sent)["structLogs"][-1]["op"] == "RETURN"
    assert node.rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})["type"] == "CREATE"
    assert node.rpc("debug_traceCall", contract)["returnValue"].endswith("05")
    touched = node.rpc("debug_traceCall", contract, "latest", {"tracer": "prestateTracer"})
    assert touched[contract["to"]]["storage"] == {"0x" + "00" * 32: "0x" + f"{5:064x}"}
    simulated = node.rpc(
        "eth_simulateV1", {"blockStateCalls": [{"calls": [contract]}], "traceTransfers": True}
    )
    assert simulated[0]["calls"][0]["returnData"].endswith("05")


def test_berlins_blocks_receipts_and_simulations_have_no_base_fee(make_node) -> None:
    node = make_node(fork="berlin")
    receipt = node.send(node.signed())
    shown = [
        receipt,
        node.rpc("eth_getBlockByNumber", "latest", True),
        node.rpc("eth_getBlockByNumber", "pending", True),
        node.rpc("eth_getHeaderByNumber", "latest"),
        node.rpc("eth_simulateV1", {"blockStateCalls": [{}]}),
    ]
    assert "baseFee" not in json.dumps(shown)
    assert node.rpc("eth_feeHistory", "0x1", "latest")["baseFeePerGas"] == [
        "0x0",
        "0x0",
    ]  # as geth before London
