"""Ask witnesses for their notes and join those on one block. No witness is believed: the note is checked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from ledger_client.errors import ClientError, UnreachableError, UsageError
from ledger_client.witness.app import PREFIX
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.proof import MAX_NOTE_BYTES
from ledger_protocol.ledger.witness_note import VerifiedNote, WitnessNote, join_notes, verify_note
from ledger_protocol.limits import MAX_WITNESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_protocol.release.trust_root import WitnessTrust


@dataclass(frozen=True, slots=True)
class Collected:
    """A note that enough witnesses signed, what it says, and why some sources did not count."""

    note: bytes
    verified: VerifiedNote
    refusals: tuple[str, ...]


def collect(sources: Sequence[str], trust: WitnessTrust, *, timeout_s: float) -> Collected:
    """Join notes from `sources` (URLs of witnesses, folders that they write, or note files) into the newest
    one that holds.

    Witnesses are rarely at the same height: those ahead are asked for the heights of those behind. Raises
    UnreachableError where no source answers, QuorumError where no block has enough signers.
    """
    _check_count(sources)
    with ThreadPoolExecutor(len(sources)) as pool:
        first = list(pool.map(lambda source: _newest(source, timeout_s), sources))
        heights = {found[1] for found in first if isinstance(found, tuple)}

        def older(place: int) -> list[bytes]:
            found, source = first[place], sources[place]
            if isinstance(found, ClientError):
                return []
            return _notes_at(source, sorted(height for height in heights if height < found[1]), timeout_s)

        more = list(pool.map(older, range(len(sources))))
    refusals = tuple(
        f"{source}: {found}"
        for source, found in zip(sources, first, strict=True)
        if isinstance(found, ClientError)
    )
    notes = [found[0] for found in first if isinstance(found, tuple)] + [one for many in more for one in many]
    if not notes:
        raise UnreachableError("no witness gave a note", got="; ".join(refusals))
    joined = join_notes(notes, trust)
    return Collected(joined, verify_note(joined, trust), refusals)


def collect_at(sources: Sequence[str], number: int, trust: WitnessTrust, *, timeout_s: float) -> bytes:
    """Join the notes of block `number` alone. Raises QuorumError where too few of the sources have one."""
    _check_count(sources)
    with ThreadPoolExecutor(len(sources)) as pool:
        found = pool.map(lambda source: _notes_at(source, [number], timeout_s), sources)
        notes = [note for many in found for note in many if _height(note) == number]
    return join_notes(notes, trust)


def _check_count(sources: Sequence[str]) -> None:
    if not 1 <= len(sources) <= MAX_WITNESSES:
        raise UsageError("sources of notes", expected=f"1 to {MAX_WITNESSES}", got=len(sources))


def _height(note: bytes) -> int | None:
    try:
        return WitnessNote.decode(note).checkpoint.number
    except ProtocolError:
        return None


def _newest(source: str, timeout_s: float) -> tuple[bytes, int] | ClientError:
    """The newest note of a source and its height, or what went wrong."""
    try:
        note = (
            _get(f"{source.rstrip('/')}{PREFIX}/newest", timeout_s)
            if _is_url(source)
            else _newest_file(Path(source))
        )
        return note, WitnessNote.decode(note).checkpoint.number
    except ClientError as error:
        return error
    except ProtocolError as error:
        return UsageError(str(error))


def _notes_at(source: str, heights: Sequence[int], timeout_s: float) -> list[bytes]:
    notes = []
    for height in heights:
        try:
            if _is_url(source):
                notes.append(_get(f"{source.rstrip('/')}{PREFIX}/notes/{height}", timeout_s))
            elif (folder := Path(source)).is_dir():
                notes.append(_read(folder / f"{height}.note"))
            else:
                notes.append(_read(folder))
        except ClientError:
            continue  # it did not sign this height, or keeps it no longer
    return notes


def _get(url: str, timeout_s: float) -> bytes:
    """A note by HTTP: bounded in size, and in time for all of it."""
    deadline = time.monotonic() + timeout_s
    data = b""
    try:
        with requests.get(url, stream=True, timeout=timeout_s, allow_redirects=False) as answer:
            if answer.status_code != requests.codes.ok:
                raise UnreachableError("no note there", got=f"HTTP status {answer.status_code}")
            for chunk in answer.iter_content(1024):
                data += chunk
                if len(data) > MAX_NOTE_BYTES or time.monotonic() > deadline:
                    raise UnreachableError("too long or too slow for a note", got=f"{len(data)} bytes")
    except (requests.RequestException, OSError, ValueError) as error:
        raise UnreachableError("the witness does not answer", got=type(error).__name__) from error
    return data


def _newest_file(path: Path) -> bytes:
    return _read(path / "newest.note" if path.is_dir() else path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_NOTE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError("cannot read the note", got=error) from error


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))
