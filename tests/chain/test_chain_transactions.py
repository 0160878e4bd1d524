"""Transactions against eth_account, an independent implementation, and against hostile bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp
from eth_account import Account
from eth_utils import keccak, to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.ledger import rlp as our_rlp
from local_chain.errors import InvalidTransaction
from local_chain.transactions import SECP256K1_N, Transaction, decode_transaction
from tests.fuzzing import mutated

SECRET = b"\x11" * 32
SENDER = bytes.fromhex(Account.from_key(SECRET).address[2:])

words = st.integers(0, 2**128)
addresses = st.binary(min_size=20, max_size=20)
access_lists = st.lists(
    st.tuples(addresses, st.lists(st.integers(0, 2**256 - 1), max_size=3).map(tuple)), max_size=2
).map(tuple)


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    kind = draw(st.sampled_from([0, 1, 2]))
    fees = sorted([draw(words), draw(words)])
    tip, fee = fees if kind == 2 else (fees[1], fees[1])
    return Transaction(
        type=kind,
        chain_id=draw(st.integers(1, 2**32)) if kind else draw(st.none() | st.integers(1, 2**32)),
        nonce=draw(st.integers(0, 2**63)),
        gas=draw(st.integers(21_000, 2**40)),
        to=draw(addresses | st.none()),
        value=draw(words),
        data=draw(st.binary(max_size=70)),
        max_fee=fee,
        max_priority_fee=tip,
        access_list=draw(access_lists) if kind else (),
    )


def account_dict(transaction: Transaction) -> dict:
    """The same transaction as eth_account takes it."""
    fields = {
        "nonce": transaction.nonce,
        "gas": transaction.gas,
        "to": b"" if transaction.to is None else to_checksum_address(transaction.to),
        "value": transaction.value,
        "data": transaction.data,
    }
    if transaction.chain_id is not None:
        fields["chainId"] = transaction.chain_id
    if transaction.type == 2:
        fields |= {"maxFeePerGas": transaction.max_fee, "maxPriorityFeePerGas": transaction.max_priority_fee}
    else:
        fields["gasPrice"] = transaction.max_fee
    if transaction.type:
        fields["type"] = transaction.type
        fields["accessList"] = [
            {
                "address": to_checksum_address(at),
                "storageKeys": ["0x" + slot.to_bytes(32, "big").hex() for slot in slots],
            }
            for at, slots in transaction.access_list
        ]
    return fields


@given(transactions())
@settings(max_examples=60, deadline=None)
def test_signing_gives_the_bytes_that_eth_account_gives(transaction: Transaction) -> None:
    ours = transaction.signed(SECRET)
    theirs = Account.sign_transaction(account_dict(transaction), SECRET)
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == bytes(theirs.hash)


@given(transactions())
@settings(max_examples=60, deadline=None)
def test_decoding_a_signed_transaction_gives_it_back_with_its_sender(transaction: Transaction) -> None:
    signed = transaction.signed(SECRET)
    assert decode_transaction(signed.raw) == signed
    assert signed.sender == SENDER == bytes.fromhex(Account.recover_transaction(signed.raw)[2:])


@given(transactions().flatmap(lambda transaction: mutated(transaction.signed(SECRET).raw)))
@settings(max_examples=300, deadline=None)
def test_hostile_bytes_are_refused_or_have_one_encoding(raw: bytes) -> None:
    try:
        transaction = decode_transaction(raw)
    except InvalidTransaction:
        return
    items = transaction.payload()[:6] if transaction.type == 0 else transaction.payload()
    signature = [our_rlp.encode_scalar(part) for part in (transaction.v, transaction.r, transaction.s)]
    prefix = bytes([transaction.type]) if transaction.type else b""
    assert prefix + our_rlp.encode([*items, *signature]) == raw


def test_set_code_transactions_decode_as_eth_account_signs_them() -> None:
    authorization = Account.sign_authorization(
        {"chainId": 31337, "address": b"\x22" * 20, "nonce": 5}, SECRET
    )
    signed = Account.sign_transaction(
        {
            "type": 4,
            "chainId": 31337,
            "nonce": 1,
            "gas": 100_000,
            "to": to_checksum_address(b"\x33" * 20),
            "value": 0,
            "data": b"",
            "maxFeePerGas": 5,
            "maxPriorityFeePerGas": 1,
            "accessList": [],
            "authorizationList": [authorization],
        },
        SECRET,
    )
    decoded = decode_transaction(bytes(signed.raw_transaction))
    assert decoded.sender == SENDER
    assert [(a.chain_id, a.address, a.nonce) for a in decoded.authorizations] == [(31337, b"\x22" * 20, 5)]
    assert decoded.signing_hash() == keccak(b"\x04" + rlp.encode(decoded.payload()))


def valid() -> Transaction:
    return Transaction(
        type=2,
        chain_id=1,
        nonce=0,
        gas=21_000,
        to=b"\x01" * 20,
        value=0,
        data=b"",
        max_fee=2,
        max_priority_fee=1,
    )


def with_items(change) -> bytes:
    """A valid type 2 transaction whose RLP items ``change`` has spoilt."""
    items = our_rlp.decode_list(valid().signed(SECRET).raw[1:])
    change(items)
    return b"\x02" + our_rlp.encode(items)


def put(index: int, value):
    return lambda items: items.__setitem__(index, value)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "typed transaction too short"),
        (b"\x02" * 200_000, "oversized data: transaction size 200000, limit 131072"),
        (b"\x03" + b"\xc0", "blob transactions (type 3) are not supported"),
        (b"\x05\xc0", "type not supported: expected 0, 1, 2 or 4, got 5"),
        (b"\x7f", "type not supported"),
        (b"\x02\x80", "not RLP"),
        (b"\x02\xc0", "expected 12 fields, got 0"),
        (with_items(lambda items: items.append(b"")), "expected 12 fields, got 13"),
        (with_items(put(1, b"\x00\x01")), "nonce: expected a minimal integer"),
        (with_items(put(1, b"\xff" * 8)), "nonce has max value"),
        (with_items(put(4, b"\x01" * 9)), "gas: expected a minimal integer"),
        (with_items(put(5, b"\x01" * 19)), "to: expected 0 or 20 bytes, got 19"),
        (with_items(put(6, [])), "value: expected a byte string, got a list"),
        (with_items(put(8, b"")), "accessList: expected a list"),
        (with_items(put(8, [[b"\x01" * 20]])), "expected address and keys, got 1 items"),
        (with_items(put(8, [[b"\x01" * 20, [b"\x01"]]])), "storage key: expected 32 bytes"),
        (with_items(put(8, [[b"\x01", []]])), "accessList address: expected 20 bytes"),
        (with_items(put(2, b"\x03")), "max priority fee per gas higher than max fee per gas"),
        (with_items(put(9, b"\x02")), "v or r out of range"),
        (with_items(put(10, b"")), "v or r out of range"),
        (
            with_items(put(11, (SECP256K1_N // 2 + 1).to_bytes(32, "big"))),
            "s out of range, expected the lower half",
        ),
        (with_items(put(10, (SECP256K1_N - 1).to_bytes(32, "big"))), "invalid signature"),
    ],
)
def test_a_malformed_transaction_is_refused_by_name(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidTransaction) as refused:
        decode_transaction(raw)
    assert says in str(refused.value)


def test_a_high_s_twin_of_a_signature_is_refused() -> None:
    signed = valid().signed(SECRET)
    items = our_rlp.decode_list(signed.raw[1:])
    items[9:] = [our_rlp.encode_scalar(1 - signed.v), items[10], (SECP256K1_N - signed.s).to_bytes(32, "big")]
    with pytest.raises(InvalidTransaction, match="lower half"):
        decode_transaction(b"\x02" + our_rlp.encode(items))


def test_the_price_paid_is_base_fee_and_tip_but_never_more_than_the_maximum() -> None:
    transaction = replace(valid(), max_fee=100, max_priority_fee=7)
    assert [transaction.effective_price(base) for base in (None, 0, 90, 95)] == [100, 7, 97, 100]
