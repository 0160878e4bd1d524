"""The relay without HTTP: what it keeps, for how long, and what it still hands out when the chain is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.cli.app import App
from ledger_client.errors import UnreachableError
from ledger_client.relay.service import PROOF_LIFE_S, Relay
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import LedgerProof
from tests.support.chain import chain_process
from tests.support.manufacturer import deployed

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def height(proof: bytes) -> int:
    header = LedgerProof.decode(proof).header
    assert header is not None
    return parse_header(header).number


def test_a_proof_is_kept_for_a_moment_and_handed_out_when_the_chain_is_gone(tmp_path: Path) -> None:
    with chain_process() as chain:
        maker = deployed(tmp_path, rpc=chain.url)
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
        clock = Clock()
        relay = Relay(
            ledger=app.ledger,
            journal=app.journal,
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
