"""Attacks by a stick: bundles and directories that are cut, tampered with, replayed or hostile."""

import contextlib
import io
import os

import pytest

from device_verifier.errors import DeviceError, NotTrusted, SourceUnreachable
from device_verifier.fetcher import fetch_image
from device_verifier.inquiry import learn
from device_verifier.sources import BlockMissing, StateQuery
from device_verifier.sources.bundle import Bundle
from device_verifier.sources.directory import Directory
from ledger_protocol.bundle import part_name, write_bundle
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import Release
from tests.sim.scene import Scene


def make_bundle(
    path, scene: Scene, release: Release | None = None, *, max_part_bytes: int | None = None, proof=None
):
    """Write what a publisher's `bundle make` writes; return the first part's path."""
    release = scene.release if release is None else release
    parts: list[io.BytesIO] = []

    def open_part(_index):
        parts.append(io.BytesIO())
        return parts[-1]

    limits = {} if max_part_bytes is None else {"max_part_bytes": max_part_bytes}
    write_bundle(
        open_part,
        proof=scene.repository.proof(StateQuery(channel="stable")) if proof is None else proof,
        trust_roots=scene.repository.signed_roots,
        envelope=release.envelope,
        manifest=release.block,
        blocks=release.blocks.items(),
        **limits,
    )
    for index, part in enumerate(parts):
        (path / part_name("update", index)).write_bytes(part.getvalue())
    return path / "update.car"


def use(scene: Scene, source) -> Scene:
    scene.ledgers, scene.mirrors = [source], [source]
    return scene


def install(scene: Scene) -> bytes:
    """Check everything and fetch the image, as `install --bundle` does with the network cut."""
    release = scene.consult().release
    written = bytearray()
    fetch_image(release.manifest.components[0], sources=scene.mirrors, write=written.extend)
    return bytes(written)


def test_a_bundle_alone_is_enough(tmp_path):
    scene = Scene()
    scene.repository.rotate_root()
    scene.repository.seal()
    with Bundle(make_bundle(tmp_path, scene)) as bundle:
        assert install(use(scene, bundle)) == scene.release.images["rootfs"]
    assert len(scene.memory.roots) == 1


def test_a_bundle_in_parts_is_enough(tmp_path):
    scene = Scene()
    first = make_bundle(tmp_path, scene, max_part_bytes=4_096)
    assert len(list(tmp_path.iterdir())) > 2
    with Bundle(first) as bundle:
        assert install(use(scene, bundle)) == scene.release.images["rootfs"]


