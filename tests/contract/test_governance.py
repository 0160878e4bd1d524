"""Changes of governance: proposed by enough, public for two days, executed by anyone, cancelled by a guardian."""

from __future__ import annotations

import pytest

from tests.contract.actors import (
    ALL_AT_ONCE,
    DELAY_S,
    PROPOSALS,
    WINDOW_S,
    World,
    address,
    ascending,
    digest,
    fresh,
    refused,
)
from tests.contract.evm import private_key

PUBLISHER, GUARDIAN, GOVERNOR, ENROLLER, GATEWAY, OPERATOR = (1 << i for i in range(6))
STABLE, RELEASE = digest("stable"), digest("release")
NEWCOMER = private_key(0x99)

ACTS = {
    "SetMember": (address(NEWCOMER), PUBLISHER),
    "SetThresholds": (1, 1),
    "NameSuccessor": (b"\x77" * 20,),
    "AnnounceTrustRoot": (digest("root 1"), 1, digest("envelope")),
}


@pytest.fixture
def world() -> World:
    return fresh(threshold=2)


@pytest.fixture(params=ACTS)
def act(request) -> str:
    return request.param


def roles(world: World, key) -> int:
    return world.view(world.ledger, "role", address(key))


def counts(world: World) -> tuple[int, ...]:
    rules = world.view(world.ledger, "rules")
    return tuple(rules >> at & 0xFF for at in (16, 24, 32, 40))


def try_execute(world: World, act: str, executed: tuple):
    return world.send(world.anyone, world.ledger, "execute_" + PROPOSALS[act], *executed)


def try_decide(world: World, act: str, *fields: object):
    _, executed = world.propose(act, *fields)
    world.machine.advance(DELAY_S)
    return try_execute(world, act, executed)


# ---------------------------------------------------------------- every change


def test_a_change_that_was_never_proposed_is_refused(world, act):
    _, executed = world.proposal(act, *ACTS[act])
    refused(try_execute(world, act, executed), "change is not proposed")


def test_a_change_is_public_for_two_days(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S - 1)
    refused(try_execute(world, act, executed), "change must wait")
    world.machine.advance(1)
    assert try_execute(world, act, executed).ok


def test_a_change_that_nobody_executes_for_two_weeks_lapses(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S + WINDOW_S + 1)
    refused(try_execute(world, act, executed), "change has lapsed")


def test_a_change_may_be_executed_in_the_last_second_of_its_two_weeks(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S + WINDOW_S)
    assert try_execute(world, act, executed).ok


def test_a_change_is_executed_once(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S)
    assert try_execute(world, act, executed).ok
    refused(try_execute(world, act, executed), "change is over")


def test_one_governor_is_not_enough(world, act):
    proposed, _ = world.proposal(act, *ACTS[act], keys=world.governors[:1])
    sent = world.send(world.anyone, world.ledger, "propose_" + PROPOSALS[act], *proposed)
    refused(sent, "too few approvals")


def test_publishers_do_not_govern(world, act):
    proposed, _ = world.proposal(act, *ACTS[act], keys=world.publishers[:2])
    sent = world.send(world.anyone, world.ledger, "propose_" + PROPOSALS[act], *proposed)
    refused(sent, "signer lacks the role")


def test_approvals_of_a_change_serve_once(world, act):
    proposed, _ = world.proposal(act, *ACTS[act])
    world.act("propose_" + PROPOSALS[act], proposed)
    sent = world.send(world.anyone, world.ledger, "propose_" + PROPOSALS[act], *proposed)
    refused(sent, "signer lacks the role")


def test_approvals_of_a_change_die_with_any_other_proposal(world, act):
    proposed, _ = world.proposal(act, *ACTS[act])
    world.propose("NameSuccessor", b"\x55" * 20)
    sent = world.send(world.anyone, world.ledger, "propose_" + PROPOSALS[act], *proposed)
    refused(sent, "signer lacks the role")


def test_approvals_of_a_change_expire(world, act):
    proposed, _ = world.proposal(act, *ACTS[act])
    world.machine.advance(86_401)
    sent = world.send(world.anyone, world.ledger, "propose_" + PROPOSALS[act], *proposed)
    refused(sent, "approvals expired")


def test_a_guardian_cancels_a_change(world, act):
    id_, executed = world.propose(act, *ACTS[act])
    receipt = world.act("cancel", (id_,), key=world.guardian)
    (log,) = world.logs(receipt)
    assert (log.name, log.args["id"]) == ("Cancelled", id_)
    world.machine.advance(DELAY_S)
    refused(try_execute(world, act, executed), "change is over")
    refused(world.send(world.guardian, world.ledger, "cancel", id_), "change is over")


