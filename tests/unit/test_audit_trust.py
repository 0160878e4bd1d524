"""Which trust root and which pair of contracts holds at a block."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger_client.audit.findings import Verdict
from ledger_client.audit.history import History
from ledger_client.audit.trust import TrustHistory
from ledger_client.errors import NotTrustedError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.release.trust_root import SignedTrustRoot
from tests.protocol_makers import ROOT_SIGNERS, digest, signed_root, trust_root

# Validators alone: witnesses' origin would have to name each chain that a root moves to.
FIRST = trust_root(headers=replace(trust_root().headers, witnesses=None))


def history(*ledgers) -> TrustHistory:
    """Roots that pin these ledgers, one after another."""
    signed, root = [signed_root(FIRST, *ROOT_SIGNERS[:2])], FIRST
    for ledger in ledgers:
        root = replace(
            root, version=root.version + 1, previous=SignedTrustRoot.decode(signed[-1]).cid, ledger=ledger
        )
        signed.append(signed_root(root, *ROOT_SIGNERS[:2]))
    return TrustHistory.open(signed[0], later=signed[1:], fingerprint=None)


def test_one_root_is_one_era_without_end():
    trust = history()
    (era,) = trust.eras
    assert (era.first, era.last, era.ledger) == (5, None, FIRST.ledger)
    assert trust.era_of(10**9) == era
    with pytest.raises(NotTrustedError, match="before the trust root's range"):
        trust.era_of(4)
    with pytest.raises(NotTrustedError, match="before the trust root's range"):
        trust.root_for(4)


def test_a_later_start_of_the_same_ledger_is_the_same_era_under_another_root():
    """Validators changed at block 20: headers before it stay under the root of their day."""
    trust = history(replace(FIRST.ledger, from_block=20))
    (era,) = trust.eras
    assert (era.first, era.last) == (5, None)
    assert [trust.root_for(block).version for block in (5, 19, 20, 99)] == [1, 1, 2, 2]


def test_a_move_to_other_contracts_is_another_era():
    moved = replace(
        FIRST.ledger, address=digest("new ledger")[:20], journal=digest("new journal")[:20], from_block=50
    )
    trust = history(replace(FIRST.ledger, from_block=20), moved)
    assert [(era.first, era.last, era.ledger.address) for era in trust.eras] == [
        (5, 49, FIRST.ledger.address),
        (50, None, moved.address),
    ]
    assert trust.era_of(49).ledger.address == FIRST.ledger.address
    assert trust.era_of(50).ledger.address == moved.address


def test_what_happened_on_another_chain_is_named_as_a_gap():
    moved = replace(FIRST.ledger, chain_id=2, address=digest("new ledger")[:20], from_block=3)
    trust = history(moved)
    assert trust.elsewhere == ((1, FIRST.ledger.chain_id),)
    assert [(era.first, era.ledger.chain_id) for era in trust.eras] == [(3, 2)]
    audit = History(trust)
    audit.finish()
    assert {f.verdict for f in audit.findings} == {Verdict.GAP}
    assert any(f"is on chain {FIRST.ledger.chain_id}" in f.what for f in audit.findings)


def test_a_gap_between_versions_and_a_wrong_fingerprint_are_refused():
    signed = [signed_root(FIRST, *ROOT_SIGNERS[:2])]
    third = replace(FIRST, version=3, previous=SignedTrustRoot.decode(signed[0]).cid)
    with pytest.raises((ProtocolError, NotTrustedError)):
        TrustHistory.open(signed[0], later=[signed_root(third, *ROOT_SIGNERS[:2])], fingerprint=None)
    with pytest.raises(NotTrustedError, match="fingerprint"):
        TrustHistory.open(signed[0], fingerprint=bytes(32))
