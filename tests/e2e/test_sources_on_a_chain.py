"""The device's own sources against a real chain, the real contracts and a real IPFS node."""

import hashlib
from dataclasses import replace

import pytest

from device_verifier.facts import DeviceFacts, InstalledRelease, Slot
from device_verifier.fetcher import fetch_image
from device_verifier.inquiry import consult, learn
from device_verifier.policy import Action
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.rpc import RpcLedger
from ledger_protocol.report.reasons import Reason
from tests.sim.sources import Notebook
from tests.support.chain import chain_process
from tests.support.manufacturer import deployed

IMAGE = hashlib.shake_256(b"image").digest(300_000)


@pytest.fixture(scope="module")
def chain():
    with chain_process() as running:
        yield running


@pytest.fixture(scope="module")
def maker(tmp_path_factory, chain, embedded_node):
    folder = tmp_path_factory.mktemp("maker")
    maker = deployed(folder, rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway)
    maker.run("channel", "create", "stable", "--group", "1", "--yes")
    folder = maker.signed("1.0.0", 1, image=IMAGE)
    maker.run("release", "publish", folder, "--channel", "stable", "--immediate", "--yes")
    return maker


class Device:
    def __init__(self, maker, chain, node):
        self.memory = Notebook(next(maker.path.glob("**/trust-root*.cbor")).read_bytes())
        self.blocks = [GatewayBlocks(node.gateway)]
        self.ledgers = [RpcLedger(chain.url, blocks=self.blocks)]
        self.facts = DeviceFacts(
            compatible="acme,cam",
            hw_revision="A",
            arch="aarch64",
            address=b"\x07" * 20,
            slots=(Slot("rootfs", 1_000_000),),
            group=1,
        )

    def consult(self, **facts):
        facts = replace(self.facts, **facts)
        return consult(facts, ledgers=self.ledgers, blocks=self.blocks, memory=self.memory)


@pytest.fixture
def device(maker, chain, embedded_node):
    return Device(maker, chain, embedded_node)


def test_a_published_release_is_proved_verified_and_fetched(device):
    answer = device.consult()
    assert (answer.decision.action, answer.decision.reason) == (Action.INSTALL, Reason.UPDATE_AVAILABLE)
    assert all(step.ok for step in answer.decision.steps)
    written = bytearray()
    fetch_image(answer.release.manifest.components[0], sources=device.blocks, write=written.extend)
    assert bytes(written) == IMAGE


def test_a_channel_by_name_and_an_empty_one_are_proved(device):
    assert device.consult(group=None, channel="stable").decision.installs
    assert device.consult(group=None, channel="beta").decision.reason is Reason.NO_RELEASE


def test_a_device_that_was_never_enrolled_is_proved_absent(device):
    assert device.consult(group=None).decision.reason is Reason.NOT_ENROLLED
    assert (
        learn(device.facts, sources=device.ledgers, memory=device.memory, with_device=True).view.device
        is None
    )


def test_what_runs_is_proved_up_to_date_then_halted_for_others_then_revoked(device, maker):
    release = device.consult().release
    installed = InstalledRelease(release.release_id, 1, 0, "1.0.0")
    assert device.consult(installed=installed).decision.reason is Reason.UP_TO_DATE
    maker.run("channel", "halt", "stable", "--yes")
    assert device.consult().decision.reason is Reason.HALTED
    maker.run("release", "revoke", "0x" + release.release_id.hex(), "--yes")
    assert device.consult().decision.reason is Reason.REVOKED
    assert device.consult(installed=installed).decision.reason is Reason.REVOKED_NO_SUCCESSOR
