"""What people see: errors of one line with a hint, help with examples, JSON with a schema. Bad input
first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger_client.cli.main import cli
from tests.support.cli_reference import REFERENCE, commands, reference
from tests.support.manufacturer import Manufacturer

ROOT = Path(__file__).parents[2]
ALL = dict(commands(cli, ("fwledger",), None))
LEAVES = [words for words in ALL if not any(other.startswith(words + " ") for other in ALL)]


@pytest.fixture
def folder(tmp_path: Path) -> Manufacturer:
    """A folder with a configuration whose chain is dead."""
    maker = Manufacturer(tmp_path)
    maker.run("init", "--rpc", "http://127.0.0.1:1")
    return maker


BAD = [
    (["frobnicate"], 2, "no such command 'frobnicate'"),
    (["release"], 2, ""),
    (["release", "publish"], 2, "missing argument"),
    (["release", "publish", "x"], 2, "missing option '--channel'"),
    (["release", "publish", "x", "--channel", "stable", "--dev-account", "one", "--yes"], 2, "is not a valid integer"),
    (["release", "list", "--rpc", "gopher://x"], 2, "flag: chain.rpc: expected URLs with http:// or https://"),
    (["release", "list"], 2, "no ledger is configured"),
    (["release", "list", "--config", "absent.toml"], 2, "cannot read absent.toml"),
    (["release", "show", "0x12"], 2, "release: expected its folder, its manifest file, or its id in 64 hex digits, got 0x12"),
    (["release", "sign", "absent", "--key", "k.pem"], 2, "cannot read manifest absent"),
    (["release", "check", "absent", "--device", "facts.json"], 2, "cannot read device facts facts.json"),
    (["release", "build", "a=b=c.img", "--compatible", "acme,cam", "--version", "1", "--sequence", "1", "--channel", "s"], 2, "cannot read b=c.img"),
    (["release", "build", "x.img,slot", "--compatible", "acme,cam", "--version", "1", "--sequence", "1", "--channel", "s"], 2, "image x: option"),
    (["release", "build", "fwledger.toml", "--compatible", "Acme Cam!", "--version", "1", "--sequence", "1", "--channel", "s"], 2, "no manifest can be made of this"),
    (["release", "build", "fwledger.toml", "--compatible", "acme,cam", "--version", "1", "--sequence", "0", "--channel", "s"], 2, "sequence"),
    (["channel", "create", "stable", "--group", "16777216"], 2, "16777216 is not in the range"),
    (["channel", "status"], 2, "no channel is known"),
    (["device", "retire", "0x12"], 2, "device: expected 0x and 40 hex digits"),
    (["device", "enrol", "absent.request", "--group", "1"], 2, "cannot read enrolment request absent.request"),
    (["bundle", "make", "--channel", "stable", "--out", "stick"], 2, "name of the bundle: expected FILE.car"),
    (["bundle", "show", "absent.car"], 2, "cannot read trust root"),
    (["trust", "show"], 2, "cannot read trust root"),
    (["key", "show", "absent.pub"], 2, "cannot read public key absent.pub"),
    (["key", "new", "--kind", "account", "k.json"], 2, "needs a password"),
    (["key", "new", "--kind", "house", "k.json"], 2, "'house' is not one of"),
    (["init"], 2, "fwledger.toml exists already"),
    (["receipts", "submit", "absent.receipts", "--yes"], 2, "cannot read receipts absent.receipts"),
    (["deploy", "--yes", "--dev-account", "0", "--release-key", "absent.pub"], 2, "cannot read public key absent.pub"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "said"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_bad_input_is_one_clear_line_and_the_documented_exit_code(
    folder: Manufacturer, arguments: list[str], code: int, said: str
) -> None:
    result = folder.run(*arguments, expect=code)
    lines = result.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if said:
        assert len(errors) == 1
        assert said in errors[0]
        assert all(line.startswith(("error: ", "hint: ")) for line in lines)
    assert "Traceback" not in result.err
    assert result.out == ""


def test_a_dead_chain_is_unreachable_and_the_hint_says_where_to_look(folder: Manufacturer) -> None:
    config = folder.path / "fwledger.toml"
    address = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    config.write_text(config.read_text().replace('# ledger = "0x..."', f'ledger = "{address}"'))
    result = folder.run("release", "list", expect=3)
    assert result.err == (
        "error: no RPC node answered eth_chainId (http://127.0.0.1:1: connection refused)\n"
        "hint: is the node running? `rpc` in fwledger.toml, --rpc or ETH_RPC_URL may name several\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[chain]\nrcp = []\n", "fwledger.toml: unknown key chain.rcp"),
        ("[cain]\n", "fwledger.toml: unknown section [cain]"),
        ("\x00", "fwledger.toml is not TOML"),
        ("x" * 300_000, "at most 262144 bytes"),
    ],
)
def test_a_broken_configuration_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "fwledger.toml").write_text(text)
    assert said in Manufacturer(tmp_path).refused("release", "list", code=2)


def test_an_unknown_variable_of_ours_is_named(tmp_path: Path) -> None:
    err = Manufacturer(tmp_path, {"FWLEDGER_CHAIN_RCP": "x"}).refused("channel", "status", code=2)
    assert "error: environment: unknown key chain.rcp" in err


def test_a_first_day_as_it_is_printed(tmp_path: Path) -> None:
    """A transcript: what the command prints, byte for byte, where keys and times do not enter."""
    maker = Manufacturer(tmp_path)
    assert maker.run("init").out == "wrote fwledger.toml\n"
    made = maker.run("key", "new", "keys/alice.pem")
    assert re.fullmatch(r"[0-9a-f]{64}  keys/alice\.pem\.pub\n", made.out)
    assert made.err == "keys/alice.pem is not encrypted; its mode is 0600\n"
    assert maker.run("key", "show", "keys/alice.pem.pub").out == f"{made.out.split()[0]}  ed25519\n"
    (tmp_path / "password").write_text("correct horse")
    (tmp_path / "password").chmod(0o600)
    account = maker.run(
        "key", "new", "--kind", "account", "--password-file", "password", "keys/publisher.json"
    )
    assert re.fullmatch(r"0x[0-9a-fA-F]{40}  keys/publisher\.json\n", account.out)
    (tmp_path / "rootfs.img").write_bytes(b"a root file system")
    built = maker.run(
        "release", "build", "rootfs.img,read_only", "--compatible", "acme,cam", "--arch", "aarch64", "--version",
        "1.0.0", "--sequence", "1", "--channel", "stable", "--created", "1700000000",
    )  # fmt: skip
    assert built.err == "importing rootfs\n"
    assert built.out == (
        "release     85c8e82e4c98323f0623192b004bdb418e0c00c109cdc7978052ea7b7b75766c\n"
        "version     1.0.0 for acme,cam\n"
        "numbers     sequence 1, security version 0\n"
        "channels    stable\n"
        "component   rootfs: 18 bytes for slot rootfs (raw, aarch64)\n"
        "folder      releases/1.0.0\n"
    )


def test_the_same_inputs_give_the_same_release_id_on_any_machine(tmp_path: Path) -> None:
    ids = set()
    for name in ("here", "there"):
        maker = Manufacturer(tmp_path / name)
        maker.path.mkdir()
        (maker.path / "rootfs.img").write_bytes(b"a root file system" * 10_000)
        ids.add(
            maker.json(
                "release", "build", "rootfs.img", "--compatible", "acme,cam", "--version", "1.0.0", "--sequence", "1",
                "--channel", "stable", "--created", "1700000000",
            )["release"]
        )  # fmt: skip
    assert len(ids) == 1


def test_quiet_says_nothing_on_standard_error(tmp_path: Path) -> None:
    assert Manufacturer(tmp_path).run("key", "new", "k.pem", "--quiet").err == ""


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_explains_itself_with_an_example_and_its_exit_codes(words: str) -> None:
    text = " ".join(ALL[words].split())
    assert "Example: fwledger" in text
    assert "Exit codes: 0 " in text
    assert "--json" in text or words == "fwledger ipfs up"  # whose only output is JSON


@pytest.mark.parametrize("words", [(), ("release",)])
def test_a_noun_alone_prints_its_help_and_not_one_long_error(
    folder: Manufacturer, words: tuple[str, ...]
) -> None:
    result = folder.run(*words, expect=2)
    assert result.err.startswith("Usage: fwledger")
    assert "error:" not in result.err


def test_the_reference_page_is_what_help_prints() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run: python -m tests.support.cli_reference"


def test_help_imports_neither_web3_nor_the_nouns() -> None:
    script = (
        "import sys, json\n"
        "from ledger_client.cli.main import run\n"
        "run(['--help'])\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stderr))
    assert not loaded & {"web3", "eth_account", "requests", "numpy", "starlette", "ledger_client.cli.release"}


def test_the_installed_entry_point_ends_with_the_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ledger_client.cli.main import main; main()", "trust", "show"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: cannot read trust root trust-root.cbor")
