"""`fwledger trust`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import approval_options
from ledger_client.cli.app import PATH, App, command, near
from ledger_client.cli.trust_change import diff, new, notice_lines
from ledger_client.cli.words import utc
from ledger_client.config import checksum_address
from ledger_client.config_file import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_client.rotation import Quorum
    from ledger_client.trust import HeldRoot
    from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot


@click.group()
def trust() -> None:
    """Make, sign, publish, show and compare trust roots: whose signatures, which ledger and which header
    signers devices believe.
    """


trust.add_command(new)
trust.add_command(diff)


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
    witnesses = root.headers.witnesses
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
        "from_time": root.ledger.from_time,
        "previous": None if root.previous is None else str(root.previous),
        "release_keys": [key.key_id.hex() for key in root.release_keys.keys],
        "release_threshold": root.release_keys.threshold,
        "root_keys": [key.key_id.hex() for key in root.root_keys.keys],
        "root_threshold": root.root_keys.threshold,
        "validators": [checksum_address(v.address) for v in validators],
        "min_validators": root.headers.qbft.min_validators if root.headers.qbft else None,
        "witnesses": list(witnesses.keys) if witnesses else [],
        "witness_threshold": witnesses.threshold if witnesses else None,
        "origin": witnesses.origin if witnesses else None,
        "final": witnesses.final if witnesses else None,
        "require": root.headers.require,
        "max_checkpoint_age": root.max_checkpoint_age,
        "operator": None if root.operator is None else checksum_address(root.operator),
    }
    app.emit("trust-show", document, _root_lines(root, held.fingerprint))


@trust.command("sign")
@command("fwledger trust sign trust-root.cbor.unsigned --key root-2.pem")
@click.argument("path", type=PATH)
@click.option("--key", "uri", required=True, metavar="URI", help="a root key: file:PATH, hsm:..., or a path")
@click.option("--password-file", type=PATH, metavar="FILE", help="its password")
@click.option(
    "--previous",
    type=PATH,
    metavar="FILE",
    help="the version before, for any after the first [default: release.trust_root]",
)
@click.option(
    "--out", type=PATH, metavar="FILE", help="[default: the same file, or release.trust_root once complete]"
)
def sign(
    app: App, path: Path, uri: str, password_file: Path | None, previous: Path | None, out: Path | None
) -> None:
    """Add a root key's signature. The last one needed makes the file a trust root.

    Shows what it says, and what it changes: compare both and the fingerprint with those who made it before
    you pass it on. A version after the first needs the root keys of the version before, and its own. Needs no
    chain.
    """
    from ledger_client.firmware_keys import open_signer
    from ledger_client.private_files import read_password
    from ledger_client.rotation import RootShelf, is_whole, quorums, sign_next
    from ledger_client.trust import is_complete, read_root, read_unsigned, sign_root
    from ledger_protocol.release.trust_root import TrustRoot

    unsigned = read_unsigned(path)
    root = TrustRoot.decode(unsigned.document)
    held = read_root(previous or app.config.release.trust_root) if root.version > 1 else None
    signer = open_signer(uri, password=read_password(password_file) if password_file else None)
    if held is None:
        signed = sign_root(unsigned, signer)
        complete = is_complete(signed)
    else:
        signed = sign_next(unsigned, signer, previous=held)
        complete = is_whole(signed, previous=held)
    app.say(*_root_lines(root, unsigned.digest.hex()))
    if held is not None:
        app.say("", f"changes since version {held.root.version}", *notice_lines(held.root, root))
    target = out or (app.config.release.trust_root if complete else path)
    if complete and out is None:
        RootShelf(target).put(signed.encode())
        if path != target:
            path.unlink()  # a draft that stays invites somebody to sign it
    else:
        replace_file(target, signed.encode())
    signing = quorums(signed, held.root if held is not None else None)
    document = {
        "written": near(target),
        "version": root.version,
        "complete": complete,
        "fingerprint": signed.digest.hex(),
        "signatures": [
            {"of": one.whose, "signed": one.signed, "threshold": one.threshold} for one in signing
        ],
    }
    app.emit("trust-sign", document, _signed_lines(near(target), signed, signing, complete=complete))


def publish_options(function: Any) -> Any:
    """What `publish` and its older name `announce` take."""
    for option in reversed(
        [
            click.option(
                "--file",
                "path",
                type=PATH,
                metavar="FILE",
                help="[default: release.trust_root of fwledger.toml]",
            ),
            click.option(
                "--mirror",
                type=PATH,
                metavar="FOLDER",
                help="write all versions as files that any web server hands out as a relay does",
            ),
            click.option("--files-only", is_flag=True, help="write --mirror; ask no chain and no IPFS node"),
            click.option("--dry-run", is_flag=True, help="say what would be done, and do nothing"),
            approval_options,
        ]
    ):
        function = option(function)
    return function


@trust.command("publish")
@command("fwledger trust publish --mirror www", sends=True)
@publish_options
def publish(app: App, path: Path | None, **options: Any) -> None:
    """Bring a signed trust root to devices: to IPFS, to a folder of files, and its digest to the ledger.

    Devices take it by its signatures, wherever they find it; the ledger's digest tells those who miss it. The
    first one of a ledger is announced at once. Each later one is proposed by governors and announced two days
    later: run this command again then. It goes on where it stands.
    """
    _publish(app, path, schema="trust-publish", **options)


@trust.command("announce")
@command("fwledger trust announce", sends=True)
@publish_options
def announce(app: App, path: Path | None, **options: Any) -> None:
    """The older name of `fwledger trust publish`; refuses a version that is announced already."""
    from ledger_client.errors import UsageError
    from ledger_client.trust import read_root

    held = read_root(path or app.config.release.trust_root)
    if not options["files_only"] and app.ledger.trust_root().hex() == held.fingerprint:
        raise UsageError(f"version {held.root.version} is announced already")
    _publish(app, path, schema="trust-announce", **options)


def _publish(
    app: App,
    path: Path | None,
    *,
    schema: str,
    mirror: Path | None,
    files_only: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    from ledger_client.cli.trust_announce import announce_on_ledger
    from ledger_client.errors import UsageError
    from ledger_client.trust import read_root

    if files_only and mirror is None:
        raise UsageError("--files-only writes nothing without --mirror FOLDER")
    source = path or app.config.release.trust_root
    held = read_root(source)
    files = _mirror(app, held, source, mirror, dry_run=dry_run) if mirror is not None else []
    document: dict[str, Any] = {
        "version": held.root.version,
        "fingerprint": held.fingerprint,
        "files": files,
        "dry_run": dry_run,
    }
    lines = [
        f"version      {held.root.version}",
        f"fingerprint  {held.fingerprint}",
        *(f"file         {name}" for name in files),
    ]
    if not files_only:
        told, more = announce_on_ledger(app, held, dry_run=dry_run, options=options)
        document |= told
        lines += more
    app.emit(schema, document, lines)


def _mirror(app: App, held: HeldRoot, source: Path, folder: Path, *, dry_run: bool) -> list[str]:
    """Write every version at hand where `GET /fwledger/v1/trust-roots/VERSION` finds it."""
    from ledger_client.errors import ClientError
    from ledger_client.rotation import RootShelf
    from ledger_client.trust import roots_up_to

    shelves = [RootShelf(one) for one in dict.fromkeys((source, app.config.release.trust_root))]

    def get(cid: Any, version: int) -> bytes:
        for shelf in shelves:
            if (found := shelf.block(cid, version=version)) is not None:
                return found
        raise ClientError("not here")

    roots = roots_up_to(held, get=get)
    first = held.root.version - len(roots) + 1
    if first > 1:
        app.say(f"versions 1 to {first - 1} are not on this machine: devices that still hold them need them")
    written = []
    for version, signed in enumerate(roots, start=first):
        target = folder / "fwledger/v1/trust-roots" / str(version)
        if not dry_run:
            replace_file(target, signed)
        written.append(near(target))
    return written


def _signed_lines(
    target: str, signed: SignedTrustRoot, signing: tuple[Quorum, ...], *, complete: bool
) -> list[str]:
    return [
        f"written      {target}",
        f"fingerprint  {signed.digest.hex()}",
        *(f"signed       {one.signed} of {one.threshold} needed, {one.whose}" for one in signing),
        f"complete     {'yes' if complete else 'no'}",
    ]


def _root_lines(root: TrustRoot, fingerprint: str) -> list[str]:
    """A trust root for people."""
    validators = root.headers.qbft.validators if root.headers.qbft else ()
    return [
        f"fingerprint   {fingerprint}",
        f"version       {root.version}, issued {utc(root.issued_at)}"
        + (f", expires {utc(root.expires)}" if root.expires else ", no end"),
        f"ledger        {checksum_address(root.ledger.address)} on chain {root.ledger.chain_id}",
        f"journal       {checksum_address(root.ledger.journal)}",
        f"code hash     0x{root.ledger.code_hash.hex()}",
        f"from block    {root.ledger.from_block} of {utc(root.ledger.from_time)}",
        f"releases      {root.release_keys.threshold} of {len(root.release_keys.keys)} keys",
        *(f"              {key.key_id.hex()}  {key.kind}" for key in root.release_keys.keys),
        f"trust roots   {root.root_keys.threshold} of {len(root.root_keys.keys)} keys",
        *(f"              {key.key_id.hex()}  {key.kind}" for key in root.root_keys.keys),
        f"validators    {len(validators)}"
        + (f", at least {root.headers.qbft.min_validators}" if root.headers.qbft else ""),
        *(f"              {checksum_address(v.address)}" for v in validators),
        *_witness_lines(root),
        *([f"oldest        {root.max_checkpoint_age / 3600:g} h"] if root.max_checkpoint_age else []),
        *([f"operator      {checksum_address(root.operator)}"] if root.operator else []),
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
