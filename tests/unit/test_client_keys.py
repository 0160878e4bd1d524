"""Key files: open to their owner alone, never overwritten, and what they sign verifies by the protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ledger_client.config import AccountConfig
from ledger_client.errors import ConfigError, KeyFileError, UsageError
from ledger_client.firmware_keys import create_key, open_signer, public_path, read_public_key
from ledger_client.private_files import read_password
from ledger_client.signers import create_keystore, dev_account, load_keystore, open_account
from ledger_protocol.release.signing import MANIFEST_TYPE

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = b"a manifest"


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
@pytest.mark.parametrize("password", [None, "correct horse"])
def test_a_made_key_signs_what_its_public_part_verifies(
    tmp_path: Path, kind: str, password: str | None
) -> None:
    path = tmp_path / "key.pem"
    public = create_key(path, kind=kind, password=password)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_public_key(public_path(path)) == public
    for uri in (str(path), f"file:{path}"):
        signature = open_signer(uri, password=password).sign(MANIFEST_TYPE, PAYLOAD)
        public.verify(MANIFEST_TYPE, PAYLOAD, signature.sig)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key(tmp_path / "key.pem", kind="ed25519", password=None)
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        create_key(tmp_path / "key.pem", kind="ed25519", password=None)
    assert (tmp_path / "key.pem").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_an_open_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path / "key.pem", kind="ed25519", password=None)
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(KeyFileError, match="is open to others: expected mode 0600"):
        open_signer(str(tmp_path / "key.pem"))


def test_an_encrypted_key_may_be_readable_but_needs_its_password(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    create_key(path, kind="p256", password="right")
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="is encrypted"):
        open_signer(str(path))
    with pytest.raises(KeyFileError, match="the password does not open"):
        open_signer(str(path), password="wrong")
    open_signer(str(path), password="right")


def test_files_that_are_no_keys_are_refused_by_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read key"):
        open_signer(str(tmp_path / "absent.pem"))
    with pytest.raises(KeyFileError, match="not a PEM private key"):
        open_signer(str(private(tmp_path / "text.pem", "hello")))
    with pytest.raises(KeyFileError, match="not a PEM private key"):
        open_signer(str(private(tmp_path / "empty.pem", "")))


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["rsa", "p384"],
)
def test_keys_of_kinds_that_devices_do_not_take_are_refused(tmp_path: Path, key) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = private(tmp_path / "key.pem", pem.decode())
    with pytest.raises(Exception, match="key") as caught:
        open_signer(str(path))
    assert type(caught.value).__module__ in ("ledger_client.errors", "ledger_protocol.errors")


def test_a_private_key_given_as_a_public_one_is_named(tmp_path: Path) -> None:
    create_key(tmp_path / "key.pem", kind="ed25519", password=None)
    with pytest.raises(KeyFileError, match="holds a private key"):
        read_public_key(tmp_path / "key.pem")


def test_a_signer_that_is_no_file_needs_its_public_key() -> None:
    with pytest.raises(UsageError, match="a hsm: signer needs its public key"):
        open_signer("hsm:2?label=x")


def test_a_keystore_opens_with_its_password_and_no_other(tmp_path: Path) -> None:
    made = create_keystore(tmp_path / "account.json", password="right", iterations=2)
    assert (tmp_path / "account.json").stat().st_mode & 0o777 == 0o600
    assert load_keystore(tmp_path / "account.json", password="right").address == made.address
    with pytest.raises(KeyFileError, match="the password does not open"):
        load_keystore(tmp_path / "account.json", password="wrong")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 3}', '{"crypto": {}, "version": 3}', "\x00\x01", "[" * 3000]
)
def test_what_is_no_keystore_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(KeyFileError, match="is not a v3 keystore"):
        load_keystore(private(tmp_path / "k.json", content), password="x")


def test_a_keystore_with_impossible_numbers_is_refused(tmp_path: Path) -> None:
    create_keystore(tmp_path / "account.json", password="right", iterations=2)
    document = json.loads((tmp_path / "account.json").read_text())
    document["crypto"]["kdfparams"]["r"] = 0
    with pytest.raises(KeyFileError, match="is not a v3 keystore"):
        load_keystore(private(tmp_path / "bent.json", json.dumps(document)), password="right")


def test_a_password_file_must_be_private_and_say_something(tmp_path: Path) -> None:
    path = private(tmp_path / "password", "secret\nsecond line\n")
    assert read_password(path) == "secret"
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"chmod|open to others"):
        read_password(path)
    with pytest.raises(KeyFileError, match="expected a password on the first line"):
        read_password(private(tmp_path / "empty", "\n"))


def test_development_accounts_stay_on_development_chains() -> None:
    assert dev_account(0, chain_id=31337).text == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    with pytest.raises(UsageError, match="development accounts are for development chains"):
        dev_account(0, chain_id=1)
    with pytest.raises(UsageError):
        dev_account(-1, chain_id=31337)


def test_an_account_must_be_configured_and_its_key_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no account is configured"):
        open_account(AccountConfig(), chain_id=31337)
    with pytest.raises(ConfigError, match="needs a password file"):
        open_account(AccountConfig(keystore=tmp_path / "k.json"), chain_id=31337)
    account = dev_account(0, chain_id=31337)
    assert "_key" not in repr(account)
    assert (
        json.dumps(repr(account)).count("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
        == 0
    )
