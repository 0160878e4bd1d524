"""Headers and blocks: encodings against recorded networks and against py-evm's own, and the fee rule."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import rlp
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague.blocks import PragueBackwardsHeader, PragueBlockHeader
from hypothesis import given, settings
from hypothesis import strategies as st

from local_chain.errors import StateError
from local_chain.forks import Fork
from local_chain.genesis import Genesis, genesis_from_json
from local_chain.headers import decode_block, decode_header, next_base_fee
from tests.fuzzing import mutated

NETWORK = json.loads((Path(__file__).parents[1] / "vectors" / "qbft-network.json").read_text())
FIELDS = {
    Fork.BERLIN: 15,
    Fork.LONDON: 16,
    Fork.PARIS: 16,
    Fork.SHANGHAI: 17,
    Fork.CANCUN: 20,
    Fork.PRAGUE: 21,
}


def genesis(fork: Fork) -> Genesis:
    return Genesis(31_337, fork, 1_800_000_000, 30_000_000, (b"\x01" * 20, b"\x02" * 20), {b"\x03" * 20: 5})


def header_of(fork: Fork):
    return genesis(fork).block(b"\x44" * 32).header


@pytest.mark.parametrize("recorded", NETWORK["headers"], ids=lambda item: f"block {item['number']}")
def test_a_header_of_a_real_network_decodes_and_encodes_to_the_same_bytes(recorded: dict) -> None:
    raw = bytes.fromhex(recorded["raw"][2:])
    header = decode_header(raw)
    assert (header.encode(), header.number) == (raw, recorded["number"])
    assert header.state_root == bytes.fromhex(recorded["stateRoot"][2:])


@pytest.mark.parametrize("fork", list(Fork), ids=lambda fork: fork.label)
def test_each_fork_has_its_number_of_header_fields(fork: Fork) -> None:
    header = header_of(fork)
    assert len(header.to_list()) == FIELDS[fork]
    assert decode_header(header.encode()) == header


def test_our_encoding_of_a_header_is_the_one_of_py_evm() -> None:
    ours = header_of(Fork.PRAGUE)
    theirs = rlp.decode(ours.encode(), sedes=PragueBackwardsHeader)
    assert isinstance(theirs, PragueBlockHeader)
    assert (theirs.hash, theirs.timestamp) == (ours.hash, ours.timestamp)
    assert (theirs.base_fee_per_gas, theirs.requests_hash) == (ours.base_fee, ours.requests_hash)


@given(mutated(header_of(Fork.PRAGUE).encode()))
@settings(max_examples=200, deadline=None)
def test_hostile_header_bytes_raise_only_value_error(raw: bytes) -> None:
    try:
        decode_header(raw)
    except ValueError:
        return


@given(mutated(rlp.encode([header_of(Fork.BERLIN).to_list(), [b"\x02\xc0", [b"\x01"]], []])))
@settings(max_examples=200, deadline=None)
def test_hostile_block_bytes_raise_only_value_error(raw: bytes) -> None:
    try:
        decode_block(raw)
    except ValueError:
        return


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80",
        rlp.encode([]),
        rlp.encode([b"", b"", b""]),
        rlp.encode([[], [], [[b"uncle"]]]),
        rlp.encode([[], [], [], [b"w"]]),
    ],
)
def test_what_is_not_a_block_of_this_chain_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a block"):
        decode_block(raw)


@given(st.integers(0, 10**12), st.integers(0, 30_000_000))
@settings(max_examples=100, deadline=None)
def test_the_base_fee_moves_as_eip_1559_says(base_fee: int, gas_used: int) -> None:
    parent = replace(header_of(Fork.PRAGUE), base_fee=base_fee, gas_used=gas_used)
    theirs = rlp.decode(parent.encode(), sedes=PragueBackwardsHeader)
    assert next_base_fee(parent) == calculate_expected_base_fee_per_gas(theirs)


def test_a_chain_with_berlin_rules_has_no_base_fee() -> None:
    assert next_base_fee(header_of(Fork.BERLIN)) is None


def test_a_genesis_document_survives_json() -> None:
    document = genesis(Fork.CANCUN)
    assert genesis_from_json(json.loads(json.dumps(document.to_json()))) == document


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.clear(),
        lambda d: d.update(schema="fwledger-chain/genesis/2"),
        lambda d: d.update(fork="frontier"),
        lambda d: d.update(chainId="0x7a69"),
        lambda d: d.update(timestamp=-1),
        lambda d: d.update(validators=["0x00"]),
        lambda d: d.update(balances={"0x00": "0x1"}),
        lambda d: d.update(balances=[]),
    ],
)
def test_a_document_that_is_no_genesis_is_refused(spoil) -> None:
    document = genesis(Fork.PRAGUE).to_json()
    spoil(document)
    with pytest.raises(StateError, match="genesis document"):
        genesis_from_json(document)
