# pragma version 0.4.3
"""
@title votes
@license Apache-2.0
@notice What devices' events mean for a rollout: tallies by publication, one vote a device, and the breaker. A tally's
        fields, lowest bits first: installed, confirmed, failed u32 each, first 160 bits of the channel.
        A publication is known by its release and second: publish on two channels in two blocks. In one block, the
        same release keeps only the first voter's channel, and a vote opened on one may be closed on the other.
"""

from contracts.modules import devices
from contracts.modules import rollouts

uses: devices

# Event kinds that vote, in the order of the protocol.
INSTALLED: constant(uint256) = 2
CONFIRMED: constant(uint256) = 3
FAILED: constant(uint256) = 5

CONFIRMED_AT: constant(uint256) = 32
FAILED_AT: constant(uint256) = 64
# First 160 bits of a channel id.
CHANNEL: constant(uint256) = max_value(uint256) - (2**96 - 1)

interface Ledger:
    def vote_context(group: uint256) -> (bytes32, uint256): view
    def head(channel: bytes32) -> bytes32: view
    def trip(channel: bytes32, published_at: uint256): nonpayable

# release -> published_at -> tally
tally: public(HashMap[bytes32, HashMap[uint256, uint256]])


@internal
def _vote(word: uint256, member: address, release: bytes32, kind: uint256) -> uint256:
    """
    @notice Counts an event of a voting kind (installed, confirmed, reverted, failed) where it counts.
    @return The device's word, with its vote opened or closed.
    """
    if kind != INSTALLED and word & devices.OPEN != 0:
        open_at: uint256 = (word >> devices.COUNTED_AT) & devices.U32
        votes: uint256 = self.tally[release][open_at]
        if votes != 0:
            votes = self._closed(votes, kind)
            self.tally[release][open_at] = votes
            if kind != CONFIRMED:
                group: uint256 = (word >> devices.GROUP_AT) & devices.U24
                channel: bytes32 = empty(bytes32)
                rollout: uint256 = 0
                channel, rollout = staticcall Ledger(devices.ledger).vote_context(
                    group, skip_contract_check=True
                )
                self._break(channel, rollout, open_at, votes)
            return word & ~devices.OPEN
    return self._open(word, member, release, kind)


@internal
def _open(word: uint256, member: address, release: bytes32, kind: uint256) -> uint256:
    """
    @notice Opens a device's vote on its channel's publication, if it has one; a final kind closes it at once.
    """
    channel: bytes32 = empty(bytes32)
    rollout: uint256 = 0
    channel, rollout = staticcall Ledger(devices.ledger).vote_context(
        (word >> devices.GROUP_AT) & devices.U24, skip_contract_check=True
    )
    published_at: uint256 = (rollout >> rollouts.PUBLISHED_AT) & rollouts.U32
    if published_at <= (word >> devices.COUNTED_AT) & devices.U32:
        return word
    votes: uint256 = self.tally[release][published_at]
    noted: uint256 = convert(channel, uint256) & CHANNEL
    if votes == 0:
        if staticcall Ledger(devices.ledger).head(channel, skip_contract_check=True) != release:
            return word
        votes = noted
    elif votes & CHANNEL != noted:
        return word
    if not rollouts._reached(rollout, release, member):
        return word
    votes = unsafe_add(votes, 1)
    voted: uint256 = (
        word & ~(devices.OPEN | devices.U32 << devices.COUNTED_AT) | published_at << devices.COUNTED_AT
    )
    if kind == INSTALLED:
        self.tally[release][published_at] = votes
        return voted | devices.OPEN
    votes = self._closed(votes, kind)
    self.tally[release][published_at] = votes
    if kind != CONFIRMED:
        self._break(channel, rollout, published_at, votes)
    return voted


@internal
@view
def _context(group: uint256) -> (bytes32, uint256):
    """
    @notice A group's channel and its word, as the ledger has them.
    """
    return staticcall Ledger(devices.ledger).vote_context(group, skip_contract_check=True)


@internal
@view
def _noted(channel: bytes32, release: bytes32) -> uint256:
    """
    @notice An empty tally with its channel noted, if the release is the channel's head; else 0.
    """
    if staticcall Ledger(devices.ledger).head(channel, skip_contract_check=True) != release:
        return 0
    return convert(channel, uint256) & CHANNEL


@internal
@pure
def _closed(votes: uint256, kind: uint256) -> uint256:
    if kind == CONFIRMED:
        return unsafe_add(votes, 1 << CONFIRMED_AT)
    return unsafe_add(votes, 1 << FAILED_AT)


@internal
def _break(channel: bytes32, rollout: uint256, published_at: uint256, votes: uint256):
    """
    @notice Tells the ledger to halt a publication, if it is still its channel's and too many of its devices failed.
    """
    halt_bps: uint256 = (rollout >> rollouts.HALT_AT) & rollouts.U16
    failed: uint256 = (votes >> FAILED_AT) & devices.U32
    closed: uint256 = unsafe_add((votes >> CONFIRMED_AT) & devices.U32, failed)
    if (
        halt_bps != 0
        and rollout & rollouts.HALTED == 0
        and closed >= rollout >> rollouts.REPORTS_AT
        and unsafe_mul(failed, rollouts.ALL_BPS) > unsafe_mul(halt_bps, closed)
        and (rollout >> rollouts.PUBLISHED_AT) & rollouts.U32 == published_at
        and convert(channel, uint256) & CHANNEL == votes & CHANNEL
    ):
        extcall Ledger(devices.ledger).trip(channel, published_at, skip_contract_check=True)
