# pragma version 0.4.3
"""
@title operators
@license Apache-2.0
@notice Countersignatures of fleet owners, whom devices may pin in their trust root.
"""

# When an operator approved a release; 0 = never.
approval: public(HashMap[address, HashMap[bytes32, uint256]])
