"""What a developer does with a chain of his own: overrides, access lists, signing, other people's accounts, the pool."""

from __future__ import annotations

import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.abi import function_abi_to_4byte_selector
from eth_utils.address import to_checksum_address

from ledger_protocol.ledger import qbft
from ledger_protocol.release.trust_root import QbftTrust
from tests.support.chain import RpcError

NOBODY = "0x" + "ab" * 20
LOADS_SLOT_7 = "0x60075460005260206000f3"  # PUSH1 7 SLOAD PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN
TIME_AND_PROPOSER = "0x426000524160205260406000f3"  # TIMESTAMP and COINBASE in two words
MAIL = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
        "Mail": [{"name": "to", "type": "address"}, {"name": "text", "type": "string"}],
    },
    "primaryType": "Mail",
    "domain": {"name": "post", "chainId": 31_337},
    "message": {"to": NOBODY, "text": "hello"},
}


def word(number: int) -> str:
    return "0x" + number.to_bytes(32, "big").hex()


@pytest.fixture
def held(node):
    """A node that seals only when told to."""
    assert node.rpc("evm_setAutomine", False) is True
    return node


def transfer(node, **fields) -> str:
    return node.rpc("eth_sendTransaction", {"from": node.rpc("eth_accounts")[0], "to": NOBODY, **fields})


# --- refusals


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("eth_call", [{}, "latest", {NOBODY: {"blance": "0x1"}}], "got blance"),
        ("eth_call", [{}, "latest", {NOBODY: {"state": {"0x1": "0x1"}}}], "expected hex data"),
        ("eth_call", [{}, "latest", {NOBODY: {"nonce": "0x1" + "0" * 16}}], "at most 64 bits"),
        ("eth_call", [{}, "latest", {"0x12": {}}], "expected 20 bytes"),
        ("eth_call", [{}, "latest", {hex(10**40 + i): {} for i in range(1_025)}], "at most 1024 entries"),
        ("eth_call", [{}, "latest", {}, {"timestamp": "0x1"}], "got timestamp"),
        ("eth_estimateGas", [{}, "latest", []], "expected an object"),
        ("eth_createAccessList", [{"to": "0x1"}], "expected hex data"),
        ("eth_signTypedData_v4", [NOBODY, "{"], "expected typed data as JSON"),
        ("eth_signTypedData_v4", [NOBODY, "[" * 40], "levels of nesting"),
        ("anvil_setBalance", [NOBODY, "0x1" + "0" * 64], "hex quantity"),
        ("anvil_setStorageAt", [NOBODY, "0x0", "0x1"], "expected hex data"),
        ("evm_setAutomine", [1], "expected true or false"),
    ],
)
def test_wrong_parameters_are_named(node, method: str, params: list, says: str) -> None:
    with pytest.raises(RpcError) as refused:
        node.rpc(method, *params)
    assert (refused.value.code, says in refused.value.message) == (-32602, True), refused.value.message


@pytest.mark.parametrize(
    "method", ["eth_sign", "eth_signTypedData_v4", "eth_signTransaction", "eth_sendTransaction"]
)
def test_nothing_is_signed_for_a_stranger(node, method: str) -> None:
    params = {"eth_sign": [NOBODY, "0x00"], "eth_signTypedData_v4": [NOBODY, MAIL]}
    with pytest.raises(RpcError, match="unknown account: expected one of eth_accounts"):
        node.rpc(method, *params.get(method, [{"from": NOBODY, "to": NOBODY}]))


@pytest.mark.parametrize(
    "broken",
    [{}, {**MAIL, "primaryType": "Letter"}, {**MAIL, "message": {"to": 7, "text": 8}}, {**MAIL, "types": 1}],
)
def test_typed_data_that_is_none_is_a_wrong_parameter(node, broken: dict) -> None:
    with pytest.raises(RpcError, match="invalid argument 1: not typed data") as refused:
        node.rpc("eth_signTypedData_v4", node.rpc("eth_accounts")[0], broken)
    assert refused.value.code == -32602


def test_blobs_are_refused_by_name(node) -> None:
    with pytest.raises(RpcError, match="blob transactions"):
        transfer(node, blobVersionedHashes=["0x01" + "00" * 31])


