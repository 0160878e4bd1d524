"""The story: a release goes out, a bad one falls back, servers die, a stick goes where no network is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.demo.attacks import attack
from examples.demo.devices import Device, install_and_kill, make_device, running, slot_digests
from examples.demo.world import (
    BETA,
    CHANNEL,
    SIGNERS,
    World,
    build,
    make_images,
    make_release,
    mirror,
    publish,
    sign,
    start,
    switch_ipfs,
)
from ledger_protocol.release.trust_root import SignedTrustRoot

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
        stage.fwledger(
            "key", "new", "--quiet", "--kind", "firmware", *_TYPES[signer], f"homes/{signer}/key.pem"
        )
    stage.fwledger("key", "new", "--quiet", "--kind", "root", "homes/root.pem")
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
    """Build, sign apart, publish: the steps pass files."""
    stage = world.stage
    stage.chapter("A release: built, signed by two of three who never share a machine, published")
    release = build(world, "1.0.0", sequence=1)
    sign(world, release, ("alice",))
    stage.tell("one signature, where the trust root asks for two:")
    publish(world, release, code=1)
    sign(world, release, ("bob",))
    publish(world, release)
    mirror(world, release)


def enrol_devices(world: World) -> None:
    """Three devices make their keys; the factory's account enrols them; a partner runs a relay."""
    stage = world.stage
    stage.chapter("Three devices, each with a key that never leaves it")
    partner = world.folder / "partner.toml"
    text = (world.folder / "fwledger.toml").read_text()
    partner.write_text(text.replace(world.own_ipfs.ready["api"], world.mirror.ready["api"]))
    world.relay = stage.serve("relay", "fwledger", "relay", "up", "--config", str(partner), "--yes")
    for name in ("cam-1", "cam-2", "cam-3"):
        config = make_device(world, name, networked=name != "cam-3")
        ran = stage.device(
            config, "--output-format", "json", "enrol", "--output", f"{name}.request", show=False
        )
        world.devices[name] = Device(config, bytes.fromhex(ran.json()["address"][2:]))
        stage.tell(
            f"{name} is 0x{world.devices[name].address.hex()}; its request file goes to the manufacturer"
        )
    stage.fwledger(
        "device", "enrol", "cam-1.request", "cam-2.request", "cam-3.request", "--group", "1", "--yes"
    )


def update_while_servers_die(world: World) -> None:
    """cam-1 updates; midway the manufacturer's gateway and the first RPC node are killed."""
    stage, cam = world.stage, world.devices["cam-1"]
    stage.chapter("An update, while the manufacturer's gateway and the first RPC node are killed")
    release = make_release(world, "1.1.0", ("bob", "carol"), sequence=2)
    facts = stage.device(cam.config, "status", "--facts", show=False)
    (world.folder / "cam-1.json").write_text(facts.out)
    stage.tell("before anything is published: would a device take it? Its own policy answers")
    stage.fwledger("release", "check", str(release), "--device", "cam-1.json", "--channel", CHANNEL)
    publish(world, release)
    mirror(world, release)
    stage.device(cam.config, "check", "--explain", code=10, lines=30)
    before = slot_digests(cam, "a")
    killed = install_and_kill(world, cam)
    stage.check(
        f"both were killed with {killed} % of the image written, and cam-1 finished from others", True
    )
    stage.check("the running slot was not touched", slot_digests(cam, "a") == before)
    stage.device(cam.config, "boot")
    stage.check("cam-1 runs 1.1.0, confirmed", running(stage, cam) == "1.1.0", got=running(stage, cam))
    switch_ipfs(world)
    stage.tell("from now on the manufacturer publishes through the mirror: one line of fwledger.toml")


def unhealthy_release(world: World) -> None:
    """cam-2 gets a release that boots and does not work."""
    stage, cam = world.stage, world.devices["cam-2"]
    stage.chapter("A release that boots but is unhealthy: cam-2 falls back by itself")
    release = make_release(world, "1.2.0", ("alice", "carol"), sequence=3)
    publish(world, release)
    stage.device(cam.config, "install")
    stage.device(cam.config, "boot", code=4)
    stage.check("cam-2 runs 1.0.0 again", running(stage, cam) == "1.0.0", got=running(stage, cam))
    again = stage.device(cam.config, "install", code=1)
    stage.check("and does not try 1.2.0 a second time", "already-failed" in again.both, got=again.both)


