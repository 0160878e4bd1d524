# pragma version 0.4.3
"""
@title governance
@license Apache-2.0
@notice Who may do what, and whether enough of them approved. Roles are bits of one word an address; thresholds and
        member counts share one word.
"""

from contracts.modules import refuse
from contracts.modules import typed

uses: typed

# Bits of a role word.
PUBLISHER: constant(uint256) = 1
GUARDIAN: constant(uint256) = 2
GOVERNOR: constant(uint256) = 4
ENROLLER: constant(uint256) = 8
GATEWAY: constant(uint256) = 16
OPERATOR: constant(uint256) = 32

# Fields of the rules word, lowest bits first: thresholds and member counts u8 each, then govern_epoch u32, era u32.
_PUBLISH_THRESHOLD_AT: constant(uint256) = 0
_GOVERN_THRESHOLD_AT: constant(uint256) = 8
_GOVERNORS_AT: constant(uint256) = 16
_PUBLISHERS_AT: constant(uint256) = 24
_GUARDIANS_AT: constant(uint256) = 32
_ENROLLERS_AT: constant(uint256) = 40
_BYTE: constant(uint256) = 2**8 - 1

struct Approval:
    # A compact signature (EIP-2098): v - 27 is the top bit of s.
    r: uint256
    vs: uint256

# The role bits of an address.
role: public(HashMap[address, uint256])
# Thresholds, member counts, epoch and era of governance.
rules: public(uint256)
# Governance changes in their public delay, by digest. Entries are marked, never cleared.
queue: public(HashMap[bytes32, uint256])
# Where the manufacturer says it moved: a hint for tools, nothing that a device believes.
successor: public(address)


@deploy
def __init__(
    governors: DynArray[address, 16],
    publishers: DynArray[address, 16],
    guardians: DynArray[address, 16],
    enrollers: DynArray[address, 16],
    publish_threshold: uint256,
    govern_threshold: uint256,
):
    """
    @notice Sets the first members and thresholds.
    @param governors Addresses that may change members, thresholds and the trust root.
    @param publishers Addresses that may publish, set rollouts, resume, revoke and place devices.
    @param guardians Addresses that may halt a channel or revoke a release, each alone.
    @param enrollers Addresses that may add devices to the journal.
    @param publish_threshold How many publishers must approve an act.
    @param govern_threshold How many governors must approve an act.
    """
    if publish_threshold == 0 or govern_threshold == 0:
        refuse._no("fwledger: threshold below one")
    if publish_threshold > len(publishers) or govern_threshold > len(governors):
        refuse._no("fwledger: threshold above the members")
    for member: address in governors:
        self._join(member, GOVERNOR)
    for member: address in publishers:
        self._join(member, PUBLISHER)
    for member: address in guardians:
        self._join(member, GUARDIAN)
    for member: address in enrollers:
        self._join(member, ENROLLER)
    self.rules = (
        publish_threshold << _PUBLISH_THRESHOLD_AT
        | govern_threshold << _GOVERN_THRESHOLD_AT
        | len(governors) << _GOVERNORS_AT
        | len(publishers) << _PUBLISHERS_AT
        | len(guardians) << _GUARDIANS_AT
        | len(enrollers) << _ENROLLERS_AT
    )


@external
@view
def thresholds() -> (uint256, uint256):
    """
    @notice How many approvals an act needs.
    @return Of publishers, of governors.
    """
    return self._publish_threshold(), self._govern_threshold()


@internal
def _join(member: address, bit: uint256):
    if member == empty(address):
        refuse._no("fwledger: zero address")
    roles: uint256 = self.role[member]
    if roles & bit != 0:
        refuse._no("fwledger: member named twice")
    self.role[member] = roles | bit


@internal
@view
def _publish_threshold() -> uint256:
    return (self.rules >> _PUBLISH_THRESHOLD_AT) & _BYTE


@internal
@view
def _govern_threshold() -> uint256:
    return (self.rules >> _GOVERN_THRESHOLD_AT) & _BYTE


@internal
@view
def _act(struct_hash: bytes32, bit: uint256, deadline: uint256, count: uint256) -> bytes32:
    """
    @notice Holds an act's approvals, before each is looked at, against the deadline and the role's threshold.
    @return The digest that the approvers signed.
    """
    if block.timestamp > deadline:
        refuse._no("fwledger: approvals expired")
    at: uint256 = _PUBLISH_THRESHOLD_AT
    if bit == GOVERNOR:
        at = _GOVERN_THRESHOLD_AT
    if count < (self.rules >> at) & _BYTE:
        refuse._no("fwledger: too few approvals")
    return typed._digest(struct_hash)


@internal
@view
def _approver(digest: bytes32, bit: uint256, last: address, r: uint256, vs: uint256) -> address:
    """
    @notice Who gave one approval: a holder of the role, above the one before. Callers loop over the approvals
            themselves, because to pass a list to an internal function is to copy it.
    """
    s: uint256 = vs & typed.LOW_255
    if s > typed.HALF_ORDER:
        refuse._no("fwledger: high s in a signature")
    signer: address = ecrecover(digest, unsafe_add(27, vs >> 255), r, s)
    if self.role[signer] & bit == 0:
        if signer == empty(address):
            refuse._no("fwledger: signature recovers to nobody")
        refuse._no("fwledger: signer lacks the role")
    if convert(signer, uint256) <= convert(last, uint256):
        refuse._no("fwledger: signers not ascending")
    return signer
