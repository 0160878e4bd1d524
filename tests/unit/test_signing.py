import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, utils, x25519
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, QuorumError, SignatureError
from ledger_protocol.fields import Fields
from ledger_protocol.release import signing
from ledger_protocol.release.signing import (
    MANIFEST_TYPE,
    TRUST_ROOT_TYPE,
    PublicKey,
    Signature,
    pae,
    sign,
    signature_from_raw,
    verify_threshold,
)
from tests.fuzzing import decodes_strictly, mutated
from tests.protocol_makers import ec_key, ed25519_key, public

ED, EC = ed25519_key("a"), ec_key("b")
ED_KEY, EC_KEY = public(ED, EC)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIME = 2**255 - 19
DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def spki(key) -> bytes:
    return key.public_key().public_bytes(DER, SPKI)


def compressed(key) -> bytes:
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    return bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point


# --- keys ---


@pytest.mark.parametrize(
    ("encoded", "named"),
    [
        (spki(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "RSA"),
        (spki(dsa.generate_private_key(key_size=1024)), "DSA"),
        (spki(ed448.Ed448PrivateKey.generate()), "Ed448"),
        (spki(x25519.X25519PrivateKey.generate()), "X25519"),
        (spki(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (spki(ec.generate_private_key(ec.SECP384R1())), "P-384"),
        (spki(ec.generate_private_key(ec.SECP521R1())), "P-521"),
        (compressed(EC), "not an uncompressed point"),
        (b"", "0 bytes"),
        (b"ssh-ed25519 AAAA", "another kind"),
    ],
)
def test_other_kinds_of_keys_are_refused_by_name(encoded, named):
    with pytest.raises(SignatureError, match=named):
        PublicKey.from_der(encoded)


def test_an_rsa_key_in_pem_is_refused_by_name():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(SignatureError, match="RSA"):
        PublicKey.from_pem(key.public_key().public_bytes(serialization.Encoding.PEM, SPKI))


@pytest.mark.parametrize(
    "pem", [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_broken_pem_is_refused(pem):
    with pytest.raises(SignatureError, match="PEM"):
        PublicKey.from_pem(pem)


@pytest.mark.parametrize("key", [ED_KEY, EC_KEY], ids=["ed25519", "p256"])
def test_trailing_and_missing_bytes_of_a_key_are_refused(key):
    for encoded in (key.spki + b"\0", key.spki[:-1], b"\x30\x81" + key.spki[1:]):
        with pytest.raises(SignatureError):
            PublicKey(encoded)


@pytest.mark.parametrize(("key", "head"), [(ED_KEY, 12), (EC_KEY, 27)], ids=["ed25519", "p256"])
def test_each_changed_byte_before_the_point_is_refused(key, head):
    for at in range(head):
        with pytest.raises(SignatureError):
            PublicKey(key.spki[:at] + bytes((key.spki[at] ^ 1,)) + key.spki[at + 1 :])


def test_a_point_off_the_curve_is_refused():
    with pytest.raises(SignatureError, match="on the curve"):
        PublicKey(EC_KEY.spki[:-1] + bytes((EC_KEY.spki[-1] ^ 1,)))


def test_the_point_at_infinity_is_refused():
    with pytest.raises(SignatureError):
        PublicKey(EC_KEY.spki[:-64] + bytes(64))


def _edwards_double(y):
    """The y of twice a point of Ed25519 with this y: (y² + x²) / (2 + x² - y²) (RFC 8032 §5.1)."""
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    xx = (y * y - 1) * pow(d * y * y + 1, -1, PRIME) % PRIME
    return (y * y + xx) * pow(2 + xx - y * y, -1, PRIME) % PRIME


SMALL_Y = sorted(signing._SMALL_ORDER_Y)


@pytest.mark.parametrize("y", SMALL_Y)
def test_a_key_of_small_order_is_refused(y):
    assert _edwards_double(_edwards_double(_edwards_double(y))) == 1  # its order divides 8
    for sign_bit in (0, 1 << 255):
        with pytest.raises(SignatureError, match="large order"):
            PublicKey(ED_KEY.spki[:12] + (y | sign_bit).to_bytes(32, "little"))


def test_all_points_of_small_order_are_listed():
    order_8 = SMALL_Y[2]
    assert sorted({0, 1, PRIME - 1, order_8, PRIME - order_8}) == SMALL_Y
    assert _edwards_double(order_8) == 0  # a point of order 4, so this one has order 8


@pytest.mark.parametrize("y", [PRIME, PRIME + 1, PRIME + 3, 2**255 - 1])
def test_a_second_spelling_of_an_ed25519_point_is_refused(y):
    with pytest.raises(SignatureError):
        PublicKey(ED_KEY.spki[:12] + y.to_bytes(32, "little"))


def test_a_key_of_small_order_would_have_verified_what_nobody_signed():
    identity = ed25519.Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    identity.verify(
        (1).to_bytes(32, "little") + bytes(32), b"anything"
    )  # raises nothing: why the list exists


@pytest.mark.parametrize("private", [ED, EC], ids=["ed25519", "p256"])
def test_a_key_survives_pem_and_der(private):
    key = PublicKey.from_private(private)
    assert PublicKey.from_pem(key.to_pem()) == key == PublicKey.from_der(key.spki)
    assert key.key_id == hashlib.sha256(spki(private)).digest()


def test_a_compressed_point_in_pem_becomes_the_canonical_key():
    import base64

    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(compressed(EC)) + b"-----END PUBLIC KEY-----\n"
    assert PublicKey.from_pem(pem) == EC_KEY


def test_kinds_have_names():
    assert (ED_KEY.kind, EC_KEY.kind) == ("ed25519", "ecdsa-p256")


@pytest.mark.parametrize("curve", [ec.SECP256K1, ec.SECP384R1])
def test_nothing_is_signed_with_another_curve(curve):
    with pytest.raises(SignatureError):
        sign(ec_key("c", curve), MANIFEST_TYPE, b"m")


@settings(max_examples=200)
@given(st.binary(max_size=100) | mutated(ED_KEY.spki) | mutated(EC_KEY.spki))
def test_only_protocol_errors_leave_the_key_decoder(data):
    decodes_strictly(PublicKey, lambda key: key.spki, data)


# --- signatures ---


@pytest.mark.parametrize("private", [ED, EC], ids=["ed25519", "p256"])
class TestOneSignature:
    def test_another_payload_is_refused(self, private):
        signature = sign(private, MANIFEST_TYPE, b"manifest")
        with pytest.raises(SignatureError):
            PublicKey.from_private(private).verify(MANIFEST_TYPE, b"manifesT", signature.sig)

    def test_a_signature_of_another_kind_of_document_is_refused(self, private):
        signature = sign(private, TRUST_ROOT_TYPE, b"document")
        with pytest.raises(SignatureError):
            PublicKey.from_private(private).verify(MANIFEST_TYPE, b"document", signature.sig)

    def test_another_key_is_refused(self, private):
        signature = sign(private, MANIFEST_TYPE, b"manifest")
        for other in public(ed25519_key("other"), ec_key("other")):
            with pytest.raises(SignatureError):
                other.verify(MANIFEST_TYPE, b"manifest", signature.sig)

    @pytest.mark.parametrize(
        "change", [lambda s: s[:-1], lambda s: s + b"\0", lambda s: b"", lambda s: bytes(64)]
    )
    def test_another_length_and_zeros_are_refused(self, private, change):
        signature = sign(private, MANIFEST_TYPE, b"manifest")
        with pytest.raises(SignatureError):
            PublicKey.from_private(private).verify(MANIFEST_TYPE, b"manifest", change(signature.sig))

    def test_each_flipped_bit_is_refused(self, private):
        signature = sign(private, MANIFEST_TYPE, b"manifest")
        for bit in range(0, 512, 7):
            flipped = (int.from_bytes(signature.sig, "big") ^ 1 << bit).to_bytes(64, "big")
            with pytest.raises(SignatureError):
                PublicKey.from_private(private).verify(MANIFEST_TYPE, b"manifest", flipped)

    def test_the_signature_itself_is_accepted(self, private):
        signature = sign(private, MANIFEST_TYPE, b"manifest")
        PublicKey.from_private(private).verify(MANIFEST_TYPE, b"manifest", signature.sig)
        assert signature.key_id == PublicKey.from_private(private).key_id


def test_high_s_is_refused_though_it_would_verify():
    signature = sign(EC, MANIFEST_TYPE, b"m")
    r, s = int.from_bytes(signature.sig[:32], "big"), int.from_bytes(signature.sig[32:], "big")
    EC.public_key().verify(
        utils.encode_dss_signature(r, ORDER - s),
        pae(MANIFEST_TYPE, b"m"),
        ec.ECDSA(hashes.SHA256()),
    )
    with pytest.raises(SignatureError, match="s low"):
        EC_KEY.verify(MANIFEST_TYPE, b"m", signature.sig[:32] + (ORDER - s).to_bytes(32, "big"))


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (1, ORDER // 2 + 1), (2**256 - 1, 1)]
)
def test_scalars_out_of_range_are_refused(r, s):
    with pytest.raises(SignatureError, match="in range"):
        EC_KEY.verify(MANIFEST_TYPE, b"m", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_ecdsa_signatures_always_come_out_low():
    for n in range(20):
        signature = sign(EC, MANIFEST_TYPE, b"%d" % n)
        assert int.from_bytes(signature.sig[32:], "big") <= ORDER // 2
        EC_KEY.verify(MANIFEST_TYPE, b"%d" % n, signature.sig)


def test_der_of_a_signing_device_is_made_low():
    low = sign(EC, MANIFEST_TYPE, b"m")
    r, s = int.from_bytes(low.sig[:32], "big"), int.from_bytes(low.sig[32:], "big")
    assert signature_from_raw(EC_KEY, utils.encode_dss_signature(r, ORDER - s)) == low
    assert signature_from_raw(EC_KEY, utils.encode_dss_signature(r, s)) == low


def test_the_least_scalars_and_the_greatest_are_in_range():
    for r, s in ((1, 1), (ORDER - 1, 1), (1, ORDER // 2)):
        made = signature_from_raw(EC_KEY, utils.encode_dss_signature(r, s))
        assert made.sig == r.to_bytes(32, "big") + s.to_bytes(32, "big")
        with pytest.raises(SignatureError, match=r"^signature of key"):
            EC_KEY.verify(MANIFEST_TYPE, b"m", made.sig)


def test_keys_that_are_no_quorum_are_refused_as_the_keys_to_verify_with():
    with pytest.raises(SignatureError) as refused:
        verify_threshold(MANIFEST_TYPE, b"m", [], keys=[EC_KEY], threshold=2)
    assert "keys to verify with" in refused.value.what


@pytest.mark.parametrize("raw", [b"", b"\x30\x00", bytes(64), utils.encode_dss_signature(0, 1)])
def test_broken_der_of_a_signing_device_is_refused(raw):
    with pytest.raises(SignatureError):
        signature_from_raw(EC_KEY, raw)


@pytest.mark.parametrize(
    ("key_id", "sig"), [(bytes(31), bytes(64)), (bytes(32), bytes(63)), (bytes(32), bytes(65))]
)
def test_a_signature_of_another_shape_cannot_be_made(key_id, sig):
    with pytest.raises(SignatureError):
        Signature(key_id, sig)


def test_pae_counts_bytes():
    assert pae("tÿpe", b"p") == b"DSSEv1 5 t\xc3\xbfpe 1 p"
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


# --- thresholds ---

SIGNERS = [ed25519_key("s0"), ec_key("s1"), ed25519_key("s2")]
KEYS = public(*SIGNERS)


def signed(*signers, payload=b"manifest", kind=MANIFEST_TYPE):
    return [sign(signer, kind, payload) for signer in signers]


def check(signatures, *, keys=KEYS, threshold=2):
    return verify_threshold(MANIFEST_TYPE, b"manifest", signatures, keys=keys, threshold=threshold)


REFUSED = {
    "none": [],
    "threshold - 1": signed(SIGNERS[0]),
    "one key twice": signed(SIGNERS[0], SIGNERS[0]),
    "one ECDSA key with two signatures": signed(SIGNERS[1], SIGNERS[1]),
    "one key and one unknown": signed(SIGNERS[0], ed25519_key("stranger")),
    "two unknown": signed(ed25519_key("stranger"), ec_key("stranger")),
    "one and another payload": signed(SIGNERS[0]) + signed(SIGNERS[1], payload=b"other"),
    "one and another kind": signed(SIGNERS[0]) + signed(SIGNERS[1], kind=TRUST_ROOT_TYPE),
    "one and its signature under the other's id": [
        *signed(SIGNERS[0]),
        Signature(KEYS[2].key_id, signed(SIGNERS[0])[0].sig),
    ],
    "one and zeros": [*signed(SIGNERS[0]), Signature(KEYS[1].key_id, bytes(64))],
    "one and a stranger's under the other's id": [
        *signed(SIGNERS[0]),
        Signature(KEYS[2].key_id, signed(ed25519_key("stranger"))[0].sig),
    ],
}


@pytest.mark.parametrize("name", REFUSED)
def test_fewer_than_the_threshold_of_distinct_keys_are_refused(name):
    with pytest.raises(QuorumError, match="2 of 3"):
        check(REFUSED[name])


def test_a_key_listed_twice_is_refused_even_if_enough_signed():
    with pytest.raises(SignatureError, match="distinct"):
        check(signed(*SIGNERS), keys=(KEYS[0], KEYS[0], KEYS[1]))


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_a_threshold_that_means_nothing_is_refused(threshold):
    with pytest.raises(SignatureError, match="threshold"):
        check(signed(*SIGNERS), threshold=threshold)


def test_no_keys_are_no_quorum():
    with pytest.raises(SignatureError):
        check(signed(*SIGNERS), keys=(), threshold=1)


def test_a_flood_of_signatures_is_refused_unverified():
    with pytest.raises(LimitError):
        check(signed(*SIGNERS) * 11)


def test_as_many_signatures_as_an_envelope_holds_are_looked_at():
    unknown = [Signature(bytes([n]) * 32, bytes(64)) for n in range(30)]
    assert len(check(unknown + signed(SIGNERS[0], SIGNERS[1]))) == 2


def test_a_flood_of_keys_is_refused():
    many = public(*SIGNERS, *(ed25519_key(f"k{n}") for n in range(30)))
    with pytest.raises(LimitError):
        check(signed(*SIGNERS), keys=many)
    assert len(check(signed(*SIGNERS), keys=many[:32])) == 3


def test_the_message_counts_what_was_offered():
    with pytest.raises(QuorumError, match=r"got 1 \(1 invalid, 3 offered\)"):
        check([*signed(SIGNERS[0], ed25519_key("stranger")), Signature(KEYS[1].key_id, bytes(64))])


def test_the_signers_are_returned():
    assert check(signed(SIGNERS[0], SIGNERS[1])) == {KEYS[0].key_id, KEYS[1].key_id}
    assert check(signed(*SIGNERS)) == {key.key_id for key in KEYS}
    assert check(signed(SIGNERS[2]), threshold=1) == {KEYS[2].key_id}


def test_a_valid_signature_counts_after_an_invalid_one_of_the_same_key():
    assert check([Signature(KEYS[0].key_id, bytes(64)), *signed(SIGNERS[0], SIGNERS[1])])


def test_a_key_signing_twice_is_counted_once_among_enough():
    assert len(check(signed(SIGNERS[1], SIGNERS[1], SIGNERS[0]))) == 2


# --- the list form ---


def test_signatures_out_of_order_or_repeated_are_refused():
    one, two = sorted(signed(SIGNERS[0], SIGNERS[1]), key=lambda s: s.key_id)
    for wrong in ([two, one], [one, one]):
        listed = [{"keyid": s.key_id, "sig": s.sig} for s in wrong]
        with pytest.raises(SignatureError, match="ascending"):
            signing.decode_signatures(Fields({"signatures": listed}, where="x"))


@pytest.mark.parametrize(
    "entry",
    [
        {"keyid": bytes(32)},
        {"keyid": bytes(31), "sig": bytes(64)},
        {"keyid": bytes(32), "sig": bytes(65)},
        {"keyid": bytes(32), "sig": bytes(64), "more": 1},
        [bytes(32), bytes(64)],
    ],
)
def test_other_forms_of_a_signature_are_refused(entry):
    with pytest.raises(MalformedError):
        signing.decode_signatures(Fields({"signatures": [entry]}, where="x"))


def test_the_list_form_is_sorted_and_comes_back():
    made = signed(*SIGNERS)
    listed = dag_cbor.decode(dag_cbor.encode(signing.encode_signatures(made)), max_bytes=1000)
    found = signing.decode_signatures(Fields({"signatures": listed}, where="x"))
    assert found == tuple(sorted(made, key=lambda s: s.key_id))


# --- securesystemslib as the oracle ---


@settings(max_examples=30)
@given(st.binary(max_size=100), st.sampled_from([MANIFEST_TYPE, TRUST_ROOT_TYPE, "ü"]))
def test_pae_is_that_of_securesystemslib(payload, kind):
    assert pae(kind, payload) == dsse.Envelope(payload, kind, {}).pae()


@pytest.mark.parametrize("make", [CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa])
def test_a_signature_of_securesystemslib_verifies_here(make):
    signer = make()
    envelope = dsse.Envelope(b"manifest", MANIFEST_TYPE, {})
    raw = bytes.fromhex(envelope.sign(signer).signature)
    key = PublicKey.from_private(signer._private_key)
    assert verify_threshold(
        MANIFEST_TYPE, b"manifest", [signature_from_raw(key, raw)], keys=[key], threshold=1
    ) == {key.key_id}


@pytest.mark.parametrize("private", [ED, EC], ids=["ed25519", "p256"])
def test_a_signature_made_here_verifies_in_securesystemslib(private):
    from securesystemslib.signer import Signature as TheirSignature

    ours = sign(private, MANIFEST_TYPE, b"manifest")
    key = SSlibKey.from_crypto(private.public_key())
    raw = ours.sig
    if private is EC:
        raw = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    signatures = {key.keyid: TheirSignature(key.keyid, raw.hex())}
    assert dsse.Envelope(b"manifest", MANIFEST_TYPE, signatures).verify([key], 1)
    with pytest.raises(VerificationError):
        dsse.Envelope(b"manifesT", MANIFEST_TYPE, signatures).verify([key], 1)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=6), st.integers(1, 3))
def test_the_quorum_is_exactly_that_of_distinct_trusted_signers(picked, threshold):
    signers = [*SIGNERS, ed25519_key("x"), ec_key("y")]
    signatures = [sign(signers[n], MANIFEST_TYPE, b"manifest") for n in picked]
    trusted = {n for n in picked if n < 3}
    if len(trusted) >= threshold:
        assert check(signatures, threshold=threshold) == {KEYS[n].key_id for n in trusted}
    else:
        with pytest.raises(QuorumError):
            check(signatures, threshold=threshold)
