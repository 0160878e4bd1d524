"""The pool: order, gaps, replacement, and what admission refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_chain.errors import InvalidTransaction
from local_chain.pool import MAX_NONCE_GAP, Pool
from local_chain.transactions import Transaction
from tests.support.chain import RpcError

GWEI = 10**9


def waiting(sender: int, nonce: int, *, fee: int = 100, value: int = 0) -> Transaction:
    raw = bytes([sender]) + nonce.to_bytes(8, "big") + fee.to_bytes(8, "big") + value.to_bytes(8, "big")
    return Transaction(
        type=2,
        chain_id=1,
        nonce=nonce,
        gas=21_000,
        to=b"\x01" * 20,
        value=value,
        data=b"",
        max_fee=fee,
        max_priority_fee=fee,
        raw=raw,
        sender=bytes([sender]) * 20,
    )


@given(st.permutations([(sender, nonce) for sender in range(3) for nonce in range(4)]))
@settings(max_examples=50, deadline=None)
def test_each_sender_runs_in_nonce_order_whatever_the_order_of_arrival(arrivals) -> None:
    pool = Pool()
    for sender, nonce in arrivals:
        pool.add(waiting(sender, nonce), account_nonce=0)
    ready = list(pool.ready(lambda _sender: 0))
    assert len(ready) == len(arrivals)
    for sender in range(3):
        assert [t.nonce for t in ready if t.sender[0] == sender] == [0, 1, 2, 3]


def test_senders_take_turns_by_arrival() -> None:
    pool = Pool()
    for sender, nonce in [(2, 0), (1, 0), (2, 1), (1, 1)]:
        pool.add(waiting(sender, nonce), account_nonce=0)
    assert [(t.sender[0], t.nonce) for t in pool.ready(lambda _s: 0)] == [(2, 0), (1, 0), (2, 1), (1, 1)]


def test_what_stands_behind_a_gap_waits() -> None:
    pool = Pool()
    for nonce in (0, 2, 3):
        pool.add(waiting(1, nonce), account_nonce=0)
    assert [t.nonce for t in pool.ready(lambda _s: 0)] == [0]
    assert pool.next_nonce(b"\x01" * 20, 0) == 1
    pool.add(waiting(1, 1), account_nonce=0)
    assert [t.nonce for t in pool.ready(lambda _s: 0)] == [0, 1, 2, 3]


def test_a_nonce_far_ahead_is_refused() -> None:
    with pytest.raises(InvalidTransaction, match="nonce too high"):
        Pool().add(waiting(1, MAX_NONCE_GAP + 1), account_nonce=0)


def test_a_replacement_must_pay_a_tenth_more_and_keeps_its_place() -> None:
    pool = Pool()
    first, other = waiting(1, 0, fee=100), waiting(2, 0)
    pool.add(first, account_nonce=0)
    pool.add(other, account_nonce=0)
    with pytest.raises(InvalidTransaction, match="replacement transaction underpriced"):
        pool.add(waiting(1, 0, fee=109), account_nonce=0)
    better = waiting(1, 0, fee=110)
    pool.add(better, account_nonce=0)
    assert list(pool.ready(lambda _s: 0)) == [better, other]
    assert (pool.get(first.hash), len(pool)) == (None, 2)


def full_pool() -> Pool:
    """Three transactions, no room; the cheapest one has a later one of its sender behind it."""
    pool = Pool(limit=3)
    for sender, nonce, fee in ((1, 0, 50), (1, 1, 90), (2, 0, 80)):
        pool.add(waiting(sender, nonce, fee=fee), account_nonce=0)
    return pool


def standing(pool: Pool) -> list[tuple[int, int]]:
    return sorted((one.sender[0], one.nonce) for one in pool)


def test_a_full_pool_refuses_what_pays_no_more_than_the_cheapest() -> None:
    pool = full_pool()
    with pytest.raises(
        InvalidTransaction, match="transaction underpriced: gas tip cap 80, minimum needed 81"
    ):
        pool.add(waiting(3, 0, fee=80), account_nonce=0)
    assert standing(pool) == [(1, 0), (1, 1), (2, 0)]


def test_a_full_pool_drops_the_cheapest_that_no_other_waits_for() -> None:
    pool = full_pool()
    pool.add(waiting(3, 0, fee=81), account_nonce=0)
    assert standing(pool) == [(1, 0), (1, 1), (3, 0)]
    pool.add(waiting(4, 0, fee=100), account_nonce=0)
    assert standing(pool) == [(1, 0), (1, 1), (4, 0)]


def test_a_full_pool_never_drops_what_the_new_one_waits_for() -> None:
    pool = Pool(limit=2)
    for nonce in range(2):
        pool.add(waiting(1, nonce, fee=10), account_nonce=0)
    with pytest.raises(InvalidTransaction, match="txpool is full"):
        pool.add(waiting(1, 2, fee=1_000), account_nonce=0)
    assert standing(pool) == [(1, 0), (1, 1)]


def test_a_full_pool_still_takes_replacements() -> None:
    pool = full_pool()
    pool.add(waiting(1, 0, fee=60), account_nonce=0)
    assert standing(pool) == [(1, 0), (1, 1), (2, 0)]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 1_000)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_pool_never_holds_more_than_its_limit_and_drops_leave_no_gaps(arrivals) -> None:
    pool = Pool(limit=5)
    for sender, fee in arrivals:  # each sender's nonces in order
        nonce = pool.next_nonce(bytes([sender]) * 20, 0)
        with contextlib.suppress(InvalidTransaction):
            pool.add(waiting(sender, nonce, fee=fee), account_nonce=0)
        assert len(pool) <= 5
        for who in range(1, 5):
            assert pool.next_nonce(bytes([who]) * 20, 0) == sum(one[0] == who for one in standing(pool))


def test_the_same_transaction_twice_is_already_known(node) -> None:
    node.node.instant = False
    raw = "0x" + node.signed().hex()
    node.rpc("eth_sendRawTransaction", raw)
    with pytest.raises(RpcError, match="already known"):
        node.rpc("eth_sendRawTransaction", raw)


def test_a_mined_transaction_has_a_nonce_that_is_too_low(node) -> None:
    raw = node.signed()
    node.send(raw)
    with pytest.raises(RpcError, match="nonce too low: next nonce 1, tx nonce 0"):
        node.send(raw)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chain_id": 1}, "invalid sender: invalid chain id for signer: have 1 want 31337"),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
        ({"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ({"data": b"\xff" * 10_000, "gas": 200_000}, "intrinsic gas too low"),
        ({"value": 10_000 * 10**18}, "overshot 300000000000000"),
        (
            {"to": None, "data": bytes(49_153), "gas": 9**7},
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        ({"to": None, "data": bytes(4_096), "gas": 69_639}, "gas 69639, minimum needed 69640"),
        ({"max_fee": 10, "max_priority_fee": 1}, "max fee per gas less than block base fee"),
        ({"kind": 4}, "at least one authorization"),
    ],
)
def test_what_no_block_may_hold_is_refused_by_name(node, fields: dict, says: str) -> None:
    with pytest.raises(RpcError) as refused:
        node.send(node.signed(**fields))
    assert (refused.value.code, says in refused.value.message) == (-32000, True), refused.value.message


def test_a_used_nonce_is_too_low(node) -> None:
    node.send(node.signed(nonce=0))
    with pytest.raises(RpcError, match="nonce too low: next nonce 1, tx nonce 0"):
        node.send(node.signed(nonce=0, value=2))


@pytest.mark.parametrize(("fork", "kind"), [("berlin", 2), ("cancun", 4)])
def test_a_type_from_a_later_fork_is_refused_by_name(make_node, fork: str, kind: int) -> None:
    from local_chain.transactions import Authorization

    node = make_node(fork=fork)
    extra = {"authorizations": (Authorization(31337, b"\x01" * 20, 0, 0, 1, 1),)} if kind == 4 else {}
    with pytest.raises(RpcError, match=f"transaction type not supported: type {kind} needs"):
        node.send(node.signed(kind=kind, **extra))


def test_a_legacy_transaction_without_a_chain_id_is_mined(node) -> None:
    assert node.send(node.signed(kind=0, chain_id=None))["status"] == "0x1"


def test_free_gas_is_taken_where_there_is_no_base_fee(make_node) -> None:
    node = make_node(fork="berlin")
    receipt = node.send(node.signed(max_fee=0, max_priority_fee=0))
    assert (receipt["status"], receipt["effectiveGasPrice"]) == ("0x1", "0x0")


def test_more_than_a_block_holds_goes_into_several_blocks(node) -> None:
    raws = [node.signed(nonce=nonce, gas=12_000_000) for nonce in range(5)]
    node.post(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": ["0x" + r.hex()]}
            for r in raws
        ]
    )
    counts = [int(node.rpc("eth_getBlockTransactionCountByNumber", hex(n)), 16) for n in (1, 2, 3)]
    assert (counts, node.chain.head.number) == ([2, 2, 1], 3)


def test_a_transaction_that_turned_unaffordable_is_dropped_and_the_rest_is_mined(node) -> None:
    half = 5_001 * 10**18
    for nonce, value in ((0, half), (1, half)):
        node.chain.submit(node.signed(nonce=nonce, value=value))
    node.chain.submit(node.signed(account=1))
    block = node.chain.mine(allow_empty=False)
    assert (len(block.transactions), len(node.chain.pool)) == (2, 0)


def test_without_anything_that_can_run_no_block_is_made(node) -> None:
    node.chain.submit(node.signed(nonce=1))
    assert node.chain.mine(allow_empty=False) is None
    assert (node.chain.head.number, len(node.chain.pool)) == (0, 1)
