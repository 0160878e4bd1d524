"""Takes the validator set from the header that it is meant to judge."""

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, secp256k1
from tests.conformance.broken.serving import serve

PRIME = 2**256 - 2**32 - 977


def add(one, other):
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % PRIME == 0:
        return None
    rise, run = (3 * x1 * x1, 2 * y1) if one == other else (y2 - y1, x2 - x1)
    slope = rise * pow(run, -1, PRIME)
    x = (slope * slope - x1 - x2) % PRIME
    return x, (slope * (x1 - x) - y1) % PRIME


def times(point, factor):
    result = None
    while factor:
        if factor & 1:
            result = add(result, point)
        point, factor = add(point, point), factor >> 1
    return result


def signer(digest, seal):
    """The address of who made a seal."""
    r, s, v = int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:64], "big"), seal[64]
    y = pow(r**3 + 7, (PRIME + 1) // 4, PRIME)
    if v > 1 or not r or not s or (y * y - r**3 - 7) % PRIME:
        return None
    shared = (r, y if y & 1 == v else PRIME - y)
    inverse = pow(r, -1, secp256k1.ORDER)
    base = (
        ec.derive_private_key(int.from_bytes(digest, "big") * inverse % secp256k1.ORDER, ec.SECP256K1())
        .public_key()
        .public_numbers()
    )
    x, y = add(times(shared, s * inverse % secp256k1.ORDER), (base.x, PRIME - base.y))
    return keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:]


def verify_seals(raw_header, trust):
    try:
        return honest(raw_header, trust)
    except qbft.QuorumError:
        header = qbft.parse_header(raw_header)
        extra = qbft.parse_extra(header.extra_data)
        digest = qbft.seal_digest(header)
        listed = set(extra.validators)
        if len(listed & {signer(digest, seal) for seal in extra.seals}) < max(1, qbft.quorum(len(listed))):
            raise
        return header


honest, qbft.verify_seals = qbft.verify_seals, verify_seals

serve()
