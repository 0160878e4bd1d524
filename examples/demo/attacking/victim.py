"""The device under attack: the real agent as a process of its own, with small slots."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from examples.demo.attacking.lab import GROUP, IMAGE_BYTES, SLOT_BYTES
from examples.demo.stage import DemoError, environment, script
from examples.demo.world import COMPATIBLE

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.releases import Release

# A refusal takes a second; a device that hangs on an attacker must not hang the demo.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device said."""

    code: int
    document: dict[str, Any]
    err: str

    @property
    def reason(self) -> str:
        """The reason code that it gave."""
        return str(self.document.get("reason"))


@dataclass(frozen=True, slots=True)
class Victim:
    """A device's folder: one state, and a configuration each for honest servers, the attacker's, and both."""

    home: Path

    @classmethod
    def make(
        cls,
        home: Path,
        *,
        factory: Release,
        image: Path,
        trust_root: Path,
        rpc: str,
        gateway: str,
        liars: list[str],
    ) -> Victim:
        """A device fresh from the factory, with the factory's release in slot a."""
        home.mkdir()
        (home / "rootfs-a.img").write_bytes(image.read_bytes() + bytes(SLOT_BYTES - IMAGE_BYTES))
        (home / "rootfs-b.img").write_bytes(bytes(SLOT_BYTES))
        (home / "factory-manifest.cbor").write_bytes(factory.block)
        shutil.copy(trust_root, home / "trust-root.cbor")
        for name, rpcs, gateways in (
            ("honest", [rpc], [gateway]),
            ("attacked", liars[:1], liars[:1]),
            ("mixed", [rpc], [*liars, gateway]),
        ):
            (home / f"{name}.toml").write_text(_toml(home, rpcs, gateways))
        return cls(home)

    def run(self, servers: str, *arguments: str) -> Answer:
        """Run a command against the servers of that name. Raises DemoError where there is no answer."""
        command = [script("fwledger-device"), "--config", str(self.home / f"{servers}.toml"), "--quiet"]
        ended = subprocess.run(
            [*command, "--output-format", "json", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            timeout=PATIENCE_S,
        )
        try:
            document = json.loads(ended.stdout.splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise DemoError(f"the device gave no answer: {ended.returncode} {ended.stderr[-800:]}") from error
        return Answer(ended.returncode, document, ended.stderr)

    def running(self) -> str:
        """The digest of the running slot's bytes."""
        return hashlib.sha256((self.home / "rootfs-a.img").read_bytes()).hexdigest()


def _toml(home: Path, rpcs: list[str], gateways: list[str]) -> str:
    return "\n".join(
        [
            f'state_dir = "{home}/state"',
            f'trust_root = "{home}/trust-root.cbor"',
            f'factory_manifest = "{home}/factory-manifest.cbor"',
            f'compatible = "{COMPATIBLE}"',
            'hw_revision = "C2"',
            'arch = "aarch64"',
            f"group = {GROUP}",
            f'serial = "SN-{home.name}"',
            *(f'[[rpc]]\nurl = "{url}"' for url in rpcs),
            *(f'[[gateway]]\nurl = "{url}"' for url in gateways),
            f'[slot.rootfs]\na = "{home}/rootfs-a.img"\nb = "{home}/rootfs-b.img"',
            f'[bootloader]\nkind = "simulated"\nstate = "{home}/boot.json"\ntries = 3\n',
        ]
    )
