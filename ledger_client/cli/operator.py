"""`fwledger operator`: countersignatures of fleet owners."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

import click

from ledger_client.acts import ROLE_BITS
from ledger_client.cli.app import App, command
from ledger_client.cli.words import release_of, utc
from ledger_client.config import checksum_address


@click.group()
def operator() -> None:
    """Countersign releases for the devices whose trust root pins an operator: a fleet owner, a hospital, a
    ministry. Governors name operators: `fwledger governance propose member ADDRESS --role operator`.
    """


@operator.command("approve")
@command("fwledger operator approve releases/1.2.0 --keystore operator.json", sends=True)
@click.argument("release", metavar="FOLDER|ID")
def approve(app: App, release: str) -> None:
    """Approve a release with the operator's account. It is not taken back; a second time changes nothing."""
    target, own = release_of(release), app.account.address
    before = app.ledger.approved_at(own, target)
    if before is None:
        app.send(app.ledger.approve_release(target))
    when = before or app.ledger.approved_at(own, target) or 0
    document = {
        "release": "0x" + target.hex(),
        "operator": app.account.text,
        "approved_at": when,
        "changed": before is None,
    }
    done = "approved" if before is None else "approved already"
    app.emit("operator-approve", document, [f"{done}  {target.hex()}", f"by {app.account.text}, {utc(when)}"])


@operator.command("status")
@command("fwledger operator status releases/1.2.0")
@click.argument("release", metavar="FOLDER|ID")
def status(app: App, release: str) -> None:
    """Show which operators approved a release, and which did not."""
    from ledger_client.governance import Governance

    target = release_of(release)
    members = Governance(app.ledger, from_block=app.config.chain.from_block).members()
    rows = [
        {
            "operator": checksum_address(member.address),
            "approved_at": app.ledger.approved_at(member.address, target),
        }
        for member in members
        if member.roles & ROLE_BITS["operator"]
    ]
    lines = [f"{row['operator']}  {_when(row['approved_at'])}" for row in rows]
    app.emit(
        "operator-status",
        {"release": "0x" + target.hex(), "operators": rows},
        lines or ["the ledger names no operator"],
    )


def _when(approved_at: object) -> str:
    return f"approved {utc(approved_at)}" if isinstance(approved_at, int) else "not approved"
