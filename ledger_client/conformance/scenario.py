"""What a case function works with: a world, a device, and the steps that it adds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ledger_client.conformance.case import Case, Device, Expected, Plan, SiteMaker, Step, Transport
from ledger_client.conformance.sites import Gateway, Node, Relay, Response
from ledger_client.conformance.world.headers import Sealing
from ledger_client.conformance.world.keys import address
from ledger_client.conformance.world.manufacturer import Block, Release, World
from ledger_protocol.content.cid import Cid

__all__ = ["Scenario", "case", "registered"]

_CASES: dict[str, Case] = {}


class Scenario:
    """A manufacturer whose channel `stable` has one good release (sequence 10), and a device that runs an
    older one (sequence 1).
    """

    def __init__(self, expected: Expected, **world: Any) -> None:
        self.expected = expected
        self.world = World(**world)
        self.factory_root = self.world.roots[0]
        self.installed: Release = self.world.build(1)
        self.head: Release = self.world.release(10)
        self.device = Device(installed=self.installed.manifest)
        self.steps: list[Step] = []
        self.block: Block = self.world.seal()

    # --- the world

    def seal(self, *sealing: Any, **options: Any) -> Block:
        """Seal the present state."""
        self.block = self.world.seal(*sealing, **options)
        return self.block

    def undersealed(self) -> Sealing:
        """Give a header that lists every validator and that one alone sealed."""
        return Sealing(by=self.world.validators[:1], listed=[address(key) for key in self.world.validators])

    def publish(self, release: Release, sequence: int = 11, **word: Any) -> Block:
        """Publish a release on `stable`, seal it, and expect it from now on."""
        self.head = self.world.publish(release, sequence=sequence, **word)
        return self.seal()

    def replace_head(self, **changes: Any) -> Block:
        """Publish an eleventh release whose manifest has these other fields."""
        return self.publish(self.world.build(11, **changes))

    def stick(self, block: Block | None = None, **proof: Any) -> dict[str, bytes]:
        """Give the files of an honest directory now; `proof` are changed parts of the proof."""
        return self.world.stick(block, **proof)

    def change_device(self, **changes: Any) -> None:
        """Let the case start with another device."""
        self.device = replace(self.device, **changes)

    # --- what serves it over HTTP, as it is now

    def relay(self, kind: type[Relay] = Relay, **proof: Any) -> SiteMaker:
        """Give a relay with the newest proof."""
        encoded, roots = self.world.proof(**proof), tuple(self.world.roots)
        return lambda: kind(encoded, roots)

    def gateway(
        self,
        *,
        lies: Mapping[Cid, Callable[[Gateway], Response]] | None = None,
        before: Callable[[Cid], None] | None = None,
        without: Sequence[Cid] = (),
    ) -> SiteMaker:
        """Give a gateway with every block but those in `without`."""
        roots = {Cid(0x71, Cid.of(0x71, root).digest): root for root in self.world.roots}
        blocks = {cid: data for cid, data in {**self.world.blocks, **roots}.items() if cid not in without}
        return lambda: Gateway(blocks, lies=lies, before=before)

    def node(
        self,
        block: Block | None = None,
        *,
        mangle: Callable[[str, Any], Any] = lambda _method, result: result,
    ) -> SiteMaker:
        """Give a JSON-RPC node at a block (the newest)."""
        block = self.block if block is None else block
        roots, published = tuple(self.world.roots), tuple(self.world.published)
        return lambda: Node(block, roots, published, mangle=mangle)

    # --- the steps

    def check(self, *directories: Mapping[str, bytes], expect: Expected | None = None, **step: Any) -> None:
        """Ask for a check. Without `expect`, the case's own expectation holds."""
        self._add("check", directories, expect, step)

    def install(self, *directories: Mapping[str, bytes], expect: Expected | None = None, **step: Any) -> None:
        """Ask for an installation."""
        self._add("install", directories, expect, step)

    def _add(
        self,
        command: str,
        directories: Sequence[Mapping[str, bytes]],
        expect: Expected | None,
        step: dict[str, Any],
    ) -> None:
        expected = self.expected if expect is None else expect
        fields: dict[str, Any] = {
            "release": self.head.id if expected.accepted else None,
            "now": self.world.time,
            "height": self.block.number if expected.accepted else None,
            "images": self.head.images if command == "install" and expected.accepted else {},
            **step,
        }
        self.steps.append(Step(command=command, expected=expected, directories=directories, **fields))


def case(
    name: str,
    attack: str,
    section: str,
    expected: Expected,
    why: str,
    *,
    needs: Sequence[Transport] = (Transport.DIRECTORY,),
    world: Mapping[str, Any] | None = None,
) -> Callable[[Callable[[Scenario], None]], Callable[[Scenario], None]]:
    """Register a case: `world` are the arguments of its `World`, `needs` the transports that it uses."""

    def register(function: Callable[[Scenario], None]) -> Callable[[Scenario], None]:
        def build() -> Plan:
            scenario = Scenario(expected, **(world or {}))
            function(scenario)
            steps = tuple(scenario.steps)
            used = frozenset[Transport]().union(*(step.transports for step in steps))
            if used != frozenset(needs) or not steps:
                raise ValueError(f"{name}: expected steps over {sorted(needs)}, got {sorted(used)}")
            return Plan(scenario.factory_root, scenario.device, steps)

        if name in _CASES:
            raise ValueError(f"case {name} is there twice")
        _CASES[name] = Case(
            id=name,
            attack=attack,
            section=section,
            why=why,
            expected=expected,
            transports=frozenset(needs),
            build=build,
        )
        return function

    return register


def registered() -> Mapping[str, Case]:
    """Give every case that has been registered, by id."""
    return _CASES