def revoke(world: World) -> None:
    """A bad release is pulled, and one that turns out to be dangerous is left at once."""
    stage, cam = world.stage, world.devices["cam-1"]
    stage.chapter("Two releases are revoked; the device that runs one of them moves on")
    stage.fwledger("release", "revoke", "releases/1.2.0", "--yes")
    release = make_release(
        world, "1.3.0", ("alice", "bob"), sequence=4, security_version="1", kind="security"
    )
    stage.tell("1.3.0 is published to nobody yet: the rollout begins with a share of 0")
    publish(world, release, "--initial-bps", "0", "--hold-hours", "24", "--ramp-hours", "48")
    ran = stage.device(world.devices["cam-2"].config, "check", lines=3)
    stage.check("cam-2, on 1.0.0, waits for its turn", "not-in-cohort" in ran.both, got=ran.both)
    stage.tell("1.1.0 turns out to be dangerous: its revocation is mandatory")
    stage.fwledger("release", "revoke", "releases/1.1.0", "--mandatory", "--yes")
    stage.device(cam.config, "install")
    stage.device(cam.config, "boot")
    stage.check("cam-1 left 1.1.0 for 1.3.0, whatever its cohort", running(stage, cam) == "1.3.0")


def update_from_stick(world: World) -> None:
    """cam-3 has no network at all."""
    stage, cam = world.stage, world.devices["cam-3"]
    stage.chapter("cam-3 has no network: a stick brings the release in, and its receipts home")
    (world.folder / "stick").mkdir()
    stage.fwledger("bundle", "make", "--channel", CHANNEL, "--out", "stick/stable.car")
    stage.fwledger("bundle", "show", "stick/stable.car", "--channel", CHANNEL)
    stage.device(cam.config, "install", "--bundle", "stick/stable.car", "--now")
    stage.device(cam.config, "boot")
    stage.check("cam-3 runs 1.3.0, confirmed, and asked nobody", running(stage, cam) == "1.3.0")
    stage.device(cam.config, "receipts", "export", "stick/cam-3.receipts")
    stage.fwledger("receipts", "submit", "stick/cam-3.receipts", "--yes")
    again = stage.fwledger("receipts", "submit", "stick/cam-3.receipts", "--yes", "--json", show=False)
    stage.check("submitting the same stick twice records nothing twice", not again.json().get("transactions"))


def audit(world: World) -> None:
    """Somebody with an RPC URL and a fingerprint, and nothing else, proves the whole history."""
    stage = world.stage
    stage.chapter("An auditor, with an RPC URL and a fingerprint, proves the history")
    fingerprint = SignedTrustRoot.decode((world.folder / "trust-root.cbor").read_bytes()).digest.hex()
    common = ("--trust-root", "trust-root.cbor", "--fingerprint", fingerprint)
    node = ("--rpc", world.second_node.ready["url"])
    stage.fwledger("audit", "export", *common, *node, "--output", "history.ndjson")
    proved = stage.fwledger(
        "audit", "verify", *common, "--from", "history.ndjson", "--json", show=False
    ).json()
    stage.check(
        f"{proved['statements']} statements: {proved['proved']} checks proved again, from the export alone",
        not proved["gaps"] and not proved["wrong"] and proved["proved"] > 0,
        got=proved,
    )
    gateway = ("--gateway", world.mirror.ready["gateway"])
    told = stage.fwledger("audit", "timeline", *common, *node, *gateway, lines=200, width=200)
    for device, release, kind in (
        ("cam-1", "1.1.0", "confirmed"),
        ("cam-2", "1.2.0", "reverted"),
        ("cam-1", "1.3.0", "confirmed"),
        ("cam-3", "1.3.0", "confirmed"),
        ("cam-2", "1.3.0", "no statement"),
    ):
        address = f"0x{world.devices[device].address.hex()}"
        lines = [line for line in told.out.splitlines() if address in line and f"{release} (" in line]
        stage.check(
            f"{device} about {release}: {kind}", any(line.endswith(f": {kind}") for line in lines), got=lines
        )


def run_demo(stage: Stage) -> None:
    """Everything, in order."""
    world = set_up(stage)
    first_release(world)
    enrol_devices(world)
    update_while_servers_die(world)
    unhealthy_release(world)
    revoke(world)
    update_from_stick(world)
    attack(world)
    audit(world)
