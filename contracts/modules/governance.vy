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
ALL_ROLES: constant(uint256) = 63

# A role word: the bits above, and in bits 8 to 23 the member's seat, which is how logs name an approver.
_ROLES: constant(uint256) = 2**8 - 1
_SEAT_AT: constant(uint256) = 8
# Who never approves anything needs no seat; a log's bitmap has 256.
_NO_SEAT: constant(uint256) = 2**16 - 1
_MAX_SEATS: constant(uint256) = 256
# An act carries at most so many approvals.
_MAX_THRESHOLD: constant(uint256) = 16

# Fields of the rules word, lowest bits first: thresholds and member counts u8 each, then govern_epoch u32, era u32 and
# the next free seat, u16.
_PUBLISH_THRESHOLD_AT: constant(uint256) = 0
_GOVERN_THRESHOLD_AT: constant(uint256) = 8
_GOVERNORS_AT: constant(uint256) = 16
_PUBLISHERS_AT: constant(uint256) = 24
_GUARDIANS_AT: constant(uint256) = 32
_ENROLLERS_AT: constant(uint256) = 40
_EPOCH_AT: constant(uint256) = 48
ERA_AT: constant(uint256) = 80
_SEATS_AT: constant(uint256) = 112
# Seat 0 stays empty: on it, who lost all roles would have the word of a stranger, and come back to a second seat.
_FIRST_SEAT: constant(uint256) = 1
# The constructor seats the members of three lists of 16.
_FIRST_SEATED: constant(uint256) = 48
U32: constant(uint256) = 2**32 - 1
_BYTE: constant(uint256) = 2**8 - 1

struct Approval:
    # A compact signature (EIP-2098): v - 27 is the top bit of s.
    r: uint256
    vs: uint256

event ThresholdsSet:
    publish: uint256
    govern: uint256

event MemberSet:
    member: indexed(address)
    roles: uint256
    seat: uint256

# Role word of an address; 0 = never a member.
member: public(HashMap[address, uint256])
# Thresholds, member counts, epoch and era of governance.
rules: public(uint256)
# Governance changes in their public delay, by digest. Entries are marked, never cleared.
queue: public(HashMap[bytes32, uint256])
# Where the manufacturer says it moved: a hint for tools, nothing that a device believes.
successor: public(address)
# Who sits on a seat.
seats: public(HashMap[uint256, address])


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
    self.rules = _FIRST_SEAT << _SEATS_AT
    for account: address in governors:
        self._join(account, GOVERNOR)
    for account: address in publishers:
        self._join(account, PUBLISHER)
    for account: address in guardians:
        self._join(account, GUARDIAN)
    for account: address in enrollers:
        self._join(account, ENROLLER)
    for seat: uint256 in range(_FIRST_SEAT, self.rules >> _SEATS_AT, bound=_FIRST_SEATED):
        self._log_member(self.seats[seat])
    for account: address in enrollers:
        if self.member[account] >> _SEAT_AT == _NO_SEAT:
            self._log_member(account)
    self._set_thresholds(publish_threshold, govern_threshold)


@external
@view
def role(account: address) -> uint256:
    """
    @notice What an address may do.
    @param account The address.
    @return Bits: 1 publisher, 2 guardian, 4 governor, 8 enroller, 16 gateway, 32 operator.
    """
    return self.member[account] & _ROLES


@external
@view
def thresholds() -> (uint256, uint256):
    """
    @notice How many approvals an act needs.
    @return Of publishers, of governors.
    """
    return self._publish_threshold(), self._govern_threshold()


@internal
def _join(account: address, bit: uint256):
    """
    @notice Gives an address one more role.
    """
    if account == empty(address):
        refuse._no("fwledger: zero address")
    roles: uint256 = self.member[account] & _ROLES
    if roles & bit != 0:
        refuse._no("fwledger: member named twice")
    self._seat(account, roles | bit)


@internal
def _log_member(account: address):
    word: uint256 = self.member[account]
    log MemberSet(member=account, roles=word & _ROLES, seat=word >> _SEAT_AT)


