"""The client's commands, and a device's own proof of what they did, on chains of anvil and of geth.

None of these seals as QBFT does, so witnesses sign for their blocks.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.cli.app import App
from ledger_client.config import load_config
from ledger_client.firmware_keys import read_private_key
from ledger_client.signers import dev_account
from ledger_client.witness.service import Witness, open_store
from ledger_protocol.report.event import EventKind
from tests.contract.evm import private_key
from tests.support.device_twin import DeviceTwin
from tests.support.engines import anvil_process, geth_process
from tests.support.manufacturer import Manufacturer, found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from device_verifier.ledger_view import LedgerView
    from tests.support.ipfs import IpfsNode

CHAIN_ID = 31337  # the one whose development accounts the client has keys for
NAMES = ("w1.example", "w2.example")
NOW_S = 2_000_000_000


@contextlib.contextmanager
def anvil(*arguments: str) -> Iterator[str]:
    with anvil_process(*arguments) as rpc:
        yield rpc.url


@contextlib.contextmanager
def clique(*forks: str, base_fee: int | None = None, price: int = 10**9) -> Iterator[str]:
    """A chain that one geth seals whenever there is something to seal."""
    key = private_key(1)
    sealer = key.public_key.to_canonical_address()
    older = (
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
    )
    genesis: dict[str, Any] = {
        "config": {"chainId": CHAIN_ID, "clique": {"period": 0, "epoch": 30_000}}
        | {f"{fork}Block": 0 for fork in (*older, *forks)},
        "extraData": "0x" + bytes(32).hex() + sealer.hex() + bytes(65).hex(),
        "difficulty": "0x1",
        "gasLimit": hex(30_000_000),
        "alloc": {dev_account(0, chain_id=CHAIN_ID).text[2:]: {"balance": hex(10**22)}},
    }
    if base_fee is not None:
        genesis["baseFeePerGas"] = hex(base_fee)
    prices = (
        "--miner.gasprice",
        str(price),
        "--gpo.ignoreprice",
        "0",
        "--txpool.pricelimit",
        str(max(price, 1)),
    )
    with geth_process(genesis, *prices, sealer=("0x" + sealer.hex(), key.to_bytes())) as rpc:
        yield rpc.url


@contextlib.contextmanager
def playing(path: Path, node: IpfsNode, chain: Any) -> Iterator[tuple[Manufacturer, bytes, bytes]]:
    """A release, published and reported by one device; gives the manufacturer, the release and the device."""
    with chain as url:
        maker = found(path, rpc=url, ipfs=node.api, gateway=node.gateway)
        line = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--release-key", "keys/bob.pem.pub"]
        line += [
            "--root-key",
            "keys/root.pem",
            "--no-seals",
            "--final",
            "depth:1",
            "--origin",
            "acme.example",
        ]
        for name in NAMES:
            maker.run("key", "new", f"keys/{name}.pem")
            vkey = maker.run("witness", "vkey", "--key", f"keys/{name}.pem", "--name", name).out.strip()
            line += ["--witness", vkey]
        maker.run(*line, "--witness-threshold", "2")
        maker.run("channel", "create", "stable", "--group", "1", "--yes")
        published = maker.json("release", "publish", maker.signed("1.0.0", 1), "--channel", "stable", "--yes")
        release = bytes.fromhex(published["release"].removeprefix("0x"))

        journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
        assert journal is not None
        twin = DeviceTwin(CHAIN_ID, journal)
        (maker.path / "device.request").write_bytes(twin.request())
        maker.run("device", "enrol", "device.request", "--group", "1", "--yes")
        for kind in (EventKind.BASELINE, EventKind.INSTALLED):
            twin.say(kind, release)
        (maker.path / "device.receipts").write_bytes(twin.receipts())
        assert maker.json("receipts", "submit", "device.receipts", "--yes")["files"][0]["recorded"] == 2
        assert maker.json("receipts", "submit", "device.receipts", "--yes")["files"][0]["recorded"] == 0
        yield maker, release, twin.address


@pytest.mark.engines("geth")
@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(lambda: clique("berlin", price=0), id="Berlin, gas for nothing"),
        pytest.param(lambda: clique("berlin"), id="Berlin"),
        pytest.param(lambda: clique("berlin", "london", base_fee=10**9), id="London"),
    ],
)
def test_what_the_commands_did_on_geths_clique_is_proven_to_a_device(
    tmp_path: Path, embedded_node: IpfsNode, chain: Callable[[], Any]
) -> None:
    with playing(tmp_path, embedded_node, chain()) as (maker, release, device):
        query = StateQuery(channel="stable", device=device)
        before = proven(maker, query)
        assert before.head == release
        assert before.word is not None
        assert (before.word.sequence, before.word.halted) == (1, False)
        maker.run("channel", "halt", "stable", "--yes")
        maker.run("channel", "create", "beta", "--group", "2", "--yes")  # a block on top of it
        after = proven(maker, query)
        assert after.word is not None
        assert after.word.halted
        assert after.device is not None
        assert (after.device.sequence, after.device.group) == (2, 1)
        assert after.head_revoked is None


@pytest.mark.engines("anvil")
@pytest.mark.parametrize("fork", ["berlin", "prague"])
def test_the_commands_work_on_anvil_and_a_device_refuses_its_tries(
    tmp_path: Path, embedded_node: IpfsNode, fork: str
) -> None:
    """anvil 1.7.1 keeps an entry of zero for a word that was only read: no Ethereum trie holds one (docs/limits.md)."""
    with playing(tmp_path, embedded_node, anvil("--hardfork", fork)) as (maker, release, _):
        assert maker.json("release", "show", release.hex())["head_of"] == ["stable"]
        maker.run("channel", "halt", "stable", "--yes")
        (row,) = maker.json("channel", "status", "stable")["channels"]
        assert row["halted"] is True
        with pytest.raises(NotTrusted, match="expected no entry for zero, got an entry"):
            proven(maker, StateQuery(channel="stable"))


def proven(maker: Manufacturer, query: StateQuery) -> LedgerView:
    """Give what a device believes of a proof that the command made, under a block that both witnesses signed."""
    app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
    notes = []
    for name in NAMES:
        key: Any = read_private_key(maker.path / f"keys/{name}.pem", password=None)
        store = open_store(maker.path / f"{name}.db", root=app.root.root, key=key, name=name)
        Witness(
            app.network, app.root.root, key, name, store, now_s=lambda: NOW_S, out=maker.path / name
        ).step()
        notes.append(str(maker.path / name / "newest.note"))
    maker.run("witness", "collect", *notes, "--out", "joined.note")
    line = ["proof", "channel", "stable", "--note", "joined.note", "--out", "stable.proof"]
    maker.run(*line, *(["--device", "0x" + query.device.hex()] if query.device else []))
    trusted = TrustedLedger(trust_root=(maker.path / "trust-root.cbor").read_bytes(), floor=None, now_s=None)
    trusted.update_header((maker.path / "stable.proof").read_bytes())
    return trusted.read(query)
