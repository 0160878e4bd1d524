"""What must stand at the end if nothing was left out, and the words that show what was."""

from __future__ import annotations

import pytest

from ledger_client.audit.closing import compare_devices, compare_ledger
from ledger_client.audit.findings import Verdict
from ledger_client.audit.statements import Act, Place
from ledger_client.audit.told import Told
from ledger_protocol.errors import ProofError
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from tests.protocol_makers import digest, trust_root

CHANNEL, OTHER, RELEASE, DEVICE, ROOT = (
    digest("stable"), digest("beta"), digest("release"), digest("device")[:20], digest("root"),
)  # fmt: skip
REVOKED = Revocation(time=50, reason=7, mandatory=False)


def word(epoch: int, **changes: object) -> int:
    values = {
        "sequence": 1, "security_version": 0, "halted": False, "immediate": True, "published_at": 9,
        "rollout_from": 9, "initial_bps": 0, "hold_hours": 0, "ramp_hours": 0, "halt_bps": 0, "min_reports": 0,
    }  # fmt: skip
    return ChannelWord(epoch=epoch, **{**values, **changes}).encode()


def act(name: str, time: int = 50, **fields: object) -> Act:
    return Act(place=Place(block=1, index=0, log=0, time=time), name=name, fields=fields)


STORY = (
    act("GroupAssigned", group=1, channel=CHANNEL),
    act("Published", channel=CHANNEL, release=RELEASE, word=word(2)),
    act("Halted", channel=CHANNEL, word=word(3, halted=True)),
    act("Resumed", channel=CHANNEL, word=word(4)),
    act("GroupAssigned", group=2, channel=CHANNEL),
    act("Enrolled", device=DEVICE, group=1, commitment=bytes(32)),
    act("DevicesPlaced", group=2, retired=True, count=1, approvers=1),
    act("Placed", device=DEVICE, group=2, retired=True),
    act("Revoked", release=RELEASE, reason=7, mandatory=False),
    act("OperatorApproved", operator=DEVICE, release=RELEASE),
    act("TrustRootSet", version=1, digest=ROOT),
)
WORDS = {
    state.head_key(CHANNEL): int.from_bytes(RELEASE, "big"),
    state.word_key(CHANNEL): word(6),
    state.channel_of_key(1): int.from_bytes(CHANNEL, "big"),
    state.channel_of_key(2): int.from_bytes(CHANNEL, "big"),
    state.revoked_key(RELEASE): REVOKED.encode(),
    state.approval_key(DEVICE, RELEASE): 50,
    state.trust_root_key(): int.from_bytes(ROOT, "big"),
}
DEVICE_WORD = DeviceWord(
    sequence=0, enrolled=True, retired=True, open_vote=False, group=2, counted=0, head=bytes(20)
)


def tell(story=STORY) -> tuple[Told, list[str]]:
    told = Told(trust_root().ledger)
    return told, [missing for one in story if (missing := told.follow(one))]


def check(told: Told, words: dict[bytes, int], digests=(ROOT,)):
    def proved(key: bytes) -> int:
        if key not in words:
            raise ProofError("path", expected="a node", got="none")
        return words[key]

    return list(compare_ledger(told, proved, where="end", digests=digests))


def test_a_story_that_is_whole_ends_in_its_words():
    told, missing = tell()
    assert missing == []
    assert set(told.ledger_keys) == set(WORDS)
    assert {f.verdict for f in check(told, WORDS)} == {Verdict.PROVED}


@pytest.mark.parametrize(
    "left_out", range(len(STORY)), ids=[f"{n} {one.name}" for n, one in enumerate(STORY)]
)
def test_no_act_of_the_story_can_be_left_out_unnoticed(left_out):
    name = STORY[left_out].name
    told, missing = tell(STORY[:left_out] + STORY[left_out + 1 :])
    findings = check(told, {**dict.fromkeys(told.ledger_keys, 0), **WORDS})
    devices = list(compare_devices(told, lambda _: DEVICE_WORD.encode(), where="end") if told.devices else [])
    gaps = missing + [f.what for f in [*findings, *devices] if f.verdict == Verdict.GAP]
    if name == "OperatorApproved":  # nothing else names the operator: what no word holds cannot be missed
        assert gaps == []
    elif name == "Enrolled":  # it was placed later, and its events would name it
        assert told.devices
    else:
        assert gaps, name


