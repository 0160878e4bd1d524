"""What all commands share: options, the configuration and what it opens, output, and asking before
sending.
"""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import functools
import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger_client.config import Config, checksum_address, load_config
from ledger_client.errors import (
    ConfigError,
    DeclinedError,
    UnreachableError,
    UsageError,
    WrongLedgerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger
    from ledger_client.network import Call, Network, Receipt
    from ledger_client.outbox import Outbox
    from ledger_client.signers import Account
    from ledger_client.transactions import Prepared
    from ledger_client.trust import HeldRoot
    from ledger_client.witness.notes import Notes, Vouched

PATH = click.Path(path_type=Path)

EXIT_CODES = "Exit codes: 0 done, 1 not trusted or refused, 2 usage, 3 chain or content unreachable."


class App:
    """One run of a command: flags over environment over file, opened when first needed."""

    def __init__(
        self, *, config: Path | None, flags: dict[str, object], as_json: bool, quiet: bool, yes: bool
    ) -> None:
        self.config: Config = load_config(config, flags=flags)
        self.as_json = as_json
        self.quiet = quiet
        self.yes = yes
        self.transactions: list[dict[str, object]] = []

    @functools.cached_property
    def network(self) -> Network:
        """The chain."""
        from ledger_client.network import connect

        return connect(self.config.chain)

    @functools.cached_property
    def outbox(self) -> Outbox:
        """What was sent and is not seen mined."""
        from ledger_client.outbox import default_outbox

        return default_outbox(self.config.path)

    @functools.cached_property
    def account(self) -> Account:
        """Who pays and approves."""
        from ledger_client.signers import open_account

        return open_account(self.config.account, chain_id=self.network.chain_id)

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The configured ledger, after the pair and (where a trust root is at hand) its code hash were
        checked.
        """
        from ledger_client.deploy import check_pair
        from ledger_client.ledger import Ledger

        address = self._address("ledger")
        code_hash = None
        if self.config.release.trust_root.exists():
            pinned = self.root.root.ledger
            if (pinned.address, pinned.chain_id) != (address, self.network.chain_id):
                raise WrongLedgerError(
                    "the trust root is for another ledger",
                    expected=f"{checksum_address(pinned.address)} on chain {pinned.chain_id}",
                    got=f"{checksum_address(address)} on chain {self.network.chain_id}",
                    hint="`chain.ledger` and `release.trust_root` of fwledger.toml belong together",
                )
            code_hash = pinned.code_hash
        check_pair(self.network, ledger=address, journal=self.config.chain.journal, code_hash=code_hash)
        return Ledger(self.network, address)

    @functools.cached_property
    def journal(self) -> Journal:
        """The journal of the configured ledger."""
        from ledger_client.journal import Journal

        ledger = self.ledger
        return Journal(self.network, ledger.journal())

    @functools.cached_property
    def root(self) -> HeldRoot:
        """The trust root of the configuration, its signatures checked."""
        from ledger_client.trust import read_root

        return read_root(self.config.release.trust_root)

    @functools.cached_property
    def notes(self) -> Notes:
        """Where notes of witnesses come from."""
        from ledger_client.witness.notes import Notes

        return Notes(self.config.witness.sources, timeout_s=self.config.witness.timeout_s)

    def vouched(self, note: Path | None = None) -> Vouched:
        """The block to prove to devices: a note file's, else the newest that the pinned signers vouch for."""
        from ledger_client.proofs import read_note
        from ledger_client.witness.notes import Vouched

        if note is None and not self.config.release.trust_root.exists():
            return Vouched(self.network.block_number(), None)
        if note is None:
            return self.notes.newest(self.network, self.root.root)
        raw, found = read_note(note, self.root.root)
        return Vouched(found.checkpoint.number, raw)

    @property
    def interactive(self) -> bool:
        """Whether there is somebody to ask."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, *lines: str) -> None:
        """Talk, on standard error."""
        if not self.quiet:
            for line in lines:
                click.echo(line, err=True)

    def emit(self, schema: str, document: dict[str, Any], lines: Iterable[str]) -> None:
        """The result, on standard output: JSON with its schema id, or lines for people."""
        if self.as_json:
            full: dict[str, Any] = {"schema": f"fwledger/cli/{schema}/1", **document}
            if self.transactions:
                full["transactions"] = self.transactions
            click.echo(json.dumps(full, indent=2))
        else:
            for line in lines:
                click.echo(line)

    def agree(self, prepared: Prepared) -> None:
        """Show gas, cost and payer; go on only if told to."""
        if self.yes:
            self.say(*prepared.lines())
            return
        # Not silenced by --quiet: nobody can agree to what was not shown.
        for line in prepared.lines():
            click.echo(line, err=True)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise DeclinedError(
                "nothing was sent: there is no terminal to ask at", hint="--yes sends without asking"
            )
        if not click.confirm("send it?", default=False, err=True):
            raise DeclinedError("nothing was sent")

    def send(self, call: Call, *, first: Callable[[], None] | None = None) -> Receipt:
        """Prepare, show, ask, send, wait; go on waiting where a killed run sent the same. `first` is done
        after the yes and before the transaction is sent.
        """
        from ledger_client.cli.sending import send_once

        return send_once(self, call, first=first)

    def record(self, what: str, receipt: Receipt) -> None:
        """Remember a transaction for the JSON result."""
        self.transactions.append(
            {
                "act": what,
                "transaction": "0x" + receipt.transaction.hex(),
                "block": receipt.block_number,
                "gas_used": receipt.gas_used,
                "cost_wei": receipt.cost,
                "payer": checksum_address(self.account.address),
            }
        )

    def deadline(self, hours: int = 168) -> int:
        """Until when approvals made now count: hours after the newest block (Unix seconds)."""
        return self.network.block_time() + hours * 3600

    def channel_name(self, channel: bytes) -> str:
        """A channel's name where the configuration knows it, else the start of its id."""
        from ledger_protocol.release.manifest import channel_id

        known = {channel_id(name): name for name in self.config.release.channels}
        return known.get(channel, "0x" + channel.hex())

    def ipfs(self) -> IpfsClient:
        """A client of the configured IPFS node; a context manager."""
        from ledger_client.content.ipfs import IpfsClient

        return IpfsClient(self.config.ipfs.api, timeout_s=self.config.ipfs.timeout_s)

    def keep_trust_root(self, signed: bytes) -> None:
        """Put a trust root on IPFS, where the ledger's log will point. Without a node it travels by file
        alone.
        """
        from ledger_protocol.content.cid import DAG_CBOR

        try:
            with self.ipfs() as client:
                client.put_block(signed, DAG_CBOR, pin=True)
        except UnreachableError as error:
            self.say(f"the trust root is not on IPFS ({error}): hand it out as a file")

    def remember_channel(self, name: str) -> None:
        """Keep a channel's name in fwledger.toml: the ledger knows only its hash."""
        from ledger_client.config_file import set_values

        channels = self.config.release.channels
        if name in channels or self.config.path is None:
            return
        try:
            set_values(self.config.path, {"release.channels": [*channels, name]})
        except UsageError as error:
            # The ledger has changed already: what could not be noted must not look like a failure of that.
            self.say(f"channel {name} could not be noted: {error}")

    def _address(self, key: str) -> bytes:
        found: bytes | None = getattr(self.config.chain, key)
        if found is None:
            raise ConfigError(
                f"no {key} is configured",
                hint="`fwledger deploy` writes chain.ledger and chain.journal to fwledger.toml",
            )
        return found


def command(example: str, *, sends: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that all commands take; the function gets the App first. `sends` adds the paying account and
    --yes.

    `example` is shown in --help as it would be typed.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(**options: Any) -> Any:
            flags = {
                "chain.rpc": list(options.pop("rpc")) or None,
                "account.keystore": options.pop("keystore", None),
                "account.password_file": options.pop("password_file", None) if sends else None,
                "account.dev_account": options.pop("dev_account", None),
            }
            app = App(
                config=options.pop("config"),
                flags=flags,
                as_json=options.pop("as_json"),
                quiet=options.pop("quiet"),
                yes=options.pop("yes", False),
            )
            return function(app, **options)

        wrapped: Callable[..., Any] = run
        # Python 3.13 dedents docstrings itself; earlier ones leave that to us.
        text = inspect.cleandoc(function.__doc__ or "")
        wrapped.__doc__ = f"{text}\n\n\b\nExample:\n  {example}\n\n{EXIT_CODES}\n"
        shared = [
            click.option(
                "--config", type=PATH, metavar="FILE", help="fwledger.toml to read [default: ./fwledger.toml]"
            ),
            click.option(
                "--rpc", multiple=True, metavar="URL", help="RPC node, in order of preference; repeatable"
            ),
            click.option("--json", "as_json", is_flag=True, help="print the result as JSON with a schema id"),
            click.option("--quiet", is_flag=True, help="no talk on standard error"),
        ]
        if sends:
            shared += [
                click.option(
                    "--keystore", type=PATH, metavar="FILE", help="v3 keystore of the account that pays"
                ),
                click.option("--password-file", type=PATH, metavar="FILE", help="its password, mode 0600"),
                click.option(
                    "--dev-account", type=int, metavar="N", help="n-th account of a development chain instead"
                ),
                click.option(
                    "--yes", is_flag=True, help="send without asking; gas and cost are shown anyway"
                ),
            ]
        for option in reversed(shared):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def near(path: Path) -> str:
    """A path as a person would type it here: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def short(digest: bytes) -> str:
    """The first 16 hex digits, for tables."""
    return digest.hex()[:16]
