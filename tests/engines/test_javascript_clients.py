"""viem and ethers drive the chain: their own code deploys, signs, listens, decodes, and checks the proofs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import vyper

from local_chain import server, sockets
from local_chain.library import LocalChain
from local_chain.rpc.registry import METHODS

pytestmark = pytest.mark.engines("javascript")

SCRIPTS = Path(__file__).parents[1] / "javascript"
CLIENTS = ("viem", "ethers")
VALUES_SLOT = 1  # Vyper's slot 0 is its reentrancy lock
PATIENCE_S = 110
CHECK = re.compile(r'^  "(.+)": async \(\) => \{$', re.MULTILINE)
CUSTOM_ERROR = {
    "type": "error",
    "name": "Unlucky",
    "inputs": [{"name": "word", "type": "uint256"}, {"name": "by", "type": "address"}],
}
# Called to see which error comes.
NOT_THERE = {"eth_nothing"}


def named_checks(client: str) -> list[str]:
    return CHECK.findall((SCRIPTS / f"{client}.mjs").read_text())


class Driven:
    """What one script found, and the methods that it called."""

    def __init__(self, client: str, folder: Path, methods: set[str]) -> None:
        # An ES module finds its packages beside itself only.
        for script in SCRIPTS.glob("*.mjs"):
            shutil.copy(script, folder)
        (folder / "node_modules").symlink_to(os.environ["FWLEDGER_JAVASCRIPT"])
        compiled = vyper.compile_code((SCRIPTS / "Shelf.vy").read_text(), output_formats=["abi", "bytecode"])
        with LocalChain() as chain:
            given = {
                "http": chain.url,
                "ws": chain.ws_url,
                "chainId": 31_337,
                "abi": [*compiled["abi"], CUSTOM_ERROR],
                "bytecode": compiled["bytecode"],
                "keys": ["0x" + account.secret_key.hex() for account in chain.accounts],
                "valuesSlot": VALUES_SLOT,
            }
            ran = subprocess.run(
                ["node", str(folder / f"{client}.mjs"), json.dumps(given)],
                capture_output=True, text=True, check=False, timeout=PATIENCE_S,
            )  # fmt: skip
        self.ended = ran.stderr if ran.returncode else None
        self.found = {line["check"]: line["error"] for line in map(json.loads, ran.stdout.splitlines())}
        self.methods = methods


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Run each script once; note every method that it calls, over HTTP and over its WebSocket."""
    driven: dict[str, Driven] = {}

    def run(client: str) -> Driven:
        if client not in driven:
            methods: set[str] = set()
            with pytest.MonkeyPatch.context() as patch:
                for module in (server, sockets):
                    patch.setattr(module, "answer", noting(methods, module.answer))
                driven[client] = Driven(client, tmp_path_factory.mktemp(client), methods)
        return driven[client]

    return run


def noting(methods: set[str], answer):
    def noted(node, body: bytes, **options):
        request = json.loads(body)
        methods.update(one["method"] for one in (request if isinstance(request, list) else [request]))
        return answer(node, body, **options)

    return noted


@pytest.mark.parametrize(
    ("client", "check"), [(client, check) for client in CLIENTS for check in named_checks(client)]
)
def test_a_client_finds_that(drive, client: str, check: str) -> None:
    assert drive(client).found[check] is None


@pytest.mark.parametrize("client", CLIENTS)
def test_a_script_comes_to_its_end(drive, client: str) -> None:
    assert drive(client).ended is None


@pytest.mark.parametrize("client", CLIENTS)
def test_every_method_that_a_client_calls_is_in_the_reference(drive, client: str) -> None:
    called = drive(client).methods - NOT_THERE
    assert called <= set(METHODS)
    assert len(called) > 15
