"""The development chain under test: in process for its rules, as a real process for what clients meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import vyper

from local_chain.forks import Fork
from local_chain.opening import Settings, open_node
from local_chain.rpc.dispatch import answer
from local_chain.transactions import DYNAMIC_FEE, LEGACY, Transaction
from tests.support.chain import RpcError, RunningChain, chain_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_chain.node import Node

GWEI = 10**9


class LocalNode:
    """A node without a server: requests go through the whole JSON-RPC path, and what waits is sealed after each."""

    def __init__(self, node: Node, *, privileged: bool = True) -> None:
        self.node = node
        self.chain = node.chain
        self.privileged = privileged

    def post(self, body: object) -> object:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = answer(self.node, raw, privileged=self.privileged)
        if self.node.instant:
            self.node.seal_waiting()
        return None if response is None else json.loads(response)

    def rpc(self, method: str, *params: object):
        response = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        if "error" in response:
            raise RpcError(response["error"])
        return response["result"]

    def signed(
        self, *, account: int = 0, nonce: int | None = None, kind: int | None = None, **fields
    ) -> bytes:
        """A raw transaction of a development account: a transfer of 1 wei unless ``fields`` say otherwise."""
        who = list(self.node.accounts.values())[account]
        if kind is None:
            kind = DYNAMIC_FEE if self.chain.genesis.fork >= Fork.LONDON else LEGACY
        defaults = {
            "type": kind,
            "chain_id": self.chain.genesis.chain_id,
            "nonce": self.chain.account(who.address).nonce if nonce is None else nonce,
            "gas": 100_000,
            "to": b"\x77" * 20,
            "value": 1,
            "data": b"",
            "max_fee": 3 * GWEI,
            "max_priority_fee": GWEI if kind == DYNAMIC_FEE else 3 * GWEI,
        }
        return Transaction(**(defaults | fields)).signed(who.secret_key).raw

    def send(self, raw: bytes) -> dict:
        """Send, seal, and give the receipt."""
        return self.rpc("eth_getTransactionReceipt", self.rpc("eth_sendRawTransaction", "0x" + raw.hex()))


@pytest.fixture
def make_node() -> Iterator[Callable[..., LocalNode]]:
    """Make in-process nodes: ``make_node(fork="berlin", validators=7)``."""
    opened: list[Node] = []

    def make(*, state: Path | None = None, fork: str = "prague", **settings) -> LocalNode:
        settings = {"seed": "tests", "round_jitter": 0.5} | settings
        node = open_node(Settings(fork=Fork.from_label(fork), **settings), state=state, unlocked=True)
        opened.append(node)
        return LocalNode(node)

    yield make
    for node in opened:
        node.chain.store.close()


@pytest.fixture
def node(make_node: Callable[..., LocalNode]) -> LocalNode:
    return make_node()


@pytest.fixture(scope="session")
def box() -> dict:
    """The contract of these tests: ABI and bytecode of Box.vy."""
    source = Path(__file__).with_name("Box.vy").read_text()
    return vyper.compile_code(source, output_formats=["abi", "bytecode"])


@pytest.fixture(scope="session")
def chain() -> Iterator[RunningChain]:
    """One real process for the whole session; tests must not assume to be alone on it."""
    with chain_process("--round-jitter", "0.5") as running:
        yield running
