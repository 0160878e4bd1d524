"""The power fails before and after every durable step: the device boots, keeps its floors, and reports the
truth.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_verifier.bootloaders import SlotState
from device_verifier.errors import DeviceError
from device_verifier.records import Phase
from tests.sim.device import SimDevice, assert_bootable
from tests.sim.power import CountingSteps, PowerCut
from tests.sim.sources import MemoryBlocks, MemoryLedger

HEALTH = """
[[health]]
name = "app"
command = ["/bin/sh", "-c", "grep -q good $FWLEDGER_SLOT_ROOTFS"]
"""
CLASSES = ("rootfs", "app")
FIRST = {"rootfs": b"good first" + bytes(5_000), "app": b"app 2" + bytes(2_000)}
GOOD = {"rootfs": b"good second" + bytes(6_000), "app": b"app 3" + bytes(3_000)}
BAD = {"rootfs": b"bad second" + bytes(6_000), "app": b"app 3" + bytes(3_000)}
FLOOR_BEFORE, FLOOR_AFTER = 1, 4


@dataclass
class Scene:
    """A device that runs its second release from slot b, with a good older one in slot a, and a third on
    offer.
    """

    device: SimDevice
    releases: dict[bytes, dict[str, bytes]]
    bundle: Path

    def copy(self, path, *, offline=False):
        """The same device on another disk: every cut starts from the same state."""
        shutil.copytree(self.device.path, path)
        repository = self.device.repository
        return SimDevice(
            path,
            repository,
            MemoryLedger(repository, down=offline),
            MemoryBlocks(repository.blocks, down=offline),
        )


@pytest.fixture
def place(tmp_path):
    """A directory in memory where there is one: hundreds of updates with real flushes wear disks and
    patience.
    """
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def scene_of(place, images):
    device = SimDevice.make(place / "origin", classes=CLASSES, extra=HEALTH)
    first = device.release(2, images=FIRST, security_version=FLOOR_BEFORE)
    device.install()
    assert device.boot().phase is Phase.CONFIRMED
    device.record(device.events())
    with device.agent() as agent:
        factory = agent.store.installed("a").release
        # The old slot is a fallback, which must be given up before it is overwritten.
        assert agent.bootloader.get_state("a").state is SlotState.GOOD
        agent.reporter().settle(device.journal_word())
    # A newer trust root is on offer too, so that storing it is cut as well.
    device.repository.rotate_root()
    second = device.release(3, images=images, security_version=FLOOR_AFTER)
    assert (device.kinds(), device.power_on()) == ([], "b")
    releases = {factory: {name: name.encode() * 1000 for name in CLASSES}, first.id: FIRST, second.id: images}
    return Scene(device, releases, device.bundle(second))


def run(device, steps, bundle=None):
    """A whole update: install, reboot, and one more reboot where the trial says so."""
    device.install(steps, bundle=bundle)
    device.boot(steps)


def floors(device):
    with device.store() as store:
        floor = store.floor()
        return floor.number, floor.time, floor.root_version, store.security_floor()


def recover(device, bundle=None):
    """What a device does by itself: it boots, its agent starts, and its timer asks for updates."""
    for _ in range(6):
        device.power_on()
        if device.start().reboot:
            continue
        kinds = device.kinds()
        if kinds and kinds[-1] in {"confirmed", "reverted"}:
            return
        try:
            device.install(bundle=bundle)
        except DeviceError:
            continue


def check_truth(device):
    """Nothing is reported that is not so, nor twice (signatures and order are checked by `events`)."""
    kinds = device.kinds()
    assert len(set(kinds)) == len(kinds), kinds
    with device.agent() as agent:
        state = agent.bootloader.get_state("a").state
        confirmed = agent.store.phase() is Phase.CONFIRMED and agent.store.install().slot == "a"
        armed = agent.store.phase() in {Phase.ARMED, Phase.TRIAL, Phase.REVERTED}
    assert ("confirmed" in kinds) == confirmed
    assert ("installed" in kinds) == (armed or confirmed)
    if confirmed:
        assert state is SlotState.GOOD


@pytest.mark.parametrize(
    ("images", "ends", "from_bundle"),
    [
        (GOOD, ["installed", "confirmed"], False),
        (BAD, ["installed", "reverted"], False),
        (GOOD, ["installed", "confirmed"], True),
    ],
    ids=["healthy", "unhealthy", "from a bundle"],
)
def test_every_cut_of_an_update_is_survived(place, images, ends, from_bundle):
    scene = scene_of(place, images)
    bundle = scene.bundle if from_bundle else None
    steps = CountingSteps()
    run(scene.copy(place / "count", offline=from_bundle), steps, bundle)
    assert steps.point > 60
    reached = set()
    for point in range(steps.point):
        device = scene.copy(place / "cut", offline=from_bundle)
        before = floors(device)
        steps = CountingSteps(cut_at=point, seed=point)
        with pytest.raises(PowerCut):
            run(device, steps, bundle)
        assert all(now >= then for now, then in zip(floors(device), before, strict=True))
        check_truth(device)
        assert_bootable(device, scene.releases)
        recover(device, bundle)
        assert device.kinds() == ends, f"cut at point {point} ({steps.trace[-1]})"
        assert floors(device)[2:] == (2, FLOOR_AFTER if "confirmed" in ends else FLOOR_BEFORE)
        assert device.running == ("a" if "confirmed" in ends else "b")
        assert_bootable(device, scene.releases)
        reached.add(steps.trace[-1])
        shutil.rmtree(device.path)
    sample = {"replace bundle-sample.car"} if from_bundle else set()
    assert reached == {"write", "flush", "commit", "replace boot.json"} | sample


@pytest.mark.parametrize("after", range(1, 5))
def test_a_killed_process_is_no_more_than_a_cut(place, after):
    """kill -9 at each line of progress of a real `install`; the next one finishes, without the network."""
    device = SimDevice.make(place / "device", extra="clock = false")
    release = device.release(images={"rootfs": GOOD["rootfs"]})
    bundle = device.bundle(release)
    argv = ["--config", str(device.path / "device.toml"), "install", "--bundle", str(bundle)]
    run_main = "import sys; from device_verifier.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", run_main, *argv], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as agent:
        for _ in range(after):
            agent.stderr.readline()
        agent.kill()
    check_whole(device)
    again = subprocess.run([sys.executable, "-c", run_main, *argv], check=False, capture_output=True)
    assert again.returncode == 0, again.stderr
    device.boot()
    assert device.slot("b")[: len(GOOD["rootfs"])] == GOOD["rootfs"]
    assert device.kinds() == ["baseline", "installed", "confirmed"]


def check_whole(device):
    """Whatever a power-on would choose now is whole."""
    with device.store() as store:
        phase = store.phase()
    boots = (
        json.loads((device.path / "boot.json").read_text())["primary"]
        if (device.path / "boot.json").exists()
        else "a"
    )
    assert boots == "a" or device.slot("b")[: len(GOOD["rootfs"])] == GOOD["rootfs"]
    assert phase in {Phase.IDLE, Phase.OFFERED, Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED}


def test_a_cut_during_recovery_is_survived_too(place):
    """Cut twice: once right after the boot loader was armed, then at each step of what follows."""
    scene = scene_of(place, GOOD)
    steps = CountingSteps()
    scene.copy(place / "count").install(steps)
    armed = len(steps.trace) - 1 - steps.trace[::-1].index("replace boot.json")
    for second in range(20):
        device = scene.copy(place / "cut")
        with pytest.raises(PowerCut):
            run(device, CountingSteps(cut_at=2 * armed + 1))
        with pytest.raises(PowerCut):
            device.boot(CountingSteps(cut_at=second, seed=second))
        check_truth(device)
        assert_bootable(device, scene.releases)
        recover(device)
        assert device.kinds() == ["installed", "confirmed"]
        shutil.rmtree(device.path)
