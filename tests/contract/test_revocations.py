"""Revocations: for ever, plain by one guardian, mandatory by publishers."""

from __future__ import annotations

import pytest

from ledger_protocol.ledger.contract_state import Revocation
from tests.contract.actors import World, address, digest, refused

STABLE = digest("stable")
RELEASE = digest("release")


def revocation(world: World, release: bytes = RELEASE) -> Revocation:
    return Revocation.decode(world.view(world.ledger, "revoked", release))


def test_only_a_guardian_revokes_alone(world):
    for key in (world.anyone, world.publishers[0], world.governors[0], world.enroller):
        refused(world.send(key, world.ledger, "revoke", RELEASE, 1), "caller is no guardian")
    assert world.view(world.ledger, "revoked", RELEASE) == 0


def test_a_guardian_revokes_plainly(world):
    receipt = world.act("revoke", (RELEASE, 513), key=world.guardian)
    assert revocation(world) == Revocation(time=world.machine.time, reason=513, mandatory=False)
    seat = world.view(world.ledger, "member", address(world.guardian)) >> 8
    assert bytes.fromhex(world.view(world.ledger, "seats", seat)[2:]) == address(world.guardian)
    (log,) = world.logs(receipt)
    assert (log.name, log.args) == (
        "Revoked",
        {"release": RELEASE, "reason": 513, "mandatory": False, "approvers": 1 << seat},
    )


@pytest.mark.parametrize("mandatory", [False, True])
def test_publishers_revoke_either_way(quorum, mandatory):
    quorum.act("revoke_approved", quorum.revoke_args(RELEASE, reason=9, mandatory=mandatory))
    assert revocation(quorum) == Revocation(time=quorum.machine.time, reason=9, mandatory=mandatory)


def test_a_plain_revocation_may_become_mandatory_and_keeps_its_time_and_reason(world):
    world.act("revoke", (RELEASE, 3), key=world.guardian)
    time = world.machine.time
    receipt = world.act("revoke_approved", world.revoke_args(RELEASE, reason=4, mandatory=True))
    assert revocation(world) == Revocation(time=time, reason=3, mandatory=True)
    assert world.logs(receipt)[0].args["mandatory"]


def test_a_mandatory_revocation_is_never_weakened(world):
    world.act("revoke_approved", world.revoke_args(RELEASE, mandatory=True))
    held = world.view(world.ledger, "revoked", RELEASE)
    for mandatory in (False, True):
        args = world.revoke_args(RELEASE, mandatory=mandatory)
        refused(world.send(world.anyone, world.ledger, "revoke_approved", *args), "release is revoked")
    refused(world.send(world.guardian, world.ledger, "revoke", RELEASE, 1), "release is revoked")
    assert world.view(world.ledger, "revoked", RELEASE) == held


def test_a_plain_revocation_is_not_repeated(world):
    world.act("revoke", (RELEASE, 3), key=world.guardian)
    args = world.revoke_args(RELEASE, mandatory=False)
    refused(world.send(world.anyone, world.ledger, "revoke_approved", *args), "release is revoked")


def test_the_zero_release_is_not_revoked(world):
    refused(world.send(world.guardian, world.ledger, "revoke", b"\0" * 32, 1), "zero channel or release")
    args = world.revoke_args(b"\0" * 32)
    refused(world.send(world.anyone, world.ledger, "revoke_approved", *args), "zero channel or release")


def test_a_revocation_needs_no_epoch_so_a_halt_does_not_stop_it(world):
    world.publish(STABLE, RELEASE, sequence=1)
    args = world.revoke_args(RELEASE, mandatory=True)
    world.act("halt", (STABLE,), key=world.guardian)
    world.act("revoke_approved", args)
    assert revocation(world).mandatory


def test_the_head_may_be_revoked_and_stays_the_head(world):
    world.publish(STABLE, RELEASE, sequence=1)
    world.act("revoke", (RELEASE, 1), key=world.guardian)
    assert world.view(world.ledger, "head", STABLE) == RELEASE
