"""The power fails before and after every durable step: the device boots, keeps its floors, and reports the
truth.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from device_verifier.bootloaders import SlotState
from device_verifier.errors import DeviceError
from device_verifier.records import Phase
from tests.sim.device import SimDevice, assert_bootable
from tests.sim.power import CountingSteps, PowerCut

GOOD = {"rootfs": b"good image" + bytes(6_000), "app": b"app 2" + bytes(3_000)}
BAD = {"rootfs": b"bad image" + bytes(6_000), "app": b"app 2" + bytes(3_000)}
HEALTH = """
[[health]]
name = "app"
command = ["/bin/grep", "-q", "good", "{path}/rootfs.b"]
"""


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


def make(path, images):
    device = SimDevice.make(path, classes=("rootfs", "app"), extra=HEALTH.format(path=path))
    factory = {name: name.encode() * 1000 for name in ("rootfs", "app")}
    with device.agent() as agent:
        first = agent.installed().release
    release = device.release(images=images, security_version=4)
    return device, {first: factory, release.id: images}, release


def run(device, steps):
    """A whole update: install, reboot, and one more reboot where the trial says so."""
    device.install(steps)
    device.boot(steps)


def floors(device):
    with device.store() as store:
        return store.floor(), store.security_floor()


def recover(device):
    """What a device does by itself: it boots, its agent starts, and its timer asks for updates."""
    for _ in range(6):
        device.power_on()
        answer = device.start()
        if answer.reboot:
            continue
        if device.phase in {Phase.CONFIRMED, Phase.REVERTED}:
            return
        try:
            device.install()
        except DeviceError:
            continue


def check_truth(device, release):
    """Nothing is reported that is not so, nor twice, nor out of order (the chain itself is checked by
    `events`).
    """
    kinds = device.kinds()
    assert kinds == [k for i, k in enumerate(kinds) if k not in kinds[:i]], kinds
    with device.agent() as agent:
        state = agent.bootloader.get_state("b").state
        confirmed = agent.store.installed("b") is not None and agent.store.phase() is Phase.CONFIRMED
    assert ("confirmed" in kinds) == confirmed
    if "confirmed" in kinds:
        assert state is SlotState.GOOD
    if "installed" not in kinds:
        assert "confirmed" not in kinds
        assert "reverted" not in kinds
    if device.phase is Phase.ARMED:
        assert "installed" in kinds


def number_of_points(place, images):
    steps = CountingSteps()
    device, _, _ = make(place / "count", images)
    run(device, steps)
    return steps.point


@pytest.mark.parametrize(
    ("images", "ends"),
    [(GOOD, ["baseline", "installed", "confirmed"]), (BAD, ["baseline", "installed", "reverted"])],
    ids=["healthy", "unhealthy"],
)
def test_every_cut_of_an_update_is_survived(place, images, ends):
    points = number_of_points(place, images)
    assert points > 60
    reached = set()
    for point in range(points):
        device, releases, release = make(place / f"cut-{point}", images)
        before = floors(device)
        steps = CountingSteps(cut_at=point, seed=point)
        with pytest.raises(PowerCut):
            run(device, steps)
        after = floors(device)
        assert after[1] >= before[1]
        if before[0] is not None:
            assert after[0].number >= before[0].number
        check_truth(device, release)
        assert_bootable(device, releases)
        recover(device)
        assert device.kinds() == ends, f"cut at point {point} ({steps.trace[-1]})"
        assert floors(device)[1] == (4 if "confirmed" in ends else 1)
        assert device.running == ("b" if "confirmed" in ends else "a")
        reached.add(steps.trace[-1])
        shutil.rmtree(device.path)
    assert reached == {"write", "flush", "commit", "replace boot.json"}


def test_a_cut_during_recovery_is_survived_too(place):
    """Cut twice: once while arming, then at each step of what follows."""
    steps = CountingSteps()
    device, _, _ = make(place / "count", GOOD)
    device.install(steps)
    armed = next(i for i, name in enumerate(steps.trace) if name == "replace boot.json" and i > 10)
    for second in range(24):
        device, releases, release = make(place / f"cut-{second}", GOOD)
        with pytest.raises(PowerCut):
            run(device, CountingSteps(cut_at=2 * armed + 1))
        again = CountingSteps(cut_at=second, seed=second)
        try:
            device.power_on(again)
            device.start(again)
        except PowerCut:
            check_truth(device, release)
            assert_bootable(device, releases)
        recover(device)
        assert device.kinds() == ["baseline", "installed", "confirmed"]
