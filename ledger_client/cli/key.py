"""`fwledger key`."""

# ruff: noqa: PLC0415 - key libraries take time to import, so they are imported when a key is made or read

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click reads the annotations' types from the options

import click

from ledger_client.cli.app import PATH, App, command
from ledger_client.errors import UsageError


@click.group()
def key() -> None:
    """Make keys. A private key is a file with mode 0600, never an argument, and never printed."""


@key.command("new")
@command("fwledger key new --kind firmware --type p256 --password-file alice.pw keys/alice.pem")
@click.option(
    "--kind",
    type=click.Choice(["firmware", "root", "account"]),
    default="firmware",
    show_default=True,
    help="what the key will sign: releases, trust roots, or transactions and approvals",
)
@click.option(
    "--type", "key_type", type=click.Choice(["ed25519", "p256"]), default="ed25519", show_default=True
)
@click.option(
    "--password-file", type=PATH, metavar="FILE", help="encrypt the key with the password in this file"
)
@click.argument("path", type=PATH)
def new(app: App, kind: str, key_type: str, password_file: Path | None, path: Path) -> None:
    """Make a key at PATH; the public part goes to PATH.pub. Accounts become v3 keystores and need a
    password.
    """
    from ledger_client.firmware_keys import create_key, public_path
    from ledger_client.private_files import read_password

    password = read_password(password_file) if password_file else None
    if kind == "account":
        from ledger_client.signers import create_keystore

        if password is None:
            raise UsageError("an account's keystore needs a password", hint="--password-file FILE")
        account = create_keystore(path, password=password)
        app.emit(
            "key-new", {"kind": kind, "path": str(path), "address": account.text}, [f"{account.text}  {path}"]
        )
        return
    public = create_key(path, kind=key_type, password=password)
    document = {
        "kind": kind,
        "type": key_type,
        "path": str(path),
        "public": str(public_path(path)),
        "key_id": public.key_id.hex(),
        "encrypted": password is not None,
    }
    app.emit("key-new", document, [f"{public.key_id.hex()}  {public_path(path)}"])
    if password is None:
        app.say(f"{path} is not encrypted; its mode is 0600")


@key.command("show")
@command("fwledger key show keys/alice.pem.pub")
@click.argument("path", type=PATH)
def show(app: App, path: Path) -> None:
    """Show the key id and type of a public key file."""
    from ledger_client.firmware_keys import read_public_key

    public = read_public_key(path)
    app.emit(
        "key-show",
        {"key_id": public.key_id.hex(), "type": public.kind},
        [f"{public.key_id.hex()}  {public.kind}"],
    )