def test_the_verbs_answer_on_loopback_only(make_node) -> None:
    node = make_node()
    node.privileged = False
    for method, params in (
        ("anvil_setBalance", [NOBODY, "0x1"]),
        ("hardhat_impersonateAccount", [NOBODY]),
        ("evm_setAutomine", [False]),
        ("eth_signTransaction", [{}]),
    ):
        with pytest.raises(RpcError, match="is for loopback only"):
            node.rpc(method, *params)
    assert node.chain.head.number == 0


def test_a_nonce_cannot_be_taken_back(node) -> None:
    node.rpc("anvil_setNonce", NOBODY, "0x5")
    with pytest.raises(RpcError, match="the nonce can only grow"):
        node.rpc("anvil_setNonce", NOBODY, "0x4")
    assert node.rpc("eth_getTransactionCount", NOBODY) == "0x5"


# --- overrides


def test_a_call_finds_the_code_storage_and_balance_that_it_was_given(node) -> None:
    call = {"to": NOBODY}
    code = {"code": LOADS_SLOT_7}
    assert node.rpc("eth_call", call, "latest", {NOBODY: code}) == word(0)
    assert node.rpc("eth_call", call, "latest", {NOBODY: code | {"stateDiff": {"0x7": word(9)}}}) == word(9)
    assert node.rpc("eth_call", call, "latest", {NOBODY: code | {"state": {word(7): word(8)}}}) == word(8)
    rich = {NOBODY: {"balance": "0x64"}}
    poor = {"from": NOBODY, "to": "0x" + "01" * 20, "value": "0x64"}
    with pytest.raises(RpcError, match="insufficient"):
        node.rpc("eth_call", poor)
    assert node.rpc("eth_call", poor, "latest", rich) == "0x"
    assert node.rpc("eth_estimateGas", poor, None, rich) == hex(21_000)
    assert (node.rpc("eth_getCode", NOBODY), node.rpc("eth_getBalance", NOBODY)) == ("0x", "0x0")


def test_given_storage_takes_the_place_of_all_that_is_stored(node) -> None:
    node.rpc("anvil_setCode", NOBODY, LOADS_SLOT_7)
    node.rpc("anvil_setStorageAt", NOBODY, "0x7", word(3))
    assert node.rpc("eth_call", {"to": NOBODY}) == word(3)
    assert node.rpc("eth_call", {"to": NOBODY}, "latest", {NOBODY: {"stateDiff": {"0x1": word(1)}}}) == word(
        3
    )
    assert node.rpc("eth_call", {"to": NOBODY}, "latest", {NOBODY: {"state": {"0x1": word(1)}}}) == word(0)
    assert node.rpc("eth_call", {"to": NOBODY}) == word(3)


def test_a_call_sees_the_block_that_it_was_given(node) -> None:
    code = {NOBODY: {"code": TIME_AND_PROPOSER}}
    block = {"time": "0x77", "feeRecipient": "0x" + "cc" * 20}
    seen = node.rpc("eth_call", {"to": NOBODY}, "latest", code, block)
    assert seen == word(0x77) + "00" * 12 + "cc" * 20


# --- access lists


def test_an_access_list_names_what_a_call_uses_and_makes_it_cheaper(node, box: dict) -> None:
    who = node.rpc("eth_accounts")[0]
    made = node.rpc("eth_sendTransaction", {"from": who, "data": box["bytecode"]})
    at = node.rpc("eth_getTransactionReceipt", made)["contractAddress"]
    store = next(entry for entry in box["abi"] if entry.get("name") == "store")
    data = "0x" + function_abi_to_4byte_selector(store).hex() + word(1)[2:] + word(2)[2:]
    listed = node.rpc("eth_createAccessList", {"from": who, "to": at, "data": data})
    assert [entry["address"] for entry in listed["accessList"]] == [at]
    assert listed["accessList"][0]["storageKeys"]
    sent = node.rpc(
        "eth_sendTransaction", {"from": who, "to": at, "data": data, "accessList": listed["accessList"]}
    )
    assert node.rpc("eth_getTransactionReceipt", sent)["gasUsed"] == listed["gasUsed"]


