"""What clients meet: web3.py against a real process, and the rules of single methods in process."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware

from ledger_protocol.ledger import qbft
from ledger_protocol.release.trust_root import QbftTrust, Validator
from tests.chain.test_chain_proofs import encoded, octets
from tests.support.chain import RpcError, RunningChain, chain_process, post, wait_until


@pytest.fixture(scope="module")
def w3(chain: RunningChain) -> Web3:
    web3 = Web3(Web3.HTTPProvider(chain.url))
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return web3


@pytest.fixture(scope="module")
def boxed(w3: Web3, box: dict):
    """A Box, deployed by an unlocked account through web3."""
    factory = w3.eth.contract(abi=box["abi"], bytecode=box["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(
        factory.constructor().transact({"from": w3.eth.accounts[0]})
    )
    assert receipt.status == 1
    return w3.eth.contract(address=receipt.contractAddress, abi=box["abi"])


def test_the_chain_looks_as_anvil_does(w3: Web3) -> None:
    assert (w3.eth.chain_id, w3.net.version) == (31_337, "31337")
    assert w3.client_version.startswith("fwledger-chain/v")
    assert len(w3.eth.accounts) == 10
    assert w3.eth.accounts[0] == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert w3.eth.get_balance(w3.eth.accounts[9], 0) == w3.to_wei(10_000, "ether")
    assert w3.eth.syncing is False


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_raw_transactions_of_each_type_are_mined(w3: Web3, kind: int) -> None:
    account = Account.create()
    w3.eth.wait_for_transaction_receipt(
        w3.eth.send_transaction({"from": w3.eth.accounts[1], "to": account.address, "value": 10**18})
    )
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9} if kind == 2 else {"gasPrice": 10**10}
    fields = {"type": kind} if kind else {}
    fields |= {"accessList": []} if kind else {}
    transaction = {
        "to": w3.eth.accounts[2],
        "value": 7,
        "gas": 30_000,
        "nonce": 0,
        "chainId": 31_337,
        **fees,
        **fields,
    }
    sent = w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    mined = w3.eth.get_transaction(sent)
    assert (receipt.status, receipt.type, receipt.gasUsed) == (1, kind, 21_000)
    assert (mined["from"], mined["value"], mined["type"]) == (account.address, 7, kind)
    assert mined["gasPrice"] == receipt.effectiveGasPrice
    spent = 10**18 - w3.eth.get_balance(account.address)
    assert spent == 7 + 21_000 * receipt.effectiveGasPrice


def test_a_contract_is_called_changed_and_read_back_at_any_height(w3: Web3, boxed) -> None:
    sent = boxed.functions.store(1, 41).transact({"from": w3.eth.accounts[0]})
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    assert boxed.functions.values(1).call() == 41
    assert boxed.functions.values(1).call(block_identifier=receipt.blockNumber - 1) == 0
    assert boxed.events.Stored().process_receipt(receipt)[0]["args"] == {
        "key": 1,
        "by": w3.eth.accounts[0],
        "word": 41,
    }


def test_logs_are_found_by_range_address_and_topic(w3: Web3, boxed) -> None:
    first = w3.eth.block_number + 1
    for key in (500, 501, 502):
        w3.eth.wait_for_transaction_receipt(
            boxed.functions.store(key, key).transact({"from": w3.eth.accounts[3]})
        )
    found = boxed.events.Stored().get_logs(from_block=first, argument_filters={"key": [500, 502]})
    assert [log["args"]["key"] for log in found] == [500, 502]
    by = boxed.events.Stored().get_logs(from_block=first, argument_filters={"by": w3.eth.accounts[3]})
    assert [log["args"]["key"] for log in by] == [500, 501, 502]
    assert boxed.events.Stored().get_logs(from_block=first, argument_filters={"by": w3.eth.accounts[4]}) == []


def test_a_revert_carries_its_reason_and_its_data(w3: Web3, boxed, chain: RunningChain) -> None:
    with pytest.raises(ContractLogicError, match="box: unlucky"):
        boxed.functions.store(1, 13).call()
    with pytest.raises(ContractLogicError, match="box: unlucky"):
        boxed.functions.store(1, 13).transact({"from": w3.eth.accounts[0]})
    call = {"to": boxed.address, "data": boxed.encode_abi("store", [1, 13])}
    with pytest.raises(RpcError, match="execution reverted: box: unlucky") as refused:
        chain.rpc("eth_call", call, "latest")
    assert (refused.value.code, refused.value.data[:10]) == (3, "0x08c379a0")


def test_a_revert_without_a_reason_is_a_revert_with_empty_data(boxed, chain: RunningChain) -> None:
    with pytest.raises(RpcError) as refused:
        chain.rpc("eth_call", {"to": boxed.address, "data": boxed.encode_abi("fail_silently", [])}, "latest")
    assert (refused.value.code, refused.value.message, refused.value.data) == (3, "execution reverted", "0x")


def test_a_failing_transaction_with_its_own_gas_is_mined_as_failed(w3: Web3, boxed) -> None:
    sent = boxed.functions.store(1, 13).transact({"from": w3.eth.accounts[0], "gas": 100_000})
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    assert (receipt.status, receipt.logs) == (0, [])


def test_every_header_of_the_process_passes_the_devices_verifier(
    w3: Web3, boxed, chain: RunningChain
) -> None:
    trust = QbftTrust(
        validators=tuple(Validator(v.address, v.public_key) for v in chain.validators), min_validators=4
    )
    for number in range(1, w3.eth.block_number + 1):
        header = qbft.verify_seals(octets(chain.rpc("debug_getRawHeader", hex(number))), trust)
        assert qbft.block_hash(header) == bytes(w3.eth.get_block(number)["hash"])


def test_fee_history_and_prices_let_a_client_price_a_transaction(w3: Web3) -> None:
    history = w3.eth.fee_history(4, "latest", [25, 75])
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1
    assert all(len(reward) == 2 for reward in history["reward"])
    assert w3.eth.gas_price >= history["baseFeePerGas"][-1]
    assert w3.eth.max_priority_fee == 10**9


def test_block_and_transaction_views_agree(w3: Web3, boxed) -> None:
    sent = boxed.functions.store(9, 99).transact({"from": w3.eth.accounts[5]})
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    block = w3.eth.get_block(receipt.blockNumber, full_transactions=True)
    whole = w3.eth.get_transaction(sent)
    assert block["transactions"][receipt.transactionIndex] == whole
    assert w3.eth.get_transaction_by_block(receipt.blockHash, receipt.transactionIndex) == whole
    assert w3.eth.get_block_receipts(receipt.blockNumber)[receipt.transactionIndex] == receipt
    assert w3.eth.get_block(receipt.blockHash)["number"] == receipt.blockNumber
    assert w3.eth.get_raw_transaction(sent)


def test_a_batch_is_answered_in_order_with_its_ids(chain: RunningChain) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": name, "method": name} for name in ("eth_chainId", "no_such", "net_version")
    ]
    answers = post(chain.url, batch)
    assert [answer["id"] for answer in answers] == ["eth_chainId", "no_such", "net_version"]
    assert (answers[0]["result"], answers[1]["error"]["code"], answers[2]["result"]) == (
        "0x7a69",
        -32601,
        "31337",
    )


def test_our_contracts_deploy_and_answer(w3: Web3) -> None:
    """The pair that the chain is made for: the ledger knows the journal's address before it exists."""
    import json
    from importlib.resources import files

    ledger, journal = (
        json.loads((files("contracts") / "artifacts" / f"{name}.json").read_text())
        for name in ("FirmwareLedger", "UpdateJournal")
    )
    who = w3.eth.accounts[8]
    from local_chain.transactions import contract_address

    nonce = w3.eth.get_transaction_count(who)
    journal_at = Web3.to_checksum_address(contract_address(octets(who), nonce + 1))
    factory = w3.eth.contract(abi=ledger["abi"], bytecode=ledger["bytecode"])
    sent = factory.constructor(journal_at, [who], [who], [who], [who], 1, 1).transact({"from": who})
    ledger_at = w3.eth.wait_for_transaction_receipt(sent).contractAddress
    factory = w3.eth.contract(abi=journal["abi"], bytecode=journal["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor(ledger_at).transact({"from": who}))
    assert receipt.contractAddress == journal_at
    deployed = w3.eth.contract(address=ledger_at, abi=ledger["abi"])
    assert deployed.functions.head(b"\x01" * 32).call() == bytes(32)


# --- rules of single methods, in process


def deploy(node, box) -> str:
    return node.send(node.signed(to=None, value=0, gas=1_500_000, data=octets(box["bytecode"])))[
        "contractAddress"
    ]


@pytest.mark.parametrize(
    ("call", "gas_needed_later"),
    [("store(uint256,uint256)", False), ("spend(uint256)", False), ("forget(uint256)", True)],
)
def test_an_estimate_is_enough_and_not_much_more_than_enough(
    node, box, call: str, gas_needed_later: bool
) -> None:
    contract = octets(deploy(node, box))
    if gas_needed_later:  # clearing earns a refund at the end, but must be paid for before
        node.send(node.signed(to=contract, value=0, gas=3_000_000, data=encoded("spend(uint256)", 40)))
    data = encoded(call, *((40,) if "spend" in call or "forget" in call else (3, 4)))
    sender = node.rpc("eth_accounts")[0]
    estimate = int(
        node.rpc("eth_estimateGas", {"from": sender, "to": "0x" + contract.hex(), "data": "0x" + data.hex()}),
        16,
    )
    snapshot = node.rpc("evm_snapshot")
    assert node.send(node.signed(to=contract, value=0, gas=estimate, data=data))["status"] == "0x1"
    node.rpc("evm_revert", snapshot)
    little_less = estimate - estimate // 50
    assert node.send(node.signed(to=contract, value=0, gas=little_less, data=data))["status"] == "0x0"


def test_a_plain_transfer_needs_exactly_21000(node) -> None:
    accounts = node.rpc("eth_accounts")
    assert node.rpc("eth_estimateGas", {"from": accounts[0], "to": accounts[1], "value": "0x1"}) == hex(
        21_000
    )


def test_an_estimate_of_what_always_fails_is_the_failure(node, box) -> None:
    contract = deploy(node, box)
    data = "0x" + encoded("store(uint256,uint256)", 1, 13).hex()
    with pytest.raises(RpcError, match="box: unlucky") as refused:
        node.rpc("eth_estimateGas", {"to": contract, "data": data})
    assert refused.value.code == 3
    with pytest.raises(RpcError, match="gas required exceeds allowance"):
        node.rpc("eth_estimateGas", {"to": contract, "data": data, "gas": "0x5300"})


def test_a_call_needs_neither_funds_nor_nonce_but_moves_no_money_that_is_not_there(node) -> None:
    poor = "0x" + "55" * 20
    assert node.rpc("eth_call", {"from": poor, "to": "0x" + "66" * 20}) == "0x"
    call = {"from": poor, "to": "0x" + "66" * 20}
    with pytest.raises(
        RpcError, match=r"err: insufficient funds for gas .* have 0 want 1 .supplied gas 30000000"
    ):
        node.rpc("eth_call", call | {"value": "0x1"})
    with pytest.raises(RpcError, match="have 0 want 300000000000000000"):
        node.rpc("eth_call", call | {"gasPrice": hex(10**10)})


@pytest.mark.parametrize(
    ("method", "fields", "said"),
    [
        ("eth_call", {"gas": "0x5000"}, "err: intrinsic gas too low: have 20480, want 21000"),
        ("eth_call", {"gasPrice": "0x1"}, "maxFeePerGas: 1, baseFee: "),
        (
            "eth_call",
            {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"},
            "priority fee per gas higher than",
        ),
        ("eth_call", {"gasPrice": "0x1", "maxFeePerGas": "0x2"}, "both gasPrice and"),
        ("eth_call", {"to": None, "data": "0x" + "00" * 49_153}, "code size 49153 limit 49152"),
        ("eth_estimateGas", {"value": hex(10**30)}, "failed with 30000000 gas: insufficient funds for gas"),
        (
            "eth_estimateGas",
            {"value": hex(10**30), "gasPrice": hex(10**10)},
            "insufficient funds for transfer",
        ),
        (
            "eth_createAccessList",
            {"gas": "0x5000"},
            "failed to apply transaction: err: intrinsic gas too low",
        ),
        ("debug_traceCall", {"gas": "0x5000"}, "tracing failed: intrinsic gas too low: have 20480"),
        ("debug_traceCall", {"value": hex(10**30)}, "tracing failed: insufficient funds for gas"),
    ],
)
def test_a_call_that_no_block_could_hold_is_refused_in_geths_words(
    node, method: str, fields: dict, said: str
) -> None:
    sender = node.rpc("eth_accounts")[0]
    with pytest.raises(RpcError) as refused:
        node.rpc(method, {"from": sender, "to": "0x" + "66" * 20} | fields)
    assert (refused.value.code, said in refused.value.message) == (-32000, True), refused.value.message


def test_an_estimate_tries_no_more_gas_than_the_sender_can_pay_for(node) -> None:
    endless = {"0x" + "66" * 20: {"code": "0x5b5f56"}}
    poor = {"0x" + "55" * 20: {"balance": hex(10**15)}}
    call = {"from": "0x" + "55" * 20, "to": "0x" + "66" * 20, "gasPrice": hex(10**10)}
    with pytest.raises(RpcError, match=r"gas required exceeds allowance \(100000\)"):
        node.rpc("eth_estimateGas", call, "latest", endless | poor)


def test_a_call_pays_and_sees_the_price_that_it_offers_and_without_one_sees_no_base_fee(node) -> None:
    # base fee, gas price and the caller's balance
    code = {"0x" + "66" * 20: {"code": "0x485f523a602052333160405260605ff3"}}
    rich = {"0x" + "55" * 20: {"balance": hex(10**18)}}
    call = {"from": "0x" + "55" * 20, "to": "0x" + "66" * 20, "gas": hex(100_000)}
    base_fee = int(node.rpc("eth_getBlockByNumber", "latest")["baseFeePerGas"], 16)

    def seen(**fees: str) -> list[int]:
        words = bytes.fromhex(node.rpc("eth_call", call | fees, "latest", code | rich)[2:])
        return [int.from_bytes(words[at : at + 32], "big") for at in (0, 32, 64)]

    assert seen() == [0, 0, 10**18]
    price = 2 * base_fee
    assert seen(gasPrice=hex(price)) == [base_fee, price, 10**18 - 100_000 * price]
    paid = base_fee + 5
    assert seen(maxFeePerGas=hex(price), maxPriorityFeePerGas="0x5") == [
        base_fee,
        paid,
        10**18 - 100_000 * paid,
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x01, "assert(false)"),
        (0x11, "arithmetic underflow or overflow"),
        (0x32, "out-of-bounds access of an array or bytesN"),
        (0x99, "unknown panic code: 0x99"),
    ],
)
def test_a_panic_is_told_in_geths_words(node, code: int, said: str) -> None:
    echo = {"0x" + "66" * 20: {"code": "0x365f5f37365ffd"}}  # reverts with what it is sent
    with pytest.raises(RpcError) as refused:
        node.rpc("eth_call", {"to": "0x" + "66" * 20, "data": f"0x4e487b71{code:064x}"}, "latest", echo)
    assert (refused.value.code, refused.value.message) == (3, f"execution reverted: {said}")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("0x50", "stack underflow (0 <=> 1)"),
        ("0x5f01", "stack underflow (1 <=> 2)"),
        ("0x80", "stack underflow"),
        ("0x5b5f600056", "stack limit reached 1024 (1023)"),
    ],
)
def test_a_stack_that_is_too_small_or_too_large_is_told_in_geths_words(node, code: str, said: str) -> None:
    with pytest.raises(RpcError) as refused:
        node.rpc("eth_call", {"to": "0x" + "66" * 20}, "latest", {"0x" + "66" * 20: {"code": code}})
    assert (refused.value.code, refused.value.message) == (-32000, said)


