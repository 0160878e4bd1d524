"""The ledger's packed words, written bit by bit from the layout in the protocol (first field lowest)."""

import hashlib


def channel_id(name: str) -> bytes:
    """Give the 32 bytes by which the ledger knows a channel."""
    return hashlib.sha256(name.encode()).digest()


def channel_word(
    *,
    sequence: int,
    published_at: int,
    rollout_from: int,
    security_version: int = 1,
    epoch: int = 1,
    halted: bool = False,
    immediate: bool = True,
    initial_bps: int = 10_000,
    hold_hours: int = 0,
    ramp_hours: int = 0,
    spare_bits: int = 0,
) -> int:
    """Give `word(channel)`; `spare_bits` stand above all fields, where an honest ledger has none."""
    fields = (
        (sequence, 32),
        (security_version, 24),
        (epoch, 24),
        (halted | immediate << 1, 8),
        (published_at, 32),
        (rollout_from, 32),
        (initial_bps, 16),
        (hold_hours, 16),
        (ramp_hours, 16),
        (300, 16),  # halt_bps
        (300, 24),  # min_reports
        (spare_bits, 16),
    )
    return _packed(fields)


def revocation_word(time: int, *, reason: int, mandatory: bool) -> int:
    """Give `revoked(release)`."""
    return _packed(((time, 40), (reason, 16), (int(mandatory), 1)))


def device_word(
    *, sequence: int = 0, enrolled: bool = True, retired: bool = False, group: int, head: bytes = bytes(20)
) -> int:
    """Give `device(address)` of the journal."""
    flags = enrolled | retired << 1
    return _packed(((sequence, 32), (flags, 8), (group, 24), (0, 32), (int.from_bytes(head, "big"), 160)))


def cohort(release: bytes, device: bytes) -> int:
    """Give the place, 0 to 9,999, of a device (20 bytes) in a release's way through the fleet."""
    digest = hashlib.sha256(b"fwledger/cohort/1" + release + device).digest()
    return int.from_bytes(digest[:8], "big") % 10_000


def _packed(fields: tuple[tuple[int, int], ...]) -> int:
    word, low = 0, 0
    for value, bits in fields:
        word |= value << low
        low += bits
    return word
