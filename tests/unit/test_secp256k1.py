import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ledger_protocol.errors import MalformedError
from ledger_protocol.ledger import secp256k1

PRIVATE = ec.derive_private_key(77, ec.SECP256K1())
KEY = secp256k1.PublicKey.of(PRIVATE)
DIGEST = b"d" * 32
HALF = secp256k1.ORDER // 2


def halves(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        (DIGEST[1:], bytes(64)),
        (DIGEST + b"d", bytes(64)),
        (DIGEST, bytes(63)),
        (DIGEST, bytes(65)),
        (b"", b""),
    ],
)
def test_another_length_of_digest_or_signature_is_no_signature(digest, signature):
    assert KEY.has_signed(digest, signature) is False


def test_a_right_signature_with_a_byte_behind_it_is_none():
    right = secp256k1.sign(PRIVATE, DIGEST)
    assert KEY.has_signed(DIGEST, right) is True
    assert KEY.has_signed(DIGEST, right + b"\0") is False


@pytest.mark.parametrize(
    ("s", "low"), [(0, True), (1, True), (HALF, True), (HALF + 1, False), (2**256 - 1, False)]
)
def test_s_is_low_up_to_half_of_the_order(s, low):
    assert secp256k1.has_low_s(halves(2**255, s)) is low
    assert secp256k1.has_low_s(halves(0, s)) is low


def test_every_signature_made_here_has_low_s_and_is_right():
    for n in range(40):
        signature = secp256k1.sign(PRIVATE, bytes([n]) * 32)
        assert len(signature) == 64
        assert secp256k1.has_low_s(signature)
        assert KEY.has_signed(bytes([n]) * 32, signature)


@pytest.mark.parametrize(
    "raw", [b"", KEY.raw[:64], KEY.raw + b"\0", b"\5" + KEY.raw[1:], b"\2" + KEY.raw[1:33], b"\4" + bytes(64)]
)
def test_a_key_is_an_uncompressed_point_of_the_curve(raw):
    with pytest.raises(MalformedError):
        secp256k1.PublicKey.from_bytes(raw)


def test_the_address_is_that_of_ethereum():
    one = secp256k1.PublicKey.of(ec.derive_private_key(1, ec.SECP256K1()))
    assert one.address.hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
