"""Devices on the manufacturer's side: enrolled from their own request files, listed, retired."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.acts import MAX_PLACED_DEVICES
from ledger_client.config import checksum_address
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.journal import Enrolment
from ledger_protocol.errors import ProtocolError
from ledger_protocol.report.enrolment import MAX_REQUEST_BYTES, EnrolmentRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ledger_client.acts import Act
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger
    from ledger_protocol.ledger.contract_state import DeviceWord


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the journal knows it."""

    address: bytes
    word: DeviceWord
    commitment: bytes
    enrolled_block: int


def read_request(path: Path) -> EnrolmentRequest:
    """Read a device's enrolment request and check that it holds its key. Raises NotTrustedError where it does
    not.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_REQUEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read enrolment request {path}", got=error.strerror or error) from error
    try:
        return EnrolmentRequest.decode(raw)
    except ProtocolError as error:
        raise NotTrustedError(
            f"{path} is not a device's enrolment request: {error}",
            hint="`fwledger-device enrol` makes one on the device",
        ) from error


def plan_enrolments(
    journal: Journal, requests: Iterable[EnrolmentRequest], *, group: int, compatible: str | None = None
) -> tuple[list[Enrolment], list[bytes]]:
    """What to enrol, and the addresses that are enrolled already (left out: enrolling is idempotent).

    `compatible`, where given, must be every request's product line. Raises UsageError for a device asked
    twice with different commitments, or already enrolled in another group.
    """
    found: dict[bytes, Enrolment] = {}
    already: list[bytes] = []
    for request in requests:
        if compatible is not None and request.compatible != compatible:
            raise UsageError(
                f"device {checksum_address(request.device)}", expected=compatible, got=request.compatible
            )
        new = Enrolment(request.device, group, request.commitment)
        if found.setdefault(request.device, new) != new:
            raise UsageError(f"device {checksum_address(request.device)} asks twice, with different serials")
        word = journal.device(request.device)
        if not word.enrolled:
            continue
        del found[request.device]
        if word.group != group:
            raise UsageError(
                f"device {checksum_address(request.device)} is enrolled already",
                expected=f"group {group}",
                got=f"group {word.group}",
                hint="publishers move it with `fwledger device place --group N`",
            )
        already.append(request.device)
    return list(found.values()), already


def place_act(ledger: Ledger, devices: Sequence[bytes], *, group: int, retired: bool, deadline: int) -> Act:
    """What publishers approve to put devices into a group, retired or not."""
    channel = ledger.channel_of(group)
    if channel is None:
        raise UsageError(
            f"group {group} follows no channel", hint="`fwledger channel create NAME --group` assigns one"
        )
    return ledger.new_act(
        "PlaceDevices",
        devices=tuple(devices),
        group=group,
        channel=channel,
        retired=retired,
        epoch=ledger.word(channel).epoch,
        deadline=deadline,
    )


def plan_moves(
    journal: Journal, moves: Mapping[bytes, int]
) -> tuple[list[tuple[int, tuple[bytes, ...]]], list[bytes]]:
    """What it takes to put devices into groups: for each act the group and at most 64 devices; and those that
    are there already. Raises UsageError for a device that is not enrolled, or retired.
    """
    by_group: dict[int, list[bytes]] = {}
    there: list[bytes] = []
    for device, group in moves.items():
        word, name = journal.device(device), checksum_address(device)
        if not word.enrolled:
            raise UsageError(f"device {name} is not enrolled")
        if word.retired:
            raise UsageError(
                f"device {name} is retired", hint="`fwledger device retire --undo` takes it back"
            )
        if word.group == group:
            there.append(device)
        else:
            by_group.setdefault(group, []).append(device)
    acts = [
        (group, tuple(devices[at : at + MAX_PLACED_DEVICES]))
        for group, devices in sorted(by_group.items())
        for at in range(0, len(devices), MAX_PLACED_DEVICES)
    ]
    return acts, there


def count_devices(ledger: Ledger, journal: Journal, channel: bytes, *, from_block: int, enough: int) -> int:
    """How many devices follow a channel and are not retired, as a node's logs say.

    A large fleet is not read whole: once `enough` were enrolled for the channel, `enough` is the answer,
    whatever became of them since.
    """
    newest = ledger.network.block_number()
    follows = functools.cache(lambda group: ledger.channel_of(group) == channel)
    placed: dict[bytes, tuple[int, bool]] = {}
    count = 0
    for one in journal.enrolled(from_block=from_block, to_block=newest):
        placed[one.device] = one.group, False
        count += follows(one.group)
        if count >= enough:
            return enough
    for log in journal.contract.logs("Placed", from_block=from_block, to_block=newest):
        placed[log.values["device"]] = int(log.values["group"]), bool(log.values["retired"])
    return min(sum(follows(group) and not retired for group, retired in placed.values()), enough)


def list_devices(journal: Journal, *, from_block: int, to_block: int) -> list[Device]:
    """All devices ever enrolled, in the order of their enrolment, with their words now."""
    return [
        Device(one.device, journal.device(one.device), one.commitment, one.log.block_number)
        for one in journal.enrolled(from_block=from_block, to_block=to_block)
    ]