@pytest.mark.parametrize("key", list(WORDS), ids=lambda key: key.hex()[:8])
def test_a_word_that_differs_is_named(key):
    told, _ = tell()
    findings = check(told, {**WORDS, key: WORDS[key] ^ 1})
    assert [f.verdict for f in findings].count(Verdict.PROVED) == len(findings) - 1


@pytest.mark.parametrize("key", list(WORDS), ids=lambda key: key.hex()[:8])
def test_a_word_without_a_proof_is_a_gap(key):
    told, _ = tell()
    (gap,) = [
        f for f in check(told, {k: v for k, v in WORDS.items() if k != key}) if f.verdict != Verdict.PROVED
    ]
    assert gap.verdict == Verdict.GAP
    assert "no proof of its word" in gap.what


def test_a_revocation_that_became_mandatory_is_asked_for():
    told, _ = tell()
    mandatory = Revocation(time=50, reason=7, mandatory=True).encode()
    (gap,) = [
        f
        for f in check(told, {**WORDS, state.revoked_key(RELEASE): mandatory})
        if f.verdict != Verdict.PROVED
    ]
    assert "mandatory" in gap.what
    told.follow(act("Revoked", time=60, release=RELEASE, reason=9, mandatory=True))
    assert {f.verdict for f in check(told, {**WORDS, state.revoked_key(RELEASE): mandatory})} == {
        Verdict.PROVED
    }


def test_a_revocation_that_is_no_longer_there_is_wrong():
    told, _ = tell()
    (finding,) = [
        f for f in check(told, {**WORDS, state.revoked_key(RELEASE): 0}) if f.verdict != Verdict.PROVED
    ]
    assert finding.verdict == Verdict.WRONG


def test_every_release_that_anybody_named_is_asked_for():
    told = Told(trust_root().ledger)
    told.name_release(RELEASE)
    told.name_release(bytes(32))
    assert told.releases == (RELEASE,)


def test_a_release_that_only_a_skipped_event_names_is_not_asked_for():
    """Anybody may send a batch of events that nobody signed; each would cost every auditor a proof."""
    told = Told(trust_root().ledger)
    told.follow(act("Skipped", device=DEVICE, release=RELEASE, link=0, reason=2))
    assert (told.releases, told.devices) == ((), {})


def test_a_moved_group_spends_the_epoch_of_the_channel_that_it_leaves():
    told, _ = tell()
    told.follow(act("GroupAssigned", group=2, channel=OTHER))
    assert told.words[CHANNEL] == word(7)
    assert OTHER in told.channels
    assert told.words.get(OTHER, 0) == 0


def test_a_trust_root_that_is_not_among_those_given_is_a_gap():
    told, _ = tell()
    (gap,) = [f for f in check(told, WORDS, digests=(digest("another"),)) if f.verdict != Verdict.PROVED]
    assert "not among those given" in gap.what
    empty = Told(trust_root().ledger)
    assert [f.verdict for f in check(empty, {state.trust_root_key(): 0})] == [Verdict.PROVED]


@pytest.mark.parametrize(
    ("changes", "verdict", "what"),
    [
        ({}, Verdict.PROVED, "0 events are all here"),
        ({"sequence": 2}, Verdict.GAP, "events 1 to 2 were left out"),
        ({"head": b"\x01" * 20}, Verdict.WRONG, "do not end in its proven word"),
        ({"group": 3}, Verdict.GAP, "moved to group 3"),
        ({"retired": False}, Verdict.GAP, "that was left out"),
    ],
)
def test_a_device_is_held_to_its_word(changes, verdict, what):
    from dataclasses import replace

    told, _ = tell()
    words = {state.device_key(DEVICE): replace(DEVICE_WORD, **changes).encode()}
    (finding,) = compare_devices(told, words.__getitem__, where="end")
    assert finding.verdict == verdict
    assert what in finding.what