def test_a_partial_bundle_that_lacks_its_last_part_is_incomplete(tmp_path):
    scene = Scene()
    first = make_bundle(tmp_path, scene, max_part_bytes=4_096)
    (tmp_path / part_name("update", len(list(tmp_path.iterdir())) - 1)).unlink()
    with Bundle(first) as bundle, pytest.raises(SourceUnreachable) as caught:
        install(use(scene, bundle))
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_a_partial_bundle_cut_anywhere_never_installs(tmp_path):
    scene = Scene()
    path = make_bundle(tmp_path, scene)
    whole = path.read_bytes()
    for size in [0, 1, 2, 50, 100, *range(200, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DeviceError) as caught, Bundle(path) as bundle:
            install(use(scene, bundle))
        assert caught.value.exit_code in {1, 3}
        assert caught.value.hint


def test_a_tampered_bundle_never_installs_other_bytes(tmp_path):
    scene = Scene()
    path = make_bundle(tmp_path, scene)
    whole = path.read_bytes()
    for at in range(0, len(whole), 61):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        scene.memory.floor, scene.memory.roots = None, []
        written = None
        with contextlib.suppress(NotTrusted, SourceUnreachable), Bundle(path) as bundle:
            written = install(use(scene, bundle))
        assert written in {None, scene.release.images["rootfs"]}


def test_a_replayed_bundle_from_before_the_floor_is_refused(tmp_path):
    scene = Scene()
    path = make_bundle(tmp_path, scene)
    scene.repository.revoke(scene.release.id)
    scene.repository.seal()
    scene.consult()
    with Bundle(path) as bundle:
        error = use(scene, bundle).refusal()
    assert (error.reason, error.exit_code) == (Reason.LEDGER_ROLLBACK, 1)


def test_a_replayed_bundle_is_too_old_where_a_clock_says_so(tmp_path):
    scene = Scene(max_checkpoint_age=86_400)
    with Bundle(make_bundle(tmp_path, scene)) as bundle:
        error = use(scene, bundle).refusal(now_s=scene.repository.time + 100_000)
    assert error.reason is Reason.STALE_LEDGER


def test_a_bundle_of_another_release_than_its_proof_names_is_refused(tmp_path):
    scene = Scene()
    other = scene.repository.build(9)
    with Bundle(make_bundle(tmp_path, scene, other)) as bundle:
        assert use(scene, bundle).refusal().reason in {Reason.CONTENT_UNAVAILABLE, Reason.BUNDLE_INCOMPLETE}


def test_a_bundle_whose_proof_covers_another_channel_is_refused(tmp_path):
    scene = Scene()
    for channel in ("beta", *map(str, range(20))):
        scene.repository.publish(scene.release, channel=channel)
    scene.repository.seal()
    with Bundle(make_bundle(tmp_path, scene)) as bundle:
        assert use(scene, bundle).refusal(channel="beta").reason is Reason.BAD_PROOF


@pytest.mark.parametrize("rubbish", [b"", b"\x00" * 100, b"\xff" * 5_000, b"hello"])
def test_a_file_that_is_no_bundle_is_one_clear_line(tmp_path, rubbish):
    path = tmp_path / "update.car"
    path.write_bytes(rubbish)
    with pytest.raises(NotTrusted) as caught:
        Bundle(path)
    assert caught.value.reason is Reason.CORRUPT_CONTENT
    assert "\n" not in str(caught.value)


def test_a_bundle_that_is_not_there_is_unreachable(tmp_path):
    with pytest.raises(SourceUnreachable) as caught:
        Bundle(tmp_path / "none.car")
    assert caught.value.reason is Reason.BUNDLE_INCOMPLETE
    with pytest.raises(SourceUnreachable):
        Bundle(tmp_path)


def test_a_bundle_with_a_liar_beside_it_still_installs(tmp_path):
    scene = Scene()
    scene.mirror.lies = dict.fromkeys(scene.release.blocks, b"evil")
    with Bundle(make_bundle(tmp_path, scene)) as bundle:
        scene.ledgers, scene.mirrors = [bundle], [scene.mirror, bundle]
        assert install(scene) == scene.release.images["rootfs"]


def unpack(scene: Scene, path) -> Directory:
    for cid, block in scene.repository.blocks.items():
        (path / str(cid)).write_bytes(block)
    for version, signed in enumerate(scene.repository.signed_roots, start=1):
        (path / f"trust-root-{version}.cbor").write_bytes(signed)
    (path / "proof.cbor").write_bytes(scene.repository.proof(StateQuery(channel="stable")))
    return Directory(path)


def test_a_directory_alone_is_enough(tmp_path):
    scene = Scene()
    scene.repository.rotate_root()
    scene.repository.seal()
    assert install(use(scene, unpack(scene, tmp_path))) == scene.release.images["rootfs"]


def test_a_directory_whose_block_was_swapped_is_refused(tmp_path):
    scene = Scene()
    directory = unpack(scene, tmp_path)
    leaf = next(cid for cid in scene.release.blocks if cid.codec == RAW)
    (tmp_path / str(leaf)).write_bytes(b"evil")
    with pytest.raises(NotTrusted) as caught:
        install(use(scene, directory))
    assert caught.value.reason is Reason.CORRUPT_CONTENT


def test_a_directory_with_a_pipe_a_folder_or_a_flood_in_place_of_a_block_does_not_hang(tmp_path):
    directory = Directory(tmp_path)
    pipe, folder, flood = (Cid.of(RAW, name) for name in (b"pipe", b"folder", b"flood"))
    os.mkfifo(tmp_path / str(pipe))
    (tmp_path / str(folder)).mkdir()
    (tmp_path / str(flood)).write_bytes(bytes(101))
    for cid in (pipe, folder, flood):
        with pytest.raises(SourceUnreachable) as caught:
            directory.get(cid, max_bytes=100)
        assert not isinstance(caught.value, BlockMissing)


def test_an_empty_directory_is_unreachable(tmp_path):
    scene = use(Scene(), Directory(tmp_path))
    assert scene.refusal().exit_code == 3
    with pytest.raises(SourceUnreachable):
        learn(scene.repository.device(), sources=scene.ledgers, memory=scene.memory)
