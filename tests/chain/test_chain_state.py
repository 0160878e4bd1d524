"""What is kept: the same head after kill -9, a lock, and clear refusals of what is not ours."""

from __future__ import annotations

import http.client
import itertools
import json
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from local_chain.errors import StateError
from local_chain.opening import Settings, open_node
from local_chain.storage import DATABASE_NAME, KEYS_NAME, Store
from tests.support.chain import REPOSITORY, chain_process, start_chain

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stopped_chain_goes_on_where_it_was(make_node, tmp_path: Path, box) -> None:
    from tests.chain.test_chain_proofs import encoded, octets

    node = make_node(state=tmp_path)
    contract = node.send(node.signed(to=None, value=0, gas=1_500_000, data=octets(box["bytecode"])))[
        "contractAddress"
    ]
    node.send(node.signed(to=octets(contract), value=0, data=encoded("store(uint256,uint256)", 1, 77)))
    before = [node.rpc("eth_getBlockByNumber", hex(number), True) for number in range(3)]
    node.chain.store.close()
    again = make_node(state=tmp_path)
    assert [again.rpc("eth_getBlockByNumber", hex(number), True) for number in range(3)] == before
    read = again.rpc("eth_call", {"to": contract, "data": "0x" + encoded("values(uint256)", 1).hex()})
    assert int(read, 16) == 77
    assert again.send(again.signed())["blockNumber"] == "0x3"


def test_every_acknowledged_block_survives_kill_9(tmp_path: Path) -> None:
    """Three times: send as fast as the chain answers, have another thread kill it meanwhile, and look."""
    receipts: list[dict] = []
    for acknowledged in (1, 6, 9):
        chain = start_chain("--state", str(tmp_path), "--seed", "kill")
        accounts = chain.rpc("eth_accounts")
        assert int(chain.rpc("eth_getTransactionCount", accounts[0]), 16) >= len(receipts)
        killer = threading.Thread(target=chain.kill)
        target = len(receipts) + acknowledged
        try:
            while True:
                if len(receipts) == target:
                    killer.start()
                sent = chain.rpc(
                    "eth_sendTransaction", {"from": accounts[0], "to": accounts[1], "value": "0x1"}
                )
                receipts.append(chain.rpc("eth_getTransactionReceipt", sent))
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            killer.join()
        chain.process.stdout.close()
    with chain_process("--state", str(tmp_path)) as chain:
        assert len(receipts) >= 16
        assert all(receipt is not None for receipt in receipts)
        for receipt in receipts:
            assert chain.rpc("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
        head = int(chain.rpc("eth_blockNumber"), 16)
        parents = [chain.rpc("eth_getBlockByNumber", hex(number), False) for number in range(head + 1)]
        assert all(child["parentHash"] == parent["hash"] for parent, child in itertools.pairwise(parents))


def test_validator_keys_and_the_directory_are_the_owners_alone(make_node, tmp_path: Path) -> None:
    make_node(state=tmp_path / "chain")
    assert stat.S_IMODE((tmp_path / "chain").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "chain" / KEYS_NAME).stat().st_mode) == 0o600


def test_a_node_that_is_told_to_stop_ends_well_and_lets_go_of_its_state(tmp_path: Path) -> None:
    with chain_process("--state", str(tmp_path)) as chain:
        assert chain.stop() == 0
    store = Store(tmp_path)
    assert store.head.number == 0
    store.close()


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with chain_process("--state", str(tmp_path)) as chain:
        line = [sys.executable, "-m", "local_chain.cli", "up", "--port", "0", "--state", str(tmp_path)]
        second = subprocess.run(line, capture_output=True, text=True, cwd=REPOSITORY, timeout=60, check=False)
        assert second.returncode == 2
        assert second.stderr.splitlines() == [
            f"error: the state in {tmp_path} is in use by process {chain.process.pid}",
            "hint: stop it, or give another --state",
        ]
        assert chain.rpc("eth_blockNumber") == "0x0"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Settings(chain_id=5), "expected chain id 5, got 31337"),
        (Settings(validators=7), "expected validators 7, got 4"),
        (Settings(gas_limit=6_000_000), "expected gas limit 6000000, got 30000000"),
    ],
)
def test_a_state_of_another_chain_is_refused(
    make_node, tmp_path: Path, settings: Settings, says: str
) -> None:
    make_node(state=tmp_path).chain.store.close()
    with pytest.raises(StateError, match=says):
        open_node(settings, state=tmp_path, unlocked=True)


