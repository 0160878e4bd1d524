"""Files that the chain's command reads, in the wrong form: one line, exit code 2, and no crash of the parser."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local_chain import sealing
from local_chain.errors import StateError
from local_chain.opening import Settings, open_node
from local_chain.sealing import KEYS_SCHEMA, new_keys, read_keys, write_keys
from local_chain.storage import DATABASE_NAME, KEYS_NAME, STATE_VERSION
from tests.support.bad_files import FORMS, brackets
from tests.support.fleet import environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_key_file_of_this_form_is_refused(form, tmp_path: Path) -> None:
    form(tmp_path / "keys")
    with pytest.raises(StateError, match=r"expected schema|not a validator key file"):
        read_keys(tmp_path / "keys")


@pytest.mark.parametrize("key", ["00" * 32, "ff" * 32], ids=["zero", "too large"])
def test_a_number_that_is_no_key_is_refused(key: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(json.dumps({"schema": KEYS_SCHEMA, "keys": [key]}))
    with pytest.raises(StateError, match="expected keys of secp256k1"):
        read_keys(tmp_path / "keys")


def test_keys_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_document: object, file, **_: object) -> None:
        file.write('{"schema": "fwle')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sealing.json, "dump", cut)
        with pytest.raises(StateError, match="No space"):
            write_keys(tmp_path / "keys", new_keys(4))
    assert list(tmp_path.iterdir()) == []
    keys = new_keys(4)
    write_keys(tmp_path / "keys", keys)
    assert read_keys(tmp_path / "keys") == keys
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StateError, match="File exists"):
        write_keys(tmp_path / "keys", new_keys(4))
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_chain_whose_keys_are_gone_is_refused_and_gets_no_others(tmp_path: Path) -> None:
    open_node(Settings(), state=tmp_path, unlocked=False).chain.store.close()
    (tmp_path / KEYS_NAME).rename(tmp_path / "aside")
    with pytest.raises(StateError, match="the state has a chain, but not its validators' keys"):
        open_node(Settings(), state=tmp_path, unlocked=False)
    assert not (tmp_path / KEYS_NAME).exists()
    (tmp_path / "aside").rename(tmp_path / KEYS_NAME)
    open_node(Settings(), state=tmp_path, unlocked=False).chain.store.close()


def test_a_state_of_an_older_version_is_refused_by_its_number(tmp_path: Path) -> None:
    open_node(Settings(), state=tmp_path, unlocked=False).chain.store.close()
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.execute(f"PRAGMA user_version = {STATE_VERSION - 1}")
    database.close()
    with pytest.raises(
        StateError, match=f"of version {STATE_VERSION - 1}, this program reads {STATE_VERSION}"
    ):
        open_node(Settings(), state=tmp_path, unlocked=False)


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