def test_logs_after_the_head_are_none_yet(node) -> None:
    assert node.rpc("eth_getLogs", {"fromBlock": "0xff"}) == []


@pytest.mark.parametrize("fork", ["berlin", "london", "paris", "shanghai", "cancun", "prague"])
def test_a_contract_sees_its_block_on_every_fork(make_node, box, fork: str) -> None:
    node = make_node(fork=fork)
    contract = deploy(node, box)
    for _ in range(3):
        node.rpc("evm_mine")
    facts = octets(node.rpc("eth_call", {"to": contract, "data": "0x" + encoded("facts()").hex()}, "0x3"))
    words = [facts[at : at + 32] for at in range(0, 160, 32)]
    block = node.chain.block_at(3)
    assert [int.from_bytes(word, "big") for word in words[:2]] == [3, block.header.timestamp]
    assert words[2] == node.chain.block_at(2).hash
    assert words[3][12:] == block.header.coinbase
    assert int.from_bytes(words[4], "big") == 31_337


# PUSH1 0 five times, ADDRESS, GAS, CALL: a contract that calls itself until the gas is gone.
SELF_CALLER = bytes.fromhex("600e600c600039600e6000f360006000600060006000305af100")


def test_calls_inside_calls_run_or_are_refused_and_never_stop_the_chain(node) -> None:
    """About 650 levels with the gas of one block. Python 3.12 cannot hold them; 3.11 and 3.13 can."""
    contract = node.send(node.signed(to=None, value=0, data=SELF_CALLER))["contractAddress"]
    called = node.post({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": contract}]})
    refusal = {"code": -32000, "message": "calls nested too deep for this Python"}
    assert called.get("result") == "0x" or called["error"] == refusal
    raw = node.signed(to=octets(contract), value=0, gas=29_000_000)
    sent = node.rpc("eth_sendRawTransaction", "0x" + raw.hex())
    assert len(node.chain.pool) == 0, "it is mined or dropped, and blocks nothing"
    mined = node.rpc("eth_getTransactionReceipt", sent)
    assert mined is None or mined["status"] == "0x1"
    assert node.send(node.signed())["status"] == "0x1"


def test_code_storage_and_nonces_are_read_at_any_height(node, box) -> None:
    contract = deploy(node, box)
    node.send(node.signed(to=octets(contract), value=0, data=encoded("store(uint256,uint256)", 1, 5)))
    who = node.rpc("eth_accounts")[0]
    assert [node.rpc("eth_getTransactionCount", who, hex(number)) for number in (0, 1, 2)] == [
        "0x0",
        "0x1",
        "0x2",
    ]
    assert (node.rpc("eth_getCode", contract, "0x0"), len(node.rpc("eth_getCode", contract)) > 200) == (
        "0x",
        True,
    )
    assert int(node.rpc("eth_getStorageAt", contract, "0x2", "latest"), 16) == 5
    assert int(node.rpc("eth_getStorageAt", contract, "0x2", "0x1"), 16) == 0
    assert node.rpc("eth_getBalance", who, {"blockNumber": "0x0"}) == hex(10**22)
    with pytest.raises(RpcError, match="header not found"):
        node.rpc("eth_getBalance", who, "0x63")


def test_a_pending_count_includes_what_waits(node) -> None:
    who = node.rpc("eth_accounts")[0]
    node.chain.submit(node.signed(nonce=0))
    node.chain.submit(node.signed(nonce=1))
    answers = [node.chain.pool.next_nonce(octets(who), 0), node.chain.account(octets(who)).nonce]
    assert answers == [2, 0]
    from local_chain.rpc.quantities import BlockRef
    from local_chain.rpc.state import get_transaction_count

    assert get_transaction_count(node.node, octets(who), BlockRef(tag="pending")) == "0x2"


def test_unlocked_accounts_sign_messages_as_eth_account_recovers_them(node) -> None:
    who = node.rpc("eth_accounts")[0]
    for method, params in (("eth_sign", [who, "0x1234"]), ("personal_sign", ["0x1234", who])):
        signature = node.rpc(method, *params)
        recovered = Account.recover_message(encode_defunct(hexstr="0x1234"), signature=signature)
        assert recovered.lower() == who


def test_time_travels_forward_and_snapshots_go_back(node) -> None:
    start = node.chain.head.header.timestamp
    snapshot = node.rpc("evm_snapshot")
    assert node.rpc("evm_increaseTime", 1000) == hex(1000)
    node.rpc("evm_mine")
    assert node.chain.head.header.timestamp >= start + 1000
    fixed = node.chain.head.header.timestamp + 500
    node.rpc("evm_setNextBlockTimestamp", hex(fixed))
    node.send(node.signed())
    assert node.chain.head.header.timestamp == fixed
    with pytest.raises(RpcError, match="is not after the head"):
        node.rpc("evm_setNextBlockTimestamp", fixed)
    assert node.rpc("evm_revert", snapshot) is True
    assert (node.chain.head.number, node.chain.time_offset_s) == (0, 0)
    assert node.rpc("evm_revert", snapshot) is False
    assert node.send(node.signed())["blockNumber"] == "0x1"


def test_header_time_is_now_or_one_second_after_the_parent(make_node) -> None:
    node = make_node()
    node.chain._now = lambda: node.chain.genesis.timestamp + 100.9
    for expected in (100, 101, 102):
        node.rpc("evm_mine")
        assert node.chain.head.header.timestamp == node.chain.genesis.timestamp + expected


def test_a_log_query_is_bounded_and_reads_one_block_by_hash(node, box, monkeypatch) -> None:
    from local_chain.rpc import logs

    contract = deploy(node, box)
    for key in range(3):
        node.send(node.signed(to=octets(contract), value=0, data=encoded("store(uint256,uint256)", key, 1)))
    block = node.rpc("eth_getBlockByNumber", "0x3", False)
    found = node.rpc("eth_getLogs", {"blockHash": block["hash"]})
    assert [(log["blockNumber"], log["logIndex"], log["transactionHash"]) for log in found] == [
        ("0x3", "0x0", block["transactions"][0])
    ]
    assert (
        len(node.rpc("eth_getLogs", {"fromBlock": "earliest", "toBlock": "0xffff", "address": [contract]}))
        == 3
    )
    assert node.rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [None, None, None, None]}) == []
    assert len(node.rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [None, None, None]})) == 3
    monkeypatch.setattr(logs, "MAX_LOGS", 2)
    with pytest.raises(RpcError, match="more than 2 results") as refused:
        node.rpc("eth_getLogs", {"fromBlock": "0x0"})
    assert refused.value.code == -32005


