# pragma version 0.4.3
"""
@title rollouts
@license Apache-2.0
@notice The channel's word and the curve in it: pure, and imported by both contracts, so that ledger and journal cannot
        disagree. Fields, lowest bits first: sequence u32, security_version u24, epoch u24, flags u8 (1 halted,
        2 immediate), published_at u32, rollout_from u32, initial_bps u16, hold_hours u16, ramp_hours u16, halt_bps u16,
        min_reports u24. An act's `terms` have the same layout, with its deadline (u40) where published_at begins, and
        no epoch and no rollout_from.
"""

SECURITY_AT: constant(uint256) = 32
EPOCH_AT: constant(uint256) = 56
PUBLISHED_AT: constant(uint256) = 88
DEADLINE_AT: constant(uint256) = 88
FROM_AT: constant(uint256) = 120
INITIAL_AT: constant(uint256) = 152
HOLD_AT: constant(uint256) = 168
RAMP_AT: constant(uint256) = 184
HALT_AT: constant(uint256) = 200
REPORTS_AT: constant(uint256) = 216

U16: constant(uint256) = 2**16 - 1
U24: constant(uint256) = 2**24 - 1
U32: constant(uint256) = 2**32 - 1
U40: constant(uint256) = 2**40 - 1

HALTED: constant(uint256) = 2**80
IMMEDIATE: constant(uint256) = 2**81
# immediate, and initial_bps to min_reports: what a rollout sets.
CURVE: constant(uint256) = (2**240 - 1) - (2**152 - 1) + 2**81
# sequence and security_version: what only a publication sets.
IDENTITY: constant(uint256) = 2**56 - 1
DEADLINE: constant(uint256) = (2**128 - 1) - (2**88 - 1)

ALL_BPS: constant(uint256) = 10_000
_HOUR_S: constant(uint256) = 3_600
# "fwledger/cohort/1"
_COHORT: constant(bytes17) = 0x66776c65646765722f636f686f72742f31


@internal
@pure
def _sound(terms: uint256, allowed: uint256) -> bool:
    """
    @notice Whether terms stay in the allowed bits and describe a possible rollout.
    """
    halt_bps: uint256 = (terms >> HALT_AT) & U16
    return (
        terms & ~allowed == 0
        and (terms >> INITIAL_AT) & U16 <= ALL_BPS
        and halt_bps <= ALL_BPS
        and (halt_bps == 0 or terms >> REPORTS_AT != 0)
    )


@internal
@pure
def _share(word: uint256, time: uint256) -> uint256:
    """
    @notice The share of the fleet, in 1/10,000, that a rollout has reached at a time (Unix seconds).
    @dev A halt froze the share in initial_bps. 0 stays nobody. Hold, then an even rise to all.
    """
    if word & IMMEDIATE != 0:
        return ALL_BPS
    initial: uint256 = (word >> INITIAL_AT) & U16
    if word & HALTED != 0 or initial == 0:
        return initial
    held_until: uint256 = unsafe_add(
        (word >> FROM_AT) & U32, unsafe_mul((word >> HOLD_AT) & U16, _HOUR_S)
    )
    if time < held_until:
        return initial
    elapsed: uint256 = unsafe_sub(time, held_until)
    ramp: uint256 = unsafe_mul((word >> RAMP_AT) & U16, _HOUR_S)
    if elapsed >= ramp:
        return ALL_BPS
    return unsafe_add(initial, unsafe_div(unsafe_mul(unsafe_sub(ALL_BPS, initial), elapsed), ramp))


@internal
@view
def _reached(word: uint256, release: bytes32, device: address) -> bool:
    """
    @notice Whether the rollout has reached a device now.
    """
    share: uint256 = self._share(word, block.timestamp)
    return share == ALL_BPS or self._place(release, device) < share


@internal
@pure
def _place(release: bytes32, device: address) -> uint256:
    """
    @notice The place, 0 to 9,999, of a device in the order in which a release reaches the fleet.
    """
    hashed: bytes32 = sha256(concat(_COHORT, release, convert(device, bytes20)))
    return (convert(hashed, uint256) >> 192) % ALL_BPS


@internal
@pure
def _frozen(word: uint256, time: uint256) -> uint256:
    """
    @notice The word after a halt at a time: halted, the share reached kept as initial_bps, the next epoch.
    @dev Publishers never reach the last epoch, so a halt always has one to spend.
    """
    share: uint256 = self._share(word, time)
    return unsafe_add(
        word & ~(IMMEDIATE | U16 << INITIAL_AT) | HALTED | share << INITIAL_AT, 1 << EPOCH_AT
    )