def test_only_a_guardian_cancels(world, act):
    id_, executed = world.propose(act, *ACTS[act])
    for key in (world.anyone, world.governors[0], world.publishers[0], world.enroller):
        refused(world.send(key, world.ledger, "cancel", id_), "caller is no guardian")
    world.machine.advance(DELAY_S)
    assert try_execute(world, act, executed).ok


def test_a_change_of_members_voids_what_is_queued(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.decide("SetMember", address(world.anyone), ENROLLER)
    refused(try_execute(world, act, executed), "change is over")


def test_a_change_of_thresholds_voids_what_is_queued(world, act):
    _, executed = world.propose(act, *ACTS[act])
    world.decide("SetThresholds", 3, 2)
    refused(try_execute(world, act, executed), "change is over")


def test_a_proposal_says_what_it_is_and_when_it_is_ready(world, act):
    proposed, _ = world.proposal(act, *ACTS[act])
    (log,) = world.logs(world.act("propose_" + PROPOSALS[act], proposed))
    assert log.args["ready_at"] == world.machine.time + DELAY_S
    named = {world.view(world.ledger, "seats", s) for s in range(256) if log.args["approvers"] >> s & 1}
    assert named == {"0x" + address(key).hex() for key in world.governors[:2]}
    entry = world.view(world.ledger, "queue", log.args["id"])
    assert entry & (1 << 40) - 1 == log.args["ready_at"]


@pytest.mark.parametrize("act", ["SetMember", "SetThresholds", "NameSuccessor"])
def test_an_execution_says_which_of_two_equal_proposals_it_was(world, act):
    world.propose(act, *ACTS[act])
    id_, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S)
    log = world.logs(world.act("execute_" + PROPOSALS[act], executed))[0]
    assert (log.name, log.args) == ("Executed", {"id": id_})


def test_the_queue_says_which_of_two_equal_trust_roots_was_executed(world):
    """Its own log has no room for the id under the gas bar; its topic is what devices search for."""
    act = "AnnounceTrustRoot"
    other, _ = world.propose(act, *ACTS[act])
    id_, executed = world.propose(act, *ACTS[act])
    world.machine.advance(DELAY_S)
    assert [log.name for log in world.logs(world.act("execute_trust_root", executed))] == ["TrustRootSet"]
    before, after = (world.view(world.ledger, "queue", one) >> 72 & 1 for one in (other, id_))
    assert (before, after) == (0, 1)


# ---------------------------------------------------------------- members


def test_a_newcomer_gets_roles_and_the_next_seat(world):
    receipt = world.decide("SetMember", address(NEWCOMER), PUBLISHER | ENROLLER)
    assert roles(world, NEWCOMER) == PUBLISHER | ENROLLER
    assert counts(world) == (3, 4, 1, 2)
    log = world.logs(receipt)[1]
    assert (log.name, log.args["roles"], log.args["seat"]) == ("MemberSet", PUBLISHER | ENROLLER, 8)
    keys = ascending([world.publishers[0], NEWCOMER])
    world.act("publish", world.publish_args(STABLE, RELEASE, sequence=1, keys=keys))


def test_a_removed_member_approves_nothing_any_more(world):
    gone = world.publishers[0]
    world.decide("SetMember", address(gone), 0)
    assert (roles(world, gone), counts(world)) == (0, (3, 2, 1, 1))
    args = world.publish_args(STABLE, RELEASE, sequence=1, keys=world.publishers[:2])
    refused(world.send(world.anyone, world.ledger, "publish", *args), "signer lacks the role")
    world.act("publish", world.publish_args(STABLE, RELEASE, sequence=1, keys=world.publishers[1:]))


def test_a_member_who_comes_back_has_the_old_seat(world):
    gone = world.publishers[0]
    before = world.view(world.ledger, "member", address(gone))
    world.decide("SetMember", address(gone), 0)
    world.decide("SetMember", address(gone), PUBLISHER)
    assert world.view(world.ledger, "member", address(gone)) == before


def test_the_very_first_member_has_the_old_seat_too(world):
    gone = world.governors[0]
    before = world.view(world.ledger, "member", address(gone))
    world.decide("SetMember", address(gone), 0)
    _, executed = world.propose("SetMember", address(gone), GOVERNOR, keys=world.governors[1:])
    world.machine.advance(DELAY_S)
    world.act("execute_member", executed)
    assert world.view(world.ledger, "member", address(gone)) == before


