"""How old a view of the ledger is, by whatever tells the device the time: its clock, or what it saw proven.

With a clock the age is known. Without one only a lower bound is: a trust root was issued later, or the image
built later. `max_checkpoint_age` of the trust root is held against the one that there is; without either the
age is unknown, and shown as that.
"""

from typing import Final

from device_verifier.ledger_view import LedgerFloor
from ledger_protocol.release.trust_root import TrustRoot

__all__ = ["MAX_CLOCK_LEAD_S", "age_text", "duration_text", "is_over", "newest_known", "usable_clock"]

# A header may be this far ahead of the device's clock (seconds): a day covers any drift and a wrong time
# zone, and still stops a quorum of stolen validator keys from pushing the floor years ahead, where it would
# refuse the truth.
MAX_CLOCK_LEAD_S: Final = 86_400
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def newest_known(root: TrustRoot, floor: LedgerFloor | None) -> int:
    """Return the newest time (Unix seconds) that this device has seen vouched for: it is not earlier now."""
    seen = 0 if floor is None else max(floor.fresh_at, floor.built_at)
    return max(root.issued_at, root.ledger.from_time, seen)


def usable_clock(now_s: int | None, root: TrustRoot, floor: LedgerFloor | None) -> int | None:
    """Return the clock, unless it is provably wrong: behind what this device has already seen proven."""
    return None if now_s is None or now_s < newest_known(root, floor) - MAX_CLOCK_LEAD_S else now_s


def is_over(limit_s: int | None, *, age_s: int | None, least_s: int) -> bool:
    """Say whether a view is older than `max_checkpoint_age` allows, as far as the device can know."""
    return limit_s is not None and (least_s if age_s is None else age_s) > limit_s


def age_text(age_s: int | None, least_s: int) -> str:
    """Say an age for people."""
    if age_s is not None:
        return f"{duration_text(age_s)} old"
    bound = f", at least {duration_text(least_s)}" if least_s else ""
    return f"age unknown (no clock){bound}"


def duration_text(seconds: int) -> str:
    """Say a duration for people, to two digits or better."""
    for unit_s, name, from_s in (
        (_DAY_S, "days", 2 * _DAY_S),
        (_HOUR_S, "h", 2 * _HOUR_S),
        (_MINUTE_S, "min", 10 * _MINUTE_S),
    ):
        if seconds >= from_s:
            return f"{seconds // unit_s} {name}"
    return f"{seconds} s"
