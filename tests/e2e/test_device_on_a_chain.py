"""A device through its own command, against a real chain, real contracts, an IPFS node, a relay, and the
publisher's command.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chain import chain_process
from tests.support.manufacturer import deployed

ROOT = Path(__file__).parents[2]
SLOT_BYTES = 2_000_000
GOOD_1 = b"good 1" + os.urandom(300_000)
GOOD_2 = b"good 2" + GOOD_1[:200_000] + os.urandom(100_000)
BAD = b"bad" + os.urandom(50_000)


def process(command, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


class Device:
    """A folder with device.toml; every call is a process of its own."""

    COMMAND = "import sys; from device_verifier.cli import main; sys.exit(main())"

    def __init__(self, path, maker, *, network):
        self.path = path
        path.mkdir()
        for slot in "ab":
            (path / f"rootfs.{slot}").write_bytes(bytes(SLOT_BYTES))
        (path / "trust-root").write_bytes(next(maker.path.glob("**/trust-root*.cbor")).read_bytes())
        health = '["/bin/sh", "-c", "grep -q good $FWLEDGER_SLOT_ROOTFS"]'
        (path / "device.toml").write_text(
            'state_dir = "state"\ntrust_root = "trust-root"\ncompatible = "acme,cam"\nhw_revision = "A"\n'
            f'arch = "aarch64"\ngroup = 1\nserial = "0001"\n{network}'
            '[slot.rootfs]\na = "rootfs.a"\nb = "rootfs.b"\n'
            '[bootloader]\nkind = "simulated"\nstate = "boot.json"\n'
            f'[[health]]\nname = "app"\ncommand = {health}\n'
        )
        assert self("enrol", "--output", "device.request").returncode == 0
        maker.run("device", "enrol", path / "device.request", "--group", "1", "--yes")

    def __call__(self, *arguments):
        return process(
            self.COMMAND,
            "--config",
            "device.toml",
            "--output-format",
            "json",
            "--quiet",
            *arguments,
            cwd=self.path,
        )

    def ok(self, *arguments, code=0):
        done = self(*arguments)
        assert done.returncode == code, (done.stdout, done.stderr)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def maker(tmp_path_factory, embedded_node):
    with chain_process() as chain:
        folder = tmp_path_factory.mktemp("maker")
        maker = deployed(folder, rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        maker.rpc, maker.gateway = chain.url, embedded_node.gateway
        yield maker


@pytest.fixture(scope="module")
def relay(maker):
    command = "from ledger_client.cli.main import main; main()"
    arguments = ["relay", "up", "--listen", "127.0.0.1:0", "--dev-account", "7", "--yes", "--quiet"]
    running = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        cwd=maker.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield json.loads(running.stdout.readline())["url"]
    running.terminate()
    running.wait(10)
    running.stdout.close()


def publish(maker, version, sequence, image):
    folder = maker.signed(version, sequence, image=image)
    maker.run("release", "publish", folder, "--channel", "stable", "--immediate", "--yes")


def test_a_devices_life(tmp_path, maker, relay):
    network = f'relay = "{relay}"\n[[rpc]]\nurl = "{maker.rpc}"\n[[gateway]]\nurl = "{maker.gateway}"\n'
    online = Device(tmp_path / "online", maker, network=network)
    publish(maker, "1.0.0", 1, GOOD_1)
    assert online.ok("check", code=10)["version"] == "1.0.0"

    assert online.ok("install")["slot"] == "b"
    assert (online.path / "rootfs.b").read_bytes()[: len(GOOD_1)] == GOOD_1
    assert online.ok("status")["pending_events"] == 0, (
        "baseline and installed are on the ledger before the reboot"
    )
    assert online.ok("boot")["phase"] == "confirmed"
    assert online.ok("status")["pending_events"] == 0

    publish(maker, "1.1.0", 2, BAD)
    online.ok("install")
    assert online.ok("boot", code=4)["reason"] == "health-failed"
    assert online.ok("check", code=1)["reason"] == "already-failed"
    assert online.ok("report")["pending"] == 0

    publish(maker, "1.2.0", 3, GOOD_2)
    maker.run("bundle", "make", "--channel", "stable", "--out", tmp_path / "stick.car")
    offline = Device(tmp_path / "offline", maker, network="")
    assert offline.ok("install", "--bundle", tmp_path / "stick.car")["version"] == "1.2.0"
    assert offline.ok("boot")["phase"] == "confirmed"
    assert (offline.path / "rootfs.b").read_bytes()[: len(GOOD_2)] == GOOD_2
    assert offline.ok("receipts", "export", tmp_path / "offline.receipts")["events"] == 3
    maker.run("receipts", "submit", tmp_path / "offline.receipts", "--yes")
    maker.run("receipts", "submit", tmp_path / "offline.receipts", "--yes")

    online.ok("install")
    assert (online.path / "rootfs.a").read_bytes()[: len(GOOD_2)] == GOOD_2
    maker.run("release", "revoke", "releases/1.2.0", "--reason", "7", "--yes")
    assert online.ok("boot")["phase"] == "confirmed"
    assert online.ok("check")["reason"] == "revoked-no-successor"
    assert online.ok("report")["pending"] == 0
    assert online.ok("status")["address"] != offline.ok("status")["address"]