def test_the_entry_of_a_removed_member_is_never_cleared(world):
    """Nor is a stranger's word ever that of somebody who was a member: seat 0 is nobody's."""
    for gone in (world.governors[0], world.guardian, world.enroller):
        world.decide("SetMember", address(gone), 0, keys=world.governors[1:])
        entry = world.view(world.ledger, "member", address(gone))
        assert (entry & 0xFF, entry != 0) == (0, True)
    assert world.view(world.ledger, "member", address(NEWCOMER)) == 0
    assert world.view(world.ledger, "seats", 0) == "0x" + "00" * 20


def test_who_approves_nothing_takes_no_seat_until_it_does(world):
    world.decide("SetMember", address(NEWCOMER), OPERATOR)
    assert world.view(world.ledger, "member", address(NEWCOMER)) >> 8 == 0xFFFF
    world.decide("SetMember", address(NEWCOMER), OPERATOR | GOVERNOR)
    assert world.view(world.ledger, "member", address(NEWCOMER)) >> 8 == 8
    assert bytes.fromhex(world.view(world.ledger, "seats", 8)[2:]) == address(NEWCOMER)


def test_publishers_are_never_fewer_than_their_threshold(world):
    world.decide("SetMember", address(world.publishers[0]), 0)
    refused(
        try_decide(world, "SetMember", address(world.publishers[1]), GUARDIAN), "threshold above the members"
    )
    assert roles(world, world.publishers[1]) == PUBLISHER


def test_the_last_governor_is_not_removed():
    world = fresh(threshold=1)
    for key in world.governors[1:]:
        world.decide("SetMember", address(key), 0)
    refused(try_decide(world, "SetMember", address(world.governors[0]), 0), "threshold above the members")


def test_the_zero_address_is_no_member(world):
    proposed, _ = world.proposal("SetMember", b"\0" * 20, PUBLISHER)
    refused(world.send(world.anyone, world.ledger, "propose_member", *proposed), "zero address")


def test_one_address_may_hold_every_role(world):
    world.decide("SetMember", address(NEWCOMER), 63)
    assert roles(world, NEWCOMER) == 63
    assert counts(world) == (4, 4, 2, 2)


@pytest.mark.parametrize("bits", [64, 128, 255])
def test_roles_that_do_not_exist_are_refused(world, bits):
    proposed, _ = world.proposal("SetMember", address(NEWCOMER), bits)
    refused(world.send(world.anyone, world.ledger, "propose_member", *proposed), "unknown role")


@pytest.mark.parametrize("place", [0, 1, 2, 3], ids=["account", "roles", "epoch", "deadline"])
def test_only_what_was_proposed_can_be_executed(world, place):
    _, executed = world.propose("SetMember", address(NEWCOMER), PUBLISHER)
    world.machine.advance(DELAY_S)
    bent = list(executed)
    bent[place] = address(world.anyone) if place == 0 else bent[place] + 1
    refused(try_execute(world, "SetMember", tuple(bent)), "change is not proposed")


# ---------------------------------------------------------------- guardians


def test_a_guardian_cannot_cancel_its_own_removal(world):
    id_, executed = world.propose("SetMember", address(world.guardian), 0)
    refused(world.send(world.guardian, world.ledger, "cancel", id_), "own removal is not cancelled")
    world.machine.advance(DELAY_S)
    assert try_execute(world, "SetMember", executed).ok
    refused(world.send(world.guardian, world.ledger, "revoke", RELEASE, 1), "caller is no guardian")


def test_a_guardian_cannot_cancel_a_change_that_leaves_it_other_roles_only(world):
    id_, _ = world.propose("SetMember", address(world.guardian), PUBLISHER)
    refused(world.send(world.guardian, world.ledger, "cancel", id_), "own removal is not cancelled")


def test_a_guardian_may_cancel_the_removal_of_another(world):
    world.decide("SetMember", address(NEWCOMER), GUARDIAN)
    id_, _ = world.propose("SetMember", address(NEWCOMER), 0)
    refused(world.send(NEWCOMER, world.ledger, "cancel", id_), "own removal is not cancelled")
    world.act("cancel", (id_,), key=world.guardian)


def test_a_guardian_may_cancel_a_change_that_keeps_it(world):
    id_, _ = world.propose("SetMember", address(world.guardian), GUARDIAN | PUBLISHER)
    world.act("cancel", (id_,), key=world.guardian)


def test_what_was_never_proposed_is_not_cancelled(world):
    refused(world.send(world.guardian, world.ledger, "cancel", digest("nothing")), "change is not proposed")


