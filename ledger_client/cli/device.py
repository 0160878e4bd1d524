"""`fwledger device`."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli.acts import approval_document, approval_options, settle
from ledger_client.cli.app import PATH, App, command
from ledger_client.config import checksum_address, parse_address
from ledger_client.errors import EXIT_NOT_TRUSTED, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger_client.acts import Act, Rollout
    from ledger_client.journal import Enrolment


@click.group()
def device() -> None:
    """Enrol, retire and list devices. A device is its key's address; its serial never reaches the ledger."""


@device.command("enrol")
@command("fwledger device enrol camera-1.request camera-2.request --group 1", sends=True)
@click.argument("requests", nargs=-1, type=PATH, metavar="[REQUEST...]")
@click.option(
    "--csv",
    "listing",
    type=PATH,
    metavar="FILE",
    help="devices in bulk; columns request, or address and commitment; and group",
)
@click.option("--group", type=click.IntRange(0, 2**24 - 1), help="the devices' group")
@click.option("--compatible", help="refuse requests of another product line")
def enrol(
    app: App, requests: tuple[Path, ...], listing: Path | None, group: int | None, compatible: str | None
) -> int | None:
    """Enrol devices from their request files, after checking that each holds its key. Needs an enroller.

    A device that is in the group already is left as it is, so the command can be repeated; up to 128 share a
    transaction. With --csv all lines are checked first; a device that is enrolled in another group is listed,
    and the command then ends with 1.
    """
    from ledger_client.fleet import plan_enrolments, read_request

    if bool(requests) == (listing is not None):
        raise UsageError("enrol whom?", hint="name request files, or a list of them with --csv")
    if listing is not None:
        return _enrol_list(app, listing, group=group, compatible=compatible)
    if group is None:
        raise UsageError("enrol into which group?", hint="--group N")
    asked = [read_request(path) for path in requests]
    new, already = plan_enrolments(app.journal, asked, group=group, compatible=compatible)
    _send_enrolments(app, new)
    document = {
        "group": group,
        "enrolled": [checksum_address(one.device) for one in new],
        "already": [checksum_address(address) for address in already],
    }
    lines = [f"enrolled  {checksum_address(one.device)} in group {group}" for one in new]
    lines += [f"already   {checksum_address(address)} in group {group}" for address in already]
    app.emit("device-enrol", document, lines)
    return None


def _enrol_list(app: App, listing: Path, *, group: int | None, compatible: str | None) -> int | None:
    from ledger_client.enrolment_list import plan_list, read_list

    listed = read_list(listing, group=group, compatible=compatible)
    if unproven := sum(not one.proven for one in listed):
        app.say(
            f"note: {unproven} devices are listed without a request: that they hold their keys is not checked"
        )
    plan = plan_list(
        app.journal, listed, from_block=app.config.chain.from_block, to_block=app.network.block_number()
    )
    _send_enrolments(app, [one.enrolment for one in plan.new])
    parts = {
        "enrolled": plan.new,
        "already": plan.already,
        "elsewhere": tuple(one for one, _ in plan.elsewhere),
    }
    document: dict[str, Any] = {
        name: [
            {
                "device": checksum_address(one.enrolment.device),
                "group": one.enrolment.group,
                "line": one.where,
            }
            for one in rows
        ]
        for name, rows in parts.items()
    }
    for row, (_, found) in zip(document["elsewhere"], plan.elsewhere, strict=True):
        row["found_in"] = found
    lines = [f"enrolled  {len(plan.new)} devices", f"already   {len(plan.already)} devices"]
    lines += [
        f"{row['line']}: {row['device']} is in group {row['found_in']}, not {row['group']}"
        for row in document["elsewhere"]
    ]
    app.emit("device-enrol-list", document, lines)
    return EXIT_NOT_TRUSTED if plan.elsewhere else None


def _send_enrolments(app: App, new: Sequence[Enrolment]) -> None:
    from ledger_client.journal import MAX_ENROLMENTS

    for start in range(0, len(new), MAX_ENROLMENTS):
        app.send(app.journal.enrol(new[start : start + MAX_ENROLMENTS]))


