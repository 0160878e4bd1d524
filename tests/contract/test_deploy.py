"""What a pair refuses to be deployed as, and what it says of itself once it stands."""

from __future__ import annotations

import pytest

from tests.contract.actors import World, address, digest, fresh, refused, typed_data
from tests.contract.evm import CHAIN_ID, private_key

GOVERNORS, PUBLISHERS, GUARDIANS, ENROLLERS, PUBLISH_AT, GOVERN_AT = range(1, 7)
ZERO = b"\0" * 20


def bent(world: World, place: int, value: object) -> tuple:
    args = list(world.ledger_args(world.journal.address))
    args[place] = value
    return tuple(args)


@pytest.mark.parametrize("place", [PUBLISH_AT, GOVERN_AT])
def test_a_threshold_of_zero_is_refused(world, place):
    refused(world.deploy("FirmwareLedger", *bent(world, place, 0)), "threshold below one")


@pytest.mark.parametrize("place", [PUBLISH_AT, GOVERN_AT])
def test_a_threshold_above_the_member_count_is_refused(world, place):
    refused(world.deploy("FirmwareLedger", *bent(world, place, 4)), "threshold above the members")


@pytest.mark.parametrize("place", [GOVERNORS, PUBLISHERS, GUARDIANS, ENROLLERS])
def test_the_zero_address_is_no_member(world, place):
    refused(world.deploy("FirmwareLedger", *bent(world, place, [ZERO])), "zero address")


@pytest.mark.parametrize("place", [GOVERNORS, PUBLISHERS, GUARDIANS, ENROLLERS])
def test_nobody_counts_twice_for_one_role(world, place):
    twice = [address(world.guardian)] * 2
    refused(world.deploy("FirmwareLedger", *bent(world, place, twice)), "member named twice")


def test_a_ledger_without_a_journal_is_refused(world):
    refused(world.deploy("FirmwareLedger", *bent(world, 0, ZERO)), "zero address")


def test_a_journal_without_a_ledger_is_refused(world):
    refused(world.deploy("UpdateJournal", ZERO), "zero address")


def test_a_journal_of_a_ledger_that_names_another_is_refused(world):
    refused(world.deploy("UpdateJournal", world.ledger.address), "ledger names another journal")


def test_the_pair_names_each_other(world):
    assert bytes.fromhex(world.view(world.ledger, "journal")[2:]) == world.journal.address
    assert bytes.fromhex(world.view(world.journal, "ledger")[2:]) == world.ledger.address


def test_both_say_their_interface_version(world):
    assert world.view(world.ledger, "interface_version") == 1
    assert world.view(world.journal, "interface_version") == 1


def test_the_domain_is_the_one_that_eth_account_signs_under(world):
    from eth_account.messages import encode_typed_data

    for contract in (world.ledger, world.journal):
        message = {"release": b"\0" * 32, "reason": 0, "mandatory": False, "deadline": 0}
        encoded = encode_typed_data(full_message=typed_data("Revoke", message, contract=contract.address))
        assert world.view(contract, "domain_separator") == encoded.header


def test_roles_and_thresholds_are_as_deployed():
    world = fresh(threshold=2)
    assert world.view(world.ledger, "thresholds") == (2, 2)
    expected = [(world.publishers, 1), ([world.guardian], 2), (world.governors, 4), ([world.enroller], 8)]
    for keys, bit in expected:
        for key in keys:
            assert world.view(world.ledger, "role", address(key)) == bit
    assert world.view(world.ledger, "role", address(world.anyone)) == 0


def test_one_address_may_hold_several_roles_on_one_seat(world):
    both = address(world.publishers[0])
    receipt = world.deploy("FirmwareLedger", *bent(world, GUARDIANS, [both]))
    assert receipt.ok
    sets = [log.args for log in map(world.ledger.log, receipt.logs) if log.name == "MemberSet"]
    mine = [entry for entry in sets if bytes.fromhex(entry["member"][2:]) == both]
    assert [(entry["roles"], entry["seat"]) for entry in mine] == [(3, 4)]


def test_the_log_of_a_deployment_names_each_member_once_with_all_roles(world):
    """A publisher who enrols too is told once, with both roles; who only enrols comes last, without a seat."""
    both = address(world.publishers[0])
    receipt = world.deploy("FirmwareLedger", *bent(world, ENROLLERS, [both, address(world.enroller)]))
    assert receipt.ok
    sets = [log.args for log in map(world.ledger.log, receipt.logs) if log.name == "MemberSet"]
    members = [*world.governors, *world.publishers, world.guardian, world.enroller]
    roles = [4, 4, 4, 9, 1, 1, 2, 8]
    assert [(bytes.fromhex(e["member"][2:]), e["roles"], e["seat"]) for e in sets] == [
        (address(key), bits, seat)
        for key, bits, seat in zip(members, roles, [*range(1, 8), 0xFFFF], strict=True)
    ]


def test_the_first_thresholds_are_in_the_log_too(world):
    receipt = world.deploy("FirmwareLedger", *world.ledger_args(b"\7" * 20))
    (log,) = (log for log in map(world.ledger.log, receipt.logs) if log.name == "ThresholdsSet")
    assert log.args == {"publish": world.publish_threshold, "govern": world.govern_threshold}


def test_who_may_approve_or_stop_has_a_seat_and_nobody_else_has_one(world):
    for seat, key in enumerate([*world.governors, *world.publishers, world.guardian], 1):
        assert bytes.fromhex(world.view(world.ledger, "seats", seat)[2:]) == address(key)
        assert world.view(world.ledger, "member", address(key)) >> 8 == seat
    assert world.view(world.ledger, "member", address(world.enroller)) >> 8 == 0xFFFF


def test_an_approval_for_another_chain_has_another_digest(world):
    from eth_account.messages import encode_typed_data

    message = {"release": digest("r"), "reason": 0, "mandatory": False, "deadline": 0}
    here = typed_data("Revoke", message, contract=world.ledger.address)
    there = typed_data("Revoke", message, contract=world.ledger.address, chain_id=CHAIN_ID + 1)
    assert encode_typed_data(full_message=here).header != encode_typed_data(full_message=there).header


def test_a_stranger_has_no_seat(world):
    assert world.view(world.ledger, "member", address(private_key(999))) == 0
