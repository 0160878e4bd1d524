"""A chain without seals: short headers for tools that refuse long ones, and nothing for devices."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from web3 import Web3

from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.release.trust_root import QbftTrust
from local_chain.cli import main
from local_chain.errors import StateError
from local_chain.library import LocalChain
from local_chain.opening import Settings, dump, open_follower, open_node
from local_chain.upstream import Upstream
from local_chain.web3_provider import LocalChainProvider

UNSEALED = {"sealed": False, "seed": None, "round_jitter": 1.0}


def test_validators_and_no_seals_are_a_contradiction() -> None:
    result = CliRunner().invoke(main, ["up", "--port", "0", "--seal", "none", "--validators", "4"])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: a chain without seals has no validators\nhint: leave --validators and --seed out\n",
    )


@pytest.mark.parametrize("first", [True, False])
def test_a_state_stays_what_it_was_made(make_node, tmp_path, first: bool) -> None:
    make_node(state=tmp_path, seed=None, sealed=first).chain.store.close()
    with pytest.raises(StateError, match=f"expected seals {not first}, got {first}"):
        make_node(state=tmp_path, seed=None, sealed=not first)
    assert bool(make_node(state=tmp_path, seed=None).chain.genesis.validators) is first


@pytest.mark.parametrize("number", [0, 1])
def test_no_device_takes_a_header_without_seals(make_node, number: int) -> None:
    sealed, unsealed = make_node(), make_node(**UNSEALED)
    unsealed.rpc("evm_mine")
    raw = bytes.fromhex(unsealed.rpc("debug_getRawHeader", hex(number))[2:])
    trust = QbftTrust(validators=tuple(sealed.node.identities), min_validators=4)
    with pytest.raises(ProtocolError):
        qbft.verify_seals(raw, trust)


def test_nobody_can_follow_it(tmp_path) -> None:
    with LocalChain() as sealed, LocalChain(Settings(sealed=False)) as chain:
        from local_chain.opening import validators_json

        pins = tmp_path / "pins.json"
        import json

        pins.write_text(json.dumps({"validators": validators_json(sealed.validators)}))
        with pytest.raises(StateError, match="nobody seals that chain") as refused:
            open_follower(Upstream(chain.url), state=None, pins=pins, keys=None, takeover_s=None)
    assert refused.value.hint == "start that node without --seal none"


def test_its_headers_are_short_and_web3_needs_no_middleware() -> None:
    with LocalChain(Settings(sealed=False)) as chain:
        web3 = Web3(LocalChainProvider(chain))
        sender, receiver = web3.eth.accounts[:2]
        web3.eth.send_transaction({"from": sender, "to": receiver, "value": 1})
        for number in (0, 1):
            assert web3.eth.get_block(number)["extraData"] == b""
        assert web3.eth.get_block(1)["parentHash"] == web3.eth.get_block(0)["hash"]
        assert (chain.validators, chain.rpc("qbft_getValidatorsByBlockNumber")) == ((), [])


def test_a_header_hashes_to_its_own_hash(make_node) -> None:
    from eth_utils import keccak

    node = make_node(**UNSEALED)
    node.send(node.signed())
    for number in (0, 1):
        raw = bytes.fromhex(node.rpc("debug_getRawHeader", hex(number))[2:])
        assert "0x" + keccak(raw).hex() == node.rpc("eth_getBlockByNumber", hex(number))["hash"]


def test_it_is_reopened_dumped_and_loaded_without_keys(make_node, tmp_path) -> None:
    first = make_node(state=tmp_path / "state", **UNSEALED)
    receipt = first.send(first.signed())
    dump(first.node, tmp_path / "dump")
    first.chain.store.close()
    assert not (tmp_path / "state" / "validators.json").exists()
    again = make_node(state=tmp_path / "state", seed=None)
    loaded = open_node(Settings(), state=None, unlocked=True, load=tmp_path / "dump")
    for node in (again.node, loaded):
        assert node.chain.head.hash.hex() == receipt["blockHash"][2:]
        assert node.chain.mine(allow_empty=True).number == 2
    loaded.chain.store.close()
