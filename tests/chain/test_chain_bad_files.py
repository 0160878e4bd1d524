"""Files that the chain's command reads, in the wrong form: one line, exit code 2, and no crash of the parser."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local_chain.errors import StateError
from local_chain.sealing import read_keys
from tests.support.bad_files import FORMS, brackets
from tests.support.fleet import environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_key_file_of_this_form_is_refused(form, tmp_path: Path) -> None:
    form(tmp_path / "keys")
    with pytest.raises(StateError, match=r"expected schema|not a validator key file"):
        read_keys(tmp_path / "keys")


@pytest.mark.parametrize("line", [("follow", "--upstream", "http://127.0.0.1:9", "--pin"), ("up", "--state")])
def test_deep_nesting_ends_no_process(line, tmp_path: Path) -> None:
    """py-evm raises the recursion limit beyond the stack: the parser would take the process with it."""
    wrong = tmp_path / "wrong"
    if line[0] == "up":
        wrong.mkdir()
        (wrong / "chain.sqlite3").write_bytes(b"")
        brackets(wrong / "validators.json")
    else:
        brackets(wrong)
    done = subprocess.run(
        [sys.executable, "-m", "local_chain.cli", *line, str(wrong), "--port", "0"],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
