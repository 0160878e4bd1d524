"""Attacks on the release itself (protocol.md §8), each mounted and refused with its reason."""

import hashlib
from dataclasses import replace

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.facts import Slot
from device_verifier.fetcher import fetch_image
from device_verifier.policy import Action
from device_verifier.release import verify_release
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.content.dag_cbor import encode
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import MinFrom, release_id
from ledger_protocol.release.signing import MANIFEST_TYPE, TRUST_ROOT_TYPE, Signature, sign
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import OPERATOR, Release, Repository, payload
from tests.sim.scene import Scene


def published(scene: Scene, release: Release, **word) -> Scene:
    scene.repository.publish(release, **word)
    scene.repository.seal()
    return scene


def test_arbitrary_software_signed_by_nobody_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11, signers=[]))
    error = scene.refusal()
    assert (error.reason, error.check, error.exit_code) == (Reason.THRESHOLD, "V7", 1)


def test_arbitrary_software_signed_by_strangers_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11, signers=Repository(seed=666).release_keys))
    assert scene.refusal().reason is Reason.THRESHOLD


def test_one_stolen_firmware_key_is_not_enough():
    scene = Scene()
    for key in scene.repository.release_keys:
        published(scene, scene.repository.build(11, signers=[key], notes=str(key)[-20:-1]))
        assert scene.reason() is Reason.THRESHOLD


def test_threshold_minus_one_stolen_keys_and_a_retired_one_are_not_enough():
    scene = Scene()
    repository = scene.repository
    retired = repository.release_keys[0]
    keys = repository.root.release_keys
    repository.rotate_root(release_keys=replace(keys, keys=keys.keys[1:]))
    published(scene, repository.build(11, signers=[retired, repository.release_keys[1]]))
    assert scene.refusal().reason is Reason.THRESHOLD


def test_one_stolen_key_signing_twice_counts_once():
    scene = Scene()
    release = scene.repository.build(11, signers=[])
    stolen = scene.repository.release_keys[2]  # ECDSA: two signatures of one key differ
    one, two = (sign(stolen, MANIFEST_TYPE, release.block) for _ in range(2))
    assert one.sig != two.sig
    pair = [{"keyid": s.key_id, "sig": s.sig} for s in (one, two)]
    link = Cid.of(DAG_CBOR, release.block)
    forged = encode({"schema": "fwledger/envelope/1", "manifest": link, "signatures": pair})
    scene.repository.blocks[Cid.of(DAG_CBOR, forged)] = forged
    published(scene, replace(release, envelope=forged))
    with pytest.raises(NotTrusted) as caught:
        verify_release(forged, release.block, head=release.id, root=scene.repository.root)
    assert caught.value.reason is Reason.BAD_SIGNATURE
    assert scene.refusal().exit_code in {1, 3}


def test_duplicate_keyids_over_another_keys_signature_count_nothing():
    scene = Scene()
    release = scene.repository.build(11, signers=[])
    good = sign(scene.repository.release_keys[0], MANIFEST_TYPE, release.block)
    other = scene.repository.root.release_keys.keys[1].key_id
    envelope = Envelope(Cid.of(DAG_CBOR, release.block)).with_signature(good)
    forged = envelope.with_signature(Signature(other, good.sig)).encode()
    made = replace(release, envelope=forged)
    scene.repository.pin(made)
    published(scene, made)
    assert scene.refusal().reason is Reason.BAD_SIGNATURE


def test_a_signature_for_another_kind_of_document_does_not_count():
    scene = Scene()
    release = scene.repository.build(11, signers=[])
    envelope = Envelope(Cid.of(DAG_CBOR, release.block))
    for key in scene.repository.release_keys[:2]:
        envelope = envelope.with_signature(sign(key, TRUST_ROOT_TYPE, release.block))
    made = replace(release, envelope=envelope.encode())
    scene.repository.pin(made)
    published(scene, made)
    assert scene.refusal().reason is Reason.BAD_SIGNATURE


def test_a_revoked_release_signed_anew_is_still_revoked():
    scene = Scene()
    repository = scene.repository
    repository.revoke(scene.release.id)
    again = replace(scene.release, envelope=repository.envelope(scene.release.block, repository.release_keys))
    repository.pin(again)
    assert again.envelope != scene.release.envelope
    published(scene, again)
    answer = scene.consult()
    assert (answer.decision.action, answer.decision.reason) == (Action.REFUSE, Reason.REVOKED)


def test_a_republished_old_manifest_with_a_higher_sequence_is_refused():
    scene = Scene()
    repository = scene.repository
    old = repository.build(5)
    published(scene, old, sequence=11)
    answer = scene.consult()
    assert (answer.decision.reason, answer.release) == (Reason.WORD_MISMATCH, None)


