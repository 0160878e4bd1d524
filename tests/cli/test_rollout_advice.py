"""Whoever publishes to all at once, or under a breaker that cannot trip, is told so and not stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.acts import Rollout
from ledger_client.cli.advice import ADVISED, warnings
from ledger_client.config import checksum_address, load_config
from ledger_client.fleet import count_devices
from ledger_client.journal import Journal
from ledger_client.ledger import Ledger
from ledger_client.network import Network
from ledger_protocol.release.manifest import channel_id
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

ALL_AT_ONCE = Rollout()
STAGED = Rollout(initial_bps=500, hold_hours=36, ramp_hours=48)


def test_all_at_once_is_warned_of_with_the_advised_curve() -> None:
    warning, hint = warnings(ALL_AT_ONCE, devices=300, share_said=False)
    assert warning.startswith("warning: to all devices at once")
    assert ADVISED in hint


def test_a_fleet_of_unknown_size_is_warned_of_all_at_once_alone() -> None:
    assert len(warnings(ALL_AT_ONCE, devices=None, share_said=False)) == 2
    assert warnings(STAGED, devices=None, share_said=True) == []


@pytest.mark.parametrize("devices", [1, 2, 299])
def test_a_breaker_that_waits_for_more_reports_than_devices_is_warned_of(devices: int) -> None:
    warning, hint = warnings(STAGED, devices=devices, share_said=True)
    assert f"the breaker cannot trip: {devices} device" in warning
    assert f"--min-reports {max(devices // 2, 1)} " in hint


@pytest.mark.parametrize(
    ("rollout", "devices", "share_said"),
    [
        (STAGED, 300, True),
        (Rollout(immediate=True), 300, False),
        (ALL_AT_ONCE, 300, True),  # --initial-bps 10000
        (ALL_AT_ONCE, 0, False),  # nobody follows the channel yet
        (Rollout(initial_bps=500, hold_hours=36, halt_bps=0), 2, True),  # no breaker is wanted
    ],
)
def test_what_was_meant_is_not_warned_of(rollout: Rollout, devices: int, share_said: bool) -> None:
    assert warnings(rollout, devices=devices, share_said=share_said) == []


def test_publishing_and_approving_warn_by_the_fleet_that_follows_the_channel(
    maker: Manufacturer, chain: RunningChain
) -> None:
    config = load_config(maker.path / "fwledger.toml", environ={}).chain
    assert config.ledger is not None
    assert config.journal is not None
    network = Network([chain.url], chain_id=None, timeout_s=20, receipt_timeout_s=20)
    ledger, journal = Ledger(network, config.ledger), Journal(network, config.journal)

    def counted(enough: int = 9) -> int:
        return count_devices(ledger, journal, channel_id("stable"), from_block=0, enough=enough)

    twins = [DeviceTwin(chain.chain_id, config.journal) for _ in range(3)]
    for index, twin in enumerate(twins):
        (maker.path / f"{index}.request").write_bytes(twin.request())
    first = maker.signed("1.0.0", 1)
    line = ("release", "publish", first, "--channel", "stable")
    assert "warning" not in maker.run(*line, "--approve-only", "a.approval").err
    maker.run("device", "enrol", "0.request", "1.request", "--group", "1", "--yes")
    maker.run("device", "enrol", "2.request", "--group", "2", "--yes")
    assert (counted(), counted(enough=1)) == (2, 1)

    approved = maker.run("release", "approve", first, "--channel", "stable", "--out", "b.approval")
    assert "warning: to all devices at once" in approved.err
    quiet = ("--initial-bps", "500", "--hold-hours", "36", "--min-reports", "2")
    assert "warning" not in maker.run(*line, *quiet, "--approve-only", "c.approval").err
    ran = maker.run(*line, "--yes", "--json")
    told = ran.err.splitlines()
    at = [n for n, text in enumerate(told) if text.startswith("warning: ")]
    assert len(at) == 2
    assert "2 devices follow the channel, it waits for 300 reports" in told[at[1]]
    assert all(told[n + 1].startswith("hint: ") for n in at)
    assert at[1] < next(n for n, text in enumerate(told) if text.startswith("publish on chain"))
    assert ran.document["channel"] == "stable"

    maker.run("channel", "create", "stable", "--group", "2", "--yes")
    assert counted() == 3
    maker.run("device", "retire", checksum_address(twins[0].address), "--yes")
    assert counted() == 2
    maker.run("device", "place", checksum_address(twins[1].address), "--group", "2", "--yes")
    assert counted() == 2
    network.close()