def test_polled_filters_tell_what_came_since(node, box) -> None:
    contract = deploy(node, box)
    logs, blocks = node.rpc("eth_newFilter", {"address": contract}), node.rpc("eth_newBlockFilter")
    ended = node.rpc("eth_newFilter", {"address": contract, "fromBlock": "0x0", "toBlock": "0x2"})
    pending = node.rpc("eth_newPendingTransactionFilter")
    for key in (1, 2):
        data = encoded("store(uint256,uint256)", key, key)
        node.send(node.signed(to=octets(contract), value=0, data=data))
    numbers = [
        [log["blockNumber"] for log in node.rpc("eth_getFilterChanges", item)] for item in (logs, ended)
    ]
    assert numbers == [["0x2", "0x3"], ["0x2"]]
    hashes = [node.rpc("eth_getBlockByNumber", number, False)["hash"] for number in ("0x2", "0x3")]
    assert node.rpc("eth_getFilterChanges", blocks) == hashes
    node.chain.submit(node.signed(nonce=9))
    assert len(node.rpc("eth_getFilterChanges", pending)) == 1
    assert [node.rpc("eth_getFilterChanges", item) for item in (logs, blocks, pending, ended)] == [[]] * 4
    assert len(node.rpc("eth_getFilterLogs", ended)) == 1
    assert [node.rpc("eth_uninstallFilter", logs) for _ in range(2)] == [True, False]
    with pytest.raises(RpcError, match="filter not found"):
        node.rpc("eth_getFilterChanges", logs)


