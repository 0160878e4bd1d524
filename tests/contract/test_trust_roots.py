"""The digest and version of the newest trust root."""

from __future__ import annotations

import pytest

from tests.contract.actors import DELAY_S, World, digest, refused


def held(world: World) -> tuple[bytes, int]:
    return world.view(world.ledger, "trust_root"), world.view(world.ledger, "trust_root_version")


def test_no_trust_root_is_announced_at_first(world):
    assert held(world) == (b"\0" * 32, 0)


@pytest.mark.parametrize("version", [1, 2, 7, 2**32 - 1])
def test_a_fleet_that_moves_here_brings_the_version_that_it_has(world, version):
    world.act("set_trust_root", world.root_args(digest("root"), version))
    assert held(world) == (digest("root"), version)


def test_version_zero_is_no_version(world):
    args = world.root_args(digest("root"), 0)
    sent = world.send(world.anyone, world.ledger, "set_trust_root", *args)
    refused(sent, "trust root version is not the next")
    assert held(world) == (b"\0" * 32, 0)


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_only_the_first_is_announced_at_once(quorum, version):
    quorum.act("set_trust_root", quorum.root_args(digest("root 1"), 1))
    args = quorum.root_args(digest("root"), version, keys=quorum.governors)
    sent = quorum.send(quorum.anyone, quorum.ledger, "set_trust_root", *args)
    refused(sent, "trust root must be proposed")
    assert held(quorum) == (digest("root 1"), 1)


def test_the_approval_of_the_first_serves_once(world):
    args = world.root_args(digest("root 1"), 1)
    world.act("set_trust_root", args)
    refused(world.send(world.anyone, world.ledger, "set_trust_root", *args), "trust root must be proposed")


@pytest.mark.parametrize("version", [0, 6, 7, 9])
def test_only_the_next_version_is_executed(world, version):
    world.act("set_trust_root", world.root_args(digest("root 7"), 7))
    _, executed = world.propose("AnnounceTrustRoot", digest("root"), version, digest("envelope"))
    world.machine.advance(DELAY_S)
    sent = world.send(world.anyone, world.ledger, "execute_trust_root", *executed)
    refused(sent, "trust root version is not the next")
    assert held(world) == (digest("root 7"), 7)


def test_a_digest_of_zero_is_refused(world):
    args = world.root_args(b"\0" * 32, 1)
    refused(world.send(world.anyone, world.ledger, "set_trust_root", *args), "zero digest")


def test_governors_announce_one_version_after_the_other(quorum):
    for version in (1, 2, 3):
        root, envelope = digest(f"root {version}"), digest(f"envelope of root {version}")
        if version == 1:
            receipt = quorum.act("set_trust_root", quorum.root_args(root, 1, envelope=envelope))
        else:
            receipt = quorum.decide("AnnounceTrustRoot", root, version, envelope)
        assert held(quorum) == (root, version)
        (log,) = quorum.logs(receipt)
        assert (log.name, log.args["version"], log.args["digest"]) == ("TrustRootSet", version, root)
        assert log.args["envelope"] == envelope


def test_publishers_cannot_announce_a_trust_root(quorum):
    args = quorum.root_args(digest("root"), 1, keys=quorum.publishers[:2])
    refused(quorum.send(quorum.anyone, quorum.ledger, "set_trust_root", *args), "signer lacks the role")
