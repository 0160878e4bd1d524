"""Proofs and roots against independent implementations: ``trie``, ``rlp``, py-evm's receipts, and our own verifier."""

from __future__ import annotations

import eth_abi
import pytest
import rlp
from eth.db.trie import make_trie_root_and_nodes
from eth.vm.forks.prague.receipts import PragueReceiptBuilder
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_utils import function_signature_to_4byte_selector, keccak
from trie import HexaryTrie

from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.merkle_patricia import get as our_get
from local_chain.forks import Fork

FORKS = [Fork.BERLIN, Fork.LONDON, Fork.PRAGUE]


def octets(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def encoded(signature: str, *values) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    return function_signature_to_4byte_selector(signature) + eth_abi.encode(
        types.split(",") if types else [], values
    )


def values_slot(key: int) -> int:
    """Where Vyper keeps ``values[key]``: keccak(slot 1 ‖ key), slot 0 being its reentrancy lock."""
    return int.from_bytes(keccak((1).to_bytes(32, "big") + key.to_bytes(32, "big")), "big")


def prove(node, address: str, slots: list[int], number: int) -> dict:
    """Ask for a proof and have ``trie`` and our own verifier check every part of it."""
    proof = node.rpc("eth_getProof", address, [hex(slot) for slot in slots], hex(number))
    root = octets(node.rpc("eth_getBlockByNumber", hex(number), False)["stateRoot"])
    account = check(root, octets(address), [octets(item) for item in proof["accountProof"]])
    expected = (
        rlp.encode(
            [
                int(proof["nonce"], 16),
                int(proof["balance"], 16),
                octets(proof["storageHash"]),
                octets(proof["codeHash"]),
            ]
        )
        if account
        else b""
    )
    assert account == expected
    for entry, slot in zip(proof["storageProof"], slots, strict=True):
        nodes = [octets(item) for item in entry["proof"]]
        value = check(octets(proof["storageHash"]), slot.to_bytes(32, "big"), nodes) if nodes else b""
        word = int(entry["value"], 16)
        assert value == (rlp.encode(word) if word else b"")
    return proof


def check(root: bytes, key: bytes, nodes: list[bytes]) -> bytes:
    """What the proof shows, by two implementations that must agree; empty when it shows absence."""
    theirs = HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(node) for node in nodes])
    ours = our_get(root, keccak(key), NodeSet(nodes))
    assert (ours or b"") == theirs
    return theirs


@pytest.fixture(params=FORKS, ids=lambda fork: fork.label)
def stored(make_node, box, request):
    """A chain with a Box that has 40 values, and the height at which each was stored."""
    node = make_node(fork=request.param.label)
    receipt = node.send(node.signed(to=None, value=0, gas=1_500_000, data=octets(box["bytecode"])))
    assert receipt["status"] == "0x1"
    heights = {}
    for key in range(40):
        call = encoded("store(uint256,uint256)", key, key + 100)
        heights[key] = int(
            node.send(node.signed(to=octets(receipt["contractAddress"]), value=0, gas=200_000, data=call))[
                "blockNumber"
            ],
            16,
        )
    return node, receipt["contractAddress"], heights


def test_present_slots_are_proved_at_the_head(stored) -> None:
    node, address, _ = stored
    proof = prove(node, address, [values_slot(key) for key in range(40)], node.chain.head.number)
    assert [int(entry["value"], 16) for entry in proof["storageProof"]] == list(range(100, 140))


def test_absent_slots_are_proved_absent(stored) -> None:
    node, address, _ = stored
    proof = prove(
        node,
        address,
        [values_slot(key) for key in range(1000, 1040)] + [5, 2**256 - 1],
        node.chain.head.number,
    )
    assert {entry["value"] for entry in proof["storageProof"]} == {"0x0"}


def test_history_is_proved_as_it_was(stored) -> None:
    node, address, heights = stored
    for key in (0, 7, 39):
        before, after = (prove(node, address, [values_slot(key)], heights[key] - back) for back in (1, 0))
        assert before["storageProof"][0]["value"] == "0x0"
        assert int(after["storageProof"][0]["value"], 16) == key + 100


def test_an_absent_account_is_proved_absent(stored) -> None:
    node, _, _ = stored
    for number in (0, node.chain.head.number):
        proof = prove(node, "0x" + "99" * 20, [0], number)
        assert proof["accountProof"]
        assert (proof["nonce"], proof["balance"], proof["storageProof"][0]["proof"]) == ("0x0", "0x0", [])


def test_an_account_without_storage_has_the_empty_root(node) -> None:
    proof = prove(node, node.rpc("eth_accounts")[0], [0], 0)
    assert octets(proof["storageHash"]) == keccak(rlp.encode(b""))


def test_the_answer_writes_a_slot_as_it_was_asked(node) -> None:
    short, long = "0x1", "0x" + "00" * 31 + "01"
    proof = node.rpc("eth_getProof", node.rpc("eth_accounts")[0], [short, long], "latest")
    assert [entry["key"] for entry in proof["storageProof"]] == [short, long]


def test_receipts_and_transactions_have_the_roots_that_py_evm_computes(make_node, box) -> None:
    node = make_node()
    contract = node.send(node.signed(to=None, value=0, gas=1_500_000, data=octets(box["bytecode"])))[
        "contractAddress"
    ]
    raws = [
        node.signed(
            account=index,
            kind=kind,
            to=octets(contract),
            value=0,
            data=encoded("store(uint256,uint256)", index, word),
        )
        for index, (kind, word) in enumerate([(0, 1), (1, 13), (2, 3), (2, 4)])
    ]
    node.post(
        [
            {"jsonrpc": "2.0", "id": i, "method": "eth_sendRawTransaction", "params": ["0x" + raw.hex()]}
            for i, raw in enumerate(raws)
        ]
    )
    block = node.rpc("eth_getBlockByNumber", "latest", False)
    assert len(block["transactions"]) == len(raws), "what waits together is sealed together"
    receipts = [octets(item) for item in node.rpc("debug_getRawReceipts", "latest")]
    theirs = [PragueReceiptBuilder.decode(raw) for raw in receipts]
    assert [receipt.encode() for receipt in theirs] == receipts
    assert make_trie_root_and_nodes(theirs)[0] == octets(block["receiptsRoot"])
    transactions = [PragueTransactionBuilder.decode(raw) for raw in raws]
    assert make_trie_root_and_nodes(transactions)[0] == octets(block["transactionsRoot"])
    assert [receipt.state_root for receipt in theirs] == [b"\x01", b"", b"\x01", b"\x01"]
    bloom = 0
    for receipt in theirs:
        rebuilt = type(receipt._inner if hasattr(receipt, "_inner") else receipt)(
            receipt.state_root, receipt.gas_used, receipt.logs
        )
        assert rebuilt.bloom == receipt.bloom
        bloom |= receipt.bloom
    assert bloom == int(block["logsBloom"], 16) != 0
    assert theirs[-1].gas_used == int(block["gasUsed"], 16)