def test_a_filter_goes_on_after_the_chain_was_taken_back(node) -> None:
    snapshot, blocks = node.rpc("evm_snapshot"), node.rpc("eth_newBlockFilter")
    node.rpc("evm_mine")
    node.rpc("evm_mine")
    assert len(node.rpc("eth_getFilterChanges", blocks)) == 2
    node.rpc("evm_revert", snapshot)
    assert node.rpc("eth_getFilterChanges", blocks) == []
    node.rpc("evm_mine")
    assert len(node.rpc("eth_getFilterChanges", blocks)) == 1


def test_filters_are_bounded_in_number(node, monkeypatch) -> None:
    from local_chain import filters

    monkeypatch.setattr(filters, "MAX_FILTERS", 2)
    first, second, third = (node.rpc("eth_newBlockFilter") for _ in range(3))
    assert [node.rpc("eth_getFilterChanges", item) for item in (second, third)] == [[], []]
    with pytest.raises(RpcError, match="filter not found"):
        node.rpc("eth_getFilterChanges", first)


def test_a_node_on_the_network_keeps_its_keys_and_its_clock_to_itself(make_node) -> None:
    node = make_node()
    node.privileged = False
    for method, params in (
        ("eth_sendTransaction", [{}]),
        ("evm_increaseTime", [1]),
        ("evm_mine", []),
        ("fwledger_promote", []),
    ):
        with pytest.raises(RpcError, match="loopback only"):
            node.rpc(method, *params)
    assert node.rpc("eth_chainId") == "0x7a69"


def test_with_a_block_time_blocks_come_by_the_clock_even_when_empty() -> None:
    with chain_process("--block-time", "0.1") as chain:
        web3 = Web3(Web3.HTTPProvider(chain.url))
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        accounts = web3.eth.accounts
        sent = [
            web3.eth.send_transaction({"from": accounts[0], "to": accounts[1], "value": 1}) for _ in range(3)
        ]
        receipts = [web3.eth.wait_for_transaction_receipt(item, poll_latency=0.05) for item in sent]
        assert [receipt.status for receipt in receipts] == [1, 1, 1]
        last = max(receipt.blockNumber for receipt in receipts)
        wait_until(lambda: web3.eth.block_number > last + 1, "two more blocks come by the clock")
        assert web3.eth.get_block(last + 1)["transactions"] == []


def test_a_bad_raw_transaction_is_an_error_that_web3_shows(w3: Web3) -> None:
    with pytest.raises(Web3RPCError, match="transaction is not RLP"):
        w3.eth.send_raw_transaction(b"\x02\xff")
