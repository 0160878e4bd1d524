"""`fwledger witness`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import PATH, App, command, near
from ledger_client.cli.words import utc
from ledger_client.config_file import replace_file
from ledger_client.errors import ClientError, UsageError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger_client.witness.service import Witness

_MAX_REQUESTS = 64  # at once
_STOP_S = 30  # for the round that the watcher is in


@click.group()
def witness() -> None:
    """Say which block is final, for devices that cannot see: sign notes, serve them, join them."""


@witness.command("vkey")
@command("fwledger witness vkey --key keys/w1.pem --name w1.acme.example")
@click.option("--key", "path", required=True, type=PATH, metavar="FILE", help="Ed25519 private key")
@click.option("--name", required=True, help="the witness's name, a host of its own for example")
@click.option("--password-file", type=PATH, metavar="FILE", help="its password")
def vkey(app: App, path: Path, name: str, password_file: Path | None) -> None:
    """Print the public key of a witness as `fwledger deploy --witness` pins it."""
    from ledger_protocol.ledger.witness_note import witness_key

    text = witness_key(_private_key(path, password_file), name).vkey
    app.emit("witness-vkey", {"vkey": text}, [text])


@witness.command("run")
@command("fwledger witness run --key keys/w1.pem --name w1.acme.example --state w1.db")
@click.option("--key", "path", required=True, type=PATH, metavar="FILE", help="Ed25519 private key")
@click.option("--name", required=True, help="the witness's name, as the trust root pins it")
@click.option("--password-file", type=PATH, metavar="FILE", help="its password")
@click.option("--state", required=True, type=PATH, metavar="FILE", help="what it has signed; never lose it")
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:8182", show_default=True)
@click.option("--out", type=PATH, metavar="FOLDER", help="write each note as a file too, and newest.note")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.01, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="how often the node is asked; also the heartbeat",
)
@click.option(
    "--keep",
    "max_kept",
    type=click.IntRange(1, 1_000_000_000),
    default=7_200,
    show_default=True,
    metavar="HEIGHTS",
    help="how many heights' notes stay: audits need those of the ledger's blocks",
)
@click.option(
    "--ready-file", type=PATH, metavar="FILE", help="write one line of JSON here once requests are answered"
)
def run(
    app: App,
    path: Path,
    name: str,
    password_file: Path | None,
    state: Path,
    listen: str,
    out: Path | None,
    interval_s: float,
    max_kept: int,
    ready_file: Path | None,
) -> None:
    """Sign what the trust root's rule calls final, until interrupted. Prints one line of JSON when it
    answers.

    Use a node of your own: a witness who asks another witness's node adds nothing.
    """
    from ledger_client.serving import listening_socket, serve, url_of
    from ledger_client.witness.app import build_app
    from ledger_client.witness.service import Witness, open_store
    from ledger_protocol.ledger.witness_note import witness_key

    key, root = _private_key(path, password_file), app.root.root
    store = open_store(state, root=root, key=key, name=name, max_kept=max_kept)
    if app.network.chain_id != root.ledger.chain_id:
        raise UsageError("chain of the node", expected=root.ledger.chain_id, got=app.network.chain_id)
    made = Witness(app.network, root, key, name, store, now_s=lambda: int(time.time()), out=out)
    bound = listening_socket(listen)
    ready = {
        "schema": "fwledger/witness-ready/1",
        "url": url_of(bound),
        "vkey": witness_key(key, name).vkey,
    }
    stop = threading.Event()
    worker = threading.Thread(target=_watch, args=(app, made, interval_s, stop), daemon=True)
    worker.start()
    try:
        serve(
            build_app(store),
            bound,
            max_requests=_MAX_REQUESTS,
            ready=ready,
            ready_file=ready_file,
            say=click.echo,
        )
    finally:
        stop.set()
        worker.join(timeout=_STOP_S)


@witness.command("collect")
@command("fwledger witness collect https://w1.example https://w2.example w3.note --out stable.note")
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", required=True, type=PATH, metavar="FILE", help="the note, signed by enough witnesses")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="for one answer",
)
def collect(app: App, sources: tuple[str, ...], out: Path, timeout_s: float) -> None:
    """Ask witnesses (URLs, or files of notes) and join the newest note that enough of them signed.

    The trust root says which witnesses count; `fwledger proof channel --note` puts the note into a proof.
    """
    from ledger_client.witness.collect import collect as gather

    trust = app.root.root.headers.witnesses
    if trust is None:
        raise UsageError("the trust root pins no witnesses")
    found = gather(sources, trust, timeout_s=timeout_s)
    replace_file(out, found.note)
    for refusal in found.refusals:
        app.say(f"not counted: {refusal}")
    block = found.verified.checkpoint
    document = {
        "path": str(out),
        "block": block.number,
        "hash": "0x" + block.hash.hex(),
        "witnessed_at": found.verified.witnessed_at,
    }
    app.emit(
        "witness-collect",
        document,
        [f"{near(out)}  block {block.number}, witnessed {utc(found.verified.witnessed_at)}"],
    )


def _watch(app: App, made: Witness, interval_s: float, stop: threading.Event) -> None:
    """Step until told to stop. A witness that cannot sign says so, and goes on serving what it signed."""
    from ledger_client.witness.service import MAX_CATCH_UP

    trouble = ""
    while not stop.is_set():
        try:
            signed = made.step()
            for number in signed:
                app.say(f"signed block {number}")
            trouble = ""
            if len(signed) == MAX_CATCH_UP:
                continue  # it is behind: no time to wait
        except (ClientError, ProtocolError, OSError) as error:
            if str(error) != trouble:
                trouble = str(error)
                click.echo(f"error: {trouble}", err=True)
        stop.wait(interval_s)


def _private_key(path: Path, password_file: Path | None) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger_client.firmware_keys import read_private_key
    from ledger_client.private_files import read_password

    key = read_private_key(path, password=read_password(password_file) if password_file else None)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: kind of key", expected="ed25519", got="another", hint="`fwledger key new`")
    return key
