"""fwledger.toml: strict, layered, and its errors name the key."""

from pathlib import Path

import pytest

from ledger_client.config import checksum_address, load_config, parse_address
from ledger_client.config_file import set_values, write_template
from ledger_client.errors import ConfigError, UsageError

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fwledger.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[chain]\nrcp = []\n", "chain.rcp"),
        ("[chian]\n", "[chian]"),
        ("chain = 3\n", "chain"),
        ("[chain]\nchain_id = true\n", "chain.chain_id"),
        ("[chain]\nchain_id = -1\n", "chain.chain_id"),
        ("[chain]\nchain_id = 1.5\n", "chain.chain_id"),
        ("[chain]\nchain_id = 'many'\n", "chain.chain_id"),
        ("[chain]\ntimeout_s = 0\n", "chain.timeout_s"),
        ("[chain]\ntimeout_s = nan\n", "chain.timeout_s"),
        ("[chain]\nrpc = ['ftp://node']\n", "chain.rpc"),
        ("[chain]\nrpc = [3]\n", "chain.rpc"),
        ("[chain]\nrpc = []\n", "chain.rpc"),
        ("[chain]\nledger = '0x12'\n", "chain.ledger"),
        ("[chain]\nledger = '0xZZbDB2315678afecb367f032d93F642f64180aa3'\n", "chain.ledger"),
        ("[account]\nkeystore = 3\n", "account.keystore"),
        ("[account]\nkeystore = ''\n", "account.keystore"),
        ("[chain\n", "not TOML"),
        ("a = " + "[" * 5000, ""),
    ],
)
def test_a_bad_file_is_refused_and_the_message_names_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text), environ={})
    assert named in str(caught.value)


def test_a_mistyped_address_fails_its_checksum() -> None:
    with pytest.raises(ConfigError, match=f"expected {ADDRESS}"):
        parse_address(ADDRESS.replace("5Fb", "5fb"))


def test_an_address_in_one_case_needs_no_checksum() -> None:
    assert checksum_address(parse_address(ADDRESS.lower())) == ADDRESS


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "absent.toml", environ={})


def test_an_unknown_environment_variable_of_a_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"environment: unknown key chain\.rcp"):
        load_config(environ={"FWLEDGER_CHAIN_RCP": "http://a"})


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[chain]\nrpc = ['http://file']\nchain_id = 1\ntimeout_s = 3\n")
    environ = {"FWLEDGER_CHAIN_RPC": "http://env, http://env2", "FWLEDGER_CHAIN_CHAIN_ID": "2"}
    config = load_config(path, environ=environ, flags={"chain.chain_id": 3, "chain.ledger": None})
    assert config.chain.rpc == ("http://env", "http://env2")
    assert config.chain.chain_id == 3
    assert config.chain.timeout_s == 3.0
    assert config.path == path


def test_the_names_that_ethereum_tools_share_are_read_and_ours_win() -> None:
    environ = {
        "ETH_RPC_URL": "http://eth",
        "ETH_KEYSTORE": "/k",
        "ETH_PASSWORD": "/p",
        "FWLEDGER_ACCOUNT_KEYSTORE": "/o",
    }
    config = load_config(environ=environ)
    assert config.chain.rpc == ("http://eth",)
    assert config.account.keystore == Path("/o")
    assert config.account.password_file == Path("/p")


def test_naming_one_kind_of_account_puts_the_other_of_a_lower_layer_out_of_force(tmp_path: Path) -> None:
    path = write(tmp_path, "[account]\nkeystore = 'k.json'\n")
    config = load_config(path, environ={}, flags={"account.dev_account": 3})
    assert (config.account.keystore, config.account.dev_account) == (None, 3)
    path = write(tmp_path, "[account]\ndev_account = 0\n")
    config = load_config(path, environ={"ETH_KEYSTORE": "/k"})
    assert (config.account.keystore, config.account.dev_account) == (Path("/k"), None)
    with pytest.raises(ConfigError, match="got both"):
        load_config(write(tmp_path, "[account]\nkeystore = 'k'\ndev_account = 0\n"), environ={})


def test_an_account_of_foundrys_keystore_folder_is_found_by_its_name() -> None:
    config = load_config(environ={"ETH_KEYSTORE_ACCOUNT": "publisher"})
    assert config.account.keystore == Path("~/.foundry/keystores/publisher").expanduser()
    config = load_config(environ={"ETH_KEYSTORE_ACCOUNT": "../../etc/passwd"})
    assert config.account.keystore == Path("~/.foundry/keystores/passwd").expanduser()
    config = load_config(environ={"ETH_KEYSTORE_ACCOUNT": "publisher", "ETH_KEYSTORE": "/k"})
    assert config.account.keystore == Path("/k")


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[release]\ndir = 'out'\n")
    assert load_config(path, environ={}).release.dir == tmp_path / "out"


def test_the_template_reads_back_as_the_defaults_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "fwledger.toml"
    write_template(path, rpc=("http://127.0.0.1:8545",))
    config = load_config(path, environ={})
    assert config.chain.rpc == ("http://127.0.0.1:8545",)
    assert config.release.trust_root == tmp_path / "trust-root.cbor"
    with pytest.raises(UsageError, match="exists already"):
        write_template(path, rpc=("http://other",))


def test_values_are_set_where_their_comment_stood_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "fwledger.toml"
    write_template(path, rpc=("http://127.0.0.1:8545",))
    set_values(path, {"chain.ledger": ADDRESS, "chain.chain_id": 7, "release.channels": ["stable"]})
    set_values(path, {"chain.chain_id": 8})
    config = load_config(path, environ={})
    assert config.chain.chain_id == 8
    assert config.chain.ledger == parse_address(ADDRESS)
    assert config.release.channels == ("stable",)
    text = path.read_text()
    assert "# RPC nodes, tried in this order." in text
    assert text.count("chain_id =") == 1


def test_a_value_with_a_line_break_cannot_smuggle_keys_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fwledger.toml"
    write_template(path, rpc=("http://127.0.0.1:8545",))
    with pytest.raises(UsageError, match="control characters"):
        set_values(path, {"chain.ledger": 'x"\nrpc = ["http://evil"]'})
