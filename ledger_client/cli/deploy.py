"""`fwledger deploy`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.app import PATH, App, command, near
from ledger_client.cli.witness_options import check_witnesses, witness_options, witness_trust
from ledger_client.config import checksum_address, parse_address
from ledger_client.config_file import replace_file, set_values
from ledger_client.errors import DeclinedError, UsageError

if TYPE_CHECKING:
    from ledger_client.deploy import Pair
    from ledger_protocol.release.trust_root import SignedTrustRoot, Validator

SECONDS_PER_DAY = 86_400


@click.command()
@command(
    "fwledger deploy --release-key alice.pem.pub --release-key bob.pem.pub --root-key root.pem",
    sends=True,
)
@click.option(
    "--governor", "governors", multiple=True, metavar="ADDRESS", help="[default: the paying account]"
)
@click.option(
    "--publisher", "publishers", multiple=True, metavar="ADDRESS", help="[default: the paying account]"
)
@click.option(
    "--guardian", "guardians", multiple=True, metavar="ADDRESS", help="[default: the paying account]"
)
@click.option(
    "--enroller", "enrollers", multiple=True, metavar="ADDRESS", help="[default: the paying account]"
)
@click.option(
    "--publish-threshold", type=click.IntRange(1, 16), default=1, show_default=True, help="publishers per act"
)
@click.option(
    "--govern-threshold", type=click.IntRange(1, 16), default=1, show_default=True, help="governors per act"
)
@click.option(
    "--release-key",
    "release_keys",
    multiple=True,
    required=True,
    type=PATH,
    metavar="FILE",
    help="public key",
)
@click.option(
    "--release-threshold",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="signatures that make a release",
)
@click.option(
    "--root-key", "root_keys", multiple=True, metavar="URI", help="private root key; signs the trust root"
)
@click.option(
    "--root-public", "root_publics", multiple=True, type=PATH, metavar="FILE", help="root key held elsewhere"
)
@click.option(
    "--root-threshold",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="signatures that make a trust root",
)
@click.option("--root-password-file", type=PATH, metavar="FILE", help="password of encrypted root keys")
@click.option(
    "--validators", type=PATH, metavar="FILE", help="JSON of the validators' addresses and public keys"
)
@click.option(
    "--min-validators",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="fewest validators that devices accept",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="the trust root's life [default: no end]",
)
@click.option(
    "--max-age-hours",
    type=click.IntRange(1, 100_000),
    metavar="HOURS",
    help="how old a header devices with a clock accept",
)
@click.option(
    "--no-announce",
    is_flag=True,
    help="for a ledger that `fwledger trust new --move-to` moves devices to",
)
@witness_options
def deploy(app: App, **options: Any) -> None:
    """Put FirmwareLedger and UpdateJournal on the chain, and make version 1 of the trust root.

    Writes the addresses to fwledger.toml and the signed trust root to `release.trust_root`, and announces its
    digest on the ledger. Every device gets that file in its factory image: compare the fingerprint, not the
    file's name.
    """
    from ledger_client.firmware_keys import open_signer, read_public_key
    from ledger_client.private_files import read_password
    from ledger_client.trust import check_validators, first_root, key_set, sign_root
    from ledger_client.validators import read_validators, recover_validators
    from ledger_protocol.release.trust_root import SignedTrustRoot

    target = app.config.release.trust_root
    if target.exists():
        raise UsageError(
            f"{target} exists already", hint="this manufacturer has a ledger; use another folder for another"
        )
    release_keys = [read_public_key(path) for path in options["release_keys"]]
    password = read_password(options["root_password_file"]) if options["root_password_file"] else None
    signers = [open_signer(uri, password=password) for uri in options["root_keys"]]
    root_keys = [s.public for s in signers] + [read_public_key(path) for path in options["root_publics"]]
    if not root_keys:
        raise UsageError(
            "a trust root needs root keys",
            hint="--root-key URI, or --root-public FILE for keys held elsewhere",
        )
    # All that can be refused is refused before anything is paid for.
    root_set = key_set(root_keys, options["root_threshold"], what="root keys")
    release_set = key_set(release_keys, options["release_threshold"], what="release keys")
    path = options["validators"]
    given = read_validators(path) if path else None
    if given is not None:
        check_validators(given, options["min_validators"])
    check_witnesses(options)
    pair = _pair(app, options)
    # After the deployment, since a chain that was just born has no sealed header to recover keys from before.
    validators: tuple[Validator, ...] = ()
    if not options["no_seals"]:
        validators = given or recover_validators(app.network)
        _confirm_validators(app, validators, given=given is not None)
    now_s = app.network.block_time()
    root = first_root(
        pair,
        root_keys=root_set,
        release_keys=release_set,
        validators=validators,
        min_validators=options["min_validators"],
        witnesses=witness_trust(options, pair.chain_id),
        require=options["require"] if options["witnesses"] else "any",
        issued_at=now_s,
        expires=None
        if options["expires_days"] is None
        else now_s + options["expires_days"] * SECONDS_PER_DAY,
        max_checkpoint_age_s=None if options["max_age_hours"] is None else options["max_age_hours"] * 3600,
    )
    signed = SignedTrustRoot(root.encode())
    for signer in signers[: options["root_threshold"]]:
        signed = sign_root(signed, signer)
    complete = len(signers) >= options["root_threshold"]
    _finish(app, pair, signed, complete=complete, announce=not options["no_announce"])


def _finish(app: App, pair: Pair, signed: SignedTrustRoot, *, complete: bool, announce: bool) -> None:
    from ledger_client.acting import carry_out
    from ledger_client.ledger import Ledger
    from ledger_client.trust import announce_act, check_root

    target = app.config.release.trust_root
    announced = False
    if complete:
        held = check_root(signed.encode(), where="trust root")
        replace_file(target, held.signed)
        ledger = Ledger(app.network, pair.ledger)
        if announce and ledger.thresholds()[1] == 1 and "governor" in ledger.roles(app.account.address):
            act = announce_act(ledger, held.signed, deadline=app.deadline())
            call = carry_out(ledger, act, [], account=app.account)
            app.send(call, first=lambda: app.keep_trust_root(held.signed))
            announced = True
    else:
        target = target.with_name(target.name + ".unsigned")
        replace_file(target, signed.encode())
    document = {
        "chain_id": pair.chain_id,
        "ledger": checksum_address(pair.ledger),
        "journal": checksum_address(pair.journal),
        "code_hash": "0x" + pair.code_hash.hex(),
        "from_block": pair.from_block,
        "trust_root": near(target),
        "fingerprint": signed.digest.hex(),
        "announced": announced,
    }
    app.emit(
        "deploy",
        document,
        [
            f"ledger       {document['ledger']}",
            f"journal      {document['journal']}",
            f"trust root   {near(target)}",
            f"fingerprint  {signed.digest.hex()}",
        ],
    )
    if not complete:
        app.say(f"next: root keys held elsewhere sign with `fwledger trust sign {near(target)} --key URI`")
    if announce and not announced:
        app.say("next: governors announce the trust root with `fwledger trust publish`")


def _pair(app: App, options: dict[str, Any]) -> Pair:
    """Deploy, or go on from a deployment whose trust root was never made."""
    from ledger_client.deploy import Members, Pair, check_new_pair, deploy_pair

    chain = app.config.chain
    if chain.ledger is not None and chain.journal is not None:
        code_hash = check_new_pair(app.network, ledger=chain.ledger, journal=chain.journal)
        app.say(f"going on with the ledger at {checksum_address(chain.ledger)}")
        from_time = app.network.block_time(chain.from_block)
        return Pair(app.network.chain_id, chain.ledger, chain.journal, code_hash, chain.from_block, from_time)
    own = app.account.address

    def members(role: str) -> tuple[bytes, ...]:
        return tuple(parse_address(text, where=role[:-1]) for text in options[role]) or (own,)

    pair = deploy_pair(
        app.network,
        Members(
            governors=members("governors"),
            publishers=members("publishers"),
            guardians=members("guardians"),
            enrollers=members("enrollers"),
            publish_threshold=options["publish_threshold"],
            govern_threshold=options["govern_threshold"],
        ),
        deployer=own,
        send=app.send,
    )
    if app.config.path is not None:
        values: dict[str, str | int | list[str]] = {
            "chain.chain_id": pair.chain_id,
            "chain.ledger": checksum_address(pair.ledger),
            "chain.journal": checksum_address(pair.journal),
            "chain.from_block": pair.from_block,
        }
        try:
            set_values(app.config.path, values)
        except UsageError:
            app.say("the contracts are deployed; put these into fwledger.toml and deploy again to go on:")
            app.say(*(f"  {name} = {value}" for name, value in values.items()))
            raise
    return pair


def _confirm_validators(app: App, validators: tuple[Validator, ...], *, given: bool) -> None:
    """Devices will believe these keys for years: a person looks at them once, unless a file names them."""
    app.say("validators whose seals devices will trust:")
    app.say(*(f"  {checksum_address(v.address)}  {v.public_key.hex()[:24]}..." for v in validators))
    if given or app.yes:
        return
    if not app.interactive:
        raise DeclinedError(
            "the validators were recovered from headers and nobody confirmed them",
            hint="--validators FILE names them, --yes accepts what the node showed; deploy goes on from here",
        )
    if not click.confirm("are these the validators?", default=False, err=True):
        raise DeclinedError("no trust root was made", hint="`fwledger deploy` goes on from here")
