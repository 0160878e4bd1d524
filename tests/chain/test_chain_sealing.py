"""Sealing: what leaves is what the device's own verifier takes, and nothing less ever passes it."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger_protocol.errors import QuorumError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import QbftTrust, Validator
from local_chain.errors import StateError
from local_chain.forks import Fork
from local_chain.sealing import Sealer, extra_data, new_keys, read_keys, write_keys

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = 24


def trust_in(node) -> QbftTrust:
    return QbftTrust(validators=tuple(node.node.identities), min_validators=1)


def raw_header(node, number: int) -> bytes:
    return bytes.fromhex(node.rpc("debug_getRawHeader", hex(number))[2:])


@pytest.mark.parametrize("fork", list(Fork), ids=lambda fork: fork.label)
def test_every_sealed_header_passes_the_verifier_of_devices(make_node, fork: Fork) -> None:
    node = make_node(fork=fork.label)
    for _ in range(BLOCKS):
        node.rpc("evm_mine")
    rounds = set()
    for number in range(1, BLOCKS + 1):
        header = qbft.verify_seals(raw_header(node, number), trust_in(node))
        block = node.rpc("eth_getBlockByNumber", hex(number), False)
        assert qbft.block_hash(header).hex() == block["hash"][2:]
        assert header.parent_hash.hex() == block["parentHash"][2:]
        assert header.extra_data.hex() == block["extraData"][2:]
        rounds.add(qbft.parse_extra(header.extra_data).round)
    assert rounds >= {0, 1}, "the jitter must show verifiers rounds above 0"


@pytest.mark.parametrize(("validators", "needed"), [(4, 3), (5, 4), (6, 4), (7, 5)])
def test_a_header_with_one_seal_less_than_a_quorum_never_passes(
    make_node, validators: int, needed: int
) -> None:
    node = make_node(validators=validators)
    for number in range(1, 9):
        node.rpc("evm_mine")
        header = parse_header(raw_header(node, number))
        extra = qbft.parse_extra(header.extra_data)
        assert len(extra.seals) >= needed
        few = header.encode_with_extra(extra_data(extra.validators, extra.round, extra.seals[: needed - 1]))
        with pytest.raises(QuorumError):
            qbft.verify_seals(few, trust_in(node))


def test_two_of_four_never_pass_even_when_a_seal_is_repeated_or_foreign(node) -> None:
    node.rpc("evm_mine")
    header = parse_header(raw_header(node, 1))
    extra = qbft.parse_extra(header.extra_data)
    foreign = Sealer(new_keys(4, seed="somebody else")).seal(node.chain.head.header, extra.round).seals
    seals = (*extra.seals[:2], *extra.seals[:2], *foreign)
    with pytest.raises(QuorumError):
        qbft.verify_seals(
            header.encode_with_extra(extra_data(extra.validators, extra.round, seals)), trust_in(node)
        )


def test_in_round_zero_all_validators_seal_and_later_only_a_quorum_without_the_silent_ones(make_node) -> None:
    node = make_node(round_jitter=1.0)
    sealer = node.chain.sealer
    header = node.chain.head.header
    assert len(sealer.seal(header, 0).seals) == 4
    late = sealer.seal(header, 1)
    silent = sealer.proposer(header.number, 0)
    signers = {Validator(v.address, v.public_key) for v in sealer.identities if v.address != silent}
    assert len(late.seals) == 3
    qbft.verify_seals(late.sealed_header.encode(), QbftTrust(validators=tuple(signers), min_validators=3))


def test_without_jitter_every_block_is_sealed_in_round_zero(make_node) -> None:
    node = make_node(round_jitter=0.0)
    for _ in range(8):
        node.rpc("evm_mine")
    assert {node.chain.block_at(number).round_number for number in range(1, 9)} == {0}


def test_the_coinbase_is_the_proposer_of_the_round(node) -> None:
    for _ in range(8):
        node.rpc("evm_mine")
        block = node.chain.head
        assert block.header.coinbase == node.chain.sealer.proposer(block.number, block.round_number)


def test_the_node_names_its_validators_with_the_keys_that_seal(node) -> None:
    named = node.rpc("fwledger_validators")
    assert [entry["address"] for entry in named] == node.rpc("qbft_getValidatorsByBlockNumber", "latest")
    assert all(
        len(entry["publicKey"]) == 2 + 2 * 65 and entry["publicKey"].startswith("0x04") for entry in named
    )


def test_a_seed_gives_the_same_keys_and_no_seed_gives_new_ones() -> None:
    assert new_keys(4, seed="a") == new_keys(4, seed="a") != new_keys(4, seed="b")
    assert new_keys(4) != new_keys(4)


def test_a_key_file_is_its_owners_alone_and_is_never_replaced(tmp_path: Path) -> None:
    path, keys = tmp_path / "keys.json", new_keys(4)
    write_keys(path, keys)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_keys(path) == keys
    with pytest.raises(StateError, match="File exists"):
        write_keys(path, new_keys(4))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "other", "keys": []}',
        '{"schema": "fwledger-chain/validator-keys/1", "keys": ["00"]}',
    ],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(StateError):
        read_keys(path)


@pytest.mark.parametrize("keys", [(), (b"\x01" * 32, b"\x01" * 32), (*new_keys(64, seed="x"), b"\x02" * 32)])
def test_no_doubled_or_too_many_validators(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(StateError, match="validator keys"):
        Sealer(keys)


def test_a_sealer_with_other_keys_cannot_seal_this_chain(node) -> None:
    with pytest.raises(StateError, match="not those of this chain"):
        node.chain.become_sealer(Sealer(new_keys(4, seed="somebody else")))


def test_block_hash_and_seal_digest_differ_exactly_when_the_round_is_not_zero(make_node) -> None:
    node = make_node(round_jitter=0.5)
    for _ in range(12):
        node.rpc("evm_mine")
        block = node.chain.head
        header = parse_header(block.sealed_header.encode())
        assert (qbft.block_hash(header) == qbft.seal_digest(header)) == (block.round_number == 0)
        assert (
            replace(block.header, extra_data=extra_data(node.chain.genesis.validators, 0, ())).hash
            == block.hash
        )