def test_a_republished_old_manifest_with_a_higher_security_version_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11), security_version=9)
    assert scene.reason(security_floor=9) is Reason.WORD_MISMATCH


def test_a_republished_old_manifest_on_a_fresh_channel_is_not_newer_than_what_runs():
    scene = Scene()
    old = scene.repository.build(5, channels=("stable", "fresh"))
    scene.repository.publish(old, channel="fresh")
    scene.repository.seal()
    assert scene.reason(channel="fresh", installed=scene.release.installed) is Reason.NOT_NEWER


def test_a_rollback_below_the_floor_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11, security_version=2))
    assert scene.reason(security_floor=3) is Reason.ROLLBACK


def test_a_wrong_channel_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11, channels=("beta",)))
    answer = scene.consult()
    assert (answer.decision.action, answer.decision.reason) == (Action.REFUSE, Reason.WRONG_CHANNEL)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"compatible": "acme,other"}, {}),
        ({"hw_revisions": ("A1", "B1")}, {}),
        ({"component": {"arch": "x86_64"}}, {}),
        ({}, {"slots": (Slot("rootfs", 1_000_000, arch="cortex-m4"),)}),
    ],
)
def test_wrong_hardware_is_refused(changes, facts):
    scene = Scene()
    published(scene, scene.repository.build(11, **changes))
    assert scene.reason(**facts) is Reason.INCOMPATIBLE


def test_mix_and_match_of_an_envelope_and_another_manifest_is_refused():
    scene = Scene()
    other = scene.repository.build(12)
    unsigned = scene.repository.build(11, signers=[])
    mixed = replace(unsigned, envelope=other.envelope)
    published(scene, mixed)
    assert scene.refusal().exit_code in {1, 3}
    scene.repository.envelopes[unsigned.id] = [
        other.envelope_cid.to_bytes(),
        unsigned.envelope_cid.to_bytes(),
    ]
    assert scene.refusal().reason is Reason.THRESHOLD


def test_mix_and_match_of_one_releases_manifest_under_anothers_head_is_wrong_content():
    scene = Scene()
    other = scene.repository.build(12)
    for envelope in (other.envelope, scene.release.envelope):
        with pytest.raises(NotTrusted) as caught:
            verify_release(envelope, other.block, head=scene.release.id, root=scene.repository.root)
        assert (caught.value.reason, caught.value.check) == (Reason.WRONG_CONTENT, "V6")
    with pytest.raises(NotTrusted) as caught:
        verify_release(other.envelope, scene.release.block, head=scene.release.id, root=scene.repository.root)
    assert caught.value.reason is Reason.WRONG_CONTENT


def test_a_malicious_mirror_that_swaps_the_manifest_is_refused():
    scene = Scene()
    evil = scene.repository.build(99, signers=[])
    scene.mirror.lies[Cid(DAG_CBOR, scene.release.id)] = evil.block
    error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.CORRUPT_CONTENT, 1)
    assert error.release == scene.release.id


def test_oversize_signing_past_the_2_and_4_gib_edges_does_not_wrap():
    scene = Scene()
    for size in (2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 10_000):
        published(scene, scene.repository.build(11, component={"size": size}))
        assert scene.reason() is Reason.TOO_LARGE


def test_truncated_signing_of_the_first_part_of_an_image_only_is_refused():
    image = payload(10_000)
    scene = Scene()
    short = hashlib.sha256(image[:4_096]).digest()
    published(
        scene,
        scene.repository.build(11, images={"rootfs": image}, component={"size": 4_096, "sha256": short}),
    )
    release = scene.consult().release
    with pytest.raises(NotTrusted) as caught:
        fetch_image(release.manifest.components[0], sources=scene.mirrors, write=lambda _: None)
    assert caught.value.reason is Reason.CORRUPT_CONTENT


def test_a_component_for_which_there_is_no_slot_is_refused():
    scene = Scene()
    published(scene, scene.repository.build(11, images={"bootloader": payload(100)}))
    assert scene.reason() is Reason.SLOT_MISSING


def test_two_components_never_share_a_slot():
    scene = Scene()
    images = {"rootfs": payload(100), "app": payload(100)}
    published(scene, scene.repository.build(11, images=images, component={"slot_class": "rootfs"}))
    assert scene.reason() is Reason.SLOT_MISSING