def test_a_plain_transfer_needs_no_access_list(node) -> None:
    listed = node.rpc(
        "eth_createAccessList", {"from": node.rpc("eth_accounts")[0], "to": NOBODY, "value": "0x1"}
    )
    assert listed == {"accessList": [], "gasUsed": hex(21_000)}


def test_an_access_list_of_a_failing_call_says_why(node) -> None:
    listed = node.rpc("eth_createAccessList", {"to": NOBODY}, "latest", {NOBODY: {"code": "0x600754fe"}})
    assert listed["accessList"] == [{"address": NOBODY, "storageKeys": [word(7)]}]
    assert listed["error"] == "invalid opcode: INVALID"


# --- signing


def test_messages_are_signed_as_eth_account_verifies_them(node) -> None:
    who = node.rpc("eth_accounts")[0]
    assert to_checksum_address(who) == Account.recover_message(
        encode_defunct(b"hi"), signature=node.rpc("personal_sign", "0x6869", who, None)
    )
    for method in ("eth_signTypedData", "eth_signTypedData_v3", "eth_signTypedData_v4"):
        for form in (MAIL, json.dumps(MAIL)):
            signature = node.rpc(method, who, form)
            signer = Account.recover_message(encode_typed_data(full_message=MAIL), signature=signature)
            assert signer == to_checksum_address(who)


def test_a_signed_transaction_is_not_sent_until_it_is(node) -> None:
    who = node.rpc("eth_accounts")[0]
    signed = node.rpc("eth_signTransaction", {"from": who, "to": NOBODY, "value": "0x9"})
    assert (node.rpc("eth_blockNumber"), signed["tx"]["blockHash"]) == ("0x0", None)
    assert to_checksum_address(who) == Account.recover_transaction(signed["raw"])
    assert node.rpc("eth_sendRawTransaction", signed["raw"]) == signed["tx"]["hash"]
    assert node.rpc("eth_getBalance", NOBODY) == "0x9"
    mined = ["eth_getRawTransactionByBlockNumberAndIndex", "eth_getRawTransactionByBlockHashAndIndex"]
    at = ["latest", node.rpc("eth_getBlockByNumber", "latest")["hash"]]
    assert [node.rpc(m, a, "0x0") for m, a in zip(mined, at, strict=True)] == [signed["raw"]] * 2
    assert [node.rpc(m, a, "0x1") for m, a in zip(mined, at, strict=True)] == [None] * 2
    assert node.rpc(mined[0], "0x99", "0x0") is None


# --- other people's accounts


@pytest.mark.parametrize("fork", ["berlin", "prague"])
@pytest.mark.parametrize("family", ["anvil", "hardhat"])
def test_accounts_are_what_they_were_set_to_and_the_proofs_and_headers_hold(
    make_node, fork: str, family: str
) -> None:
    node = make_node(fork=fork)
    node.rpc(f"{family}_setBalance", NOBODY, "0x64")
    node.rpc(f"{family}_setNonce", NOBODY, "0x3")
    node.rpc(f"{family}_setCode", NOBODY, LOADS_SLOT_7)
    node.rpc(f"{family}_setStorageAt", NOBODY, "0x7", word(5))
    assert node.rpc("eth_call", {"to": NOBODY}) == word(5)
    proof = node.rpc("eth_getProof", NOBODY, ["0x7"], "latest")
    assert (proof["balance"], proof["nonce"], proof["storageProof"][0]["value"]) == ("0x64", "0x3", "0x5")
    assert node.rpc("eth_getBalance", NOBODY, "0x0") == "0x0"
    trust = QbftTrust(validators=tuple(node.node.identities), min_validators=4)
    for number in range(1, node.chain.head.number + 1):
        raw = bytes.fromhex(node.rpc("debug_getRawHeader", hex(number))[2:])
        assert qbft.verify_seals(raw, trust).number == number


