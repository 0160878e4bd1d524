"""Each refusal of the contracts as its own exception, with what a person can do about it.

The reasons are those of the contracts' sources; a test enumerates both and compares.
"""

from __future__ import annotations

import re

from ledger_client.errors import RevertedError
from ledger_client.refusals import devices, governance, releases

PREFIX = "fwledger: "

# Error(string), the form in which Solidity and Vyper give a reason: selector, then the ABI encoding of one
# text.
_ERROR_SELECTOR = "0x08c379a0"
_MAX_REASON_CHARS = 64

REFUSALS: dict[str, type[RevertedError]] = {
    found.reason: found
    for module in (devices, governance, releases)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, RevertedError) and found is not RevertedError
}


def refusal(message: str, data: object, *, call: str) -> RevertedError:
    """The exception for a revert, from the node's message and the revert data (hex text, or None).

    A reason that is not ours, or none at all, is a plain RevertedError that says so.
    """
    reason = _reason_of(data) or _reason_in(message)
    known = REFUSALS.get(reason.removeprefix(PREFIX))
    if known is not None:
        return known(call=call)
    if not reason:
        return RevertedError(
            call=call,
            hint="malformed or over-long arguments are refused without a reason; is this the right contract?",
        )
    return RevertedError(reason=reason.removeprefix(PREFIX), call=call)


def _reason_of(data: object) -> str:
    if not isinstance(data, str) or not data.startswith(_ERROR_SELECTOR):
        return ""
    try:
        raw = bytes.fromhex(data[len(_ERROR_SELECTOR) :])
        size = int.from_bytes(raw[32:64], "big")
        return raw[64 : 64 + size].decode()[:_MAX_REASON_CHARS] if len(raw) >= 64 + size else ""
    except ValueError:
        return ""


def _reason_in(message: str) -> str:
    """Nodes that give no data put the reason into the message, each in its own frame of words."""
    found = re.search(re.escape(PREFIX) + r"[a-z',0-9 -]{1,64}", message)
    return found.group(0).strip() if found else ""