@pytest.mark.parametrize("component", [{"handler": "archive"}, {"encryption": {"format": "age"}}])
def test_what_the_device_cannot_do_is_refused_before_anything_is_fetched(component):
    scene = Scene()
    published(scene, scene.repository.build(11, component=component))
    assert scene.reason() is Reason.UNSUPPORTED


def test_a_stepping_stone_is_installed_first():
    scene = Scene()
    stone = scene.repository.build(11, security_version=2)
    head = scene.repository.build(12, security_version=3, min_from=MinFrom(2, stone.id))
    scene.repository.publish(stone)
    published(scene, head)
    old = scene.release.installed
    answer = scene.consult(installed=old)
    assert (answer.decision.target, answer.decision.reason) == (stone.id, Reason.INSTALL_VIA)
    assert answer.release.release_id == stone.id
    assert scene.installs(head, installed=stone.installed)


def test_rollback_by_way_of_a_stepping_stone_below_the_floor_is_refused():
    scene = Scene()
    stone = scene.repository.build(11, security_version=2)
    head = scene.repository.build(12, security_version=5, min_from=MinFrom(2, stone.id))
    scene.repository.publish(stone)
    scene.repository.publish(head)
    scene.repository.seal()
    assert scene.reason(installed=scene.release.installed) is Reason.INSTALL_VIA
    # What runs is a fallback that was kept below the floor.
    assert scene.reason(installed=scene.release.installed, security_floor=4) is Reason.ROLLBACK


def test_a_revoked_stepping_stone_leaves_no_way():
    scene = Scene()
    stone = scene.repository.build(11, security_version=2)
    scene.repository.publish(stone)
    scene.repository.revoke(stone.id)
    head = scene.repository.build(12, security_version=3, min_from=MinFrom(2, stone.id))
    published(scene, head)
    answer = scene.consult(installed=scene.release.installed)
    assert (answer.decision.action, answer.decision.reason) == (Action.REFUSE, Reason.UNREACHABLE_FROM)
    assert answer.release is None


def test_a_stepping_stone_above_the_head_or_not_far_enough_leaves_no_way():
    for sequence, security_version in ((13, 2), (11, 1)):
        scene = Scene()
        stone = scene.repository.build(sequence, security_version=security_version, notes="stone")
        scene.repository.publish(stone)
        head = scene.repository.build(12, security_version=3, min_from=MinFrom(2, stone.id))
        published(scene, head)
        assert scene.reason(installed=scene.release.installed) is Reason.UNREACHABLE_FROM


def test_an_unsigned_stepping_stone_is_refused():
    scene = Scene()
    stone = scene.repository.build(11, security_version=2, signers=[])
    scene.repository.publish(stone)
    head = scene.repository.build(12, security_version=3, min_from=MinFrom(2, stone.id))
    published(scene, head)
    assert scene.reason(installed=scene.release.installed) is Reason.THRESHOLD


def test_no_way_from_an_old_release_when_none_is_named():
    scene = Scene()
    published(scene, scene.repository.build(12, security_version=3, min_from=MinFrom(2, None)))
    assert scene.reason(installed=scene.release.installed) is Reason.UNREACHABLE_FROM


def test_an_approval_by_another_operator_does_not_count():
    scene = Scene(operator=OPERATOR)
    assert scene.reason() is Reason.NOT_APPROVED
    scene.repository.approve(scene.release.id, operator=bytes(20))
    scene.repository.seal()
    assert scene.reason() is Reason.NOT_APPROVED
    scene.repository.approve(scene.release.id)
    scene.repository.seal()
    assert scene.installs(scene.release)


def test_an_approval_replayed_for_another_release_does_not_count():
    scene = Scene(operator=OPERATOR)
    scene.repository.approve(scene.release.id)
    published(scene, scene.repository.build(11))
    assert scene.reason() is Reason.NOT_APPROVED


@pytest.mark.parametrize("block", [b"", b"\xa0", b"hello", encode({"schema": "fwledger/manifest/2"})])
def test_a_signed_block_that_is_no_manifest_of_ours_is_refused(block):
    repository = Scene().repository
    with pytest.raises(NotTrusted) as caught:
        verify_release(
            repository.envelope(block, repository.release_keys),
            block,
            head=release_id(block),
            root=repository.root,
        )
    assert caught.value.reason is Reason.BAD_MANIFEST


@pytest.mark.parametrize("envelope", [b"", b"\xa0", b"hello", bytes(9_000)])
def test_what_is_no_envelope_is_refused(envelope):
    scene = Scene()
    with pytest.raises(NotTrusted) as caught:
        verify_release(envelope, scene.release.block, head=scene.release.id, root=scene.repository.root)
    assert caught.value.reason is Reason.BAD_MANIFEST