@device.command("place")
@command("fwledger device place 0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045 --group 2", sends=True)
@click.argument("addresses", nargs=-1, metavar="[ADDRESS...]")
@click.option("--group", type=click.IntRange(0, 2**24 - 1), help="the group that they are to be in")
@click.option("--csv", "listing", type=PATH, metavar="FILE", help="many at once; columns address and group")
@approval_options
def place(
    app: App, addresses: tuple[str, ...], group: int | None, listing: Path | None, **options: Any
) -> None:
    """Put devices into another group. Needs publishers' approvals.

    A device that is there already is left as it is, so the command can be repeated. An act takes 64 devices
    of one group; approvals that pass as files are for one act.
    """
    from ledger_client.enrolment_list import read_moves
    from ledger_client.fleet import place_act, plan_moves

    if bool(addresses) == (listing is not None) or bool(addresses) != (group is not None):
        raise UsageError("place whom?", hint="name devices and --group N, or a list of them with --csv")
    if listing is not None:
        moves = read_moves(listing)
    else:
        moves = {parse_address(text, where="device"): group or 0 for text in addresses}
    acts, there = plan_moves(app.journal, moves)
    if len(acts) > 1 and (options["approvals"] or options["approve_only"]):
        raise UsageError("approvals are for one act", got=f"{len(acts)} acts", hint="64 devices of one group")
    for target, devices in acts:

        def plan(
            deadline: int, _: Rollout | None, target: int = target, devices: tuple[bytes, ...] = devices
        ) -> Act:
            return place_act(app.ledger, devices, group=target, retired=False, deadline=deadline)

        if settle(app, plan, **options) is None:
            app.emit("device-place", *approval_document(app, options["approve_only"]))
            return
    rows = [{"device": checksum_address(one), "group": target} for target, some in acts for one in some]
    already = [checksum_address(one) for one in there]
    lines = [f"placed    {row['device']} in group {row['group']}" for row in rows]
    lines += [f"already   {name}" for name in already]
    app.emit("device-place", {"placed": rows, "already": already}, lines)


@device.command("retire")
@command("fwledger device retire 0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045", sends=True)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--group", type=click.IntRange(0, 2**24 - 1), help="move them to this group [default: theirs]")
@click.option("--undo", is_flag=True, help="take their events again")
@approval_options
def retire(app: App, addresses: tuple[str, ...], group: int | None, undo: bool, **options: Any) -> None:
    """Retire devices: the journal refuses their events from now on. Needs publishers' approvals."""
    from ledger_client.fleet import place_act

    devices = [parse_address(text, where="device") for text in addresses]
    words = [app.journal.device(address) for address in devices]
    for address, word in zip(devices, words, strict=True):
        if not word.enrolled:
            raise UsageError(f"device {checksum_address(address)} is not enrolled")
    groups = {word.group for word in words}
    if group is None:
        if len(groups) != 1:
            raise UsageError(
                "the devices are in different groups", got=sorted(groups), hint="one group at a time"
            )
        group = groups.pop()
    target = group

    def plan(deadline: int, _: Rollout | None) -> Act:
        return place_act(app.ledger, devices, group=target, retired=not undo, deadline=deadline)

    if settle(app, plan, **options) is None:
        app.emit("device-retire", *approval_document(app, options["approve_only"]))
        return
    names = [checksum_address(address) for address in devices]
    now = "active " if undo else "retired"
    app.emit(
        "device-retire",
        {"devices": names, "group": target, "retired": not undo},
        [f"{now}  {name}, group {target}" for name in names],
    )


@device.command("list")
@command("fwledger device list --json")
@click.option("--group", type=click.IntRange(0, 2**24 - 1), help="only this group")
def list_all(app: App, group: int | None) -> None:
    """List enrolled devices with group, state and the sequence of their last event."""
    from ledger_client.fleet import list_devices

    found = list_devices(
        app.journal, from_block=app.config.chain.from_block, to_block=app.network.block_number()
    )
    found = [one for one in found if group is None or one.word.group == group]
    rows = [
        {
            "device": checksum_address(one.address),
            "group": one.word.group,
            "retired": one.word.retired,
            "last_event": one.word.sequence,
            "commitment": "0x" + one.commitment.hex(),
            "block": one.enrolled_block,
        }
        for one in found
    ]
    lines = [
        f"{row['device']}  group {row['group']}  {row['last_event']} events"
        + "  retired" * bool(row["retired"])
        for row in rows
    ]
    app.emit("device-list", {"devices": rows}, lines or ["no device is enrolled yet"])
