"""The story: a release goes out, a bad one falls back, servers die, a stick goes where no network is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.demo.world import (
    BETA,
    CHANNEL,
    SIGNERS,
    World,
    build,
    make_device,
    make_images,
    publish,
    sign,
    start,
)

if TYPE_CHECKING:
    from examples.demo.stage import Stage


def set_up(stage: Stage) -> World:
    """Servers, keys, contracts, channel, and the release that the factory installs."""
    stage.chapter("Servers that nobody has to trust, and keys that never meet")
    world = start(stage)
    stage.tell(f"two RPC nodes of one chain, sealed by four validators: {', '.join(world.rpc)}")
    stage.tell(f"two IPFS gateways, the manufacturer's and a mirror: {', '.join(world.gateways)}")
    make_images(world)
    image = world.images["1.0.0"]
    stage.tell(f"root file systems of {image.size_bytes >> 20} MiB, made by {image.made_by} from this Python")
    stage.fwledger("init", *(part for url in world.rpc for part in ("--rpc", url)))
    _configure(world)
    for signer in SIGNERS:
        (world.folder / "homes" / signer).mkdir(parents=True)
        stage.fwledger("key", "new", "--kind", "firmware", *_TYPES[signer], f"homes/{signer}/key.pem")
    stage.fwledger("key", "new", "--kind", "root", "homes/root.pem")
    public = [part for signer in SIGNERS for part in ("--release-key", f"homes/{signer}/key.pem.pub")]
    stage.fwledger(
        "deploy", *public, "--release-threshold", "2", "--root-key", "file:homes/root.pem", "--yes", lines=40
    )
    stage.fwledger("channel", "create", CHANNEL, "--group", "1", "--yes")
    stage.fwledger("channel", "create", BETA, "--group", "2", "--yes", show=False)
    return world


_TYPES = {"alice": ("--type", "ed25519"), "bob": ("--type", "p256"), "carol": ("--type", "ed25519")}


def _configure(world: World) -> None:
    """Fill in fwledger.toml as its comments say."""
    path = world.folder / "fwledger.toml"
    text = path.read_text()
    for old, new in {
        'api = "/ip4/127.0.0.1/tcp/5001/http"': f'api = "{world.own_ipfs.ready["api"]}"',
        'gateways = ["http://127.0.0.1:8080"]': f"gateways = {world.gateways}".replace("'", '"'),
        "# dev_account = 0": "dev_account = 0",
        'listen = "127.0.0.1:8181"': 'listen = "127.0.0.1:0"',
    }.items():
        if old not in text:
            raise AssertionError(f"fwledger.toml has no line {old}")
        text = text.replace(old, new)
    path.write_text(text)


def first_release(world: World) -> None:
    """Build, sign apart, check, publish: the steps pass files."""
    stage = world.stage
    stage.chapter("A release: built, signed by two of three who never share a machine, published")
    release = build(world, "1.0.0", sequence=1)
    sign(world, release, ("alice",))
    stage.tell("one signature of the two that the trust root asks for:")
    publish(world, release, code=1)
    sign(world, release, ("bob",))
    publish(world, release)


def run_demo(stage: Stage) -> None:
    """Everything, in order."""
    world = set_up(stage)
    first_release(world)
    _ = make_device
