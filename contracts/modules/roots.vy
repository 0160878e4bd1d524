# pragma version 0.4.3
"""
@title roots
@license Apache-2.0
@notice The digest of the newest trust root. It authorises nothing: it shows a device that it misses one.
"""

from contracts.modules import council
from contracts.modules import governance
from contracts.modules import refuse

uses: council
uses: governance

_SET_TRUST_ROOT_TYPE: constant(bytes32) = keccak256(
    "SetTrustRoot(bytes32 digest,uint32 version,bytes32 envelope,uint40 deadline)"
)

_ANNOUNCE_TRUST_ROOT_TYPE: constant(bytes32) = keccak256(
    "AnnounceTrustRoot(bytes32 digest,uint32 version,bytes32 envelope,uint32 epoch,uint40 deadline)"
)

event TrustRootProposed:
    id: indexed(bytes32)
    version: indexed(uint256)
    digest: bytes32
    envelope: bytes32
    epoch: uint256
    deadline: uint256
    ready_at: uint256
    approvers: uint256

event TrustRootSet:
    version: indexed(uint256)
    digest: bytes32
    envelope: bytes32
    approvers: uint256

# SHA-256 of the newest trust-root document.
trust_root: public(bytes32)
# Its version. Devices prove only the digest.
trust_root_version: public(uint256)


@external
def set_trust_root(
    digest: bytes32,
    version: uint32,
    envelope: bytes32,
    deadline: uint40,
    approvals: DynArray[governance.Approval, 16],
):
    """
    @notice Announces this ledger's first trust root, at once: nobody follows the ledger yet whom a delay would protect.
            Every later one is proposed, and public for two days.
    @param digest SHA-256 of the document.
    @param version Its version: any but 0, since a fleet that moves here brings its own.
    @param envelope Digest of the signed document's CID: where to find it, unverified.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Governors' signatures over SetTrustRoot, ascending by signer.
    """
    if self.trust_root_version != 0:
        refuse._no("fwledger: trust root must be proposed")
    if digest == empty(bytes32):
        refuse._no("fwledger: zero digest")
    if version == 0:
        refuse._no("fwledger: trust root version is not the next")
    signed: bytes32 = governance._act(
        keccak256(abi_encode(_SET_TRUST_ROOT_TYPE, digest, version, envelope, deadline)),
        governance.GOVERNOR,
        convert(deadline, uint256),
        len(approvals),
    )
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            signed, governance.GOVERNOR, last, approvers, approval.r, approval.vs
        )
    self.trust_root = digest
    self.trust_root_version = convert(version, uint256)
    log TrustRootSet(
        version=convert(version, uint256), digest=digest, envelope=envelope, approvers=approvers
    )


@external
def propose_trust_root(
    digest: bytes32,
    version: uint32,
    envelope: bytes32,
    deadline: uint40,
    approvals: DynArray[governance.Approval, 16],
):
    """
    @notice Proposes the next trust root, public for two days before it is announced to devices.
    @param digest SHA-256 of the document.
    @param version Its version.
    @param envelope Digest of the signed document's CID: where to find it, unverified.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Governors' signatures over AnnounceTrustRoot, ascending by signer.
    """
    if digest == empty(bytes32):
        refuse._no("fwledger: zero digest")
    epoch: uint256 = governance._govern_epoch()
    id: bytes32 = keccak256(
        abi_encode(_ANNOUNCE_TRUST_ROOT_TYPE, digest, version, envelope, epoch, deadline)
    )
    ready_at: uint256 = 0
    approvers: uint256 = 0
    ready_at, approvers = council._propose(
        id, empty(address), convert(deadline, uint256), approvals
    )
    log TrustRootProposed(
        id=id,
        version=convert(version, uint256),
        digest=digest,
        envelope=envelope,
        epoch=epoch,
        deadline=convert(deadline, uint256),
        ready_at=ready_at,
        approvers=approvers,
    )


@external
def execute_trust_root(
    digest: bytes32, version: uint256, envelope: bytes32, epoch: uint256, deadline: uint256
):
    """
    @notice Announces a proposed trust root. Anyone may, after the delay.
    @param digest As proposed.
    @param version As proposed: the version before, plus one exactly.
    @param envelope As proposed.
    @param epoch As proposed.
    @param deadline As proposed.
    """
    id: bytes32 = keccak256(
        abi_encode(_ANNOUNCE_TRUST_ROOT_TYPE, digest, version, envelope, epoch, deadline)
    )
    # No Executed log, for which the gas bar has no room: the queue's entry says which proposal this was.
    governance.queue[id] = council._ready(id) | council.EXECUTED
    if version != unsafe_add(self.trust_root_version, 1):
        refuse._no("fwledger: trust root version is not the next")
    self.trust_root = digest
    self.trust_root_version = version
    log TrustRootSet(
        version=version, digest=digest, envelope=envelope, approvers=0
    )