def test_what_was_set_survives_a_restart_and_is_undone_by_a_revert(make_node, tmp_path) -> None:
    first = make_node(state=tmp_path)
    first.rpc("anvil_setBalance", NOBODY, "0x1")
    mark = first.rpc("evm_snapshot")
    first.rpc("anvil_setBalance", NOBODY, "0x2")
    assert first.rpc("evm_revert", mark) is True
    assert first.rpc("eth_getBalance", NOBODY) == "0x1"
    first.chain.store.close()
    assert make_node(state=tmp_path).rpc("eth_getBalance", NOBODY) == "0x1"


def test_the_next_timestamp_waits_for_a_block_of_transactions(node) -> None:
    wanted = node.chain.head.header.timestamp + 1_000
    node.rpc("evm_setNextBlockTimestamp", wanted)
    node.rpc("anvil_setBalance", NOBODY, "0x1")
    node.rpc("evm_mine")
    assert int(node.rpc("eth_getBlockByNumber", "latest")["timestamp"], 16) == wanted


@pytest.mark.parametrize(
    "fields", [{}, {"gasPrice": hex(2 * 10**9)}, {"accessList": [], "gasPrice": hex(2 * 10**9)}]
)
def test_an_impersonated_account_sends_without_a_key_until_it_is_stopped(node, fields: dict) -> None:
    node.rpc("anvil_setBalance", NOBODY, hex(10**18))
    node.rpc("anvil_setCode", NOBODY, "0x00")  # a contract, as impersonated accounts often are
    node.rpc("anvil_impersonateAccount", NOBODY)
    send = {"from": NOBODY, "to": "0x" + "cd" * 20, "value": "0x5", **fields}
    sent = node.rpc("eth_sendTransaction", send)
    receipt = node.rpc("eth_getTransactionReceipt", sent)
    assert (receipt["from"], receipt["status"], node.rpc("eth_getBalance", send["to"])) == (
        NOBODY,
        "0x1",
        "0x5",
    )
    assert node.rpc("eth_getTransactionByHash", sent)["from"] == NOBODY
    node.rpc("anvil_stopImpersonatingAccount", NOBODY)
    with pytest.raises(RpcError, match="unknown account"):
        node.rpc("eth_sendTransaction", send)
    node.rpc("anvil_autoImpersonateAccount", True)
    assert node.rpc("eth_sendTransaction", send) != sent


def test_nobody_else_can_send_an_impersonated_transaction(make_node) -> None:
    node, other = make_node(), make_node()
    node.rpc("anvil_autoImpersonateAccount", True)
    for each in (node, other):
        each.rpc("anvil_setBalance", NOBODY, hex(10**18))
    sent = node.rpc("eth_sendTransaction", {"from": NOBODY, "to": NOBODY})
    raw = node.rpc("eth_getRawTransactionByHash", sent)
    balance = other.rpc("eth_getBalance", NOBODY)
    with pytest.raises(RpcError):
        other.rpc("eth_sendRawTransaction", raw)
    assert other.rpc("eth_getBalance", NOBODY) == balance


def test_tips_go_to_the_coinbase_that_was_set(node) -> None:
    node.rpc("hardhat_setCoinbase", NOBODY)
    node.rpc("eth_sendTransaction", {"from": node.rpc("eth_accounts")[0], "to": "0x" + "01" * 20})
    assert node.rpc("eth_getBlockByNumber", "latest")["miner"] == NOBODY
    assert int(node.rpc("eth_getBalance", NOBODY), 16) == 21_000 * 10**9


# --- the pool


def test_without_automine_transactions_wait_until_a_block_is_mined(held) -> None:
    sent = [transfer(held), transfer(held)]
    assert (held.rpc("hardhat_getAutomine"), held.rpc("eth_blockNumber")) == (False, "0x0")
    assert held.rpc("eth_getTransactionReceipt", sent[0]) is None
    held.rpc("evm_mine")
    assert held.rpc("eth_getBlockByNumber", "latest")["transactions"] == sent
    waiting = transfer(held)
    held.rpc("anvil_setAutomine", True)
    assert held.rpc("eth_getTransactionReceipt", waiting)["blockNumber"] == "0x2"


