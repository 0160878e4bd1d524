"""What clients wait for on an open connection: the subscriptions of one WebSocket, bounded in number."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_chain.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_chain.storage import LogQuery

MAX_SUBSCRIPTIONS = 128  # of one connection: bounds the work that a block makes for it
_IDENTIFIER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. ``logs`` is set for kind "logs"; ``full`` asks for whole transactions, not hashes."""

    kind: str
    logs: LogQuery | None = None
    full: bool = False


@dataclass(slots=True, eq=False)
class Channel:
    """One connection, seen from the thread that owns the chain: ``push`` sends a message without waiting."""

    push: Callable[[bytes], None]
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def add(self, subscription: Subscription) -> str:
        """Keep a subscription and give its identifier; ChainError above the bound."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ChainError(f"too many subscriptions: expected at most {MAX_SUBSCRIPTIONS} a connection")
        identifier = "0x" + secrets.token_hex(_IDENTIFIER_BYTES)
        self.subscriptions[identifier] = subscription
        return identifier
