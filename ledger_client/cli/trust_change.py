"""`fwledger trust new` and `fwledger trust diff`: what the next version says otherwise."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.app import PATH, App, command, near
from ledger_client.cli.trust_options import change_options, refuse_both
from ledger_client.config import parse_address
from ledger_client.config_file import replace_file
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from ledger_client.trust import HeldRoot
    from ledger_protocol.release.trust_root import (
        HeaderTrust,
        LedgerRef,
        QbftTrust,
        SignedTrustRoot,
        TrustRoot,
    )

SECONDS_PER_DAY = 86_400


@click.command("new")
@command(
    "fwledger trust new --remove-release-key 5c2f81aa --add-release-key carol.pem.pub --out root-2.unsigned"
)
@click.option(
    "--from",
    "source",
    type=PATH,
    metavar="FILE",
    help="the version that devices hold [default: release.trust_root]",
)
@click.option(
    "--out", type=PATH, metavar="FILE", help="[default: release.trust_root with .unsigned behind it]"
)
@click.option("--dry-run", is_flag=True, help="show the changes, write nothing")
@change_options
def new(app: App, source: Path | None, out: Path | None, dry_run: bool, **options: Any) -> None:
    """Make the unsigned next version of the trust root, out of the held one and what shall change.

    What is not named stays. Where ledger, validators or witnesses change, devices forget the height that they
    saw; so that no older block counts again, from_block becomes the chain's newest final block (needs a node,
    or --from-block and --from-time). Root keys sign it with `fwledger trust sign`.
    """
    from ledger_client.rotation import next_root
    from ledger_client.trust import read_root
    from ledger_protocol.release.trust_root import SignedTrustRoot

    held = read_root(source or app.config.release.trust_root)
    now_s = int(time.time())
    root = next_root(held, _changed(app, held, options, now_s=now_s), issued_at=now_s)
    made = SignedTrustRoot(root.encode())
    target = out or app.config.release.trust_root.with_name(app.config.release.trust_root.name + ".unsigned")
    if not dry_run:
        if target.exists():
            raise UsageError(f"{near(target)} exists already", hint="choose another name with --out")
        replace_file(target, made.encode())
    document, lines = _difference(held, made)
    document["written"] = None if dry_run else near(target)
    if not dry_run:
        lines.append(f"written      {near(target)}")
        app.say("next: root keys of both versions sign it with `fwledger trust sign`")
    app.emit("trust-new", document, lines)


@click.command("diff")
@command("fwledger trust diff trust-root.cbor trust-root.cbor.unsigned")
@click.argument("old", type=PATH)
@click.argument("new_path", metavar="NEW", type=PATH)
def diff(app: App, old: Path, new_path: Path) -> None:
    """Say in words what NEW changes, whose signatures it has and whose it still needs. Needs no chain.

    OLD must be signed; NEW may lack signatures.
    """
    from ledger_client.trust import read_root, read_unsigned

    document, lines = _difference(read_root(old), read_unsigned(new_path))
    app.emit("trust-diff", document, lines)


def notice_lines(old: TrustRoot, new: TrustRoot) -> list[str]:
    """Differences and warnings for people."""
    from ledger_client.trust_diff import differences, warnings

    lines = [f"  {one.text}" for one in differences(old, new)] or ["  nothing but version and time of issue"]
    return [*lines, *(f"note: {text}" for text in warnings(old, new))]


def _difference(held: HeldRoot, made: SignedTrustRoot) -> tuple[dict[str, Any], list[str]]:
    from ledger_client.rotation import check_follows, is_whole, quorums
    from ledger_client.trust_diff import differences, warnings
    from ledger_protocol.release.trust_root import TrustRoot

    new_root = TrustRoot.decode(made.document)
    follows = True
    try:
        check_follows(made, held)
    except UsageError:
        follows = False
    signing = quorums(made, held.root) if follows else quorums(made, None)
    whole = follows and is_whole(made, previous=held)
    document = {
        "from_version": held.root.version,
        "to_version": new_root.version,
        "from_fingerprint": held.fingerprint,
        "to_fingerprint": made.digest.hex(),
        "follows": follows,
        "complete": whole,
        "signatures": [{"of": q.whose, "signed": q.signed, "threshold": q.threshold} for q in signing],
        "changes": [
            {"field": one.field, "before": one.before, "after": one.after, "text": one.text}
            for one in differences(held.root, new_root)
        ],
        "notes": list(warnings(held.root, new_root)),
    }
    lines = [
        f"version      {new_root.version} (before: {held.root.version})",
        f"fingerprint  {made.digest.hex()}",
        *notice_lines(held.root, new_root),
        *(
            []
            if follows
            else [f"note: devices cannot go from version {held.root.version} straight to this one"]
        ),
        *(f"signed       {one.signed} of {one.threshold} needed, {one.whose}" for one in signing),
    ]
    return document, lines


def _changed(app: App, held: HeldRoot, options: dict[str, Any], *, now_s: int) -> TrustRoot:
    """The held root with what the options change; version and link are the caller's."""
    from ledger_client.firmware_keys import read_public_key
    from ledger_client.rotation import changed_keys

    old = held.root
    refuse_both(options)
    ledger, headers = _anchor(app, old, options)
    keys = {}
    for name, what in (("root", "root keys"), ("release", "release keys")):
        keys[name] = changed_keys(
            getattr(old, f"{name}_keys"),
            add=[read_public_key(path) for path in options[f"add_{name}"]],
            remove=[_key_id(text) for text in options[f"remove_{name}"]],
            threshold=options[f"{name}_threshold"],
            what=what,
        )
    changed = replace(
        old, root_keys=keys["root"], release_keys=keys["release"], ledger=ledger, headers=headers
    )
    if options["expires_days"] is not None:
        changed = replace(changed, expires=now_s + options["expires_days"] * SECONDS_PER_DAY)
    elif options["no_expiry"]:
        changed = replace(changed, expires=None)
    if options["max_age_hours"] is not None:
        changed = replace(changed, max_checkpoint_age=options["max_age_hours"] * 3600)
    elif options["no_max_age"]:
        changed = replace(changed, max_checkpoint_age=None)
    if options["operator"] is not None:
        changed = replace(changed, operator=parse_address(options["operator"], where="--operator"))
    elif options["no_operator"]:
        changed = replace(changed, operator=None)
    return changed