def test_the_pool_shows_what_can_run_and_what_waits_for_an_earlier_nonce(held) -> None:
    who = to_checksum_address(held.rpc("eth_accounts")[0])
    ready, queued = transfer(held, value="0x7"), transfer(held, nonce="0x5")
    assert held.rpc("txpool_status") == {"pending": "0x1", "queued": "0x1"}
    content = held.rpc("txpool_content")
    assert content["pending"][who]["0"]["hash"] == ready
    assert content["queued"][who]["5"]["hash"] == queued
    assert held.rpc("txpool_contentFrom", who) == {
        "pending": content["pending"][who],
        "queued": content["queued"][who],
    }
    line = held.rpc("txpool_inspect")["pending"][who]["0"]
    assert line.startswith(f"{to_checksum_address(NOBODY)}: 7 wei + 21000 gas × ")


def test_waiting_transactions_can_be_dropped(held) -> None:
    sent = [transfer(held), transfer(held, nonce="0x3")]
    assert held.rpc("anvil_dropTransaction", sent[0]) == sent[0]
    assert held.rpc("anvil_dropTransaction", sent[0]) is None
    held.rpc("anvil_dropAllTransactions")
    assert held.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}


@pytest.mark.parametrize("method", ["evm_increaseTime", "anvil_increaseTime"])
def test_time_moves_forward(node, method: str) -> None:
    before = node.chain.head.header.timestamp
    assert node.rpc(method, "0xe10") == "0xe10"
    node.rpc("evm_mine")
    assert node.chain.head.header.timestamp >= before + 3_600


def test_the_pending_block_shows_what_waits(held) -> None:
    sent = transfer(held)
    pending = held.rpc("eth_getBlockByNumber", "pending", False)
    assert (pending["number"], pending["hash"], pending["transactions"]) == ("0x1", None, [sent])
    assert pending["parentHash"] == held.rpc("eth_getBlockByNumber", "latest")["hash"]
    assert held.rpc("eth_getBlockByNumber", "pending", True)["transactions"][0]["hash"] == sent


# --- delegated accounts (EIP-7702)


def authorization(node, **changed) -> dict:
    secret = list(node.node.accounts.values())[1].secret_key
    fields = {"chainId": 31_337, "address": NOBODY, "nonce": 0} | changed
    signed = Account.sign_authorization(fields, secret)
    return {
        "chainId": hex(signed.chain_id),
        "address": "0x" + bytes(signed.address).hex(),
        "nonce": hex(signed.nonce),
        "yParity": hex(signed.y_parity),
        "r": hex(signed.r),
        "s": hex(signed.s),
    }


def test_a_call_runs_the_code_that_its_authorization_delegates_to(node) -> None:
    node.rpc("anvil_setCode", NOBODY, TIME_AND_PROPOSER)
    owner = node.rpc("eth_accounts")[1]
    assert node.rpc("eth_call", {"to": owner}) == "0x"
    assert len(node.rpc("eth_call", {"to": owner, "authorizationList": [authorization(node)]})) == 2 + 2 * 64
    for void in (
        authorization(node, chainId=5),
        authorization(node, nonce=1),
        authorization(node) | {"s": "0x0"},
    ):
        assert node.rpc("eth_call", {"to": owner, "authorizationList": [void]}) == "0x"
    with pytest.raises(RpcError, match="yParity: expected 0 or 1"):
        node.rpc("eth_call", {"to": owner, "authorizationList": [authorization(node) | {"yParity": "0x2"}]})


@pytest.mark.parametrize("fields", [{}, {"gas": hex(200_000)}])
def test_an_unlocked_account_sends_an_authorization_with_gas_enough(node, fields: dict) -> None:
    sender, owner = node.rpc("eth_accounts")[:2]
    listed = {"from": sender, "to": owner, "authorizationList": [authorization(node)], **fields}
    sent = node.rpc("eth_sendTransaction", listed)
    receipt = node.rpc("eth_getTransactionReceipt", sent)
    assert (receipt["status"], receipt["type"]) == ("0x1", "0x4")
    assert node.rpc("eth_getCode", owner) == "0xef0100" + NOBODY[2:]
    assert int(receipt["gasUsed"], 16) >= 21_000 + 12_500
