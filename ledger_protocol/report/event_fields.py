"""An event inside a dag-cbor document: the list of its six fields, in the order of the signed struct
(protocol.md §6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_protocol.errors import MalformedError
from ledger_protocol.fields import octets
from ledger_protocol.limits import MAX_TIME_S, MAX_U32
from ledger_protocol.report.event import EventKind, UpdateEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_protocol.content import dag_cbor
    from ledger_protocol.content.dag_cbor import Value

EVENT_FIELDS = 6


def event_values(event: UpdateEvent) -> Sequence[dag_cbor.Encodable]:
    """Give the list that stands for an event."""
    return [event.release, event.sequence, int(event.kind), event.time, event.detail, event.previous]


def read_event(items: Sequence[Value]) -> UpdateEvent:
    """Read an event from its list. Raises MalformedError."""
    if len(items) != EVENT_FIELDS:
        raise MalformedError("event", expected=f"{EVENT_FIELDS} fields", got=len(items))
    release, sequence, kind, time, detail, previous = items
    return UpdateEvent(
        release=octets(release, size=32, where="event.release"),
        sequence=_integer(sequence, MAX_U32, "event.sequence"),
        kind=EventKind(_integer(kind, max(EventKind), "event.kind", low=1)),
        time=_integer(time, MAX_TIME_S, "event.time"),
        detail=octets(detail, size=32, where="event.detail"),
        previous=octets(previous, size=32, where="event.previous"),
    )


def _integer(value: Value, high: int, where: str, *, low: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MalformedError(where, expected=f"integer {low} to {high}")
    return value
