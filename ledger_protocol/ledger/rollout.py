"""Which devices a rollout has reached: a curve over time and a cohort by hash, no server's plan (ledger.md,
Rules).

The journal counts a device's vote by the same rule, so both must give the same answer for every word and
time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ledger_protocol.errors import MalformedError

if TYPE_CHECKING:
    from ledger_protocol.ledger.contract_state import ChannelWord

ALL_BPS = 10_000
_COHORT_DOMAIN = b"fwledger/cohort/1"
_HOUR_S = 3_600


def share_bps(word: ChannelWord, at_s: int) -> int:
    """Give the share of the fleet, in 1/10,000, that the rollout has reached at a proven header time (Unix
    s).

    `immediate` is all at once. Otherwise `initial_bps` holds for `hold_hours` from `rollout_from`, then
    rises evenly to all within `ramp_hours`; an initial share of 0 stays nobody, and a
    halt has frozen the share reached as `initial_bps`.
    """
    if word.immediate:
        return ALL_BPS
    initial = min(word.initial_bps, ALL_BPS)
    if word.halted or initial == 0:
        return initial
    ramped_s = at_s - word.rollout_from - word.hold_hours * _HOUR_S
    if ramped_s < 0:
        return initial
    ramp_s = word.ramp_hours * _HOUR_S
    if ramped_s >= ramp_s:
        return ALL_BPS
    return initial + (ALL_BPS - initial) * ramped_s // ramp_s


def cohort(release: bytes, address: bytes) -> int:
    """Give the place, 0 to 9,999, of a device (20 bytes) in the order in which a release (32 bytes) reaches
    the fleet.
    """
    if (len(release), len(address)) != (32, 20):
        raise MalformedError(
            "cohort", expected="32 bytes of release, 20 of address", got=f"{len(release)}, {len(address)}"
        )
    return int.from_bytes(hashlib.sha256(_COHORT_DOMAIN + release + address).digest()[:8], "big") % ALL_BPS


def in_cohort(word: ChannelWord, *, release: bytes, address: bytes, at_s: int) -> bool:
    """Tell whether the rollout has reached a device at a proven header time (Unix s). A halt is not looked
    at.
    """
    return cohort(release, address) < share_bps(word, at_s)
