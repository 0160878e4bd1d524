"""`fwledger governance`: members, thresholds and changes that wait in public."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.acts import GOVERNORS_ACTS, ROLE_BITS, role_names
from ledger_client.cli.acts import (
    approval_document,
    approval_options,
    approve_file,
    settle,
    signing_options,
)
from ledger_client.cli.app import PATH, App, command
from ledger_client.cli.words import utc
from ledger_client.config import checksum_address, parse_address
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger_client.acts import Act, Rollout
    from ledger_client.governance import Change, Governance


@click.group()
def governance() -> None:
    """Show and change who may do what. Governors approve a change, it waits in public for two days, then
    anyone may execute it; a guardian may cancel it.
    """


@governance.command("show")
@command("fwledger governance show")
@click.option("--all", "everything", is_flag=True, help="changes that are over, too")
def show(app: App, everything: bool) -> None:
    """Show members, thresholds and the changes that wait, with the time from which each may be executed."""
    found = _governance(app)
    rules, members, changes = found.rules(), found.members(), found.changes()
    pending = [one for one in changes if everything or one.state in ("waiting", "ready")]
    successor, now_s = found.successor(), app.network.block_time()
    document = {
        "publish_threshold": rules.publish_threshold,
        "govern_threshold": rules.govern_threshold,
        "epoch": rules.epoch,
        "era": rules.era,
        "members": [
            {"address": checksum_address(m.address), "roles": _roles(m.roles)} for m in members if m.roles
        ],
        "trust_root_version": app.ledger.trust_root_version(),
        "trust_root": app.ledger.trust_root().hex(),
        "successor": checksum_address(successor) if successor else None,
        "changes": [_change_document(one) for one in pending],
    }
    lines = [
        f"publishers  {rules.publish_threshold} of {rules.publishers} must approve",
        f"governors   {rules.govern_threshold} of {rules.governors} must approve",
        *(f"member      {checksum_address(m.address)}  {role_names(m.roles)}" for m in members if m.roles),
        f"trust root  version {document['trust_root_version']}, {document['trust_root']}",
        *([f"successor   {document['successor']}"] if successor else []),
        *(line for one in pending for line in _change_lines(one, now_s=now_s)),
    ]
    app.emit("governance-show", document, lines if pending else [*lines, "changes     none waits"])


@governance.group("propose")
def propose() -> None:
    """Propose a change. --approve-only writes one governor's approval as a file; --approval brings the
    others'.
    """


@propose.command("member")
@command(
    "fwledger governance propose member 0x90F79bf6EB2c4f870365E785982E1f101E93b906 --role operator",
    sends=True,
)
@click.argument("address")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(list(ROLE_BITS)), help="what it may do; repeatable"
)
@click.option("--remove", is_flag=True, help="take all its roles away")
@approval_options
def propose_member(app: App, address: str, roles: tuple[str, ...], remove: bool, **options: Any) -> None:
    """Propose what an address may do from then on: exactly the roles given, no others."""
    if bool(roles) == remove:
        raise UsageError("give --role, once for each role, or --remove")
    account = parse_address(address, where="address")
    bits = sum(ROLE_BITS[role] for role in set(roles))
    values = {"account": account, "roles": bits}
    _propose(app, lambda g, deadline: g.act("SetMember", deadline=deadline, **values), options)


@propose.command("thresholds")
@command("fwledger governance propose thresholds --publish 2 --govern 3", sends=True)
@click.option(
    "--publish", type=click.IntRange(1, 16), metavar="M", help="publishers an act [default: as now]"
)
@click.option(
    "--govern", type=click.IntRange(1, 16), metavar="M", help="governors a change [default: as now]"
)
@approval_options
def propose_thresholds(app: App, publish: int | None, govern: int | None, **options: Any) -> None:
    """Propose how many approvals acts need from then on."""
    if publish is None and govern is None:
        raise UsageError("which threshold?", hint="--publish M, --govern M or both")
    now = _governance(app).rules()
    for role, wanted, members in (
        ("publishers", publish, now.publishers),
        ("governors", govern, now.governors),
    ):
        if wanted is not None and wanted > members:
            raise UsageError(
                f"threshold of {role}", expected=f"1 to {members}", got=wanted, hint="name more members first"
            )
    values = {"publish": publish or now.publish_threshold, "govern": govern or now.govern_threshold}
    _propose(app, lambda g, deadline: g.act("SetThresholds", deadline=deadline, **values), options)


@propose.command("successor")
@command("fwledger governance propose successor 0x5FbDB2315678afecb367f032d93F642f64180aa3", sends=True)
@click.argument("address")
@approval_options
def propose_successor(app: App, address: str, **options: Any) -> None:
    """Propose where tools should look for a newer ledger. Devices follow only a trust root."""
    successor = parse_address(address, where="address")
    _propose(app, lambda g, deadline: g.act("NameSuccessor", deadline=deadline, successor=successor), options)


@propose.command("trust-root")
@command("fwledger governance propose trust-root --file trust-root-2.cbor", sends=True)
@click.option(
    "--file", "path", type=PATH, metavar="FILE", help="[default: release.trust_root of fwledger.toml]"
)
@approval_options
def propose_trust_root(app: App, path: Path | None, **options: Any) -> None:
    """Propose to announce the next trust root, whose root keys have signed it."""
    from ledger_client.trust import announcement, read_root

    held = read_root(path or app.config.release.trust_root)
    expected = app.ledger.trust_root_version() + 1
    if held.root.version != expected:
        raise UsageError("version of the trust root", expected=expected, got=held.root.version)
    app.keep_trust_root(held.signed)
    _propose(
        app,
        lambda g, deadline: g.act("AnnounceTrustRoot", deadline=deadline, **announcement(held.signed)),
        options,
    )


@governance.command("approve")
@command("fwledger governance approve alice.approval --out bob.approval", sends=True)
@click.argument("source", type=PATH, metavar="APPROVAL|TYPED-DATA")
@signing_options
def approve(app: App, source: Path, **options: Any) -> None:
    """Approve the change in another governor's approval file, after it was shown in clear."""
    from ledger_client.acting import check_act
    from ledger_client.approvals import read_act
    from ledger_client.governance import what_it_does

    act = read_act(source)
    if act.name not in GOVERNORS_ACTS:
        raise UsageError(
            f"{source} is no change of governance",
            got=act.name,
            hint="`fwledger release approve` takes other acts",
        )
    check_act(app.ledger, act)
    app.say(what_it_does(act))
    approve_file(app, act, schema="governance-approve", **options)


