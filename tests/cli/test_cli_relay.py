"""The relay as a real process: a device's own sources read from it, receipts go in, and nonsense is
refused.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from device_verifier.sources import StateQuery
from device_verifier.sources.relay import RelayLedger
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.config import load_config
from ledger_client.relay.app import build_app
from ledger_client.relay.service import MAX_EVENTS_PER_DEVICE
from ledger_protocol.release.trust_root import verify_first
from ledger_protocol.report.event import EventKind
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger_client.relay.service import Relay
    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def relay(maker: Manufacturer) -> Iterator[str]:
    folder = maker.signed("1.0.0", 1)
    maker.run("release", "publish", folder, "--channel", "stable", "--yes")
    command = "from ledger_client.cli.main import main; main()"
    arguments = ["relay", "up", "--listen", "127.0.0.1:0", "--dev-account", "7", "--yes", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        cwd=maker.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    yield ready["url"]
    process.terminate()
    assert process.wait(10) in (0, -15)
    process.stdout.close()


@pytest.fixture
def twin(maker: Manufacturer, chain: RunningChain) -> DeviceTwin:
    journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
    assert journal is not None
    return DeviceTwin(chain.chain_id, journal)


def ask(url: str, *, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fwledger/v1/proof/device/0x12", 400),
        ("/fwledger/v1/proof/device/nobody", 400),
        ("/fwledger/v1/proof/group/16777216", 400),
        ("/fwledger/v1/proof/group/-1", 400),
        ("/fwledger/v1/proof/group/x", 400),
        ("/fwledger/v1/proof/group/" + "9" * 5000, 400),
        ("/fwledger/v1/proof/group/%D9%A1", 400),
        ("/fwledger/v1/trust-roots/" + "9" * 5000, 404),
        ("/fwledger/v1/proof/channel/" + "x" * 100, 400),
        ("/fwledger/v1/trust-roots/0", 404),
        ("/fwledger/v1/trust-roots/2", 404),
        ("/fwledger/v1/trust-roots/99999999999", 404),
        ("/fwledger/v1/receipts", 405),
        ("/etc/passwd", 404),
    ],
)
def test_paths_that_name_nothing_are_refused(relay: str, path: str, status: int) -> None:
    assert ask(relay + path)[0] == status


@pytest.mark.parametrize("body", [b"", b"hello", b"\xa0", b"\x9f" * 5000, bytes(1000)])
def test_a_body_that_is_no_receipts_is_refused(relay: str, body: bytes) -> None:
    status, answer = ask(relay + "/fwledger/v1/receipts", body=body)
    assert status == 422
    assert json.loads(answer)["schema"] == "fwledger/error/1"


def test_a_body_over_the_limit_is_cut_off(relay: str) -> None:
    assert ask(relay + "/fwledger/v1/receipts", body=bytes(18 * 2**20))[0] == 413


def test_a_body_that_drips_is_given_up() -> None:
    """Who sends receipts byte by byte holds memory that others need."""
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/fwledger/v1/receipts", "raw_path": b"", "headers": [],
        "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http", "server": ("x", 1),
    }  # fmt: skip
    app = build_app(cast("Relay", None), body_s=0.05)
    asyncio.run(app(scope, receive, send))
    assert told[0]["status"] == 408


def test_a_device_that_is_not_enrolled_is_sent_away(relay: str, twin: DeviceTwin) -> None:
    twin.say(EventKind.BASELINE, b"\x01" * 32)
    status, answer = ask(relay + "/fwledger/v1/receipts", body=twin.receipts())
    assert status == 400
    assert "is not enrolled" in json.loads(answer)["error"]


def test_a_device_that_says_too_much_is_held_back(relay: str, maker: Manufacturer, twin: DeviceTwin) -> None:
    (maker.path / "chatty.request").write_bytes(twin.request())
    maker.run("device", "enrol", "chatty.request", "--group", "1", "--yes")
    for _ in range(MAX_EVENTS_PER_DEVICE + 1):
        twin.say(EventKind.REJECTED, b"\x01" * 32)
    status, answer = ask(relay + "/fwledger/v1/receipts", body=twin.receipts())
    assert status == 429
    assert "says too much" in json.loads(answer)["error"]


def test_receipts_are_recorded_once(relay: str, maker: Manufacturer, twin: DeviceTwin) -> None:
    (maker.path / "relayed.request").write_bytes(twin.request())
    maker.run("device", "enrol", "relayed.request", "--group", "1", "--yes")
    twin.say(EventKind.BASELINE, b"\x01" * 32)
    results = [json.loads(ask(relay + "/fwledger/v1/receipts", body=twin.receipts())[1]) for _ in range(2)]
    assert [(r["recorded"], r["already"]) for r in results] == [(1, 0), (0, 1)]


def forked(twin: DeviceTwin, count: int) -> bytes:
    """Receipts of a rooted device that tells its history another way."""
    other = DeviceTwin(twin.chain_id, twin.journal, key=twin.key)
    for _ in range(count):
        other.say(EventKind.REJECTED, b"\x02" * 32)
    return other.receipts()


def test_reports_that_the_ledger_never_records_are_not_kept(
    relay: str, maker: Manufacturer, twin: DeviceTwin
) -> None:
    (maker.path / "forking.request").write_bytes(twin.request())
    maker.run("device", "enrol", "forking.request", "--group", "1", "--yes")
    for _ in range(3):
        twin.say(EventKind.REJECTED, b"\x01" * 32)
    results = [
        json.loads(ask(relay + "/fwledger/v1/receipts", body=body)[1])
        for body in (twin.receipts(), twin.receipts(), forked(twin, 3))
    ]
    assert [(r["recorded"], r["reports"]) for r in results] == [(3, 3), (0, 0), (0, 0)]


def test_what_the_ledger_refuses_counts_as_said(relay: str, maker: Manufacturer, twin: DeviceTwin) -> None:
    """Else a rooted device has the relay check, estimate and keep reports for it without end."""
    (maker.path / "refused.request").write_bytes(twin.request())
    maker.run("device", "enrol", "refused.request", "--group", "1", "--yes")
    twin.say(EventKind.BASELINE, b"\x01" * 32)
    ask(relay + "/fwledger/v1/receipts", body=twin.receipts())
    fork = forked(twin, MAX_EVENTS_PER_DEVICE // 2)
    answers = [ask(relay + "/fwledger/v1/receipts", body=fork)[0] for _ in range(3)]
    assert answers == [422, 422, 429]


def test_a_device_believes_the_proofs_that_the_relay_serves(
    relay: str, maker: Manufacturer, twin: DeviceTwin
) -> None:
    (maker.path / "reader.request").write_bytes(twin.request())
    maker.run("device", "enrol", "reader.request", "--group", "1", "--yes")
    signed = (maker.path / "trust-root.cbor").read_bytes()
    root = verify_first(signed, now_s=None)
    source = RelayLedger(relay)
    assert source.trust_roots(after_version=1, ledger=root.ledger) == []
    assert ask(relay + "/fwledger/v1/trust-roots/1") == (200, signed)
    for query in (
        StateQuery(channel="stable"),
        StateQuery(group=1),
        StateQuery(group=1, device=twin.address),
    ):
        trusted = TrustedLedger(trust_root=signed, floor=None, now_s=None)
        trusted.update_header(source.proof(query, ledger=root.ledger))
        view = trusted.read(query)
        assert view.head is not None
        assert (view.device is not None) == (query.device is not None)


def test_a_channel_that_nobody_uses_is_proved_absent(relay: str, maker: Manufacturer) -> None:
    signed = (maker.path / "trust-root.cbor").read_bytes()
    trusted = TrustedLedger(trust_root=signed, floor=None, now_s=None)
    trusted.update_header(ask(relay + "/fwledger/v1/proof/channel/nobody")[1])
    assert trusted.read(StateQuery(channel="nobody")).head is None


def test_a_relay_pays_only_for_who_agreed_to_it(maker: Manufacturer) -> None:
    assert "without asking" in maker.refused("relay", "up", "--listen", "127.0.0.1:0", code=2)


@pytest.mark.parametrize("place", ["", "nowhere", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(maker: Manufacturer, place: str) -> None:
    assert "HOST:PORT" in maker.refused("relay", "up", "--listen", place or ":", "--yes", code=2)
