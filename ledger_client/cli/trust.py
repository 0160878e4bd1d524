"""`fwledger trust`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import approval_document, approval_options, settle
from ledger_client.cli.app import PATH, App, command
from ledger_client.cli.words import utc
from ledger_client.config import checksum_address
from ledger_client.config_file import replace_file
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.acts import Act, Rollout
    from ledger_protocol.release.trust_root import TrustRoot


@click.group()
def trust() -> None:
    """Show, sign and announce a trust root: whose signatures, which ledger and which validators devices
    believe.
    """


@trust.command("show")
@command("fwledger trust show --fingerprint 5c2f...")
@click.option(
    "--file", "path", type=PATH, metavar="FILE", help="[default: release.trust_root of fwledger.toml]"
)
@click.option("--fingerprint", help="refuse the file unless this is its fingerprint")
def show(app: App, path: Path | None, fingerprint: str | None) -> None:
    """Check a trust root's signatures and show what it says."""
    from ledger_client.trust import read_root

    held = read_root(path or app.config.release.trust_root, fingerprint=fingerprint)
    root = held.root
    validators = root.headers.qbft.validators if root.headers.qbft else ()
    document = {
        "fingerprint": held.fingerprint,
        "version": root.version,
        "issued_at": root.issued_at,
        "expires": root.expires,
        "chain_id": root.ledger.chain_id,
        "ledger": checksum_address(root.ledger.address),
        "journal": checksum_address(root.ledger.journal),
        "code_hash": "0x" + root.ledger.code_hash.hex(),
        "from_block": root.ledger.from_block,
        "release_keys": [key.key_id.hex() for key in root.release_keys.keys],
        "release_threshold": root.release_keys.threshold,
        "root_keys": [key.key_id.hex() for key in root.root_keys.keys],
        "root_threshold": root.root_keys.threshold,
        "validators": [checksum_address(v.address) for v in validators],
        "witnesses": list(root.headers.witnesses.keys) if root.headers.witnesses else [],
        "require": root.headers.require,
    }
    app.emit("trust-show", document, _root_lines(root, held.fingerprint))


@trust.command("sign")
@command("fwledger trust sign trust-root.cbor.unsigned --key root-2.pem")
@click.argument("path", type=PATH)
@click.option("--key", "uri", required=True, metavar="URI", help="a root key: file:PATH, hsm:..., or a path")
@click.option("--password-file", type=PATH, metavar="FILE", help="its password")
@click.option(
    "--out", type=PATH, metavar="FILE", help="[default: the same file, or release.trust_root once complete]"
)
def sign(app: App, path: Path, uri: str, password_file: Path | None, out: Path | None) -> None:
    """Add a root key's signature. The last one needed makes the file a trust root.

    Shows what it says: compare ledger, keys and fingerprint with those who made it before you pass it on.
    """
    from ledger_client.firmware_keys import open_signer
    from ledger_client.private_files import read_password
    from ledger_client.trust import is_complete, read_unsigned, sign_root
    from ledger_protocol.release.trust_root import TrustRoot

    unsigned = read_unsigned(path)
    signer = open_signer(uri, password=read_password(password_file) if password_file else None)
    signed = sign_root(unsigned, signer)
    app.say(*_root_lines(TrustRoot.decode(unsigned.document), unsigned.digest.hex()))
    complete = is_complete(signed)
    target = out or (app.config.release.trust_root if complete else path)
    replace_file(target, signed.encode())
    document = {"written": str(target), "complete": complete, "fingerprint": signed.digest.hex()}
    app.emit(
        "trust-sign",
        document,
        [
            f"written      {target}",
            f"fingerprint  {signed.digest.hex()}",
            f"complete     {'yes' if complete else 'no'}",
        ],
    )


@trust.command("announce")
@command("fwledger trust announce", sends=True)
@approval_options
def announce(app: App, **options: Any) -> None:
    """Record the ledger's first trust root, so that devices notice that they miss it. Needs governors.

    Later versions are public for two days first: `fwledger governance propose trust-root`.
    """
    from ledger_client.refusals.governance import RootNotProposedError
    from ledger_client.trust import announce_act

    held = app.root
    if app.ledger.trust_root().hex() == held.fingerprint:
        raise UsageError(f"version {held.root.version} is announced already")
    if app.ledger.trust_root_version():
        raise RootNotProposedError(call="trust announce")

    def plan(deadline: int, _: Rollout | None) -> Act:
        return announce_act(app.ledger, held.signed, deadline=deadline)

    if settle(app, plan, first=lambda: app.keep_trust_root(held.signed), **options) is None:
        app.emit("trust-announce", *approval_document(app, options["approve_only"]))
        return
    app.emit(
        "trust-announce",
        {"version": held.root.version, "fingerprint": held.fingerprint},
        [f"announced  version {held.root.version}, fingerprint {held.fingerprint}"],
    )


def _root_lines(root: TrustRoot, fingerprint: str) -> list[str]:
    """A trust root for people."""
    validators = root.headers.qbft.validators if root.headers.qbft else ()
    return [
        f"fingerprint   {fingerprint}",
        f"version       {root.version}, issued {utc(root.issued_at)}"
        + (f", expires {utc(root.expires)}" if root.expires else ", no end"),
        f"ledger        {checksum_address(root.ledger.address)} on chain {root.ledger.chain_id}",
        f"from block    {root.ledger.from_block}",
        f"releases      {root.release_keys.threshold} of {len(root.release_keys.keys)} keys",
        *(f"              {key.key_id.hex()}  {key.kind}" for key in root.release_keys.keys),
        f"trust roots   {root.root_keys.threshold} of {len(root.root_keys.keys)} keys",
        *(f"              {key.key_id.hex()}  {key.kind}" for key in root.root_keys.keys),
        f"validators    {len(validators)}",
        *(f"              {checksum_address(v.address)}" for v in validators),
        *_witness_lines(root),
    ]


def _witness_lines(root: TrustRoot) -> list[str]:
    trust = root.headers.witnesses
    if trust is None:
        return []
    both = f", {root.headers.require} of seals and notes" if root.headers.qbft is not None else ""
    return [
        f"witnesses     {trust.threshold} of {len(trust.keys)}, {trust.origin}, final {trust.final}{both}",
        *(f"              {vkey}" for vkey in trust.keys),
    ]