def test_a_state_of_another_version_is_refused(make_node, tmp_path: Path) -> None:
    make_node(state=tmp_path).chain.store.close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StateError, match="of version 9, this program reads 1"):
        open_node(Settings(), state=tmp_path, unlocked=True)


def test_a_damaged_database_is_refused(make_node, tmp_path: Path) -> None:
    make_node(state=tmp_path).chain.store.close()
    for name in (DATABASE_NAME, DATABASE_NAME + "-wal"):
        if (tmp_path / name).exists():
            (tmp_path / name).write_bytes(b"not a database, long enough to be looked at" * 100)
    with pytest.raises(StateError, match="cannot open the chain's database"):
        open_node(Settings(), state=tmp_path, unlocked=True)


def test_other_keys_than_the_chains_are_refused(make_node, tmp_path: Path) -> None:
    from local_chain.sealing import new_keys, write_keys

    make_node(state=tmp_path).chain.store.close()
    (tmp_path / KEYS_NAME).unlink()
    write_keys(tmp_path / KEYS_NAME, new_keys(4))
    with pytest.raises(StateError, match="not those of this chain"):
        open_node(Settings(), state=tmp_path, unlocked=True)


def test_a_start_that_was_cut_off_after_its_first_write_is_completed(make_node, tmp_path: Path) -> None:
    node = make_node(state=tmp_path)
    genesis = node.chain.genesis
    node.chain.store.close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute("DELETE FROM blocks")
    db.close()
    again = make_node(state=tmp_path)
    assert (again.chain.genesis, again.chain.head.number) == (genesis, 0)


def test_when_a_block_cannot_be_stored_nothing_changes_and_the_next_try_works(
    make_node, tmp_path: Path
) -> None:
    node = make_node(state=tmp_path)
    node.send(node.signed())
    pages = node.chain.store._db.execute("PRAGMA page_count").fetchone()[0]
    node.chain.store._db.execute(f"PRAGMA max_page_count = {pages}")  # the disk is full
    head = node.chain.head
    for nonce in range(1, 40):
        node.chain.submit(node.signed(nonce=nonce, data=b"\xff" * 2_000, gas=200_000))
    with pytest.raises(StateError, match="cannot store block 2: database or disk is full"):
        node.chain.mine(allow_empty=False)
    assert node.chain.head is head
    assert node.chain.block_at(1).hash == head.hash
    node.chain.store._db.execute("PRAGMA max_page_count = 1000000")
    assert len(node.chain.mine(allow_empty=False).transactions) == 39


def test_a_store_gives_back_nothing_of_a_discarded_block(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.nodes[b"k"] = b"v"
    assert b"k" in store.nodes
    store.nodes.discard()
    assert b"k" not in store.nodes
    store.close()


def test_starting_and_answering_costs_little_work() -> None:
    """About 1.1 s of processor time, nearly all of it imports; an idle machine answers after as long."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with chain_process() as chain:
        assert chain.rpc("eth_chainId") == "0x7a69"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def test_the_command_imports_no_web3() -> None:
    code = "import sys, local_chain.cli; print(*[name for name in sys.modules if name.split('.')[0] in ('web3', 'eth_tester', 'aiohttp')])"
    line = [sys.executable, "-c", code]
    assert subprocess.run(line, capture_output=True, text=True, cwd=REPOSITORY, check=True).stdout == "\n"
