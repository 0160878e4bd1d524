# pragma version 0.4.3
"""
@title operators
@license Apache-2.0
@notice Countersignatures of fleet owners, whom devices may pin in their trust root.
"""

from contracts.modules import governance
from contracts.modules import refuse

uses: governance

event OperatorApproved:
    operator: indexed(address)
    release: indexed(bytes32)

# When an operator approved a release; 0 = never.
approval: public(HashMap[address, HashMap[bytes32, uint256]])


@external
def approve(release: bytes32):
    """
    @notice Approves a release for the devices whose trust root pins the caller, an operator. It is not taken back.
    @param release SHA-256 of the manifest.
    """
    if governance.member[msg.sender] & governance.OPERATOR == 0:
        refuse._no("fwledger: caller is no operator")
    if release == empty(bytes32):
        refuse._no("fwledger: zero channel or release")
    if self.approval[msg.sender][release] != 0:
        refuse._no("fwledger: release is approved already")
    self.approval[msg.sender][release] = block.timestamp
    log OperatorApproved(operator=msg.sender, release=release)
