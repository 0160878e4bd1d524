"""The suite as a whole: what it covers, what its command says, and what its pages say."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ledger_client.conformance.case import Device, Transport
from ledger_client.conformance.catalogue import CASES
from ledger_client.conformance.client import RESULT_SCHEMA
from ledger_client.conformance.main import main
from ledger_client.conformance.runner import DEVICE_SCHEMA, device_document
from tests.conformance.defects import DEFECTS
from tests.device.test_attacks_are_all_mounted import ATTACKS
from tests.support.conformance_cases import PAGE, page

ROOT = Path(__file__).parents[2]
ADAPTER = f"{sys.executable} -m device_verifier.conformance"


def adapter(tmp_path, body):
    """A client made of these lines of Python; `command` is what it is asked."""
    path = tmp_path / "client.py"
    head = "import json, sys, time\ncommand = sys.argv[1]\n"
    answer = "def answer(code, **more):\n    print(json.dumps({'schema': 'fwledger/conformance-result/1', **more}))\n    sys.exit(code)\n"
    path.write_text(head + answer + body)
    return f"{sys.executable} {path}"


def test_every_attack_that_shows_at_a_client_has_a_case():
    assert set(ATTACKS) <= {case.attack for case in CASES.values()}
    assert len(CASES) >= 150


def test_every_case_says_what_it_is_about():
    for case in CASES.values():
        assert re.fullmatch(r"[a-z]+\.[a-z0-9-]+", case.id), case.id
        assert case.attack in {*ATTACKS, "reorg"}, case.id
        assert re.fullmatch(r"§[1-8]|V[0-9]+", case.section), case.id
        assert case.expected.accepted or case.expected.reasons, case.id
        assert case.why, case.id


def test_the_page_of_the_cases_is_the_suites_own_list():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.support.conformance_cases"


def test_the_guide_counts_the_cases_and_names_every_transport():
    guide = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    assert f"\n{len(CASES)} of {len(CASES)} cases passed\n" in guide
    for transport in Transport:
        assert f"| `--{transport.value} " in guide


def test_the_guide_names_every_option_and_every_field_of_the_contract():
    guide = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    for option in (
        "--persistent",
        "--only",
        "--without",
        "--jobs",
        "--report",
        "--junit",
        "--json",
        "--timeout",
    ):
        assert option in guide
    described = json.loads(guide.split("```json\n")[1].split("```")[0])
    assert described.keys() == device_document(Device()).keys()
    assert described["schema"] == DEVICE_SCHEMA
    assert f'"schema": "{RESULT_SCHEMA}"' in guide


def test_a_good_client_passes_a_case_with_one_process_a_question(capsys):
    assert main(["run", "--client", ADAPTER, "--only", "header.3-of-4-seals"]) == 0
    assert capsys.readouterr().out == f"1 of 1 cases passed, {len(CASES) - 1} left out\n"


def test_a_failure_says_what_was_expected_and_what_came(tmp_path, capsys):
    client = adapter(
        tmp_path, "answer(0, height=None, release='0x00', reason='update-available', detail='yes')\n"
    )
    assert main(["run", "--client", client, "--only", "header.no-seals", "--json"]) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["schema"] == "fwledger/conformance-report/1"
    assert (report["passed"], report["failed"]) == (0, 1)
    (case,) = report["cases"]
    assert case["failures"] == [
        "step 1 (check): expected refuse: header-quorum, wrong-chain, bad-proof, got accept (update-available: yes)"
    ]
    assert captured.err == "failed: header.no-seals\n"


def test_a_client_that_refuses_everything_fails_what_must_be_accepted(tmp_path, capsys):
    client = adapter(tmp_path, "answer(command != 'init', height=None, reason='header-quorum')\n")
    junit = tmp_path / "report.xml"
    only = ["header.3-of-4-seals", "header.2-of-4-seals"]
    assert main(["run", "--client", client, "--only", *only, "--junit", str(junit)]) == 1
    assert "FAILED header.3-of-4-seals: " in capsys.readouterr().out
    suite = ET.fromstring(junit.read_text())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failed,) = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == "3-of-4-seals"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("sys.exit(3)", "exit code 3, expected 0 (accepted) or 1 (not accepted)"),
        ("print('hello')", "standard output is not JSON"),
        ("print('{}')", "expected a document of schema fwledger/conformance-result/1"),
        ("time.sleep(60)", "no answer within"),
    ],
)
def test_an_adapter_outside_the_contract_fails_its_case(tmp_path, capsys, body, told):
    client = adapter(tmp_path, body)
    arguments = ["--only", "header.no-seals", "--timeout", "1" if "sleep" in body else "60"]
    assert main(["run", "--client", client, *arguments]) == 1
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("persistent", [[], ["--persistent"]])
def test_a_client_that_cannot_be_run_fails_its_case(capsys, persistent):
    assert main(["run", "--client", "/nowhere/client", "--only", "header.no-seals", *persistent]) == 1
    assert "/nowhere/client cannot be run: No such file or directory" in capsys.readouterr().out


def test_a_persistent_client_that_dies_is_started_again(tmp_path, capsys):
    client = adapter(tmp_path, "sys.stdin.readline()\n")
    only = ["header.no-seals", "header.15-fields"]
    assert main(["run", "--client", client, "--persistent", "--jobs", "1", "--only", *only]) == 1
    assert capsys.readouterr().out.count("no answer within 60 s, or none of the contract's") == 2


def test_an_install_that_leaves_wrong_bytes_or_writes_the_running_slot_fails(tmp_path, capsys):
    body = (
        "import os, pathlib\n"
        "state = pathlib.Path(sys.argv[sys.argv.index('--state') + 1])\n"
        "if command == 'init': answer(0, height=None)\n"
        "(state.parent / 'rootfs.running').write_bytes(b'x')\n"
        "answer(0, height=100, armed='0x', reason='update-available', release='0x')\n"
    )
    assert main(["run", "--client", adapter(tmp_path, body), "--only", "content.whole"]) == 1
    out = capsys.readouterr().out
    assert "expected the signed image in the spare slot rootfs, got other bytes" in out
    assert "the running slot rootfs.running was written" in out


def test_cases_can_be_left_out_by_what_serves_them(capsys):
    every = len(CASES)
    assert main(["run", "--client", ADAPTER, "--only", "bundle", "--without", "bundle"]) == 2
    assert "error: no case is left to run" in capsys.readouterr().err
    arguments = ["--only", "bundle.empty", "header.no-seals", "--without", "bundle", "node"]
    assert main(["run", "--client", ADAPTER, *arguments]) == 0
    assert capsys.readouterr().out == f"1 of 1 cases passed, {every - 1} left out\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--client", "true", "--only", "header.nothing"],
        ["explain", "header"],
        ["run", "--client", "true", "--jobs", "0"],
    ],
)
def test_what_cannot_be_done_is_a_usage_error(capsys, arguments):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_every_broken_client_stands_in_the_table_once_and_its_cases_exist():
    names = [defect.client for defect in DEFECTS]
    clients = {path.stem for path in (ROOT / "tests/conformance/broken").glob("*.py")} - {"serving"}
    assert len(names) == len(set(names)) >= 10
    assert set(names) == clients
    for defect in DEFECTS:
        assert defect.cases, defect.client
        assert defect.cases <= set(CASES), defect.client


def test_list_and_explain_name_the_cases(capsys):
    assert main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)
    assert main(["list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [case["id"] for case in document["cases"]] == list(CASES)
    assert main(["explain", "fresh.older-block"]) == 0
    told = capsys.readouterr().out
    assert "step 1    check at 1800000020: accept\n            afterwards height 101\n" in told
    assert "step 2    check at 1800000020: refuse: ledger-rollback\n" in told