# ---------------------------------------------------------------- thresholds


@pytest.mark.parametrize("pair", [(0, 2), (2, 0), (0, 0)])
def test_a_threshold_is_never_below_one(world, pair):
    refused(try_decide(world, "SetThresholds", *pair), "threshold below one")
    assert world.view(world.ledger, "thresholds") == (2, 2)


@pytest.mark.parametrize("pair", [(4, 2), (2, 4), (17, 1), (1, 17), (255, 255)])
def test_a_threshold_is_never_above_the_members(world, pair):
    refused(try_decide(world, "SetThresholds", *pair), "threshold above the members")


@pytest.mark.parametrize("pair", [(17, 2), (2, 17)])
def test_a_threshold_is_never_above_the_16_approvals_that_an_act_carries(world, pair):
    crowd = world.view(world.ledger, "rules") | 0xFF << 16 | 0xFF << 24
    world.machine.set_storage(world.ledger.address, 9, crowd)
    refused(try_decide(world, "SetThresholds", *pair), "threshold above the members")


def test_new_thresholds_hold_at_once(world):
    receipt = world.decide("SetThresholds", 3, 1)
    log = world.logs(receipt)[1]
    assert (log.name, log.args) == ("ThresholdsSet", {"publish": 3, "govern": 1})
    assert world.view(world.ledger, "thresholds") == (3, 1)
    args = world.publish_args(STABLE, RELEASE, sequence=1, keys=world.publishers[:2])
    refused(world.send(world.anyone, world.ledger, "publish", *args), "too few approvals")
    world.act("publish", world.publish_args(STABLE, RELEASE, sequence=1, keys=world.publishers))


# ---------------------------------------------------------------- trust root, successor, operators


def test_a_proposed_trust_root_must_still_be_the_next_when_it_is_executed(world):
    _, executed = world.propose("AnnounceTrustRoot", digest("root 1"), 1, digest("envelope"))
    world.act("set_trust_root", world.root_args(digest("another root"), 1))
    world.machine.advance(DELAY_S)
    refused(try_execute(world, "AnnounceTrustRoot", executed), "trust root version is not the next")


def test_a_trust_root_digest_of_zero_is_not_proposed(world):
    proposed, _ = world.proposal("AnnounceTrustRoot", b"\0" * 32, 1, digest("envelope"))
    refused(world.send(world.anyone, world.ledger, "propose_trust_root", *proposed), "zero digest")


def test_an_executed_trust_root_is_announced(world):
    receipt = world.decide("AnnounceTrustRoot", digest("root 1"), 1, digest("envelope"))
    assert world.view(world.ledger, "trust_root") == digest("root 1")
    assert world.view(world.ledger, "trust_root_version") == 1
    (log,) = world.logs(receipt)
    assert (log.name, log.args["version"], log.args["digest"]) == ("TrustRootSet", 1, digest("root 1"))


def test_a_successor_is_named(world):
    receipt = world.decide("NameSuccessor", b"\x77" * 20)
    assert world.view(world.ledger, "successor") == "0x" + "77" * 20
    log = world.logs(receipt)[1]
    assert (log.name, log.args["successor"]) == ("SuccessorNamed", "0x" + "77" * 20)


def test_only_an_operator_approves_a_release_and_once(world):
    world.decide("SetMember", address(NEWCOMER), OPERATOR)
    for key in (world.anyone, world.publishers[0], world.governors[0], world.guardian):
        refused(world.send(key, world.ledger, "approve", RELEASE), "caller is no operator")
    receipt = world.act("approve", (RELEASE,), key=NEWCOMER)
    assert world.view(world.ledger, "approval", address(NEWCOMER), RELEASE) == world.machine.time
    (log,) = world.logs(receipt)
    assert (log.name, log.args["release"]) == ("OperatorApproved", RELEASE)
    refused(world.send(NEWCOMER, world.ledger, "approve", RELEASE), "release is approved already")
    refused(world.send(NEWCOMER, world.ledger, "approve", b"\0" * 32), "zero channel or release")


def test_no_governor_act_touches_what_was_recorded(world):
    world.publish(STABLE, RELEASE, sequence=1, curve=ALL_AT_ONCE)
    world.act("revoke", (digest("other"), 3), key=world.guardian)
    held = world.word(STABLE), world.view(world.ledger, "revoked", digest("other"))
    for act, fields in ACTS.items():
        world.decide(act, *fields)
    assert (world.word(STABLE), world.view(world.ledger, "revoked", digest("other"))) == held
    assert world.view(world.ledger, "head", STABLE) == RELEASE
