"""Attacks by whoever holds the publisher's account, one firmware key, or both."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from examples.demo.attacking.lies import HideValue, Record, Replay
from examples.demo.world import BETA
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.release.signing import Signature

if TYPE_CHECKING:
    from examples.demo.attacking.front import Front
    from ledger_client.releases import Release


def attack_publishing(front: Front, old: Release, sequence: int) -> int:
    """The publisher's account is stolen, and publishes whatever it likes; the next free sequence."""
    lab = front.lab
    front.contract(
        "publisher's account stolen: an old, vulnerable release once more",
        "sequence not above the channel's",
        lambda: lab.publish(old),
    )
    lab.publish(old, sequence=sequence)
    front.device(
        "publisher's account stolen: that old release under a higher number",
        "word-mismatch",
        honest="word-mismatch",
    )
    bad = _signed_twice(lab.sign(lab.build("6.6.6", sequence + 1), "alice"))
    lab.publish(bad)
    front.device(
        "that account and one firmware key, which signs twice under two names",
        "threshold",
        honest="threshold",
    )
    for attack, reason, release in (
        (
            "a well-signed release for other hardware on this channel",
            "incompatible",
            lab.build("3.0.0", sequence + 2, compatible="acme,doorbell"),
        ),
        (
            "a well-signed release that is meant for beta alone on this channel",
            "wrong-channel",
            lab.build("4.0.0", sequence + 3, channel=BETA),
        ),
    ):
        lab.publish(lab.sign(release, "alice", "bob"))
        front.device(attack, reason, honest=reason)
    return sequence + 4


def attack_revocation(front: Front, sequence: int) -> int:
    """A release is revoked, and the attacker wants it installed all the same; the next free sequence."""
    lab = front.lab
    release = lab.release("2.1.0", sequence)
    record = Record()
    front.expect_ready(record)
    lab.app.send(lab.ledger.revoke(release.id, 7))
    front.device(
        "a revocation whose JSON value an RPC node sets to zero",
        "revoked",
        lie=HideValue(state.revoked_key(release.id)),
        honest="revoked",
    )
    front.device(
        "a stale proof: an RPC node withholds the revocation, and tells of yesterday",
        "ledger-rollback",
        lie=Replay(record.kept),
        honest="revoked",
    )
    again = lab.sign(replace(release, envelope=replace(release.envelope, signatures=())), "bob", "carol")
    front.contract(
        "the revoked release, signed anew by others: still the same release",
        "release is revoked",
        lambda: lab.publish(again, sequence=sequence + 1),
    )
    return sequence + 2


def _signed_twice(release: Release) -> Release:
    """The same signature again, as if another key had made it."""
    only = release.envelope.signatures[0]
    alias = Signature(hashlib.sha256(b"alice, but under another name").digest(), only.sig)
    return replace(release, envelope=release.envelope.with_signature(alias))
