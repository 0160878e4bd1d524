"""A device of a chain without seals: one plain node, running witnesses, and nobody who puts proofs together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest

from device_verifier.errors import DeviceError
from device_verifier.facts import DeviceFacts, Slot
from device_verifier.inquiry import consult
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.rpc import RpcLedger
from device_verifier.sources.witnesses import WitnessNotes
from ledger_protocol.report.reasons import Reason
from tests.sim.sources import Notebook
from tests.support.chain import REPOSITORY, chain_process, wait_until
from tests.support.manufacturer import found

NAMES = ("w1.example", "w2.example", "w3.example")
DEPTH = 2


@pytest.fixture(scope="module")
def chain():
    with chain_process() as running:
        yield running


@pytest.fixture(scope="module")
def maker(tmp_path_factory, chain, embedded_node):
    folder = tmp_path_factory.mktemp("maker")
    maker = found(folder, rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway)
    pinned = []
    for name in NAMES:
        maker.run("key", "new", f"keys/{name}.pem")
        vkey = maker.run("witness", "vkey", "--key", f"keys/{name}.pem", "--name", name).out.strip()
        pinned += ["--witness", vkey]
    maker.run(
        "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", *pinned,
        "--witness-threshold", "2", "--origin", "acme.example", "--final", f"depth:{DEPTH}", "--no-seals",
    )  # fmt: skip
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    release = maker.signed("1.0.0", 1)
    maker.run("release", "publish", release, "--channel", "stable", "--immediate", "--yes")
    return maker


@contextmanager
def witness(maker, name):
    """A real `fwledger witness run`. Yields its URL."""
    line = [
        sys.executable, "-c", "from ledger_client.cli.main import main; main()", "witness", "run",
        "--key", f"keys/{name}.pem", "--name", name, "--state", f"{name}.db",
        "--listen", "127.0.0.1:0", "--interval", "0.1",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(line, cwd=maker.path, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def asked(maker, chain, node, urls):
    """What a new device learns and decides, now."""
    blocks = [GatewayBlocks(node.gateway)]
    facts = DeviceFacts(
        compatible="acme,cam",
        hw_revision="A",
        arch="aarch64",
        address=b"\x07" * 20,
        slots=(Slot("rootfs", 1_000_000),),
        group=1,
        now_s=int(time.time()),
    )
    source = RpcLedger(chain.url, blocks=blocks, witnesses=[WitnessNotes(url) for url in urls])
    memory = Notebook((maker.path / "trust-root.cbor").read_bytes())
    return consult(facts, ledgers=[source], blocks=blocks, memory=memory)


def test_two_running_witnesses_and_a_plain_node_are_enough_and_one_is_not(chain, maker, embedded_node):
    with ExitStack() as stack:
        urls = [stack.enter_context(witness(maker, name)) for name in NAMES[:2]]
        chain.rpc("anvil_mine", hex(DEPTH + 1))
        final = int(chain.rpc("eth_blockNumber"), 16) - DEPTH

        def learned():
            try:
                return asked(maker, chain, embedded_node, urls).learned.view.header.number == final
            except DeviceError:
                return False

        wait_until(learned, "both witnesses signed the newest final block")
        answer = asked(maker, chain, embedded_node, urls)
        assert answer.decision.reason is Reason.UPDATE_AVAILABLE
        assert answer.release.manifest.version == "1.0.0"
        with pytest.raises(DeviceError) as caught:
            asked(maker, chain, embedded_node, urls[:1])
        assert caught.value.reason is Reason.NOTE_QUORUM
