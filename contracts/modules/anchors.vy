# pragma version 0.4.3
"""
@title anchors
@license Apache-2.0
@notice Commitments to events that stay off the chain: the root of an RFC 6962 tree, in a log that a receipt proves.
"""

from contracts.modules import devices
from contracts.modules import refuse

uses: devices

_GATEWAY: constant(uint256) = 16
# Most leaves of one tree.
_MAX_LEAVES: constant(uint256) = 4_096

event Anchored:
    gateway: indexed(address)
    root: indexed(bytes32)
    content: bytes32
    count: uint256


@external
def anchor(root: bytes32, content: bytes32, count: uint256):
    """
    @notice Commits to a batch of events off the chain. The caller must be a gateway of the ledger.
    @param root Root of the RFC 6962 tree over the leaves.
    @param content Digest of the CID under which the leaves can be fetched, unverified.
    @param count How many leaves the tree has.
    """
    if unsafe_sub(count, 1) >= _MAX_LEAVES:
        refuse._no("fwledger: an anchor has 1 to 4096 leaves")
    if staticcall devices.Ledger(devices.ledger).role(msg.sender) & _GATEWAY == 0:
        refuse._no("fwledger: caller is no gateway")
    log Anchored(gateway=msg.sender, root=root, content=content, count=count)