@internal
def _seat(account: address, roles: uint256):
    """
    @notice Sets an address's roles, counts the members anew, and gives who may approve or stop a seat for good.
    """
    word: uint256 = self.member[account]
    seat: uint256 = word >> _SEAT_AT
    if word == 0:
        seat = _NO_SEAT
    rules: uint256 = self.rules
    if seat == _NO_SEAT and roles & (PUBLISHER | GUARDIAN | GOVERNOR) != 0:
        seat = rules >> _SEATS_AT
        if seat == _MAX_SEATS:
            refuse._no("fwledger: seats used up")
        rules += 1 << _SEATS_AT
        self.seats[seat] = account
    rules = self._recounted(rules, word, roles, GOVERNOR, _GOVERNORS_AT)
    rules = self._recounted(rules, word, roles, PUBLISHER, _PUBLISHERS_AT)
    rules = self._recounted(rules, word, roles, GUARDIAN, _GUARDIANS_AT)
    rules = self._recounted(rules, word, roles, ENROLLER, _ENROLLERS_AT)
    self._enough(rules)
    self.rules = rules
    self.member[account] = roles | seat << _SEAT_AT


@internal
@pure
def _recounted(rules: uint256, before: uint256, after: uint256, bit: uint256, at: uint256) -> uint256:
    """
    @notice The rules with one role's member count as it is after an address's roles changed.
    """
    if before & bit == after & bit:
        return rules
    if after & bit == 0:
        return rules - (1 << at)
    if (rules >> at) & _BYTE == _BYTE:
        refuse._no("fwledger: too many members")
    return rules + (1 << at)


@internal
@pure
def _enough(rules: uint256):
    """
    @notice Holds both thresholds against the members who can meet them.
    """
    if (
        (rules >> _PUBLISH_THRESHOLD_AT) & _BYTE > (rules >> _PUBLISHERS_AT) & _BYTE
        or (rules >> _GOVERN_THRESHOLD_AT) & _BYTE > (rules >> _GOVERNORS_AT) & _BYTE
    ):
        refuse._no("fwledger: threshold above the members")


@internal
def _set_thresholds(publish: uint256, govern: uint256):
    if publish == 0 or govern == 0:
        refuse._no("fwledger: threshold below one")
    if publish > _MAX_THRESHOLD or govern > _MAX_THRESHOLD:
        refuse._no("fwledger: threshold above the members")
    rules: uint256 = (
        self.rules & ~(_BYTE << _PUBLISH_THRESHOLD_AT | _BYTE << _GOVERN_THRESHOLD_AT)
        | publish << _PUBLISH_THRESHOLD_AT
        | govern << _GOVERN_THRESHOLD_AT
    )
    self._enough(rules)
    self.rules = rules
    log ThresholdsSet(publish=publish, govern=govern)


@internal
@view
def _govern_epoch() -> uint256:
    return (self.rules >> _EPOCH_AT) & U32


@internal
def _spend_govern_epoch():
    self.rules += 1 << _EPOCH_AT


@internal
def _next_era():
    self.rules += 1 << ERA_AT


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
def _guardian() -> uint256:
    """
    @notice Refuses who is no guardian.
    @return The caller as a log names approvers: the bit of its seat.
    """
    word: uint256 = self.member[msg.sender]
    if word & GUARDIAN == 0:
        refuse._no("fwledger: caller is no guardian")
    return 1 << (word >> _SEAT_AT)


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
def _approver(
    digest: bytes32, bit: uint256, last: uint256, approvers: uint256, r: uint256, vs: uint256
) -> (uint256, uint256):
    """
    @notice Holds one approval: given by a holder of the role, whose address is above the one before. Callers loop
            over the approvals themselves, because to pass a list to an internal function is to copy it.
    @return The signer, and the approvers with the bit of the signer's seat added.
    """
    s: uint256 = vs & typed.LOW_255
    if s > typed.HALF_ORDER:
        refuse._no("fwledger: high s in a signature")
    signer: address = ecrecover(digest, unsafe_add(27, vs >> 255), r, s)
    word: uint256 = self.member[signer]
    if word & bit == 0:
        if signer == empty(address):
            refuse._no("fwledger: signature recovers to nobody")
        refuse._no("fwledger: signer lacks the role")
    if convert(signer, uint256) <= last:
        refuse._no("fwledger: signers not ascending")
    return convert(signer, uint256), approvers | 1 << (word >> _SEAT_AT)
