"""The options of `fwledger deploy` that pin witnesses, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.errors import UsageError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.release.trust_root import WitnessTrust, check_witness_trust

if TYPE_CHECKING:
    from collections.abc import Callable


def witness_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--witness` and what belongs to it."""
    options = [
        click.option(
            "--witness",
            "witnesses",
            multiple=True,
            metavar="VKEY",
            help="of `fwledger witness vkey`; repeatable",
        ),
        click.option(
            "--witness-threshold",
            type=click.IntRange(1, 32),
            metavar="K",
            help="witnesses that must agree: more than half",
        ),
        click.option(
            "--final", metavar="RULE", help="which blocks witnesses sign: seals, finalized or depth:N"
        ),
        click.option(
            "--origin", default="fwledger", show_default=True, metavar="NAME", help="whose notes these are"
        ),
        click.option(
            "--require",
            type=click.Choice(["any", "all"]),
            default="all",
            show_default=True,
            help="where seals and witnesses are both pinned: one is enough, or both must agree",
        ),
        click.option(
            "--no-seals", is_flag=True, help="witnesses alone: the chain is not sealed by QBFT validators"
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def check_witnesses(options: dict[str, Any]) -> None:
    """Refuse what no chain makes right, before anything is paid for. Raises UsageError."""
    if options["witnesses"]:
        if options["witness_threshold"] is None or options["final"] is None:
            raise UsageError(
                "witnesses without a rule", expected="--witness-threshold K and --final RULE", got="not both"
            )
        _trust(options, 1)
    elif options["witness_threshold"] is not None or options["final"] is not None or options["no_seals"]:
        raise UsageError("there are no witnesses", hint="--witness VKEY, one for each")
    if options["no_seals"] and options["validators"]:
        raise UsageError("--no-seals and --validators contradict each other")
    if options["no_seals"] and options["final"] == "seals":
        raise UsageError("--final seals needs validators", hint="choose finalized or depth:N")


def witness_trust(options: dict[str, Any], chain_id: int) -> WitnessTrust | None:
    """The witnesses that the options pin on a chain; None where they name none. Raises UsageError."""
    return _trust(options, chain_id) if options["witnesses"] else None


def _trust(options: dict[str, Any], chain_id: int) -> WitnessTrust:
    made = WitnessTrust(
        threshold=options["witness_threshold"],
        keys=tuple(options["witnesses"]),
        origin=f"{options['origin']}/evm/{chain_id}",
        final=options["final"],
    )
    try:
        check_witness_trust(made)
    except ProtocolError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return made
