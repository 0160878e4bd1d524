"""What is committed of the contracts is what their sources compile to, and their storage stays where devices look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from contracts import compile as compiler
from contracts import reference
from ledger_protocol.ledger import layout
from tests.contract.actors import artifact

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = sorted((compiler.ROOT / "contracts").rglob("*.vy"))
# EIP-170.
MAX_CODE_BYTES = 24_576

# Changing this is changing every device in the field: an explicit act.
GOLDEN_LAYOUT = {
    "FirmwareLedger": {
        "head": (1, "HashMap[bytes32, bytes32]"),
        "word": (2, "HashMap[bytes32, uint256]"),
        "channel_of": (3, "HashMap[uint256, bytes32]"),
        "revoked": (4, "HashMap[bytes32, uint256]"),
        "approval": (5, "HashMap[address, HashMap[bytes32, uint256]]"),
        "trust_root": (6, "bytes32"),
        "trust_root_version": (7, "uint256"),
        "member": (8, "HashMap[address, uint256]"),
        "rules": (9, "uint256"),
        "queue": (10, "HashMap[bytes32, uint256]"),
        "successor": (11, "address"),
        "seats": (12, "HashMap[uint256, address]"),
    },
    "UpdateJournal": {
        "device": (1, "HashMap[address, uint256]"),
        "tally": (2, "HashMap[bytes32, HashMap[uint256, uint256]]"),
    },
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict]:
    return {name: compiler.compile_contract(name) for name in compiler.CONTRACTS}


@pytest.mark.parametrize("name", compiler.CONTRACTS)
def test_the_committed_artifact_is_what_the_sources_compile_to(compiled, name):
    committed = (compiler.ARTIFACTS / f"{name}.json").read_text(encoding="utf-8")
    assert compiler.artifact_text(compiled[name]) == committed, "run python -m contracts.compile"


def test_the_committed_layout_module_is_what_the_artifacts_say(compiled):
    assert compiler.layout_text(compiled) == compiler.LAYOUT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", compiler.CONTRACTS)
def test_no_storage_slot_has_moved(name):
    slots = {n: (e["slot"], e["type"]) for n, e in artifact(name)["storage_layout"].items()}
    assert slots == GOLDEN_LAYOUT[name]


def test_the_layout_module_names_the_slots_that_devices_prove():
    golden = GOLDEN_LAYOUT["FirmwareLedger"] | GOLDEN_LAYOUT["UpdateJournal"]
    named = {n: v for n, v in vars(layout).items() if n.isupper()}
    assert named == {n: golden[n.split("_", 1)[1].lower()][0] for n in named}
    assert len(named) == 9


@pytest.mark.parametrize("name", compiler.CONTRACTS)
def test_the_code_fits_every_chain(world, name):
    contract = world.ledger if name == "FirmwareLedger" else world.journal
    code = world.machine.code(contract.address)
    assert len(code) < MAX_CODE_BYTES


@pytest.mark.parametrize("name", compiler.CONTRACTS)
def test_the_code_on_chain_is_the_runtime_code_and_the_immutables(world, name):
    contract = world.ledger if name == "FirmwareLedger" else world.journal
    code = world.machine.code(contract.address)
    runtime = bytes.fromhex(artifact(name)["runtime_bytecode"][2:])
    assert code[: len(runtime)] == runtime
    places = artifact(name)["immutables"].values()
    assert len(code) == len(runtime) + sum(p["length"] for p in places)
    domain = artifact(name)["immutables"]["DOMAIN"]["offset"]
    assert code[domain : domain + 32] == world.view(contract, "domain_separator")


def test_two_deployments_with_the_same_arguments_differ_in_code(world):
    """A staging pair cannot stand in for the real one: the domain separator is in the code."""
    second = world.deploy("FirmwareLedger", *world.ledger_args(world.journal.address))
    assert second.ok
    assert world.machine.code(second.created) != world.machine.code(world.ledger.address)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_no_module_is_over_300_lines(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_every_external_function_says_what_it_does_and_what_each_parameter_is(path: Path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(
        r'^@(?:external|deploy)\n(?:@\w+\n)*def (\w+)\((.*?)\)(?: -> [^:]+(?:, [^:]+)*)?:\n    """(.*?)"""',
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    assert len(found) == len(re.findall(r"^@(?:external|deploy)$", text, flags=re.MULTILINE))
    for name, parameters, doc in found:
        assert "@notice" in doc, name
        named = re.findall(r"(\w+): ", parameters)
        assert re.findall(r"@param (\w+)", doc) == named, name


def test_the_reference_page_is_what_the_sources_say():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run python -m contracts.reference"


@pytest.mark.parametrize("name", compiler.CONTRACTS)
def test_the_reference_page_names_every_function_and_log(name):
    page = reference.PAGE.read_text(encoding="utf-8")
    for entry in artifact(name)["abi"]:
        if entry["type"] in ("function", "event"):
            assert f"`{entry['name']}(" in page
