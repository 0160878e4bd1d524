"""Every refusal of the contracts is an exception of its own, whatever form a node gives it in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_abi import encode

from ledger_client.errors import RevertedError
from ledger_client.refusals import REFUSALS, refusal

CONTRACTS = Path(__file__).parents[2] / "contracts"
REASONS = {
    found
    for source in CONTRACTS.rglob("*.vy")
    for found in re.findall(r'"fwledger: ([^"]+)"', source.read_text())
}


def error_data(reason: str) -> str:
    return "0x08c379a0" + encode(["string"], [reason]).hex()


def test_the_classes_are_exactly_the_reasons_in_the_contracts_sources() -> None:
    assert set(REFUSALS) == REASONS


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_each_reason_is_its_own_exception_with_advice(reason: str) -> None:
    by_data = refusal("execution reverted", error_data(f"fwledger: {reason}"), call="publish")
    by_message = refusal(f"execution reverted: fwledger: {reason}", None, call="publish")
    assert type(by_data) is type(by_message) is REFUSALS[reason]
    assert str(by_data) == f"the ledger refused publish: {reason}"
    assert by_data.hint


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("execution reverted", None),
        ("execution reverted", "0x"),
        ("execution reverted", "0x08c379a0"),
        ("execution reverted", "0x08c379a0" + "ff" * 64),
        ("execution reverted", "0x08c379a0" + "zz"),
        ("execution reverted", error_data("")[:-64] + "00" * 31 + "ff"),
    ],
)
def test_a_revert_without_a_reason_says_so(message: str, data: str | None) -> None:
    found = refusal(message, data, call="publish")
    assert type(found) is RevertedError
    assert "no reason given" in str(found)


def test_a_reason_of_another_contract_is_shown_but_is_none_of_ours() -> None:
    found = refusal("execution reverted", error_data("Ownable: caller is not the owner"), call="publish")
    assert type(found) is RevertedError
    assert "Ownable: caller is not the owner" in str(found)


def test_a_reason_that_never_ends_is_cut() -> None:
    found = refusal("execution reverted", error_data("x" * 10_000), call="publish")
    assert len(str(found)) < 200
