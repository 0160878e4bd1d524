"""The chain inside a program, and the fixture for other people's tests."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware
from websockets.sync.client import connect

from local_chain.errors import ChainError, StateError
from local_chain.forks import Fork
from local_chain.library import LocalChain
from local_chain.opening import Settings
from local_chain.rpc.dispatch import RpcError
from tests.support.chain import rpc

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = "0x" + "ab" * 20


def test_a_state_that_is_in_use_is_refused_and_leaves_nothing_running(tmp_path: Path) -> None:
    with LocalChain(state=tmp_path):
        before = threading.active_count()
        with pytest.raises(StateError, match="is in use"), LocalChain(state=tmp_path):
            pass
        assert threading.active_count() == before


def test_a_port_that_is_taken_is_refused() -> None:
    with LocalChain() as chain:
        port = int(chain.url.rsplit(":", 1)[1])
        with pytest.raises(ChainError, match="cannot listen"), LocalChain(port=port):
            pass


def test_an_error_object_is_an_exception() -> None:
    with LocalChain() as chain, pytest.raises(RpcError) as refused:
        chain.rpc("eth_getBalance", "0x1")
    assert refused.value.code == -32602


def test_two_chains_in_one_process_are_two_chains() -> None:
    with LocalChain(Settings(chain_id=1, fork=Fork.BERLIN)) as one, LocalChain(Settings(chain_id=2)) as other:
        assert [chain.rpc("eth_chainId") for chain in (one, other)] == ["0x1", "0x2"]
        one.rpc("evm_mine")
        assert [rpc(chain.url, "eth_blockNumber") for chain in (one, other)] == ["0x1", "0x0"]
        assert len(one.validators) == 4


def test_web3_and_a_socket_see_what_the_program_does() -> None:
    with LocalChain() as chain:
        web3 = Web3(Web3.HTTPProvider(chain.url))
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        with connect(chain.ws_url) as socket:
            socket.send(
                json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            )
            socket.recv(timeout=20)
            who = "0x" + chain.accounts[0].address.hex()
            sent = chain.rpc("eth_sendTransaction", {"from": who, "to": NOBODY, "value": "0x5"})
            head = json.loads(socket.recv(timeout=20))["params"]["result"]
        assert web3.eth.wait_for_transaction_receipt(sent)["blockNumber"] == int(head["number"], 16) == 1


def test_a_kept_chain_goes_on_where_it_was(tmp_path: Path) -> None:
    with LocalChain(state=tmp_path) as first:
        first.rpc("evm_mine")
        head = first.rpc("eth_getBlockByNumber", "latest")
    with LocalChain(state=tmp_path) as second:
        assert second.rpc("eth_getBlockByNumber", "latest") == head


def test_the_plugin_gives_each_test_a_fresh_chain(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('turn', [1, 2])\n"
        "def test_fresh(fwledger_chain, turn):\n"
        "    assert fwledger_chain.rpc('eth_blockNumber') == '0x0'\n"
        "    fwledger_chain.rpc('evm_mine')\n"
        "    assert fwledger_chain.rpc('eth_blockNumber') == '0x1'\n"
    )
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "local_chain.pytest_plugin",
        "-p",
        "no:cacheprovider",
        ".",
    ]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_is_published_and_costs_nothing_to_who_does_not_use_it() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert list(project["entry-points"]["pytest11"].values()) == ["local_chain.pytest_plugin"]
    line = "import sys, local_chain.pytest_plugin; sys.exit('eth' in sys.modules or 'uvicorn' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", line], cwd=REPOSITORY, timeout=60, check=False).returncode == 0
    )


def test_the_program_in_the_reference_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "chain.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    assert program.count("chain.") > 2
    exec(compile(program, "chain.md", "exec"), {})
