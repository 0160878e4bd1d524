"""The attacker's act: everything that a thief, a liar or a vandal would try, refused with its reason code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from examples.demo.attacking.front import Front
from examples.demo.attacking.lab import GROUP, Lab
from examples.demo.attacking.lies import EndlessBlocks
from examples.demo.attacking.network import attack_answers, attack_bundles, attack_headers
from examples.demo.attacking.releases import attack_publishing, attack_revocation
from examples.demo.attacking.reports import attack_reports
from examples.demo.attacking.server import LyingServer
from examples.demo.attacking.staging import start_staging
from examples.demo.attacking.victim import Victim
from examples.demo.stage import DemoError
from ledger_client.fleet import plan_enrolments, read_request

if TYPE_CHECKING:
    from examples.demo.world import World
    from ledger_client.releases import Release

# The job asks for twelve; fewer than these would mean that some were left out by mistake.
LEAST_ATTACKS = 25
DRIP_S = 1.0


def attack(world: World) -> None:
    """Try every attack on a device of a channel of its own. Raises DemoError for one that is not refused."""
    world.stage.chapter("An attacker with a lying node, a lying gateway and stolen keys")
    rpc, gateway = world.second_node.ready["url"], world.mirror.ready["gateway"]
    with (
        closing(Lab(world)) as lab,
        ThreadPoolExecutor(1) as background,
        LyingServer(rpc=rpc, gateway=gateway) as liar,
        LyingServer(rpc=rpc, gateway=gateway) as sloth,
    ):
        staging = background.submit(start_staging, lab)
        lab.assign_group()
        old = lab.release("0.9.0", 1)
        factory = lab.release("1.0.0", 2)
        victim = Victim.make(
            world.folder / "victim",
            factory=factory,
            image=world.folder / "lab-images" / "1.0.0.img",
            trust_root=world.folder / "trust-root.cbor",
            rpc=rpc,
            gateway=gateway,
            liars=[liar.url, sloth.url],
        )
        _enrol(lab, victim)
        front = Front(world.stage, lab, liar, victim, running=victim.running())
        head = lab.release("1.1.0", 3)
        world.stage.tell(f"the device under attack runs 1.0.0 of channel lab, group {GROUP}; 1.1.0 is newest")
        front.ready()
        attack_headers(front)
        attack_answers(front, head, old, staging.result())
        attack_bundles(front, head)
        sequence = attack_publishing(front, old, 4)
        sequence = attack_revocation(front, sequence)
        newest = lab.release("2.2.0", sequence)
        attack_reports(front, _relay(world), newest)
        _endless_gateways(front, sloth, newest)
    if front.tried < LEAST_ATTACKS:
        raise DemoError(f"only {front.tried} attacks were tried")
    world.stage.tell(f"{front.tried} attacks, none of them came through")


def _enrol(lab: Lab, victim: Victim) -> None:
    request = victim.home / "request.cbor"
    victim.run("honest", "enrol", "--output", str(request))
    journal = lab.app.journal
    new, _ = plan_enrolments(journal, [read_request(request)], group=GROUP)
    lab.app.send(journal.enrol(new))


def _relay(world: World) -> str:
    """The story's relay, or one of our own."""
    relay = world.relay or world.stage.serve(
        "lab-relay", "fwledger", "relay", "up", "--listen", "127.0.0.1:0", "--skip-reports", "--yes"
    )
    url: str = relay.ready["url"]
    return url


def _endless_gateways(front: Front, sloth: LyingServer, newest: Release) -> None:
    """Of three gateways one floods, one drips; the device drops both and finishes from the third."""
    leaves = frozenset(map(str, front.lab.leaves(newest)))
    front.liar.lie, sloth.lie = EndlessBlocks(leaves), EndlessBlocks(leaves, DRIP_S)
    installed = front.victim.run("mixed", "install")
    booted = front.victim.run("mixed", "boot")
    for attack, liar in (
        ("a gateway that never stops sending", front.liar),
        ("a gateway that sends a byte a second", sloth),
    ):
        if not liar.lie.used or not installed.document.get("armed"):
            raise DemoError(f"{attack}: asked {liar.lie.used} times, {installed.document}")
        front.show(attack, "device", "dropped, installed from others")
    front.stage.check(
        "after all that, the device runs the newest honest release, confirmed",
        booted.document.get("phase") == "confirmed",
        got=booted.document,
    )
