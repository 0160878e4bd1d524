"""How old a view of the ledger is, as `check` and `status` say it."""

import time
from typing import Any, Final

from device_verifier.errors import DeviceError
from device_verifier.freshness import age_text, is_over, newest_known, usable_clock
from device_verifier.ledger_view import VerifiedHeader
from device_verifier.memory import StoreMemory
from ledger_protocol.report.reasons import Reason

__all__ = [
    "clock_text",
    "is_old_view",
    "seen_document",
    "seen_sentence",
    "status_document",
    "status_sentence",
]

# A view of today needs no word, unless it came on a stick (seconds).
WORTH_A_WORD_S: Final = 86_400
_OLD: Final = (Reason.STALE_LEDGER, Reason.LEDGER_ROLLBACK)


def clock_text(at_s: int) -> str:
    """Say a time (Unix seconds) for people, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def is_old_view(error: DeviceError) -> bool:
    """Say whether a check ended because all that is on offer is real and old: a state, and no lie."""
    return error.reason in _OLD and error.header is not None


def seen_document(header: VerifiedHeader) -> dict[str, Any]:
    """Return a block that was vouched for, and its age in seconds (None without a usable clock)."""
    return {
        "block": header.number,
        "block_time": header.time,
        "witnessed_at": header.witnessed_at,
        "age_s": header.age_s,
        "least_age_s": header.least_age_s,
    }


def seen_sentence(header: VerifiedHeader, *, bundle: bool) -> str:
    """Say what a source showed and how old that is; "" where nobody needs to hear it."""
    if not bundle and header.age_s is not None and header.age_s < WORTH_A_WORD_S:
        return ""
    whose = "the bundle shows" if bundle else "this is"
    at = f", which witnesses last saw at {clock_text(header.seen_at)}" if header.seen_at > header.time else ""
    age = age_text(header.age_s, header.least_age_s)
    return f"{whose} the ledger at block {header.number} of {clock_text(header.time)}{at}: {age}"


def status_document(memory: StoreMemory, *, now_s: int | None) -> dict[str, Any] | None:
    """Return how old the newest accepted view is now, None before the first.

    `state` is fresh, stale (older than the trust root allows), or unknown-age (no usable clock, and nothing
    shows that it is stale).
    """
    floor, root = memory.floor(), memory.root()
    if floor is None or not floor.number:
        return None
    clock_s = usable_clock(now_s, root, floor)
    age_s = None if clock_s is None else max(0, clock_s - floor.fresh_at)
    least_s = max(0, newest_known(root, floor) - floor.fresh_at)
    stale = is_over(root.max_checkpoint_age, age_s=age_s, least_s=least_s)
    return {
        "state": "stale" if stale else "unknown-age" if age_s is None else "fresh",
        "seen_at": floor.fresh_at,
        "age_s": age_s,
        "least_age_s": least_s,
        "max_age_s": root.max_checkpoint_age,
    }


def status_sentence(document: dict[str, Any]) -> str:
    """Say a status document for people."""
    age = age_text(document["age_s"], document["least_age_s"])
    if document["state"] == "stale":
        return f"stale: {age}; nothing is installed from it until a newer block is proven"
    limit = document["max_age_s"]
    return age if limit is None else f"{age}, at most {limit} s allowed"
