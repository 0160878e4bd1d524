# pragma version 0.4.3
"""
@title groups
@license Apache-2.0
@notice Which channel a group follows, which group a device is in, and the ledger's half of the breaker.
"""

from contracts.modules import governance
from contracts.modules import refuse
from contracts.modules import releases
from contracts.modules import rollouts

uses: governance
uses: releases

_ASSIGN_GROUP_TYPE: constant(bytes32) = keccak256(
    "AssignGroup(uint24 group,bytes32 leaves,bytes32 channel,uint24 epoch,uint40 deadline)"
)
_PLACE_DEVICES_TYPE: constant(bytes32) = keccak256(
    "PlaceDevices(address[] devices,uint24 group,bytes32 channel,bool retired,uint24 epoch,uint40 deadline)"
)

interface Journal:
    def place(devices: DynArray[address, 64], group: uint256, retired: bool): nonpayable

event GroupAssigned:
    group: indexed(uint256)
    channel: indexed(bytes32)
    approvers: uint256

event DevicesPlaced:
    group: indexed(uint256)
    retired: bool
    count: uint256
    approvers: uint256

# The UpdateJournal of this pair.
journal: public(immutable(address))


@deploy
def __init__(journal_: address):
    """
    @notice Names the journal of the pair.
    @param journal_ The address that the journal will be deployed to.
    """
    if journal_ == empty(address):
        refuse._no("fwledger: zero address")
    journal = journal_


@external
@view
def vote_context(group: uint256) -> (bytes32, uint256):
    """
    @notice What the journal needs to count a vote.
    @param group A device's group.
    @return The group's channel and its word.
    """
    channel: bytes32 = releases.channel_of[group]
    return channel, releases.word[channel]


@external
def trip(channel: bytes32, published_at: uint256):
    """
    @notice Halts a channel whose rollout failed on too many devices. Only the journal may.
    @param channel The channel.
    @param published_at The publication that failed; refused if the channel has moved on.
    """
    if msg.sender != journal:
        refuse._no("fwledger: caller is not the journal")
    word: uint256 = releases.word[channel]
    if (
        (word >> rollouts.PUBLISHED_AT) & rollouts.U32 != published_at
        or word & rollouts.HALTED != 0
    ):
        refuse._no("fwledger: publication is over")
    releases._halt(channel, word)


@external
def assign_group(
    group: uint24, channel: bytes32, deadline: uint40, approvals: DynArray[governance.Approval, 16]
):
    """
    @notice Sets the channel that a group follows. Spends the epoch of the channel that it leaves, or, for a new
            group, of the one that it joins.
    @param group The group.
    @param channel SHA-256 of the channel's name.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Publishers' signatures over AssignGroup, ascending by signer.
    """
    if channel == empty(bytes32):
        refuse._no("fwledger: zero channel or release")
    leaves: bytes32 = releases.channel_of[convert(group, uint256)]
    spending: bytes32 = leaves
    if leaves == empty(bytes32):
        spending = channel
    word: uint256 = releases.word[spending]
    epoch: uint256 = releases._epoch(word)
    digest: bytes32 = governance._act(
        keccak256(abi_encode(_ASSIGN_GROUP_TYPE, group, leaves, channel, epoch, deadline)),
        governance.PUBLISHER,
        convert(deadline, uint256),
        len(approvals),
    )
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.PUBLISHER, last, approvers, approval.r, approval.vs
        )
    releases.word[spending] = unsafe_add(word, 1 << rollouts.EPOCH_AT)
    releases.channel_of[convert(group, uint256)] = channel
    log GroupAssigned(group=convert(group, uint256), channel=channel, approvers=approvers)


@external
def place_devices(
    devices: DynArray[address, 64],
    group: uint24,
    retired: bool,
    deadline: uint40,
    approvals: DynArray[governance.Approval, 16],
):
    """
    @notice Moves enrolled devices to a group that follows a channel, and retires or un-retires them. Spends that
            channel's epoch.
    @param devices The devices.
    @param group Their group from now on.
    @param retired Whether the journal refuses their events from now on.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Publishers' signatures over PlaceDevices, ascending by signer.
    """
    if len(devices) == 0:
        refuse._no("fwledger: empty list")
    channel: bytes32 = releases.channel_of[convert(group, uint256)]
    if channel == empty(bytes32):
        refuse._no("fwledger: group follows no channel")
    word: uint256 = releases.word[channel]
    epoch: uint256 = releases._epoch(word)
    digest: bytes32 = governance._act(
        keccak256(
            abi_encode(
                _PLACE_DEVICES_TYPE,
                # An array is hashed without the offset and length that abi_encode puts before it.
                keccak256(slice(abi_encode(devices), 64, unsafe_mul(32, len(devices)))),
                group,
                channel,
                retired,
                epoch,
                deadline,
            )
        ),
        governance.PUBLISHER,
        convert(deadline, uint256),
        len(approvals),
    )
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.PUBLISHER, last, approvers, approval.r, approval.vs
        )
    releases.word[channel] = unsafe_add(word, 1 << rollouts.EPOCH_AT)
    log DevicesPlaced(
        group=convert(group, uint256), retired=retired, count=len(devices), approvers=approvers
    )
    extcall Journal(journal).place(devices, convert(group, uint256), retired)
