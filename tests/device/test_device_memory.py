"""An install of a real-sized image in a process of its own: what it holds in memory, and what it imports."""

import functools
import hashlib
import json
import subprocess
import sys

import pytest

from device_verifier.sources import StateQuery
from ledger_protocol.bundle import write_bundle
from tests.sim import repository as sim
from tests.sim.device import SimDevice

IMAGE_BYTES = 64 * 1024 * 1024
# Resident bytes that an embedded board can spare for an update agent (issue 3, What it must reach).
MOST_RESIDENT_BYTES = 60 * 1000 * 1000

# ru_maxrss of a child begins with its parent's peak (vfork shares the memory until exec), so the peak of
# this process image alone is read beside it.
RUN = """
import json, resource, sys
from device_verifier.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "code": code,
    "peak": int(status["VmHWM"].split()[0]) * 1024,
    "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""
# Starts the measured process from a small one, so that ru_maxrss begins small too.
LAUNCH = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', *sys.argv[1:]]).returncode)"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A device that installed 64 MiB from a bundle in its own process: the measurements, and the device."""
    patch = pytest.MonkeyPatch()
    as_published = functools.partial(sim.image_blocks, chunk_bytes=32_768, width=1_024)
    patch.setattr(sim, "image_blocks", as_published)
    device = SimDevice.make(tmp_path_factory.mktemp("memory") / "device")
    for slot in "ab":
        with (device.path / f"rootfs.{slot}").open("r+b") as file:
            file.truncate(IMAGE_BYTES + 4_096)
    image = hashlib.shake_256(b"a root file system").digest(IMAGE_BYTES)
    release = device.release(images={"rootfs": image})
    path = device.path / "stick.car"
    with path.open("wb") as file:
        write_bundle(
            lambda _part: file,
            proof=device.repository.proof(StateQuery(channel="stable", installed=None)),
            trust_roots=device.repository.signed_roots,
            envelope=release.envelope,
            manifest=release.block,
            blocks=release.blocks.items(),
        )
    patch.undo()
    config = device.path / "device.toml"
    text = config.read_text().replace('factory_manifest = "factory.manifest"', "clock = false")
    config.write_text(text)
    argv = ["--config", str(config), "--quiet", "install", "--bundle", str(path)]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, RUN, *argv], capture_output=True, text=True, check=True
    )
    *_, last = done.stdout.splitlines()
    return json.loads(last), device, image


def test_an_install_of_64_mib_stays_under_60_mb(installed):
    measured, _, _ = installed
    assert measured["code"] == 0
    assert measured["peak"] < MOST_RESIDENT_BYTES
    assert measured["ru_maxrss"] < MOST_RESIDENT_BYTES


def test_it_wrote_the_image(installed):
    _, device, image = installed
    assert device.slot("b")[: len(image)] == image


def test_it_imports_nothing_that_a_device_does_not_have(installed):
    measured, _, _ = installed
    third_party = {
        name
        for name in measured["modules"]
        if name not in sys.stdlib_module_names and not name.startswith("_")
    }
    # cffi and its parser come with cryptography and pycryptodome.
    assert third_party <= {
        "Crypto",
        "Cryptodome",
        "cffi",
        "cryptography",
        "device_verifier",
        "ledger_protocol",
        "pycparser",
        "zstandard",
    }