def _key_id(text: str) -> str:
    """A key id as it was given, or that of a public key file."""
    from ledger_client.firmware_keys import read_public_key

    path = Path(text)
    return read_public_key(path).key_id.hex() if path.is_file() else text


def _anchor(app: App, old: TrustRoot, options: dict[str, Any]) -> tuple[LedgerRef, HeaderTrust]:
    """The ledger and who vouches for its headers. A floor that is not given comes from the chain."""
    from ledger_client.trust import read_unsigned
    from ledger_protocol.release.trust_root import HeaderTrust, TrustRoot

    if options["move_to"] is not None:
        goal = TrustRoot.decode(read_unsigned(options["move_to"]).document)
        return _with_floor(goal.ledger, options), goal.headers
    qbft = _validators(app, old.headers.qbft, options)
    witnesses = _witnesses(old, options)
    both = qbft is not None and witnesses is not None
    had_both = old.headers.qbft is not None and old.headers.witnesses is not None
    require = options["require"] or (old.headers.require if both == had_both else "all" if both else "any")
    headers = HeaderTrust(qbft, witnesses, require)
    floor_given = options["from_block"] is not None
    if headers == old.headers or options["keep_floor"] or floor_given:
        return _with_floor(old.ledger, options, app=app), headers
    number = _newest_final(app, headers)
    return replace(old.ledger, from_block=number, from_time=app.network.block_time(number)), headers


def _with_floor(ledger: LedgerRef, options: dict[str, Any], *, app: App | None = None) -> LedgerRef:
    number, at_s = options["from_block"], options["from_time"]
    if number is None:
        if at_s is not None:
            raise UsageError("--from-time is the time of --from-block", hint="give both")
        return ledger
    if at_s is None:
        if app is None:
            raise UsageError("--from-block of another chain needs --from-time")
        at_s = app.network.block_time(number)
    return replace(ledger, from_block=number, from_time=at_s)


def _newest_final(app: App, headers: HeaderTrust) -> int:
    """The newest block that the new header signers vouch for, by the node's word: people compare it."""
    from ledger_client.errors import UnreachableError
    from ledger_client.witness.finality import newest_final

    rule = headers.witnesses.final if headers.witnesses is not None else "seals"
    try:
        number = newest_final(app.network, rule)
    except UnreachableError as error:
        raise UnreachableError(
            f"the oldest block that counts is taken from the chain, and {error}",
            hint="--from-block N and --from-time S name it without a node",
        ) from error
    if number is None:
        raise UsageError("the chain has no final block yet", hint="--from-block N and --from-time S")
    return number


def _validators(app: App, old: QbftTrust | None, options: dict[str, Any]) -> QbftTrust | None:
    from ledger_client.trust import MIN_VALIDATORS, check_validators
    from ledger_client.validators import read_validators, recover_validators
    from ledger_protocol.release.trust_root import QbftTrust

    least = options["min_validators"]
    if options["no_validators"]:
        return None
    if options["validators"] is not None:
        found = read_validators(options["validators"])
    elif options["validators_from_chain"]:
        found = recover_validators(app.network)
    elif old is None:
        if least is not None:
            raise UsageError("--min-validators without validators")
        return None
    else:
        found = old.validators
    least = least or (old.min_validators if old is not None else MIN_VALIDATORS)
    check_validators(found, least)
    return QbftTrust(found, least)


def _witnesses(old: TrustRoot, options: dict[str, Any]) -> Any:
    from ledger_client.rotation import changed_witnesses

    origin = options["origin"]
    return changed_witnesses(
        old.headers.witnesses,
        add=options["add_witness"],
        remove=options["remove_witness"],
        threshold=options["witness_threshold"],
        final=options["final"],
        origin=None if origin is None else f"{origin}/evm/{old.ledger.chain_id}",
    )
