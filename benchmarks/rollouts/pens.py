"""What devices write: each event chained to the one before, as their own agent does it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ledger_protocol.report.event import NO_PREVIOUS, EventKind, UpdateEvent, chain_link, event_digest


@dataclass(frozen=True)
class Written:
    """An event, the digest that its device signs, and the `previous` of the next."""

    event: UpdateEvent
    digest: bytes

    @property
    def link(self) -> bytes:
        return chain_link(self.digest)


class Pens:
    """One pen a device, for one release and one journal."""

    def __init__(self, release: bytes, *, chain_id: int, journal: bytes) -> None:
        self._release, self._chain_id, self._journal = release, chain_id, journal
        self._last: dict[int, Written] = {}

    def write(self, device: int, kind: EventKind, at_s: int) -> Written:
        last = self._last.get(device)
        sequence = 1 if last is None else last.event.sequence + 1
        event = UpdateEvent(
            release=self._release,
            sequence=sequence,
            kind=kind,
            time=at_s,
            detail=hashlib.sha256(f"report {device} {sequence}".encode()).digest(),
            previous=NO_PREVIOUS if last is None else last.link,
        )
        written = Written(event, event_digest(event, chain_id=self._chain_id, journal=self._journal))
        self._last[device] = written
        return written
