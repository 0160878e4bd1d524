# pragma version 0.4.3
"""
@title typed
@license Apache-2.0
@notice EIP-712 digests and signer recovery. The domain separator is an immutable of the code, so the code hash of a
        deployed contract is unique for its chain and address.
"""

from contracts.modules import refuse

# keccak256 is folded by the compiler.
_DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
# EIP-2: the upper half of the group's order only repeats the lower half's signatures.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
# The s of a compact signature.
LOW_255: constant(uint256) = 2**255 - 1

_DOMAIN: immutable(bytes32)


@deploy
def __init__():
    """
    @notice Fixes the domain {name "fwledger", version "1", chainId, verifyingContract} of the contract that is deployed.
    """
    _DOMAIN = keccak256(abi_encode(_DOMAIN_TYPE, keccak256("fwledger"), keccak256("1"), chain.id, self))


@external
@view
def domain_separator() -> bytes32:
    """
    @notice The EIP-712 domain separator that every signature to this contract is made under.
    @return The keccak256 of the domain's struct.
    """
    return _DOMAIN


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    """
    @notice What is signed for a struct: keccak256(0x1901, domain separator, struct hash).
    """
    return keccak256(concat(0x1901, _DOMAIN, struct_hash))


@internal
@pure
def _recover(digest: bytes32, r: uint256, vs: uint256) -> address:
    """
    @notice Recovers who signed a digest, from an EIP-2098 compact signature: v - 27 is the top bit of s. The zero
            address if nobody did.
    """
    s: uint256 = vs & LOW_255
    if s > HALF_ORDER:
        refuse._no("fwledger: high s in a signature")
    return ecrecover(digest, unsafe_add(27, vs >> 255), r, s)
