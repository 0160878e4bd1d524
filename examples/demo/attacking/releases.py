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
        "a stranger replays the publisher's approval of an earlier act",
        "signer lacks the role",
        lambda: lab.send_as_stranger(lab.assigned),
    )
    front.contract(
        "a stranger halts the channel",
        "caller is no guardian",
        lambda: lab.send_as_stranger(lab.ledger.halt(lab.channel)),
    )
    front.contract(
        "publisher's account stolen: an old, vulnerable release once more",
        "sequence not above the channel's",
        lambda: lab.publish(old),
    )
    lab.publish(old, sequence=sequence)
    front.bad_head("publisher's account stolen: that old release under a higher number", "word-mismatch")
    bad = _signed_twice(lab.sign(lab.build("6.6.6", sequence + 1), "alice"))
    lab.publish(bad)
    front.bad_head("one firmware key stolen too: it signs twice, under two names", "threshold")
    for attack, reason, release in (
        (
            "a well-signed release for other hardware on this channel",
            "incompatible",
            lab.build("3.0.0", sequence + 2, compatible="acme,doorbell"),
        ),
        (
            "a well-signed release that is for beta alone on this channel",
            "wrong-channel",
            lab.build("4.0.0", sequence + 3, channel=BETA),
        ),
    ):
        lab.publish(lab.sign(release, "alice", "bob"))
        front.bad_head(attack, reason)
    return sequence + 4


def attack_revocation(front: Front, sequence: int) -> int:
    """A release is revoked, and the attacker wants it installed all the same; the next free sequence."""
    lab = front.lab
    release = lab.release("2.1.0", sequence)
    record = Record()
    front.ready(record)
    lab.app.send(lab.ledger.revoke(release.id, 7))
    front.truth = "revoked"
    front.device(
        "a revoked release: a node writes zero beside the revocation's proof",
        "revoked",
        lie=HideValue(state.revoked_key(release.id)),
    )
    front.device(
        "a stale proof: a node withholds the revocation and replays the past",
        "ledger-rollback",
        lie=Replay(record.kept),
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
