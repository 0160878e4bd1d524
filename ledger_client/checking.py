"""`release check`: the device's own policy, run on a publisher's machine before anything is published."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from device_verifier.facts import MAX_FACTS_BYTES, DeviceFacts, facts_from_json
from device_verifier.policy import decide, judge_fit, judge_release
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.errors import UsageError
from ledger_client.proofs import ledger_proof
from ledger_protocol.ledger import contract_state
from ledger_protocol.ledger.contract_state import ChannelWord
from ledger_protocol.release.manifest import channel_id

if TYPE_CHECKING:
    from pathlib import Path

    from device_verifier.policy import Decision
    from device_verifier.release import VerifiedRelease
    from ledger_client.acts import Rollout
    from ledger_client.ledger import Ledger
    from ledger_client.trust import HeldRoot


def read_facts(path: Path) -> DeviceFacts:
    """Read a device's facts, as `fwledger-device status` writes them."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FACTS_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read device facts {path}", got=error.strerror or error) from error
    return facts_from_json(raw)


def check_fit(release: VerifiedRelease, facts: DeviceFacts) -> Decision:
    """V9 alone: whether a verified release fits the device, whatever the ledger says."""
    return judge_fit(release, facts)


def check_publication(
    ledger: Ledger,
    release: VerifiedRelease,
    facts: DeviceFacts,
    *,
    held: HeldRoot,
    channel: str,
    rollout: Rollout,
) -> Decision:
    """V0 to V5, V8 and V9 as the device would run them, were the release published on the channel now.

    The proof of the ledger's state is real and verified; only the channel's head and word are what publishing
    makes of them.
    """
    installed = facts.installed.release if facts.installed is not None else None
    keys = [
        contract_state.head_key(channel_id(channel)),
        contract_state.word_key(channel_id(channel)),
        contract_state.trust_root_key(),
        contract_state.revoked_key(release.release_id),
    ]
    head = ledger.head(channel_id(channel))
    keys += [contract_state.revoked_key(other) for other in (head, installed) if other is not None]
    proof = ledger_proof(ledger.network, ledger=ledger.address, keys=keys).encode()
    trusted = TrustedLedger(trust_root=held.signed, floor=None, now_s=facts.now_s)
    header = trusted.update_header(proof)
    view = trusted.read(StateQuery(channel=channel, installed=installed, also_revoked=(release.release_id,)))
    manifest = release.manifest
    planned = ChannelWord(
        sequence=manifest.sequence,
        security_version=manifest.security_version,
        epoch=0,
        halted=False,
        immediate=rollout.immediate,
        published_at=header.time,
        rollout_from=header.time,
        initial_bps=rollout.initial_bps,
        hold_hours=rollout.hold_hours,
        ramp_hours=rollout.ramp_hours,
        halt_bps=rollout.halt_bps,
        min_reports=rollout.min_reports,
    )
    planned_view = dataclasses.replace(
        view,
        channel=channel_id(channel),
        head=release.release_id,
        word=planned,
        head_revoked=view.revocation_of(release.release_id),
    )
    decision = decide(planned_view, facts)
    return judge_release(release, planned_view, facts, so_far=decision) if decision.installs else decision
