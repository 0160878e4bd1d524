"""A network of geth nodes that seal Clique, which tests partition and join again.

with clique_network(3) as nodes:
    nodes[0].isolate(nodes)
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth_account import Account

from tests.support.chain import rpc, wait_until
from tests.support.engines import START_TIMEOUT_S, _running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHAIN_ID = 1337  # development accounts pay here
PERIOD_S = 1
MNEMONIC = "test test test test test test test test test test test junk"
PASSWORD = "clique"


@dataclass
class CliqueNode:
    """One sealing node; `address` is its sealer's."""

    url: str
    address: str
    enode: str

    def rpc(self, method: str, *params: Any) -> Any:
        return rpc(self.url, method, *params)

    @property
    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def hash_at(self, number: int) -> str | None:
        block = self.rpc("eth_getBlockByNumber", hex(number), False)
        return None if block is None else str(block["hash"])

    def isolate(self, others: Sequence[CliqueNode]) -> None:
        """Cut every connection between this node and the others."""

        def cut() -> bool:
            # A dial that was on its way while it was called off connects once more.
            for other in others:
                if other is not self:
                    self.rpc("admin_removePeer", other.enode)
                    other.rpc("admin_removePeer", self.enode)
            return not self.rpc("admin_peers")

        wait_until(cut, "the node has no peers left")

    def join(self, others: Sequence[CliqueNode]) -> None:
        """Connect this node with the others again."""
        for other in others:
            if other is not self:
                self.rpc("admin_addPeer", other.enode)
                other.rpc("admin_addPeer", self.enode)
        wait_until(lambda: len(self.rpc("admin_peers")) == len(others) - 1, "the node has all its peers")


@contextlib.contextmanager
def clique_network(count: int) -> Iterator[list[CliqueNode]]:
    """Run `count` sealing nodes, each a peer of all others; the sealer of every node is another one."""
    sealers = [Account.create() for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="clique-") as folder, contextlib.ExitStack() as stack:
        genesis = Path(folder) / "genesis.json"
        genesis.write_text(json.dumps(_genesis([one.address for one in sealers])))
        (Path(folder) / "password").write_text(PASSWORD)
        nodes = [
            stack.enter_context(_node(Path(folder) / str(place), genesis, sealer))
            for place, sealer in enumerate(sealers)
        ]
        for node in nodes:
            node.join(nodes)
        wait_until(lambda: min(node.height for node in nodes) > 0, "the network seals")
        yield nodes


@contextlib.contextmanager
def _node(home: Path, genesis: Path, sealer: Any) -> Iterator[CliqueNode]:
    (home / "keystore").mkdir(parents=True)
    key = Account.encrypt(sealer.key, PASSWORD, iterations=1024)
    (home / "keystore" / "sealer.json").write_text(json.dumps(key))
    geth = [os.environ["FWLEDGER_GETH"], "--datadir", str(home), "--state.scheme", "hash"]
    subprocess.run([*geth, "init", str(genesis)], check=True, capture_output=True, timeout=START_TIMEOUT_S)
    command = [
        *geth,
        *("--networkid", str(CHAIN_ID), "--gcmode", "archive", "--syncmode", "full", "--cache", "64"),
        *("--port", "0", "--nodiscover", "--nat", "none", "--ipcdisable", "--authrpc.port", "0"),
        *("--http", "--http.port", "0", "--http.api", "eth,net,web3,debug,admin,clique"),
        *("--mine", "--miner.etherbase", sealer.address, "--unlock", sealer.address),
        *("--password", str(genesis.parent / "password"), "--allow-insecure-unlock"),
    ]
    with _running(command, r"HTTP server started\s+endpoint=(127\.0\.0\.1:\d+) auth=false") as found:
        url = f"http://{found[0]}"
        told: Any = rpc(url, "admin_nodeInfo")
        port = told["ports"]["listener"]
        yield CliqueNode(url, sealer.address, f"{told['enode'].split('@')[0]}@127.0.0.1:{port}")


def _genesis(sealers: list[str]) -> dict[str, Any]:
    Account.enable_unaudited_hdwallet_features()
    rich = [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{place}").address for place in range(10)
    ]
    forks = (
        "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul",
        "berlin", "london",
    )  # fmt: skip
    ordered = sorted(bytes.fromhex(address[2:]) for address in sealers)
    return {
        "config": {
            "chainId": CHAIN_ID,
            **{f"{name}Block": 0 for name in forks},
            "clique": {"period": PERIOD_S, "epoch": 30_000},
        },
        "difficulty": "0x1",
        "gasLimit": hex(30_000_000),
        "extraData": "0x" + (bytes(32) + b"".join(ordered) + bytes(65)).hex(),
        "alloc": {address: {"balance": hex(10**22)} for address in rich},
    }
