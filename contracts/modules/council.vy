# pragma version 0.4.3
"""
@title council
@license Apache-2.0
@notice Changes of governance: proposed by enough governors, public for two days, then executed by anyone within
        two weeks. A guardian may cancel one, except its own removal. A change of members or thresholds begins an era,
        which voids all others.
"""

from contracts.modules import governance
from contracts.modules import refuse

uses: governance

# How long a change is public before it can be executed: 48 hours, in seconds.
DELAY_S: constant(uint256) = 172_800
# For how long it can be executed then: 14 days, in seconds. What nobody remembers does not happen by surprise.
WINDOW_S: constant(uint256) = 1_209_600

# Fields of a queue entry, lowest bits first: ready_at u40, era u32, executed and cancelled bits, and in the top 160
# bits the guardian whom the change removes.
_U40: constant(uint256) = 2**40 - 1
_ERA_AT: constant(uint256) = 40
EXECUTED: constant(uint256) = 2**72
_CANCELLED: constant(uint256) = 2**73
_REMOVED_AT: constant(uint256) = 96

_SET_MEMBER_TYPE: constant(bytes32) = keccak256(
    "SetMember(address account,uint8 roles,uint32 epoch,uint40 deadline)"
)
_SET_THRESHOLDS_TYPE: constant(bytes32) = keccak256(
    "SetThresholds(uint8 publish,uint8 govern,uint32 epoch,uint40 deadline)"
)
_NAME_SUCCESSOR_TYPE: constant(bytes32) = keccak256(
    "NameSuccessor(address successor,uint32 epoch,uint40 deadline)"
)

event MemberProposed:
    id: indexed(bytes32)
    account: indexed(address)
    roles: uint256
    epoch: uint256
    deadline: uint256
    ready_at: uint256
    approvers: uint256

event ThresholdsProposed:
    id: indexed(bytes32)
    publish: uint256
    govern: uint256
    epoch: uint256
    deadline: uint256
    ready_at: uint256
    approvers: uint256

event SuccessorProposed:
    id: indexed(bytes32)
    successor: indexed(address)
    epoch: uint256
    deadline: uint256
    ready_at: uint256
    approvers: uint256

event SuccessorNamed:
    successor: indexed(address)

event Executed:
    id: indexed(bytes32)

event Cancelled:
    id: indexed(bytes32)
    by: indexed(address)


@external
def propose_member(
    account: address, roles: uint8, deadline: uint40, approvals: DynArray[governance.Approval, 16]
):
    """
    @notice Proposes what an address may do from now on. No role at all removes it.
    @param account The address.
    @param roles Bits: 1 publisher, 2 guardian, 4 governor, 8 enroller, 16 gateway, 32 operator.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Governors' signatures over SetMember, ascending by signer.
    """
    if account == empty(address):
        refuse._no("fwledger: zero address")
    bits: uint256 = convert(roles, uint256)
    if bits > governance.ALL_ROLES:
        refuse._no("fwledger: unknown role")
    removed: address = empty(address)
    if governance.member[account] & ~bits & governance.GUARDIAN != 0:
        removed = account
    epoch: uint256 = governance._govern_epoch()
    id: bytes32 = self._member_id(account, bits, epoch, convert(deadline, uint256))
    ready_at: uint256 = 0
    approvers: uint256 = 0
    ready_at, approvers = self._propose(id, removed, convert(deadline, uint256), approvals)
    log MemberProposed(
        id=id,
        account=account,
        roles=bits,
        epoch=epoch,
        deadline=convert(deadline, uint256),
        ready_at=ready_at,
        approvers=approvers,
    )


@external
def execute_member(account: address, roles: uint256, epoch: uint256, deadline: uint256):
    """
    @notice Executes a proposed change of a member. Anyone may, after the delay.
    @param account As proposed.
    @param roles As proposed.
    @param epoch As proposed.
    @param deadline As proposed.
    """
    bits: uint256 = roles
    self._take(self._member_id(account, bits, epoch, deadline))
    governance._seat(account, bits)
    governance._log_member(account)
    governance._next_era()


@external
def propose_thresholds(
    publish: uint8, govern: uint8, deadline: uint40, approvals: DynArray[governance.Approval, 16]
):
    """
    @notice Proposes how many approvals acts need from now on.
    @param publish Of publishers.
    @param govern Of governors.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Governors' signatures over SetThresholds, ascending by signer.
    """
    epoch: uint256 = governance._govern_epoch()
    id: bytes32 = keccak256(abi_encode(_SET_THRESHOLDS_TYPE, publish, govern, epoch, deadline))
    ready_at: uint256 = 0
    approvers: uint256 = 0
    ready_at, approvers = self._propose(id, empty(address), convert(deadline, uint256), approvals)
    log ThresholdsProposed(
        id=id,
        publish=convert(publish, uint256),
        govern=convert(govern, uint256),
        epoch=epoch,
        deadline=convert(deadline, uint256),
        ready_at=ready_at,
        approvers=approvers,
    )


