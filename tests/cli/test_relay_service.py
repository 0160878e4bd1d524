"""The relay without HTTP: what it keeps, for how long, and what it still hands out when the chain is gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ledger_client.cli.app import App
from ledger_client.errors import UnreachableError, UsageError
from ledger_client.journal import Journal
from ledger_client.ledger import Ledger
from ledger_client.network import connect
from ledger_client.relay import service
from ledger_client.relay.service import PROOF_LIFE_S, Relay, TooManyError
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.report.event import EventKind
from tests.support.chain import chain_process
from tests.support.device_twin import DeviceTwin
from tests.support.manufacturer import deployed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger_client.network import Call, Receipt


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def height(proof: bytes) -> int:
    header = LedgerProof.decode(proof).header
    assert header is not None
    return parse_header(header).number


def relay_of(app: App, send: Callable[[Call], Receipt]) -> Relay:
    """A relay whose proofs go over a connection of their own."""
    reading = connect(app.config.chain)
    return Relay(
        ledger=Ledger(reading, app.ledger.address), journal=Journal(reading, app.journal.address),
        carrier=app.journal, held=app.root, ipfs=None, send=send, from_block=0,
    )  # fmt: skip


def test_a_proof_is_kept_for_a_moment_and_handed_out_when_the_chain_is_gone(tmp_path: Path) -> None:
    with chain_process() as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
        clock = Clock()
        relay = Relay(
            ledger=app.ledger,
            journal=app.journal,
            carrier=app.journal,
            held=app.root,
            ipfs=None,
            send=app.send,
            from_block=0,
            now_s=clock,
        )
        first = relay.channel("stable")
        chain.rpc("evm_mine")
        assert relay.channel("stable") == first
        clock.now += PROOF_LIFE_S
        second = relay.channel("stable")
        assert height(second) == height(first) + 1
        assert relay.trust_root(1) == app.root.signed
        assert relay.trust_root(2) is None
        chain.kill()
        clock.now += 100 * PROOF_LIFE_S
        # Still a proof: whoever reads it sees how old it is.
        assert relay.channel("stable") == second
        with pytest.raises(UnreachableError):
            relay.channel("beta")


def test_keys_that_nobody_enrolled_do_not_push_a_chatty_device_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_DEVICES", 1)
    monkeypatch.setattr(service, "MAX_EVENTS_PER_DEVICE", 1)
    with chain_process() as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
        relay = relay_of(app, app.send)
        chatty, stranger = (DeviceTwin(chain.chain_id, app.journal.address) for _ in range(2))
        (maker.path / "chatty.request").write_bytes(chatty.request())
        maker.run("device", "enrol", "chatty.request", "--group", "1", "--yes")
        chatty.say(EventKind.REJECTED, b"\x01" * 32)
        assert relay.submit(chatty.receipts()).recorded == 1
        stranger.say(EventKind.REJECTED, b"\x01" * 32)
        with pytest.raises(UsageError, match="is not enrolled"):
            relay.submit(stranger.receipts())
        chatty.say(EventKind.REJECTED, b"\x01" * 32)
        with pytest.raises(TooManyError):
            relay.submit(chatty.receipts(1))


def test_a_chain_that_is_gone_costs_a_device_nothing_of_what_it_may_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_EVENTS_PER_DEVICE", 1)
    with chain_process() as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
        down = [True]

        def send(call: Call) -> Receipt:
            if down[0]:
                raise UnreachableError("no node")
            return app.send(call)

        relay = relay_of(app, send)
        twin = DeviceTwin(chain.chain_id, app.journal.address)
        (maker.path / "twin.request").write_bytes(twin.request())
        maker.run("device", "enrol", "twin.request", "--group", "1", "--yes")
        twin.say(EventKind.REJECTED, b"\x01" * 32)
        for _ in range(2):
            with pytest.raises(UnreachableError):
                relay.submit(twin.receipts())
        down[0] = False
        assert relay.submit(twin.receipts()).recorded == 1


def test_a_proof_does_not_wait_until_receipts_are_mined(tmp_path: Path) -> None:
    with chain_process() as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
        sending, mined = threading.Event(), threading.Event()

        def send(call: Call) -> Receipt:
            sending.set()
            assert mined.wait(30)
            return app.send(call)

        relay = relay_of(app, send)
        twin = DeviceTwin(chain.chain_id, app.journal.address)
        (maker.path / "twin.request").write_bytes(twin.request())
        maker.run("device", "enrol", "twin.request", "--group", "1", "--yes")
        twin.say(EventKind.REJECTED, b"\x01" * 32)
        with ThreadPoolExecutor(2) as pool:
            submitted = pool.submit(relay.submit, twin.receipts())
            assert sending.wait(30)
            proof = pool.submit(relay.channel, "stable")
            try:
                assert height(proof.result(10)) > 0
                assert not submitted.done()
            finally:
                mined.set()
            assert submitted.result(30).recorded == 1
