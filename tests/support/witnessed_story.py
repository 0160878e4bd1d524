"""One story on any EVM chain that has no seals: publish, note, stick, relay and node, receipts, audit."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger_client.config_file import set_values
from tests.support.chain import rpc, wait_until
from tests.support.fleet import Device, network, run_relay
from tests.support.witnessed import NAMES, Process, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.support.ipfs import IpfsNode
    from tests.support.manufacturer import Manufacturer

IMAGE = b"good" + os.urandom(60_000)
# The chain's clock may run ahead, and what these tests are about is not the device's.
NO_CLOCK = "clock = false"


@dataclass
class Story:
    """A chain without seals, a manufacturer who pins two of three witnesses, and how blocks come: `advance`
    returns once a block is there that was not before; `nodes` gives a witness a node of its own.
    """

    maker: Manufacturer
    url: str
    node: IpfsNode
    folder: Path
    advance: Callable[[], object]
    nodes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = World(self.url, self.maker, states=self.folder / "states", nodes=self.nodes)
        self.notes = [self.maker.path / f"notes-{name}" for name in NAMES[:2]]
        self.world.states.mkdir()

    def ask(self, *sources: str | Path) -> None:
        """Name who gives notes in fwledger.toml."""
        set_values(self.maker.path / "fwledger.toml", {"witness.sources": [str(one) for one in sources]})

    def publish(self, version: str, sequence: int) -> str:
        folder = self.maker.build(version, sequence, image=IMAGE)
        self.maker.run("release", "sign", folder, "--key", "keys/alice.pem")
        made = self.maker.json("release", "publish", folder, "--channel", "stable", "--immediate", "--yes")
        return str(made["release"])

    def settle(self) -> int:
        """Let the newest block become final, and two witnesses sign it; its height."""
        target = height(self.url)
        witnesses = [self.world.witness(name, out=out) for name, out in zip(NAMES, self.notes, strict=False)]
        while any((one.store.newest() or _NOTHING).number < target for one in witnesses):
            self.advance()
            for one in witnesses:
                one.step()
        return target

    def device(self, name: str, more: str) -> Device:
        return Device(self.folder / name, self.maker, network=f"{NO_CLOCK}\n{more}")

    def play(self) -> None:
        """All of it, each step asserted."""
        maker = self.maker
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        self.publish("1.0.0", 1)
        stick, online, relayed = (self.device(name, "") for name in ("stick", "online", "relayed"))
        self.settle()
        self._bundle_needs_two(stick)
        self._node_needs_two(online)
        self.ask(*self.notes)
        with run_relay(maker) as url:
            relayed.configure(network(relay=url, gateways=[self.node.gateway], more=NO_CLOCK))
            assert relayed.ok("install")["version"] == "1.0.0"
        assert relayed.ok("boot")["phase"] == "confirmed"
        for device in (stick, online, relayed):
            device.ok("receipts", "export", self.maker.path / f"{device.path.name}.receipts")
            maker.run("receipts", "submit", f"{device.path.name}.receipts", "--yes")
        self.settle()
        self._audit()

    def _bundle_needs_two(self, stick: Device) -> None:
        line = ("bundle", "make", "--channel", "stable", "--out")
        assert "nobody is named who gives their notes" in self.maker.refused(*line, "none.car", code=2)
        self.ask(self.notes[0])
        assert "expected at least 2 of 3, got 1" in self.maker.refused(*line, "one.car", code=1)
        self.ask(*self.notes)
        self.maker.run(*line, "two.car")
        assert stick.ok("install", "--bundle", self.maker.path / "two.car")["version"] == "1.0.0"
        assert stick.ok("boot")["phase"] == "confirmed"

    def _node_needs_two(self, online: Device) -> None:
        """A plain node, and witnesses that serve what they signed."""
        with ExitStack() as stack:
            served = [Process(self.world, name) for name in NAMES[:2]]
            for process in served:
                stack.callback(process.kill)
                wait_until(lambda process=process: process.height() >= 0, "each witness serves a note")
            reached = network(rpc=[self.url], gateways=[self.node.gateway], more=NO_CLOCK)
            online.configure(reached + f'[[witness]]\nurl = "{served[0].url}"\n')
            refused = online("check")
            assert refused.code == 1, (refused.out, refused.err)
            assert refused.document["reason"] == "note-quorum"
            online.configure(reached + "".join(f'[[witness]]\nurl = "{process.url}"\n' for process in served))
            assert online.ok("install")["version"] == "1.0.0"
            assert online.ok("boot")["phase"] == "confirmed"

    def _audit(self) -> None:
        maker = self.maker
        self.ask()
        line = ("audit", "verify", "--trust-root", "trust-root.cbor")
        blind: Any = maker.run(*line, "--json", expect=1).document
        assert blind["wrong"] == []
        assert any("a note of pinned witnesses" in gap for gap in blind["gaps"])
        sources = [part for folder in self.notes for part in ("--witness", folder)]
        told = maker.json(*line, *sources)
        assert (told["gaps"], told["wrong"]) == ([], [])
        # 3 devices: enrolled, and each installed and confirmed; what was told stays provable offline.
        assert told["statements"] > 10
        export = ("audit", "export", "--trust-root", "trust-root.cbor", "--output", "history.ndjson")
        maker.run(*export, *sources)
        again = maker.json(*line, "--from", "history.ndjson")
        assert (again["gaps"], again["wrong"], again["statements"]) == ([], [], told["statements"])
        # Witnesses forget old notes; whoever exported them does not.
        keep = height_of(self.notes[0])
        for folder in self.notes:
            for note in folder.glob("*.note"):
                if note.stem not in (str(keep), "newest"):
                    note.unlink()
        forgotten: Any = maker.run(*line, *sources, "--json", expect=1).document
        assert len(forgotten["gaps"]) > 0
        kept = maker.json(*line, *sources, "--known", "history.ndjson")
        assert (kept["gaps"], kept["wrong"], kept["statements"]) == ([], [], told["statements"])
        shutil.copy(maker.path / "history.ndjson", maker.path / "yesterday.ndjson")
        maker.run(*export, *sources, "--known", "yesterday.ndjson")
        assert maker.json(*line, "--from", "history.ndjson")["statements"] == told["statements"]


class _Nothing:
    number = -1


_NOTHING = _Nothing()


def height(url: str) -> int:
    return int(str(rpc(url, "eth_blockNumber")), 16)


def height_of(folder: Path) -> int:
    """The height of the newest note in a folder."""
    return max(int(path.stem) for path in folder.glob("[0-9]*.note"))
