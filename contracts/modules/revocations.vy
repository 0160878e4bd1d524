# pragma version 0.4.3
"""
@title revocations
@license Apache-2.0
@notice Which releases must not be installed any more. A revocation is for ever; a plain one may become mandatory.
"""

from contracts.modules import governance
from contracts.modules import refuse

uses: governance

_MANDATORY: constant(uint256) = 2**56

_REVOKE_TYPE: constant(bytes32) = keccak256(
    "Revoke(bytes32 release,uint16 reason,bool mandatory,uint40 deadline)"
)

event Revoked:
    release: indexed(bytes32)
    reason: uint256
    mandatory: bool
    approvers: uint256

# time u40, reason u16, mandatory bit; 0 = not revoked.
revoked: public(HashMap[bytes32, uint256])


@external
def revoke(release: bytes32, reason: uint16):
    """
    @notice Stops new installs of a release, for ever. One guardian may, alone.
    @param release SHA-256 of the manifest.
    @param reason The manufacturer's own code.
    """
    by: uint256 = governance._guardian()
    if self.revoked[release] != 0:
        refuse._no("fwledger: release is revoked")
    self._revoke(release, convert(reason, uint256), False, by)


@external
def revoke_approved(
    release: bytes32,
    reason: uint16,
    mandatory: bool,
    deadline: uint40,
    approvals: DynArray[governance.Approval, 16],
):
    """
    @notice Stops new installs of a release, for ever; if mandatory, devices that run it leave it at once.
    @param release SHA-256 of the manifest.
    @param reason The manufacturer's own code; that of a first, plain revocation stays recorded.
    @param mandatory Whether devices must leave it at once. A plain revocation may become mandatory, never the reverse.
    @param deadline Last Unix second at which the approvals count.
    @param approvals Publishers' signatures over Revoke, ascending by signer.
    """
    recorded: uint256 = self.revoked[release]
    if recorded != 0 and (recorded & _MANDATORY != 0 or not mandatory):
        refuse._no("fwledger: release is revoked")
    digest: bytes32 = governance._act(
        keccak256(abi_encode(_REVOKE_TYPE, release, reason, mandatory, deadline)),
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
    self._revoke(release, convert(reason, uint256), mandatory, approvers)


@internal
def _revoke(release: bytes32, reason: uint256, mandatory: bool, approvers: uint256):
    if release == empty(bytes32):
        refuse._no("fwledger: zero channel or release")
    entry: uint256 = self.revoked[release]
    if entry == 0:
        entry = block.timestamp | reason << 40
    if mandatory:
        entry |= _MANDATORY
    self.revoked[release] = entry
    log Revoked(release=release, reason=reason, mandatory=mandatory, approvers=approvers)
