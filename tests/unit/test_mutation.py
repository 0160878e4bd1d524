"""`make mutate` claims only what it saw: fair samples, and no verdict from tests that fail anyway."""

import json
import os
import subprocess
import sys

import pytest

from tests.mutation.report import Mutant, Report
from tests.mutation.sample import LEAST, chosen, judged, shuffled

NAMES = [f"module.x_function__mutmut_{number}" for number in range(200)]
MODULE = "ledger_protocol/ledger/rlp.py"


def mutants(died, lived, *, untried=0):
    kinds = [(True, True)] * died + [(False, True)] * lived + [(False, False)] * untried
    return tuple(
        Mutant(f"{MODULE}.{n}", MODULE, killed, False, "", tried=tried)
        for n, (killed, tried) in enumerate(kinds)
    )


def judge(tmp_path, test, mutant="module.x_function__mutmut_1"):
    """Run the plugin on one test; give pytest's exit code and the verdicts that it wrote."""
    (tmp_path / "test_one.py").write_text(test)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps([[mutant, ["test_one.py::test_it"]]]))
    command = ["-q", "-p", "tests.mutation.forks", "-p", "no:cacheprovider", "test_one.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", tmp_path, *command],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "MUTATION_PLAN": str(plan),
            "PYTHONPATH": os.pathsep.join(map(str, sys.path)),
        },
        capture_output=True,
        text=True,
    )
    codes = tmp_path / "plan.codes"
    return done, json.loads(codes.read_text()) if codes.exists() else {}


NOTICES = """
import os
def test_it():
    assert os.environ["MUTANT_UNDER_TEST"] != "module.x_function__mutmut_1"
"""


ENDED = """
import os, signal
def test_it():
    if os.environ["MUTANT_UNDER_TEST"]:
        os.kill(os.getpid(), signal.SIGTERM)
"""


def test_tests_that_fail_with_nothing_changed_judge_no_mutant(tmp_path):
    done, codes = judge(tmp_path, "def test_it():\n    assert False\n")
    assert (done.returncode, codes) == (2, {})
    assert "no mutant was judged" in done.stdout + done.stderr


def test_a_test_process_that_ends_with_nothing_changed_judges_no_mutant(tmp_path):
    done, codes = judge(tmp_path, "import os\ndef test_it():\n    os._exit(0)\n")
    assert (done.returncode, codes) == (2, {})


def test_a_plan_with_a_test_that_is_not_there_judges_no_mutant(tmp_path):
    done, codes = judge(tmp_path, "def test_another():\n    pass\n")
    assert (done.returncode, codes) == (2, {})


@pytest.mark.parametrize(("number", "code"), [(1, 1), (2, 0)])
def test_a_mutant_dies_where_a_test_notices_it_and_lives_where_none_does(tmp_path, number, code):
    name = f"module.x_function__mutmut_{number}"
    done, codes = judge(tmp_path, NOTICES, name)
    assert (done.returncode, codes) == (0, {name: code}), done.stdout + done.stderr


def test_a_mutant_whose_process_another_ended_has_no_verdict(tmp_path):
    done, codes = judge(tmp_path, ENDED)
    assert (done.returncode, codes) == (0, {}), done.stdout + done.stderr


def test_a_sample_is_the_front_of_one_shuffle_and_no_smaller_than_it_should_be():
    order = shuffled(NAMES)
    assert order == shuffled(reversed(NAMES)) != NAMES
    assert sorted(order) == sorted(NAMES)
    assert chosen(order, 0.5) == order[:100]
    assert chosen(order, 0.01) == order[:LEAST]
    assert chosen(order, 1) == order


def test_verdicts_behind_one_that_is_missing_are_not_counted():
    order = shuffled(NAMES)
    codes = dict.fromkeys(NAMES, 1)
    assert judged(order, codes) == order
    codes[order[7]] = None
    assert judged(order, codes) == order[:7]


def test_nine_of_ten_are_asked_of_those_that_were_tried():
    assert Report(mutants(90, 0, untried=900), ()).good
    assert Report(mutants(9, 1), ()).below == ()
    assert Report(mutants(89, 11), ()).below == (MODULE,)


def test_one_that_lives_without_a_reason_is_named_and_is_not_good():
    report = Report(mutants(99, 1), ())
    assert not report.good
    assert "Not yet judged" in report.page()


def test_a_page_says_how_those_that_were_tried_were_chosen():
    assert "| 100 | 10 | at random | 9 | 0 | 90.0 % |" in Report(mutants(9, 1, untried=90), ()).page()
    assert "| 10 | 10 | all | 9 | 0 | 90.0 % |" in Report(mutants(9, 1), ()).page()
