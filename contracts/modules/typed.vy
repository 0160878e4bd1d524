# pragma version 0.4.3
"""
@title typed
@license Apache-2.0
@notice EIP-712 digests. The domain separator is an immutable of the code, so the code hash of a
        deployed contract is unique for its chain and address.
"""

# keccak256 is folded by the compiler.
_DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
# EIP-2: the upper half of the group's order only repeats the lower half's signatures.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
# The s of a compact signature.
LOW_255: constant(uint256) = 2**255 - 1

DOMAIN: immutable(bytes32)


@deploy
def __init__():
    """
    @notice Fixes the domain {name "fwledger", version "1", chainId, verifyingContract} of the contract that is deployed.
    """
    DOMAIN = keccak256(abi_encode(_DOMAIN_TYPE, keccak256("fwledger"), keccak256("1"), chain.id, self))


@external
@view
def domain_separator() -> bytes32:
    """
    @notice The EIP-712 domain separator that every signature to this contract is made under.
    @return The keccak256 of the domain's struct.
    """
    return DOMAIN


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    """
    @notice What is signed for a struct: keccak256(0x1901, domain separator, struct hash).
    """
    return keccak256(concat(0x1901, DOMAIN, struct_hash))
