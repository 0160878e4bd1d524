# pragma version 0.4.3
# pragma evm-version paris
# pragma optimize gas
"""
@title FirmwareLedger
@license Apache-2.0
@notice What may run: governance, channels, releases, rollouts, revocations, groups, operators and the trust root of one
        manufacturer. Devices prove these words against a block header; nothing here grows with the fleet. There is no
        owner and no proxy: no act of any quorum changes or removes what was recorded.
"""

from contracts.modules import council
from contracts.modules import governance
from contracts.modules import groups
from contracts.modules import operators
from contracts.modules import releases
from contracts.modules import revocations
from contracts.modules import roots
from contracts.modules import typed

# Storage slots follow the order of these lines; tests pin them.
initializes: releases[governance := governance, revocations := revocations]
initializes: revocations[governance := governance]
initializes: operators[governance := governance]
initializes: roots[council := council, governance := governance]
initializes: governance[typed := typed]
initializes: groups[governance := governance, releases := releases]
initializes: typed
initializes: council[governance := governance]

exports: (
    council.cancel,
    council.execute_member,
    council.execute_successor,
    council.execute_thresholds,
    council.propose_member,
    council.propose_successor,
    council.propose_thresholds,
    governance.member,
    governance.queue,
    governance.role,
    governance.rules,
    governance.seats,
    governance.successor,
    governance.thresholds,
    groups.assign_group,
    groups.journal,
    groups.place_devices,
    groups.trip,
    groups.vote_context,
    operators.approval,
    operators.approve,
    releases.channel_of,
    releases.halt,
    releases.head,
    releases.publish,
    releases.resume,
    releases.set_rollout,
    releases.word,
    revocations.revoke,
    revocations.revoke_approved,
    revocations.revoked,
    roots.execute_trust_root,
    roots.propose_trust_root,
    roots.set_trust_root,
    roots.trust_root,
    roots.trust_root_version,
    typed.domain_separator,
)


@deploy
def __init__(
    journal: address,
    governors: DynArray[address, 16],
    publishers: DynArray[address, 16],
    guardians: DynArray[address, 16],
    enrollers: DynArray[address, 16],
    publish_threshold: uint256,
    govern_threshold: uint256,
):
    """
    @notice Deploys the ledger of a pair.
    @param journal Where the UpdateJournal will be: the address of the deployer's next nonce.
    @param governors Addresses that may change members, thresholds and the trust root.
    @param publishers Addresses that may publish, set rollouts, resume, revoke and place devices.
    @param guardians Addresses that may halt a channel or revoke a release, each alone.
    @param enrollers Addresses that may add devices to the journal.
    @param publish_threshold How many publishers must approve an act.
    @param govern_threshold How many governors must approve an act.
    """
    typed.__init__()
    groups.__init__(journal)
    governance.__init__(
        governors, publishers, guardians, enrollers, publish_threshold, govern_threshold
    )


@external
@pure
def interface_version() -> uint256:
    """
    @notice The version of this interface, which clients check before they speak.
    @return The version.
    """
    return 1
