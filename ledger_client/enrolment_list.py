"""Devices enrolled in bulk: a CSV file, as factory lines keep it, and what of it the journal lacks.

The first line names the columns: `request` (an enrolment request's path, relative to the file), or `address`
and `commitment` of a request that was checked elsewhere; `group` where the groups differ.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client.config import checksum_address, parse_address
from ledger_client.errors import ClientError, UsageError
from ledger_client.fleet import read_request
from ledger_client.journal import Enrolment
from ledger_protocol.limits import MAX_U24

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ledger_client.journal import Journal

MAX_ROWS = 100_000  # 782 transactions; a larger fleet is enrolled as it is made
MAX_LIST_BYTES = 32 * 1024 * 1024  # that many rows, and room for long paths
_COLUMNS = ("request", "address", "commitment", "group")
_FORMS = "`request`, or `address` and `commitment`; and `group`"


@dataclass(frozen=True, slots=True)
class Listed:
    """One row. `where` is `FILE:LINE`; `proven` = its request showed that the device holds its key."""

    where: str
    enrolment: Enrolment
    proven: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to enrol, what is in its group already, and what is enrolled in another group (with that)."""

    new: tuple[Listed, ...]
    already: tuple[Listed, ...]
    elsewhere: tuple[tuple[Listed, int], ...]


def read_list(path: Path, *, group: int | None, compatible: str | None = None) -> list[Listed]:
    """Read and check all rows before anything is sent. `group` stands where the file has no such column;
    `compatible` must be every request's product line.

    Raises UsageError or NotTrustedError that names file and line, and how many more are wrong.
    """
    rows = _rows(path)
    try:
        columns = next(rows)[1]
    except StopIteration:
        raise UsageError(f"{path} is empty", expected=f"a first line with columns {_FORMS}") from None
    _check_columns(path, columns, group=group)
    found: dict[bytes, Listed] = {}
    wrong: list[ClientError] = []
    for line, values in rows:
        where = f"{path}:{line}"
        try:
            one = _row(path, where, columns, values, group=group, compatible=compatible)
            if (twin := found.setdefault(one.enrolment.device, one)) is not one:
                name = checksum_address(one.enrolment.device)
                raise UsageError(f"{where}: device {name} stands at {twin.where} already")
        except ClientError as error:
            wrong.append(error)
    if wrong:
        first = wrong[0]
        more = f"{len(wrong) - 1} more lines are wrong; nothing was sent"
        hint = "; ".join(part for part in (first.hint, more if len(wrong) > 1 else "") if part)
        raise type(first)(first.what, expected=first.expected, got=first.got, hint=hint)
    if not found:
        raise UsageError(f"{path} lists no device")
    return list(found.values())


def read_moves(path: Path) -> dict[bytes, int]:
    """Read a list of devices with the groups that they are to be in: columns `address` and `group`; others,
    as an enrolment list has them, are passed over. Raises UsageError that names file and line.
    """
    rows = _rows(path)
    columns = next(rows, (1, []))[1]
    if columns.count("address") != 1 or columns.count("group") != 1:
        raise UsageError(f"{path}:1: columns", expected="`address` and `group`", got=", ".join(columns)[:80])
    found: dict[bytes, int] = {}
    for line, values in rows:
        where = f"{path}:{line}"
        if len(values) != len(columns):
            raise UsageError(where, expected=f"{len(columns)} values", got=len(values))
        row = dict(zip(columns, values, strict=True))
        device = parse_address(row["address"], where=f"{where}: address")
        if found.setdefault(device, group := _group(where, row["group"])) != group:
            raise UsageError(f"{where}: device {checksum_address(device)} is to be in two groups")
    if not found:
        raise UsageError(f"{path} lists no device")
    return found


def plan_list(journal: Journal, listed: Sequence[Listed], *, from_block: int, to_block: int) -> Plan:
    """Part the rows by what the journal has already, by its log: enrolling can be repeated."""
    known = {one.device for one in journal.enrolled(from_block=from_block, to_block=to_block)}
    new, already, elsewhere = [], [], []
    for one in listed:
        if one.enrolment.device not in known:
            new.append(one)
        elif (group := journal.device(one.enrolment.device).group) == one.enrolment.group:
            already.append(one)
        else:
            elsewhere.append((one, group))
    return Plan(tuple(new), tuple(already), tuple(elsewhere))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise UsageError(f"{path}", expected=f"at most {MAX_LIST_BYTES} bytes", got="more")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for count, values in enumerate(reader):
                if count > MAX_ROWS:
                    raise UsageError(f"{path}", expected=f"at most {MAX_ROWS} devices", got="more")
                stripped = [value.strip() for value in values]
                if any(stripped):
                    yield reader.line_num, stripped
    except OSError as error:
        raise UsageError(f"cannot read {path}", got=error.strerror or error) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no CSV file in UTF-8", got=error) from error


def _check_columns(path: Path, columns: Sequence[str], *, group: int | None) -> None:
    one_form = ("request" in columns) != {"address", "commitment"}.issubset(columns)
    if not one_form or not set(columns).issubset(_COLUMNS) or len(set(columns)) != len(columns):
        raise UsageError(f"{path}:1: columns", expected=_FORMS, got=", ".join(columns)[:80])
    if ("group" in columns) == (group is not None):
        raise UsageError(
            f"{path}:1: group",
            expected="a column `group` or --group",
            got="both" if group is not None else "neither",
        )


def _row(
    path: Path,
    where: str,
    columns: Sequence[str],
    values: Sequence[str],
    *,
    group: int | None,
    compatible: str | None,
) -> Listed:
    if len(values) != len(columns):
        raise UsageError(where, expected=f"{len(columns)} values", got=len(values))
    row = dict(zip(columns, values, strict=True))
    number = _group(where, row["group"]) if group is None else group
    if "request" not in row:
        device = parse_address(row["address"], where=f"{where}: address")
        return Listed(where, Enrolment(device, number, _commitment(where, row["commitment"])), proven=False)
    try:
        request = read_request(path.parent / row["request"])
    except ClientError as error:
        raise type(error)(
            f"{where}: {error.what}", expected=error.expected, got=error.got, hint=error.hint
        ) from error
    if compatible is not None and request.compatible != compatible:
        raise UsageError(f"{where}: product line", expected=compatible, got=request.compatible)
    return Listed(where, Enrolment(request.device, number, request.commitment), proven=True)


def _group(where: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= MAX_U24):
        raise UsageError(f"{where}: group", expected=f"0 to {MAX_U24}", got=text[:40])
    return int(text)


def _commitment(where: str, text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise UsageError(f"{where}: commitment", expected="64 hex digits", got=text[:80])
    return raw
