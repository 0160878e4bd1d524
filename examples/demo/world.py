"""The demo's world: who there is, which servers run, and what a manufacturer does for each release."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from examples.demo.images import Image, make_image, make_tree, stamp
from ledger_client.content.ipfs import IpfsClient
from ledger_protocol.content.car import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.devices import Device
    from examples.demo.stage import Ran, Server, Stage

CHANNEL, BETA = "stable", "beta"
COMPATIBLE = "acme,camera"
SIGNERS = ("alice", "bob", "carol")


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
    devices: dict[str, Device] = field(default_factory=dict)

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


def build(
    world: World, version: str, *, sequence: int, out: str = "", show: bool = True, **extra: str
) -> Path:
    """`release build` with both components. `extra` are further flags, underscores for hyphens."""
    folder = out or f"releases/{version}"
    flags = [part for name, value in extra.items() for part in (f"--{name.replace('_', '-')}", value)]
    if "channel" not in extra:
        flags += ["--channel", CHANNEL]
    if "compatible" not in extra:
        flags += ["--compatible", COMPATIBLE]
    world.stage.fwledger(
        "release", "build", f"rootfs=rootfs-{version}.img", f"app=app-{version}.img",
        "--version", version, "--sequence", str(sequence), "--arch", "aarch64", *flags,
        "--out", folder, show=show,
    )  # fmt: skip
    return world.folder / folder


def sign(world: World, release: Path, signers: tuple[str, ...], *, show: bool = True) -> None:
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
            show=show,
        )
        signatures.append(str(signature))
    world.stage.fwledger("release", "merge", str(release), *signatures, show=show)


def make_release(
    world: World, version: str, signers: tuple[str, ...], *, sequence: int, **extra: str
) -> Path:
    """Build and sign once more, told in one line."""
    release = build(world, version, sequence=sequence, show=False, **extra)
    sign(world, release, signers, show=False)
    world.stage.tell(
        f"{version} is built (release {release_id(release)[:12]}) and signed by {' and '.join(signers)}"
    )
    return release


def release_id(release: Path) -> str:
    """The id of a release folder, in hex."""
    return hashlib.sha256((release / "manifest.cbor").read_bytes()).hexdigest()


def publish(
    world: World, release: Path, *flags: str, code: int = 0, channel: str = CHANNEL, show: bool = True
) -> Ran:
    """`release publish` to all devices at once, with a breaker that needs three reports."""
    return world.stage.fwledger(
        "release", "publish", str(release), "--channel", channel, "--halt-bps", "6000", "--min-reports", "3",
        *flags, "--yes", code=code, show=show,
    )  # fmt: skip


def mirror(world: World, release: Path) -> None:
    """The mirror takes the release as one file, the same that a stick would carry."""
    bundle = world.folder / f"{release.name}.car"
    world.stage.fwledger("bundle", "make", "--channel", CHANNEL, "--out", str(bundle), show=False)
    with bundle.open("rb") as stream:
        roots = read_header(stream)
        stream.seek(0)
        pieces = iter(lambda: stream.read(1 << 20), b"")
        IpfsClient(world.mirror.ready["api"]).import_car(pieces, roots=roots)
    world.stage.tell(f"the mirror holds {release.name} too: it was given {bundle.name}")


def switch_ipfs(world: World) -> None:
    """Publish through the mirror from now on."""
    path = world.folder / "fwledger.toml"
    path.write_text(path.read_text().replace(world.own_ipfs.ready["api"], world.mirror.ready["api"]))
