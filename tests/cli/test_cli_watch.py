"""A rollout watched: who installed, confirmed, failed or is silent, until it is complete or stops."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.config import checksum_address, load_config
from ledger_client.forecasting import failures_to_halt, forecast
from ledger_protocol.ledger.contract_state import ChannelWord, Tally
from ledger_protocol.ledger.rollout import share_bps
from ledger_protocol.report.event import EventKind
from tests.support.device_twin import DeviceTwin
from tests.support.fleet import CLIENT, environment

if TYPE_CHECKING:
    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

NOW = 1_800_000_000
WORD = ChannelWord(
    sequence=1,
    security_version=0,
    epoch=1,
    halted=False,
    immediate=False,
    published_at=NOW - 1000,
    rollout_from=NOW - 1000,
    initial_bps=1000,
    hold_hours=2,
    ramp_hours=3,
    halt_bps=300,
    min_reports=10,
)


def tally(confirmed: int, failed: int) -> Tally:
    return Tally(installed=confirmed + failed, confirmed=confirmed, failed=failed, channel=bytes(20))


@pytest.mark.parametrize(("confirmed", "failed"), [(0, 0), (9, 0), (200, 0), (200, 3), (97, 3), (970, 29)])
def test_so_many_failures_trip_the_breaker_and_one_fewer_does_not(confirmed: int, failed: int) -> None:
    more = failures_to_halt(WORD, tally(confirmed, failed))
    assert more is not None

    def trips(bad: int) -> bool:
        return bad * 10_000 > 300 * (confirmed + bad) and confirmed + bad >= 10

    assert trips(failed + more)
    assert more == 1 or not trips(failed + more - 1)


@pytest.mark.parametrize("halt_bps", [0, 10_000])
def test_a_breaker_that_cannot_trip_is_none(halt_bps: int) -> None:
    assert failures_to_halt(replace(WORD, halt_bps=halt_bps), tally(5, 5)) is None


def test_the_forecast_is_the_curves_end_and_the_time_that_devices_take() -> None:
    early = forecast(WORD, tally(0, 0), now_s=NOW, decided=0, reached=100, devices=1000, left=1000)
    assert (early.all_reached_at, early.complete_at) == (NOW - 1000 + 5 * 3600, None)
    slow = forecast(WORD, tally(10, 0), now_s=NOW, decided=10, reached=1000, devices=10_000, left=10_000)
    assert slow.complete_at == slow.all_reached_at + 99_000
    canary = forecast(WORD, tally(100, 0), now_s=NOW, decided=100, reached=100, devices=1000, left=1000)
    assert canary.complete_at == canary.all_reached_at
    halted = forecast(
        replace(WORD, halted=True), tally(10, 0), now_s=NOW, decided=10, reached=100, devices=1000, left=1000
    )
    assert (halted.all_reached_at, halted.complete_at, halted.failures_to_halt) == (None, None, None)


@pytest.mark.parametrize(("devices", "more"), [(3, None), (9, None), (10, 4), (1000, 4)])
def test_more_failures_than_devices_are_left_are_no_forecast(devices: int, more: int | None) -> None:
    """Six of ten have confirmed: it takes four more reports, of as many devices."""
    found = forecast(
        WORD, tally(6, 0), now_s=NOW, decided=6, reached=devices, devices=devices, left=devices - 6
    )
    assert found.failures_to_halt == more


@pytest.mark.parametrize("lag_s", [300, 1_800, 5_400])
@pytest.mark.parametrize("hour", [2, 3, 4, 5, 6])
def test_the_forecast_of_a_fleet_that_takes_a_while_comes_true(lag_s: int, hour: int) -> None:
    """1,000 devices that each confirm so long after the curve reached them: two hours held, then a ramp."""
    begun, fleet = WORD.published_at, range(0, 10_000, 10)
    now = begun + hour * 3600
    reached = sum(cohort < share_bps(WORD, now) for cohort in fleet)
    decided = sum(cohort < share_bps(WORD, now - lag_s) for cohort in fleet) if now - lag_s >= begun else 0
    found = forecast(
        WORD, tally(decided, 0), now_s=now, decided=decided, reached=reached, devices=1000, left=1000
    )
    truth = begun + 5 * 3600 + lag_s
    if decided == 1000:
        assert found.complete_at == now
    else:
        assert found.complete_at is not None
        # Exact once devices of the ramp have decided; before, nobody knows how long they take.
        assert abs(found.complete_at - truth) <= (60 if decided > 100 else lag_s)


class Fleet:
    """Three enrolled twins in group 1, and what they say recorded at once."""

    def __init__(self, maker: Manufacturer, chain: RunningChain) -> None:
        journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
        assert journal is not None
        self.maker = maker
        self.twins = [DeviceTwin(chain.chain_id, journal) for _ in range(3)]
        self.told = [0, 0, 0]
        for index, twin in enumerate(self.twins):
            (maker.path / f"{index}.request").write_bytes(twin.request())
        maker.run("device", "enrol", "0.request", "1.request", "2.request", "--group", "1", "--yes")

    def say(self, release: str, **kinds: str) -> None:
        for name, kind in kinds.items():
            index = int(name[-1])
            twin = self.twins[index]
            twin.say(EventKind[kind], bytes.fromhex(release))
            (self.maker.path / "out.receipts").write_bytes(twin.receipts(self.told[index]))
            self.told[index] += 1
            self.maker.run("receipts", "submit", "out.receipts", "--skip-reports", "--yes")


@pytest.fixture(scope="module")
def fleet(maker: Manufacturer, chain: RunningChain) -> Fleet:
    return Fleet(maker, chain)


def published(maker: Manufacturer, version: str, sequence: int, *more: str) -> str:
    folder = maker.signed(version, sequence, image=version.encode())
    made = maker.json("release", "publish", folder, "--channel", "stable", "--yes", *more)
    return str(made["release"])[2:]


def look(maker: Manufacturer, *line: str) -> Any:
    return json.loads(maker.run("release", "watch", *line, "--once", "--json").out)


def test_each_device_is_one_of_installed_confirmed_failed_or_silent(
    maker: Manufacturer, fleet: Fleet
) -> None:
    release = published(maker, "1.0.0", 1, "--min-reports", "2")
    before = look(maker, "--channel", "stable")
    assert (before["course"], before["devices"], before["reached"], before["silent"]) == ("running", 3, 3, 3)
    fleet.say(release, d0="INSTALLED", d1="INSTALLED")
    fleet.say(release, d1="FAILED")
    now = look(maker, release)
    assert (now["installed"], now["confirmed"], now["failed"], now["silent"]) == (1, 0, 1, 1)
    assert [one["device"] for one in now["failures"]] == [checksum_address(fleet.twins[1].address)]
    assert now["failures"][0]["counted"]
    assert now["votes"] == {"installed": 2, "confirmed": 0, "failed": 1}
    assert now["forecast"]["failures_to_halt"] == 1
    told = maker.run("release", "watch", release, "--once").out
    assert "3 of 3 devices; 1 installed, 0 confirmed, 1 failed, 1 silent" in told
    assert f"{checksum_address(fleet.twins[1].address)}  failed at" in told
    assert "1 more failure halts it" in told


def test_it_is_live_and_ends_with_0_when_every_device_has_spoken(maker: Manufacturer, fleet: Fleet) -> None:
    release = published(maker, "1.1.0", 2)
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, "release", "watch", release, "--interval-s", "0.1", "--json"],
        cwd=maker.path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["silent"] == 3
    fleet.say(release, d0="CONFIRMED")
    assert json.loads(process.stdout.readline())["confirmed"] == 1
    fleet.say(release, d1="REJECTED", d2="CONFIRMED")
    rest = [json.loads(line) for line in process.stdout]
    assert process.wait(20) == 0
    assert (rest[-1]["course"], rest[-1]["confirmed"], rest[-1]["failed"]) == ("complete", 2, 1)
    assert not rest[-1]["failures"][0]["counted"]
    process.stdout.close()


def test_it_ends_with_1_when_the_release_is_halted_or_superseded(maker: Manufacturer, fleet: Fleet) -> None:
    release = published(maker, "1.2.0", 3, "--initial-bps", "1", "--hold-hours", "1")
    assert look(maker, release)["share_bps"] == 1
    fleet.maker.run("channel", "halt", "stable", "--yes")
    ended = maker.run("release", "watch", release, "--json", expect=1)
    assert json.loads(ended.out)["course"] == "halted"
    published(maker, "1.3.0", 4)
    assert " superseded " in maker.run("release", "watch", release, expect=1).out
    maker.run("release", "revoke", "releases/1.3.0", "--yes")
    assert " revoked " in maker.run("release", "watch", "releases/1.3.0", expect=1).out


def test_what_cannot_be_watched_is_said(maker: Manufacturer) -> None:
    assert "watch what?" in maker.refused("release", "watch", "--once", code=2)
    assert "nothing was published there" in maker.refused("release", "watch", "ab" * 32, "--once", code=2)
