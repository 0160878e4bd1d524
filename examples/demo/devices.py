"""Devices of the demo: their folders and slots, and what they are asked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.demo.stage import Bar, DemoError, environment, script
from examples.demo.world import COMPATIBLE

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.stage import Stage
    from examples.demo.world import World

COMPONENTS = ("rootfs", "app")
APP_SLOT_BYTES = 4096
# How much of the image is written when the servers are killed (per cent).
KILL_AT = 20
HEALTH_CHECK = """\
import json, os, pathlib, sys
app = json.loads(pathlib.Path(os.environ["FWLEDGER_SLOT_APP"]).read_bytes().split(b"\\0")[0])
sys.exit(0 if app["healthy"] else f"camera service {app['version']} does not answer")
"""


@dataclass(frozen=True, slots=True)
class Device:
    """A device: its device.toml, and its address."""

    config: Path
    address: bytes

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.config.parent


def make_device(world: World, name: str, *, networked: bool = True) -> Path:
    """A device's folder: two slots for each component, the factory's image in slot a, and device.toml."""
    home = world.folder / name
    home.mkdir()
    for component, size in (("rootfs", world.images["1.0.0"].size_bytes), ("app", APP_SLOT_BYTES)):
        factory = (world.folder / f"{component}-1.0.0.img").read_bytes()
        (home / f"{component}-a.img").write_bytes(factory + bytes(size - len(factory)))
        with (home / f"{component}-b.img").open("wb") as slot:
            slot.truncate(size)
    shutil.copy(world.folder / "trust-root.cbor", home / "trust-root.cbor")
    shutil.copy(world.folder / "releases/1.0.0/manifest.cbor", home / "factory-manifest.cbor")
    (home / "health.py").write_text(HEALTH_CHECK)
    (home / "device.toml").write_text(_device_toml(world, home, networked=networked))
    return home / "device.toml"


def _device_toml(world: World, home: Path, *, networked: bool) -> str:
    lines = [
        f'state_dir = "{home}/state"',
        f'trust_root = "{home}/trust-root.cbor"',
        f'factory_manifest = "{home}/factory-manifest.cbor"',
        f'compatible = "{COMPATIBLE}"',
        'hw_revision = "C2"',
        'arch = "aarch64"',
        "group = 1",
        f'serial = "SN-{home.name}"',
    ]
    if networked:
        if world.relay is not None:
            lines.append(f'relay = "{world.relay.ready["url"]}"')
        lines += [f'[[rpc]]\nurl = "{url}"' for url in world.rpc]
        lines += [f'[[gateway]]\nurl = "{url}"' for url in world.gateways]
    lines += [
        f'[slot.{component}]\na = "{home}/{component}-a.img"\nb = "{home}/{component}-b.img"'
        for component in COMPONENTS
    ]
    lines.append(f'[bootloader]\nkind = "simulated"\nstate = "{home}/boot.json"\ntries = 3')
    lines.append(
        f'[[health]]\nname = "camera"\ncommand = ["{sys.executable}", "{home}/health.py"]\ntimeout_s = 20'
    )
    return "\n".join(lines) + "\n"


def running(stage: Stage, device: Device) -> str:
    """The version that a device says it runs."""
    status = stage.device(device.config, "--output-format", "json", "status", show=False).json()
    return str(status["slots"][status["running"]]["version"])


def slot_digests(device: Device, slot: str) -> list[str]:
    """SHA-256 of every component in a slot."""
    return [
        hashlib.sha256((device.home / f"{component}-{slot}.img").read_bytes()).hexdigest()
        for component in COMPONENTS
    ]


def install_and_kill(world: World, device: Device) -> int:
    """Install; when `KILL_AT` per cent are in the spare slot, kill the first RPC node and the first gateway.

    Returns the per cent then.
    """
    arguments = ("--config", str(device.config), "install")
    world.stage.show_command("fwledger-device", arguments)
    bar, killed = Bar(f"{device.home.name} installs", 100), 0
    slot = device.home / "rootfs-b.img"
    command = [script("fwledger-device"), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    ) as process:
        while process.poll() is None:
            percent = (
                100 * slot.stat().st_blocks * 512 // slot.stat().st_size
            )  # a sparse file, filled by and by
            bar(percent)
            if percent >= KILL_AT and not killed:
                killed = percent
                world.first_node.kill()
                world.own_ipfs.kill()
            time.sleep(0.01)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode != 0 or not 0 < killed < 90:
        raise DemoError(
            f"the install while servers died: exit {process.returncode}, killed at {killed} %: {said}"
        )
    bar(100)
    return killed
