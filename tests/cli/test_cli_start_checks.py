"""A client starts only on the pair of contracts that is meant: each check stops by its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.config import load_config
from ledger_client.contract import artifact, creation
from ledger_client.deploy import INTERFACE_VERSION, check_new_pair, check_pair, created_address
from ledger_client.errors import WrongLedgerError
from ledger_client.network import Call, Network
from ledger_client.signers import dev_account
from ledger_client.transactions import prepare, send
from tests.support.lying_rpc import lying_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger_client.network import Receipt
    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

PAYER = dev_account(6, chain_id=31337)


@pytest.fixture(scope="module")
def network(chain: RunningChain) -> Iterator[Network]:
    found = Network([chain.url], chain_id=31337, timeout_s=20, receipt_timeout_s=20)
    yield found
    found.close()


@pytest.fixture(scope="module")
def pair(maker: Manufacturer) -> tuple[bytes, bytes]:
    found = load_config(maker.path / "fwledger.toml", environ={}).chain
    assert found.ledger is not None
    assert found.journal is not None
    return found.ledger, found.journal


def put(network: Network, name: str, *arguments: object) -> bytes:
    """Create a contract of ours with arguments of the test's choice."""
    call = creation(network, artifact(name), *arguments, what=f"deploy {name}")
    made: Receipt = send(network, prepare(network, call, PAYER), PAYER)
    assert made.contract is not None
    return made.contract


def ledger_with(network: Network, journal: bytes) -> bytes:
    some = [PAYER.address]
    return put(network, "FirmwareLedger", journal, some, some, some, some, 1, 1)


def test_the_pair_that_is_meant_passes(network: Network, pair: tuple[bytes, bytes]) -> None:
    ledger, journal = pair
    code_hash = check_pair(network, ledger=ledger, journal=journal)
    assert check_pair(network, ledger=ledger, journal=journal, code_hash=code_hash) == code_hash
    assert check_new_pair(network, ledger=ledger, journal=journal) == code_hash


def test_an_address_without_a_contract_is_no_ledger(network: Network) -> None:
    with pytest.raises(WrongLedgerError) as caught:
        check_pair(network, ledger=b"\x77" * 20, journal=None)
    assert str(caught.value).startswith(
        "this is not the ledger you configured: expected a contract at 0x7777"
    )
    assert "none there on chain 31337" in str(caught.value)
    assert "fwledger.toml" in caught.value.hint


def test_another_code_hash_is_not_the_ledger(network: Network, pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(
        WrongLedgerError, match="this is not the ledger you configured: expected code hash 1111"
    ):
        check_pair(network, ledger=pair[0], journal=None, code_hash=b"\x11" * 32)


def test_another_journal_is_not_the_pair(network: Network, pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(
        WrongLedgerError, match="this is not the pair you configured: expected journal 0x7777"
    ):
        check_pair(network, ledger=pair[0], journal=b"\x77" * 20)


def test_a_ledger_whose_journal_was_never_deployed_is_named(network: Network) -> None:
    alone = ledger_with(network, b"\x77" * 20)
    with pytest.raises(WrongLedgerError, match="names a journal that is not deployed: got 0x7777"):
        check_pair(network, ledger=alone, journal=None)


def test_a_ledger_that_names_the_journal_of_another_is_no_pair(
    network: Network, pair: tuple[bytes, bytes]
) -> None:
    usurper = ledger_with(network, pair[1])
    with pytest.raises(WrongLedgerError, match="this is not a pair: expected a journal of 0x"):
        check_pair(network, ledger=usurper, journal=pair[1])


def test_the_journal_is_not_taken_for_the_ledger(network: Network, pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(
        WrongLedgerError, match="this is not the ledger you configured: expected a FirmwareLedger at 0x"
    ):
        check_pair(network, ledger=pair[1], journal=None)


def test_a_ledger_that_names_itself_as_the_journal_is_no_pair(
    network: Network, pair: tuple[bytes, bytes]
) -> None:
    wrong = ledger_with(network, pair[0])
    with pytest.raises(WrongLedgerError, match="this is not a pair: expected an UpdateJournal at 0x"):
        check_pair(network, ledger=wrong, journal=None)


def test_a_contract_of_somebody_else_is_named(network: Network) -> None:
    """Code that answers nothing: PUSH0-free `STOP`, and code that always reverts."""
    for code in ("00", "60006000fd"):
        size = len(code) // 2
        init = bytes.fromhex(f"60{size:02x}600c60003960{size:02x}6000f3{code}")
        call = Call(None, init, "deploy a stranger")
        made = send(network, prepare(network, call, PAYER), PAYER)
        assert made.contract is not None
        with pytest.raises(WrongLedgerError, match="this is not a contract of fwledger"):
            check_pair(network, ledger=made.contract, journal=None)


def test_another_interface_version_is_named(chain: RunningChain, pair: tuple[bytes, bytes]) -> None:
    assert INTERFACE_VERSION == 1
    with lying_node(chain.url) as node:
        node.lies["eth_call"] = lambda _: "0x" + (2).to_bytes(32, "big").hex()
        network = Network([node.url], chain_id=31337, timeout_s=20, receipt_timeout_s=20)
        with pytest.raises(WrongLedgerError, match="interface version: expected 1, got 2") as caught:
            check_pair(network, ledger=pair[0], journal=None)
    assert caught.value.hint == "use a client that speaks it"


def test_another_chain_id_is_refused_before_anything_is_read(chain: RunningChain) -> None:
    with pytest.raises(
        WrongLedgerError, match="is not the chain you configured: expected chain id 1, got 31337"
    ):
        Network([chain.url], chain_id=1, timeout_s=20, receipt_timeout_s=20)


def test_contracts_that_are_not_byte_for_byte_ours_are_no_new_pair(
    network: Network, pair: tuple[bytes, bytes]
) -> None:
    """Two ledgers of our code name each other's addresses: only the immutables differ."""
    ledger = ledger_with(network, pair[1])
    with pytest.raises(
        WrongLedgerError, match="is not the UpdateJournal of this program: expected code hash"
    ):
        check_new_pair(network, ledger=ledger, journal=pair[1])
    assert created_address(PAYER.address, network.nonce(PAYER.address)) != ledger
