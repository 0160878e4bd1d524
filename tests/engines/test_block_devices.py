"""Slots on real block devices: loop devices, which only root can make."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.slots import (
    SlotLayout,
    SlotTarget,
    SlotWriter,
    hash_slot,
    identify,
    open_for_writing,
)
from ledger_protocol.report.reasons import Reason
from tests.sim.device import SimDevice

pytestmark = pytest.mark.engines("loop")

DEVICE_BYTES = 8 * 1024 * 1024


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def loop(tmp_path):
    """Make loop devices; gone when the test ends."""
    made = []

    def make(name):
        with (tmp_path / name).open("wb") as file:
            file.truncate(DEVICE_BYTES)
        made.append(run(os.environ["FWLEDGER_LOOP"], "-f", "--show", str(tmp_path / name)))
        return Path(made[-1])

    yield make
    for device in made:
        run(os.environ["FWLEDGER_LOOP"], "-d", device)


@pytest.fixture
def mounted(loop, tmp_path):
    """A mounted file system on a loop device: the device, and where it is mounted."""
    device, place = loop("mounted"), tmp_path / "mount"
    run("mke2fs", "-q", str(device))
    place.mkdir()
    run("mount", str(device), str(place))
    yield device, place
    run("umount", str(place))


def test_a_mounted_device_is_refused(mounted):
    device, _ = mounted
    with pytest.raises(SlotFailure, match="not in use, got Device or resource busy") as caught:
        open_for_writing(SlotTarget("b", "rootfs", device), size_bytes=1, running=())
    assert caught.value.reason is Reason.SLOT_WRITE


def test_the_running_device_is_refused_by_its_number(loop, tmp_path):
    device = loop("a")
    other_name = tmp_path / "node"
    os.mknod(other_name, 0o600 | 0o060000, device.stat().st_rdev)
    with pytest.raises(SlotFailure, match="which runs now"):
        open_for_writing(
            SlotTarget("b", "rootfs", other_name), size_bytes=1, running=[SlotTarget("a", "rootfs", device)]
        )


def test_the_file_behind_the_running_loop_device_is_refused(loop, tmp_path):
    running = SlotTarget("a", "rootfs", loop("a"))
    with pytest.raises(SlotFailure, match="which runs now"):
        open_for_writing(SlotTarget("b", "rootfs", tmp_path / "a"), size_bytes=1, running=[running])


def test_a_loop_device_over_the_running_file_is_refused(loop, tmp_path):
    target = SlotTarget("b", "rootfs", loop("a"))
    with pytest.raises(SlotFailure, match="which runs now"):
        open_for_writing(target, size_bytes=1, running=[SlotTarget("a", "rootfs", tmp_path / "a")])


def test_the_file_behind_the_mounted_root_is_refused(mounted, tmp_path):
    _, place = mounted
    target = SlotTarget("b", "rootfs", tmp_path / "mounted")
    with pytest.raises(SlotFailure, match="which runs now"):
        open_for_writing(target, size_bytes=1, running=(), root=place)


def test_two_slots_of_which_one_is_a_loop_device_over_the_other_are_refused(loop, tmp_path):
    layout = SlotLayout({"rootfs": (tmp_path / "a", loop("a"))})
    with pytest.raises(SlotFailure, match="a place of its own"):
        layout.check_distinct()


def test_an_image_is_written_and_read_back_past_the_cache(loop):
    target = SlotTarget("b", "rootfs", loop("b"))
    assert identify(target)[1] == DEVICE_BYTES
    image = os.urandom(3_000_001)
    slot = open_for_writing(target, size_bytes=len(image), running=())
    writer = SlotWriter(slot, size_bytes=len(image), steps=DurableSteps(), flush_every_bytes=1 << 20)
    for at in range(0, len(image), 32_768):
        writer.write(image[at : at + 32_768])
    writer.finish()
    slot.close()
    assert hash_slot(target, size_bytes=len(image)) == hashlib.sha256(image).digest()


def test_a_device_updates_over_block_devices(loop, tmp_path):
    device = SimDevice.make(tmp_path / "device")
    for slot in "ab":
        (device.path / f"rootfs.{slot}").unlink()
        (device.path / f"rootfs.{slot}").symlink_to(loop(slot))
    image = os.urandom(40_000)
    device.release(images={"rootfs": image})
    assert device.install().armed
    assert device.slot("b")[:40_000] == image
    device.boot()
    assert device.running == "b"


def test_a_file_system_that_fills_up_is_a_full_disk_and_the_next_try_works(tmp_path):
    device = SimDevice.make(tmp_path / "device")
    small = tmp_path / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small))
    try:
        (device.path / "rootfs.b").unlink()
        with (small / "rootfs.b").open("wb") as file:
            file.truncate(200_000)
        (device.path / "rootfs.b").symlink_to(small / "rootfs.b")
        before = device.slot("a")
        device.release(images={"rootfs": os.urandom(150_000)})
        with pytest.raises(SlotFailure) as caught:
            device.install()
        assert caught.value.reason is Reason.DISK_FULL
        assert (device.slot("a"), device.power_on()) == (before, "a")
        run("mount", "-o", "remount,size=1m", str(small))
        assert device.install().armed
    finally:
        run("umount", str(small))
