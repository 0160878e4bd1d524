"""The demo's world: who there is, which servers run, and what a manufacturer does for each release."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from examples.demo.images import Image, make_image, make_tree, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.stage import Ran, Server, Stage

CHANNEL, BETA = "stable", "beta"
COMPATIBLE = "acme,camera"
SIGNERS = ("alice", "bob", "carol")
HEALTH_CHECK = """\
import json, os, pathlib, sys
slot = os.environ["FWLEDGER_SLOT"]
app = json.loads(pathlib.Path(f"app-{slot}.img").read_bytes().rstrip(b"\\0"))
sys.exit(0 if app["healthy"] else f"camera service {app['version']} does not answer")
"""


@dataclass(slots=True)
class World:
    """Everybody and everything in the demo. URLs of servers are fixed once these have started."""

    stage: Stage
    first_node: Server
    second_node: Server
    own_ipfs: Server
    mirror: Server
    relay: Server | None = None
    images: dict[str, Image] = field(default_factory=dict)
    releases: dict[str, bytes] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.stage.folder

    @property
    def rpc(self) -> list[str]:
        """The RPC nodes, the one that dies first."""
        return [self.first_node.ready["url"], self.second_node.ready["url"]]

    @property
    def gateways(self) -> list[str]:
        """The gateways, the one that dies first."""
        return [self.own_ipfs.ready["gateway"], self.mirror.ready["gateway"]]


def start(stage: Stage) -> World:
    """Start two RPC nodes of one chain and two IPFS nodes, and write what the manufacturer's tools read."""
    first = stage.serve("node-1", "fwledger-chain", "up", "--port", "0", "--state", "chain-1")
    second = stage.serve(
        "node-2", "fwledger-chain", "follow", "--upstream", first.ready["url"], "--state", "chain-2",
        "--keys", "chain-1/validators.json", "--takeover", "1",
    )  # fmt: skip
    own = stage.serve("ipfs-1", "fwledger", "ipfs", "up", "--store", "ipfs-1", *_ANY_PORTS)
    mirror = stage.serve("ipfs-2", "fwledger", "ipfs", "up", "--store", "ipfs-2", *_ANY_PORTS)
    return World(stage, first, second, own, mirror)


_ANY_PORTS = ("--api-port", "0", "--gateway-port", "0")


def make_images(world: World) -> None:
    """Make the root file systems of four versions, and the second component: the camera's service."""
    tree = make_tree(world.folder / "tree")
    for version, lines in {
        "1.0.0": {},
        "1.1.0": {"etc/motd": "faster start\n", "usr/lib/python3/this.py": "# tidied\n"},
        "1.2.0": {"etc/motd": "new codec\n"},
        "1.3.0": {"etc/motd": "codec mended\n", "etc/ssl/openssl.cnf": "[system_default_sect]\n"},
    }.items():
        stamp(tree, version=version, lines=lines)
        world.images[version] = make_image(tree, world.folder / f"rootfs-{version}.img")
        service = {"service": "camera", "version": version, "healthy": version != "1.2.0"}
        (world.folder / f"app-{version}.img").write_text(json.dumps(service))
    shutil.rmtree(tree)


def build(world: World, version: str, *, sequence: int, out: str = "", **extra: str) -> Path:
    """`release build` with both components. `extra` are further flags, underscores for hyphens."""
    folder = out or f"releases/{version}"
    flags = [part for name, value in extra.items() for part in (f"--{name.replace('_', '-')}", value)]
    if "channel" not in extra:
        flags += ["--channel", CHANNEL]
    if "compatible" not in extra:
        flags += ["--compatible", COMPATIBLE]
    world.stage.fwledger(
        "release", "build", f"rootfs=rootfs-{version}.img", f"app=app-{version}.img",
        "--version", version, "--sequence", str(sequence), "--arch", "aarch64", *flags, "--out", folder,
    )  # fmt: skip
    path = world.folder / folder
    world.releases[out or version] = hashlib.sha256((path / "manifest.cbor").read_bytes()).digest()
    return path


def sign(world: World, release: Path, signers: tuple[str, ...]) -> None:
    """Each signer signs a copy of the manifest at home; only signature files come back."""
    signatures = []
    for signer in signers:
        home = world.folder / "homes" / signer
        shutil.copy(release / "manifest.cbor", home / "manifest.cbor")
        signature = home / f"{release.name}.sig"
        world.stage.fwledger(
            "release",
            "sign",
            str(home / "manifest.cbor"),
            "--key",
            f"file:{home}/key.pem",
            "--out",
            str(signature),
        )
        signatures.append(str(signature))
    world.stage.fwledger("release", "merge", str(release), *signatures)


def publish(world: World, release: Path, *, code: int = 0, channel: str = CHANNEL, show: bool = True) -> Ran:
    """`release publish` to all devices at once, with a breaker that needs three reports."""
    return world.stage.fwledger(
        "release", "publish", str(release), "--channel", channel, "--halt-bps", "6000", "--min-reports", "3",
        "--yes", code=code, show=show,
    )  # fmt: skip


def make_device(world: World, name: str, *, networked: bool = True) -> Path:
    """A device's folder: two slots for each component, the factory's image in slot a, and device.toml."""
    home = world.folder / name
    home.mkdir()
    for component, size in (("rootfs", world.images["1.0.0"].size_bytes), ("app", 4096)):
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
        for component in ("rootfs", "app")
    ]
    lines.append(f'[bootloader]\nkind = "simulated"\nstate = "{home}/boot.json"\ntries = 3')
    lines.append(
        f'[[health]]\nname = "camera"\ncommand = ["{sys.executable}", "{home}/health.py"]\ntimeout_s = 20'
    )
    return "\n".join(lines) + "\n"
