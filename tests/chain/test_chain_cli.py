"""The command: refusals first, then what it prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from local_chain.cli import main
from local_chain.sealing import Sealer, read_keys
from tests.support.chain import chain_process

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_port_that_is_taken_is_a_usage_error(chain) -> None:
    port = chain.url.rsplit(":", 1)[1]
    result = run("up", "--port", port)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
        "hint: another node may run there; --port 0 picks a free port\n"
    )
    assert result.stdout == ""


def test_an_upstream_that_is_not_there_is_exit_status_3(tmp_path: Path, chain) -> None:
    pins = tmp_path / "pins.json"
    pins.write_text(json.dumps({"validators": chain.rpc("fwledger_validators")}))
    result = run("follow", "--upstream", "http://127.0.0.1:9", "--pin", str(pins))
    assert result.exit_code == 3
    assert (
        result.stderr
        == "error: cannot reach http://127.0.0.1:9: [Errno 111] Connection refused\nhint: is that node running?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--fork", "frontier"], "Invalid value for '--fork'"),
        (["up", "--validators", "0"], "Invalid value for '--validators'"),
        (["up", "--round-jitter", "2"], "Invalid value for '--round-jitter'"),
        (["up", "--block-time", "0"], "Invalid value for '--block-time'"),
        (["follow"], "Missing option '--upstream'"),
        (["follow", "--upstream", "ftp://x", "--port", "0"], "expected an http address"),
        (["validators"], "Missing option '--state'"),
        (
            ["validators", "--state", "/nonexistent"],
            "error: /nonexistent/validators.json: not a validator key file",
        ),
        (
            ["up", "--port", "0", "--state", "/dev/null/x"],
            "error: cannot use the state directory /dev/null/x",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (2, 3)
    assert says in result.stderr


def test_the_ready_file_holds_the_line_that_was_printed(tmp_path: Path) -> None:
    ready, state = tmp_path / "ready.json", tmp_path / "state"
    with chain_process("--ready-file", str(ready), "--state", str(state), "--chain-id", "7") as chain:
        document = json.loads(ready.read_text())
        assert document["schema"] == "fwledger-chain/ready/1"
        assert (document["url"], document["pid"], document["chainId"]) == (chain.url, chain.process.pid, 7)
        assert chain.rpc("eth_chainId") == "0x7"
        assert [path.name for path in tmp_path.iterdir() if "ready" in path.name] == ["ready.json"]
        listed = json.loads(run("validators", "--state", str(state), "--json").stdout)
        assert listed["validators"] == document["validators"] == chain.rpc("fwledger_validators")


def test_validators_are_printed_one_a_line(make_node, tmp_path: Path) -> None:
    make_node(state=tmp_path, validators=5)
    lines = run("validators", "--state", str(tmp_path)).stdout.splitlines()
    identities = Sealer(read_keys(tmp_path / "validators.json")).identities
    assert lines == [f"0x{v.address.hex()}  0x{v.public_key.hex()}" for v in identities]
    assert len(lines) == 5


def test_no_secret_key_of_a_validator_is_ever_printed(make_node, tmp_path: Path) -> None:
    make_node(state=tmp_path)
    printed = (
        run("validators", "--state", str(tmp_path)).output
        + run("validators", "--state", str(tmp_path), "--json").output
    )
    assert not any(key.hex() in printed for key in read_keys(tmp_path / "validators.json"))


def test_the_help_shows_how_to_begin() -> None:
    result = run("--help")
    assert "fwledger-chain up --state ./chain" in result.stdout
    assert all(command in result.stdout for command in ("up", "follow", "validators"))
