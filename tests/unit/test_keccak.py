import hashlib

import eth_hash.auto
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.keccak import keccak256


def test_it_is_keccak_and_not_sha3():
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"") != hashlib.sha3_256(b"").digest()


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_it_agrees_with_eth_hash(data):
    assert keccak256(data) == eth_hash.auto.keccak(data)
