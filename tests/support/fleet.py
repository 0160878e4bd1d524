"""A real fleet in a temporary folder: devices whose every command is a process of its own, and a relay."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.manufacturer import Manufacturer

ROOT = Path(__file__).parents[2]
SLOT_BYTES = 2_000_000
DEVICE = "import sys; from device_verifier.cli import main; sys.exit(main())"
CLIENT = "from ledger_client.cli.main import main; main()"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Ran:
    """What a process left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def network(
    *, rpc: Sequence[str] = (), gateways: Sequence[str] = (), relay: str | None = None, more: str = ""
) -> str:
    """The lines of device.toml that say whom it asks."""
    lines = [] if relay is None else [f'relay = "{relay}"']
    lines += [f'[[rpc]]\nurl = "{url}"' for url in rpc]
    lines += [f'[[gateway]]\nurl = "{url}"' for url in gateways]
    return "\n".join([more, *lines]) + "\n"


class Device:
    """A folder with device.toml and two slots; enrolled in group 1 from the start."""

    def __init__(self, path: Path, maker: Manufacturer, *, network: str, root: Path | None = None) -> None:
        self.path = path
        path.mkdir()
        for slot in "ab":
            (path / f"rootfs.{slot}").write_bytes(bytes(SLOT_BYTES))
        signed = (root or maker.path / "trust-root.cbor").read_bytes()
        (path / "trust-root").write_bytes(signed)
        self.configure(network)
        assert self("enrol", "--output", "device.request").code == 0
        maker.run("device", "enrol", path / "device.request", "--group", "1", "--yes")

    def configure(self, network: str) -> None:
        """Write device.toml."""
        health = '["/bin/sh", "-c", "grep -q good $FWLEDGER_SLOT_ROOTFS"]'
        (self.path / "device.toml").write_text(
            'state_dir = "state"\ntrust_root = "trust-root"\ncompatible = "acme,cam"\nhw_revision = "A"\n'
            f'arch = "aarch64"\ngroup = 1\nserial = "0001"\n{network}'
            '[slot.rootfs]\na = "rootfs.a"\nb = "rootfs.b"\n'
            '[bootloader]\nkind = "simulated"\nstate = "boot.json"\n'
            f'[[health]]\nname = "app"\ncommand = {health}\n'
        )

    def __call__(self, *arguments: str | Path, before: Callable[[], None] | None = None) -> Ran:
        """Run a command with JSON output; `before` runs in the child just before it starts."""
        line = ["--config", "device.toml", "--output-format", "json", "--quiet", *map(str, arguments)]
        done = subprocess.run(
            [sys.executable, "-c", DEVICE, *line],
            cwd=self.path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=before,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path, code: int = 0) -> Any:
        """The JSON answer of a command that must end with `code`."""
        ran = self(*arguments)
        assert ran.code == code, (ran.code, ran.out, ran.err)
        return ran.document

    def slot(self, name: str) -> bytes:
        return (self.path / f"rootfs.{name}").read_bytes()

    @property
    def address(self) -> bytes:
        return bytes.fromhex(self.ok("status")["address"].removeprefix("0x"))


@contextlib.contextmanager
def run_relay(maker: Manufacturer, *arguments: str) -> Iterator[str]:
    """`fwledger relay up` on a free port; its URL."""
    line = ["relay", "up", "--listen", "127.0.0.1:0", "--dev-account", "7", "--yes", "--quiet", *arguments]
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *line],
        cwd=maker.path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def publish(maker: Manufacturer, version: str, sequence: int, image: bytes, *more: str) -> str:
    """Build, sign and publish at once to all; the release id in hex."""
    folder = maker.signed(version, sequence, image=image)
    made = maker.json("release", "publish", folder, "--channel", "stable", "--immediate", "--yes", *more)
    return str(made["release"])
