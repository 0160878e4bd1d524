"""The options of `fwledger trust new`: what the next version says otherwise, as flags or as a TOML file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.app import PATH
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A list of changes is written by hand (bytes).
MAX_CHANGES_BYTES = 256 * 1024
_NOT_IN_FILE = frozenset({"changes", "config", "rpc", "as_json", "quiet", "source", "out", "dry_run"})
_EITHER = (
    ("expires_days", "no_expiry"),
    ("max_age_hours", "no_max_age"),
    ("operator", "no_operator"),
    ("validators", "validators_from_chain"),
    ("validators", "no_validators"),
    ("validators_from_chain", "no_validators"),
    ("move_to", "validators"),
    ("move_to", "validators_from_chain"),
    ("move_to", "no_validators"),
    ("move_to", "add_witness"),
    ("move_to", "remove_witness"),
    ("move_to", "keep_floor"),
    ("from_block", "keep_floor"),
)


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the next version says otherwise; `--changes FILE` gives the same as TOML."""
    keys = click.IntRange(1, 32)
    for option in reversed(
        [
            click.option(
                "--changes",
                type=PATH,
                metavar="FILE",
                is_eager=True,
                expose_value=False,
                callback=_read_changes,
                help="TOML with the options below as keys (add_root_key = [...]); flags win",
            ),
            _many("--add-root-key", "add_root", "FILE", "public root key; repeatable", path=True),
            _many(
                "--remove-root-key",
                "remove_root",
                "ID|FILE",
                "id, first digits of it, or file",
            ),
            click.option(
                "--root-threshold", type=keys, metavar="K", help="signatures that make a trust root"
            ),
            _many("--add-release-key", "add_release", "FILE", "public firmware key; repeatable", path=True),
            _many(
                "--remove-release-key",
                "remove_release",
                "ID|FILE",
                "id, first digits of it, or file",
            ),
            click.option(
                "--release-threshold", type=keys, metavar="K", help="signatures that make a release"
            ),
            click.option(
                "--validators",
                type=PATH,
                metavar="FILE",
                help="JSON of all validators that count from now on",
            ),
            click.option(
                "--validators-from-chain",
                is_flag=True,
                help="the validators that seal the chain's newest headers",
            ),
            click.option("--no-validators", is_flag=True, help="seals no longer count"),
            click.option(
                "--min-validators", type=click.IntRange(1, 64), metavar="N", help="fewest that devices accept"
            ),
            _many("--add-witness", "add_witness", "VKEY", "of `fwledger witness vkey`; repeatable"),
            _many("--remove-witness", "remove_witness", "NAME", "its name or vkey; repeatable"),
            click.option("--witness-threshold", type=keys, metavar="K", help="witnesses that must agree"),
            click.option(
                "--final", metavar="RULE", help="which blocks witnesses sign: seals, finalized, depth:N"
            ),
            click.option("--origin", metavar="NAME", help="whose notes these are, without /evm/..."),
            click.option(
                "--require",
                type=click.Choice(["any", "all"]),
                help="where seals and witnesses are both pinned",
            ),
            click.option("--operator", metavar="ADDRESS", help="whose approval devices wait for"),
            click.option("--no-operator", is_flag=True, help="devices wait for no operator"),
            click.option(
                "--expires-days", type=click.IntRange(1, 36_500), metavar="DAYS", help="from now on"
            ),
            click.option("--no-expiry", is_flag=True, help="it never expires"),
            click.option(
                "--max-age-hours",
                type=click.IntRange(1, 100_000),
                metavar="HOURS",
                help="oldest header accepted",
            ),
            click.option("--no-max-age", is_flag=True, help="headers of any age are accepted"),
            click.option(
                "--move-to",
                type=PATH,
                metavar="FILE",
                help="ledger and header signers of this trust root, which `fwledger deploy` made elsewhere",
            ),
            click.option(
                "--from-block",
                type=click.IntRange(0),
                metavar="N",
                help="oldest block that counts [default: newest]",
            ),
            click.option("--from-time", type=click.IntRange(0), metavar="S", help="its time, Unix seconds"),
            click.option("--keep-floor", is_flag=True, help="leave the oldest block that counts as it is"),
        ]
    ):
        function = option(function)
    return function


def refuse_both(options: dict[str, Any]) -> None:
    """Raise UsageError where two options say opposite things."""
    for one, other in _EITHER:
        given = [options[name] not in (None, False, ()) for name in (one, other)]
        if all(given):
            flags = " and ".join("--" + name.replace("_", "-") for name in (one, other))
            raise UsageError(f"{flags} contradict each other")


def _many(flag: str, name: str, metavar: str, text: str, *, path: bool = False) -> Any:
    return click.option(flag, name, multiple=True, metavar=metavar, help=text, type=PATH if path else None)


def _read_changes(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Take a TOML file's keys as defaults of the options of the same names; flags win."""
    if path is None:
        return
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_CHANGES_BYTES + 1)
        document = tomllib.loads(raw[:MAX_CHANGES_BYTES].decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}", got=error.strerror or error) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML", got=str(error)[:200]) from error
    if len(raw) > MAX_CHANGES_BYTES:
        raise UsageError(f"{path}", expected=f"at most {MAX_CHANGES_BYTES} bytes", got="more")
    by_flag = {
        flag.removeprefix("--").replace("-", "_"): one
        for one in ctx.command.params
        if isinstance(one, click.Option) and one.name not in _NOT_IN_FILE
        for flag in one.opts
    }
    defaults: dict[str, Any] = {}
    for key, value in document.items():
        option = by_flag.get(key)
        if option is None or option.name is None:
            raise UsageError(
                f"{path}: unknown key {key[:80]}", expected="one of " + ", ".join(sorted(by_flag))
            )
        if option.multiple != isinstance(value, list) or isinstance(value, dict):
            raise UsageError(
                f"{path}: {key}", expected="a list" if option.multiple else "one value", got=repr(value)[:80]
            )
        defaults[option.name] = [str(item) for item in value] if isinstance(value, list) else value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
