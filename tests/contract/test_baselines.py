"""What others' contracts charge, to the unit of gas, and how far ours are under it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.test_gas import GOLDEN
from tests.support import gas
from tests.support.baselines import MANY, eas, registry_of_strings

STRINGS = {"registry of strings, first": 322_658, "registry of strings, next": 308_370}
EAS = {
    "EAS attest": 319_718,
    f"EAS multiAttest of {MANY}, each": 279_165,
    "EAS timestamp": 45_869,
}
OURS = {name: figure for name, _, _, figure, _ in GOLDEN}


def test_a_registry_of_strings_charges_what_it_did():
    assert registry_of_strings() == STRINGS


@pytest.mark.engines("javascript")
def test_eas_charges_what_it_did():
    assert eas(Path(os.environ["FWLEDGER_JAVASCRIPT"])) == EAS


def test_a_release_costs_a_fifth_of_one_in_a_registry_of_strings():
    assert 5 * OURS["publish, 2 of 3"] < STRINGS["registry of strings, next"]


def test_an_event_costs_a_sixth_of_an_attestation_and_in_a_batch_a_nineteenth():
    assert 6 * OURS["event, installed"] < EAS["EAS attest"]
    for name, figure in OURS.items():
        if name.startswith("batch"):
            assert 19 * figure < EAS[f"EAS multiAttest of {MANY}, each"], name


def test_every_act_that_is_done_elsewhere_is_held_against_it():
    held = {name: gas.beside(name) for name in OURS}
    assert held["publish, 2 of 3"] == "registry of strings, next"
    assert held["event, installed"] == "EAS attest"
    assert held["batch of 500, each: confirmed"] == f"EAS multiAttest of {MANY}, each"
    assert held["anchor"] == "EAS timestamp"
    assert held["halt"] is None


def test_gas_says_so_where_eas_is_not_installed(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FWLEDGER_JAVASCRIPT", str(tmp_path))
    assert set(gas.baselines()) == {"registry of strings, first", "registry of strings, next"}
    assert "EAS: NOT MEASURED" in capsys.readouterr().err
