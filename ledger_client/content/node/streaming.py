"""Ends an answer that cannot be completed in a way that its receiver notices."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ledger_client.errors import ClientError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG: Final = logging.getLogger(__name__)


class BrokenOffError(Exception):
    """Ends a connection without its last chunk: the only way left to say that what was sent is not all."""


def guarded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces; what goes wrong after the first is logged in one line and ends the connection."""
    try:
        yield from pieces
    except (ClientError, ProtocolError) as error:
        _LOG.warning("answer broken off: %s", error)
        raise BrokenOffError from error
