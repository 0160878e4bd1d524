"""The digest and version of the newest trust root."""

from __future__ import annotations

import pytest

from tests.contract.actors import World, digest, refused


def held(world: World) -> tuple[bytes, int]:
    return world.view(world.ledger, "trust_root"), world.view(world.ledger, "trust_root_version")


def test_no_trust_root_is_announced_at_first(world):
    assert held(world) == (b"\0" * 32, 0)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_only_the_next_version_is_taken(world, version):
    world.act("set_trust_root", world.root_args(digest("root 1"), 1))
    args = world.root_args(digest("root"), version)
    sent = world.send(world.anyone, world.ledger, "set_trust_root", *args)
    refused(sent, "trust root version is not the next")
    assert held(world) == (digest("root 1"), 1)


def test_a_digest_of_zero_is_refused(world):
    args = world.root_args(b"\0" * 32, 1)
    refused(world.send(world.anyone, world.ledger, "set_trust_root", *args), "zero digest")


def test_governors_announce_one_version_after_the_other(quorum):
    for version in (1, 2, 3):
        root = digest(f"root {version}")
        receipt = quorum.act("set_trust_root", quorum.root_args(root, version))
        assert held(quorum) == (root, version)
        (log,) = quorum.logs(receipt)
        assert (log.name, log.args["version"], log.args["digest"]) == ("TrustRootSet", version, root)
        assert log.args["envelope"] == digest("envelope of root " + root.hex())


def test_publishers_cannot_announce_a_trust_root(quorum):
    args = quorum.root_args(digest("root"), 1, keys=quorum.publishers[:2])
    refused(quorum.send(quorum.anyone, quorum.ledger, "set_trust_root", *args), "signer lacks the role")
