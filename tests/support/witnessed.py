"""Witnesses for tests: in this process with a clock that the test sets, and as real processes that it kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger_client.cli.app import App
from ledger_client.firmware_keys import read_private_key
from ledger_client.witness.service import Witness, open_store
from ledger_client.witness.store import MAX_KEPT
from ledger_protocol.ledger.witness_note import WitnessNote
from tests.support.chain import REPOSITORY, rpc
from tests.support.manufacturer import Manufacturer, found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = ("w1.example", "w2.example", "w3.example")
NOW_S = 1_900_000_000


def witnessed(path: Path, url: str, *more: str, ipfs: str = "", gateway: str = "") -> Manufacturer:
    """A manufacturer whose trust root pins two of three witnesses."""
    maker = found(path, rpc=url, ipfs=ipfs, gateway=gateway)
    line = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", *more]
    for name in NAMES:
        maker.run("key", "new", f"keys/{name}.pem")
        vkey = maker.run("witness", "vkey", "--key", f"keys/{name}.pem", "--name", name).out.strip()
        line += ["--witness", vkey]
    maker.run(*line, "--witness-threshold", "2", "--origin", "acme.example")
    return maker


@dataclass
class World:
    """A chain, its manufacturer, and witnesses in this process whose clock the test sets."""

    url: str
    maker: Manufacturer
    states: Path
    now_s: int = NOW_S
    nodes: Mapping[str, str] = field(default_factory=dict)  # a witness's own node

    def app(self, name: str = "") -> App:
        flags: dict[str, object] = {"chain.rpc": [self.nodes[name]]} if name in self.nodes else {}
        return App(config=self.maker.path / "fwledger.toml", flags=flags, as_json=False, quiet=True, yes=True)

    def witness(self, name: str = NAMES[0], *, out: Path | None = None, max_kept: int = MAX_KEPT) -> Witness:
        app = self.app(name)
        key: Any = read_private_key(self.maker.path / f"keys/{name}.pem", password=None)
        store = open_store(
            self.states / f"{name}.db", root=app.root.root, key=key, name=name, max_kept=max_kept
        )
        return Witness(app.network, app.root.root, key, name, store, now_s=lambda: self.now_s, out=out)

    def mine(self, count: int = 1) -> int:
        rpc(self.url, "anvil_mine", hex(count))
        return self.height()

    def height(self) -> int:
        return int(str(rpc(self.url, "eth_blockNumber")), 16)


class Process:
    """A real `fwledger witness run`, which a test may kill."""

    def __init__(self, world: World, name: str, *more: str) -> None:
        program = "from ledger_client.cli.main import main; main()"
        line = [
            sys.executable, "-c", program, "witness", "run", "--key", f"keys/{name}.pem", "--name", name,
            "--state", str(world.states / f"{name}.db"), "--listen", "127.0.0.1:0", "--interval", "0.02",
            *(("--rpc", world.nodes[name]) if name in world.nodes else ()), *more,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            line, cwd=world.maker.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def note(self, path: str = "newest") -> WitnessNote | None:
        try:
            with urllib.request.urlopen(f"{self.url}/fwledger/v1/witness/{path}", timeout=10) as answer:
                return WitnessNote.decode(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def height(self) -> int:
        note = self.note()
        return -1 if note is None else note.checkpoint.number

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