@governance.command("execute")
@command("fwledger governance execute 3f9c2a", sends=True)
@click.argument("change", metavar="ID")
def execute(app: App, change: str) -> None:
    """Execute a change whose two days are over. Anyone may."""
    found = _governance(app)
    target = found.change(change)
    app.say(target.what)
    app.send(found.execute(target))
    _emit_over(app, "governance-execute", target, "executed")


@governance.command("cancel")
@command("fwledger governance cancel 3f9c2a", sends=True)
@click.argument("change", metavar="ID")
def cancel(app: App, change: str) -> None:
    """Cancel a change that waits. A guardian may, alone, but not its own removal."""
    found = _governance(app)
    target = found.change(change)
    app.say(target.what)
    app.send(found.cancel(target))
    _emit_over(app, "governance-cancel", target, "cancelled")


def _governance(app: App) -> Governance:
    from ledger_client.governance import Governance

    return Governance(app.ledger, from_block=app.config.chain.from_block)


def _propose(app: App, make: Callable[[Governance, int], Act], options: dict[str, Any]) -> None:
    from ledger_client.governance import id_of

    found = _governance(app)
    made: list[Act] = []

    def plan(deadline: int, _: Rollout | None) -> Act:
        made.append(make(found, deadline))
        return made[-1]

    if settle(app, plan, **options) is None:
        app.emit("governance-propose", *approval_document(app, options["approve_only"]))
        return
    change = found.change(id_of(made[-1]).hex())
    lines = [*_change_lines(change, now_s=app.network.block_time())]
    app.emit("governance-propose", _change_document(change), lines)


def _change_document(change: Change) -> dict[str, Any]:
    return {
        "id": "0x" + change.id.hex(),
        "act": change.act.name,
        "what": change.what,
        "state": str(change.state),
        "ready_at": change.ready_at,
        "approved_by": [checksum_address(address) for address in change.approvers],
        "approvals_deadline": change.act["deadline"],
        "epoch": change.act["epoch"],
        "not_cancelled_by": checksum_address(change.removed) if change.removed else None,
        "block": change.block_number,
    }


def _change_lines(change: Change, *, now_s: int) -> list[str]:
    left = f", in {max(change.ready_at - now_s, 0) / 3600:.1f} h" if change.state == "waiting" else ""
    return [
        f"change      {change.id.hex()}",
        f"            {change.what}",
        f"            {change.state}; to be executed from {utc(change.ready_at)}{left}"
        if change.state in ("waiting", "ready")
        else f"            {change.state}",
        f"            approved by {', '.join(map(checksum_address, change.approvers)) or 'nobody'}",
        f"            approvals counted until {utc(change.act['deadline'])}",
    ]


def _emit_over(app: App, schema: str, change: Change, state: str) -> None:
    document = {**_change_document(change), "state": state}
    app.emit(schema, document, [f"{state:<10} {change.id.hex()}", f"           {change.what}"])


def _roles(bits: int) -> list[str]:
    return [name for name, bit in ROLE_BITS.items() if bits & bit]
