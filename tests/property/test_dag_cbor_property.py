import cbor2
import dag_cbor as reference
import multiformats
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content.cid import Cid
from ledger_protocol.content.dag_cbor import decode, encode
from ledger_protocol.errors import ProtocolError
from tests.fuzzing import decodes_strictly, mutated, values


def _for_reference(value):
    if isinstance(value, Cid):
        return multiformats.CID("base32", 1, value.codec, ("sha2-256", value.digest))
    if isinstance(value, list):
        return [_for_reference(item) for item in value]
    if isinstance(value, dict):
        return {key: _for_reference(item) for key, item in value.items()}
    return value


def _for_cbor2(value):
    if isinstance(value, Cid):
        return cbor2.CBORTag(42, b"\0" + value.to_bytes())
    if isinstance(value, list):
        return [_for_cbor2(item) for item in value]
    if isinstance(value, dict):
        return {key: _for_cbor2(item) for key, item in value.items()}
    return value


def _strict(data):
    return decode(data, max_bytes=4096)


@settings(max_examples=200)
@given(values)
def test_decoding_undoes_encoding(value):
    assert _strict(encode(value)) == value


@settings(max_examples=200)
@given(values)
def test_the_reference_implementation_writes_the_same_bytes(value):
    assert reference.encode(_for_reference(value)) == encode(value)


@settings(max_examples=200)
@given(values)
def test_cbor2_reads_what_is_written(value):
    assert cbor2.loads(encode(value)) == _for_cbor2(value)


@settings(max_examples=300)
@given(st.binary(max_size=80) | values.map(encode).flatmap(mutated))
def test_only_protocol_errors_leave_and_what_is_accepted_is_canonical(data):
    decodes_strictly(_strict, encode, data)


@settings(max_examples=300)
@given(values.map(encode).flatmap(mutated))
def test_the_reference_accepts_all_that_is_accepted_here(data):
    try:
        value = _strict(data)
    except ProtocolError:
        return
    assert reference.decode(data) == _for_reference(value)


@settings(max_examples=100)
@given(values, st.floats(), st.integers(0, 3))
def test_one_float_anywhere_is_refused(value, number, depth):
    wrapped = [_for_cbor2(value), number]
    for _ in range(depth):
        wrapped = [wrapped]
    with pytest.raises(ProtocolError):
        _strict(cbor2.dumps(wrapped))