@external
def execute_thresholds(publish: uint256, govern: uint256, epoch: uint256, deadline: uint256):
    """
    @notice Executes proposed thresholds. Anyone may, after the delay.
    @param publish As proposed.
    @param govern As proposed.
    @param epoch As proposed.
    @param deadline As proposed.
    """
    self._take(keccak256(abi_encode(_SET_THRESHOLDS_TYPE, publish, govern, epoch, deadline)))
    governance._set_thresholds(publish, govern)
    governance._next_era()


@external
def propose_successor(
    successor: address, deadline: uint40, approvals: DynArray[governance.Approval, 16]
):
    """
    @notice Proposes where tools should look for a newer ledger. Devices believe only a trust root.
    @param successor The newer ledger.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Governors' signatures over NameSuccessor, ascending by signer.
    """
    epoch: uint256 = governance._govern_epoch()
    id: bytes32 = keccak256(abi_encode(_NAME_SUCCESSOR_TYPE, successor, epoch, deadline))
    ready_at: uint256 = 0
    approvers: uint256 = 0
    ready_at, approvers = self._propose(id, empty(address), convert(deadline, uint256), approvals)
    log SuccessorProposed(
        id=id,
        successor=successor,
        epoch=epoch,
        deadline=convert(deadline, uint256),
        ready_at=ready_at,
        approvers=approvers,
    )


@external
def execute_successor(successor: address, epoch: uint256, deadline: uint256):
    """
    @notice Executes a proposed successor. Anyone may, after the delay.
    @param successor As proposed.
    @param epoch As proposed.
    @param deadline As proposed.
    """
    self._take(keccak256(abi_encode(_NAME_SUCCESSOR_TYPE, successor, epoch, deadline)))
    governance.successor = successor
    log SuccessorNamed(successor=successor)


@external
def cancel(id: bytes32):
    """
    @notice Cancels a proposed change. One guardian may, alone, except its own removal.
    @param id The change, as its proposal's log names it.
    """
    governance._guardian()
    entry: uint256 = self._pending(id)
    if entry >> _REMOVED_AT == convert(msg.sender, uint256):
        refuse._no("fwledger: own removal is not cancelled")
    governance.queue[id] = entry | _CANCELLED
    log Cancelled(id=id, by=msg.sender)


@internal
@pure
def _member_id(account: address, roles: uint256, epoch: uint256, deadline: uint256) -> bytes32:
    return keccak256(abi_encode(_SET_MEMBER_TYPE, account, roles, epoch, deadline))


@internal
def _propose(
    id: bytes32, removed: address, deadline: uint256, approvals: DynArray[governance.Approval, 16]
) -> (uint256, uint256):
    """
    @notice Queues a change, whose id is the struct hash that governors signed, and spends their epoch.
    @return When it can be executed, and who approved it.
    """
    digest: bytes32 = governance._act(id, governance.GOVERNOR, deadline, len(approvals))
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.GOVERNOR, last, approvers, approval.r, approval.vs
        )
    ready_at: uint256 = block.timestamp + DELAY_S
    governance.queue[id] = (
        ready_at | ((governance.rules >> governance.ERA_AT) & governance.U32) << _ERA_AT | convert(removed, uint256) << _REMOVED_AT
    )
    governance._spend_govern_epoch()
    return ready_at, approvers


@internal
@view
def _pending(id: bytes32) -> uint256:
    """
    @notice The entry of a change that is neither executed nor cancelled nor of an earlier era.
    """
    entry: uint256 = governance.queue[id]
    if entry == 0:
        refuse._no("fwledger: change is not proposed")
    era: uint256 = governance.rules >> governance.ERA_AT
    if entry & (EXECUTED | _CANCELLED) | (entry >> _ERA_AT ^ era) & governance.U32 != 0:
        refuse._no("fwledger: change is over")
    return entry


@internal
@view
def _ready(id: bytes32) -> uint256:
    """
    @notice The entry of a pending change whose delay is over, and whose time to be executed is not.
    """
    entry: uint256 = self._pending(id)
    # Before the delay is over the difference is huge.
    if unsafe_sub(block.timestamp, entry & _U40) > WINDOW_S:
        if block.timestamp < entry & _U40:
            refuse._no("fwledger: change must wait")
        refuse._no("fwledger: change has lapsed")
    return entry


@internal
def _take(id: bytes32):
    """
    @notice Marks a change as executed, if it is ready. The log tells changes of the same content apart.
    """
    governance.queue[id] = self._ready(id) | EXECUTED
    log Executed(id=id)
