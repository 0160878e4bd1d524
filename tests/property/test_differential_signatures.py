"""Our signatures, hashes and quorums beside independent ones, on right and on wrong input: what we accept they
accept, and what only they accept is a row of docs/strictness.md.
"""

import base64
import random

import coincurve
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_keys import keys as eth_keys
from eth_keys.exceptions import BadSignature, ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signature as TheirSignature
from securesystemslib.signer import SSlibKey

from ledger_protocol.errors import MalformedError, ProtocolError, SignatureError
from ledger_protocol.ledger import qbft, secp256k1
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.witness_note import verify_note
from ledger_protocol.release.signing import MANIFEST_TYPE, PublicKey, Signature, sign, verify_threshold
from ledger_protocol.report import device_key
from ledger_protocol.report.event import EventKind, UpdateEvent, event_digest
from tests.protocol_makers import ec_key, ed25519_key
from tests.sim.repository import Repository
from tests.sim.validators import Validators
from tests.sim.witnesses import Witnesses

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SIGNERS = [ed25519_key("a"), ec_key("b"), ed25519_key("c")]
KEYS = [PublicKey.from_private(key) for key in SIGNERS]
THEIR_KEYS = [SSlibKey.from_crypto(key.public_key()) for key in SIGNERS]
DOCUMENT = b"a manifest"


def accepted(call, *refusals):
    """Whether a call accepts: it neither raises one of these nor gives False."""
    try:
        return call() is not False
    except refusals:
        return False


def der(raw):
    return utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def their_threshold(payload, raws, threshold):
    """Whether securesystemslib finds that many signers; `raws` are 64 bytes, by the place of the signer."""
    signatures = {
        THEIR_KEYS[n].keyid: TheirSignature(THEIR_KEYS[n].keyid, (der(raw) if n == 1 else raw).hex())
        for n, raw in raws.items()
    }
    return accepted(
        lambda: dsse.Envelope(payload, MANIFEST_TYPE, signatures).verify(THEIR_KEYS, threshold),
        VerificationError,
    )


def our_threshold(payload, raws, threshold):
    claims = [Signature(KEYS[n].key_id, raw) for n, raw in raws.items()]
    return accepted(
        lambda: verify_threshold(MANIFEST_TYPE, payload, claims, keys=KEYS, threshold=threshold),
        ProtocolError,
    )


# --- DSSE


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.integers(0, 2), min_size=1),
    st.sets(st.integers(0, 2)),
    st.integers(0, 63),
    st.integers(1, 255),
    st.integers(1, 3),
    st.sampled_from([DOCUMENT, b"another"]),
)
def test_both_find_the_same_quorum_among_right_and_wrong_signatures(
    signed, bent, place, change, threshold, payload
):
    raws = {n: sign(SIGNERS[n], MANIFEST_TYPE, DOCUMENT).sig for n in signed}
    for n in bent & signed:
        wrong = bytearray(raws[n])
        wrong[place] ^= change
        raws[n] = bytes(wrong)
    ours = our_threshold(payload, raws, threshold)
    theirs = their_threshold(payload, raws, threshold)
    assert ours == theirs == (payload == DOCUMENT and len(signed - bent) >= threshold)


# --- EIP-712

MEMBERS = [
    {"name": "release", "type": "bytes32"},
    {"name": "sequence", "type": "uint32"},
    {"name": "kind", "type": "uint8"},
    {"name": "time", "type": "uint40"},
    {"name": "detail", "type": "bytes32"},
    {"name": "previous", "type": "bytes32"},
]
DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def their_digest(event, chain_id, journal):
    full = {
        "types": {"EIP712Domain": DOMAIN, "UpdateEvent": MEMBERS},
        "primaryType": "UpdateEvent",
        "domain": {
            "name": "fwledger",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": "0x" + journal.hex(),
        },
        "message": event,
    }
    return bytes(_hash_eip191_message(encode_typed_data(full_message=full)))


digests = st.binary(min_size=32, max_size=32)
numbers = (
    st.integers(-1, 2)
    | st.integers(2**8 - 1, 2**8)
    | st.integers(2**32 - 1, 2**32)
    | st.integers(2**40 - 1, 2**40)
)


@settings(max_examples=200, deadline=None)
@given(digests, numbers, st.integers(0, 9), numbers, digests, st.binary(max_size=20), st.integers(1, 2**63))
def test_events_hash_as_wallets_hash_them_and_what_wallets_refuse_is_no_event(
    release, sequence, kind, time, detail, link, chain_id
):
    previous = link.ljust(32, b"\0")
    fields = {
        "release": release,
        "sequence": sequence,
        "kind": kind,
        "time": time,
        "detail": detail,
        "previous": previous,
    }
    try:
        event = UpdateEvent(**(fields | {"kind": EventKind(kind)}))
    except (MalformedError, ValueError):
        return
    assert event_digest(event, chain_id=chain_id, journal=bytes(20)) == their_digest(
        fields, chain_id, bytes(20)
    )


# --- ECDSA on secp256k1

EDGES = [
    0,
    1,
    2,
    secp256k1.ORDER // 2,
    secp256k1.ORDER // 2 + 1,
    secp256k1.ORDER - 1,
    secp256k1.ORDER,
    2**256 - 1,
]
PRIVATE = ec.derive_private_key(77, ec.SECP256K1())
OURS = secp256k1.PublicKey.of(PRIVATE)
THEIRS = eth_keys.PublicKey(OURS.raw[1:])
COIN = coincurve.PublicKey(OURS.raw)


def _pairs():
    rng = random.Random(5)
    digest = rng.randbytes(32)
    yield from ((digest, r.to_bytes(32, "big") + s.to_bytes(32, "big")) for r in EDGES for s in EDGES)
    for _ in range(120):
        digest = rng.randbytes(32)
        right = secp256k1.sign(PRIVATE, digest)
        r, s = right[:32], int.from_bytes(right[32:], "big")
        yield digest, right
        yield digest, r + (secp256k1.ORDER - s).to_bytes(32, "big")
        yield digest, r + (s + 1).to_bytes(32, "big")
        wrong = bytearray(right)
        wrong[rng.randrange(64)] ^= 1 << rng.randrange(8)
        yield digest, bytes(wrong)
        yield rng.randbytes(32), right
        yield digest, right[32:] + right[:32]


def _eth_keys_takes(digest, signature):
    def verify():
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        return THEIRS.verify_msg_hash(digest, eth_keys.Signature(vrs=(0, r, s)))

    return accepted(verify, BadSignature, ValidationError)


def test_seals_and_events_are_accepted_as_two_other_libraries_accept_them():
    taken = 0
    for digest, signature in _pairs():
        low = secp256k1.has_low_s(signature)
        ours = OURS.has_signed(digest, signature)
        # libsecp256k1 takes low s only, as events do; eth_keys takes both, as seals do.
        strict = accepted(
            lambda d=digest, s=signature: device_key.verify_digest(d, s, OURS.raw), SignatureError
        )
        assert ours == _eth_keys_takes(digest, signature)
        assert strict == (ours and low)
        assert strict == accepted(
            lambda d=digest, s=signature: COIN.verify(der(s), d, hasher=None), ValueError
        )
        taken += ours
    assert taken == 240


def test_points_are_accepted_as_another_library_accepts_them():
    rng = random.Random(6)
    good = [OURS.raw, secp256k1.PublicKey.of(ec.derive_private_key(1, ec.SECP256K1())).raw]
    cases = [*good, b"\4" + bytes(64), b"\4" + b"\xff" * 64]
    for raw in good * 40:
        bent = bytearray(raw)
        bent[rng.randrange(1, 65)] ^= 1 << rng.randrange(8)
        cases.append(bytes(bent))
    for raw in cases:
        ours = accepted(lambda r=raw: secp256k1.PublicKey.from_bytes(r), MalformedError)
        assert ours == accepted(lambda r=raw: coincurve.PublicKey(r), ValueError)


def test_seals_are_counted_as_recovery_counts_them():
    """The usual way, recovering each signer's address and counting those in the set, finds the same quorum."""
    rng = random.Random(9)
    validators = Validators(7)
    known = set(validators.addresses())
    for _ in range(40):
        raw = validators.seal(signers=rng.sample(range(7), rng.randrange(8)), round_=rng.randrange(3))
        header = parse_header(raw)
        extra = qbft.parse_extra(header.extra_data)
        digest = qbft.seal_digest(header)
        found = set()
        for seal in extra.seals:
            for v in (0, 1):
                recovered = eth_keys.Signature(seal[:64] + bytes([v])).recover_public_key_from_msg_hash(
                    digest
                )
                found |= {recovered.to_canonical_address()} & known
        enough = 3 * len(found) >= 2 * len(known)
        assert accepted(lambda r=raw: qbft.verify_seals(r, validators.trust()), ProtocolError) == enough


# --- notes: no library of this registry reads C2SP signed notes, so a reader of forty lines stands in


def _plain_reader(data, vkeys, threshold):
    """What the specifications of signed notes and timestamped signatures say, in the plainest form."""
    text, _, tail = data.decode().partition("\n\n")
    signers = set()
    for line in tail.splitlines():
        dash, name, blob = line.split(" ")
        assert dash == "\N{EM DASH}"
        raw = base64.b64decode(blob)
        for vkey in vkeys:
            known, key_id, key = vkey.split("+", 2)
            if (name, raw[:4].hex()) != (known, key_id):
                continue
            time = int.from_bytes(raw[4:12], "big")
            message = f"evm-checkpoint/v1\ntime {time}\n{text}\n".encode()
            public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[-32:])
            public.verify(raw[12:], message)
            signers.add(known)
    return len(signers) >= threshold


def test_notes_are_read_as_the_specification_says():
    from cryptography.exceptions import InvalidSignature

    rng = random.Random(4)
    witnesses = Witnesses()
    world = Repository(witnesses=witnesses)
    checkpoint = world.checkpoint(world.seal())
    trust = witnesses.trust()
    both = 0
    for turn in range(300):
        note = witnesses.note(
            checkpoint, dict.fromkeys(rng.sample(range(5), rng.randrange(1, 6)), 2_000 + turn)
        )
        if turn % 2:
            data = bytearray(note)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
            note = bytes(data)
        ours = accepted(lambda n=note: verify_note(n, trust), ProtocolError)
        theirs = accepted(
            lambda n=note: _plain_reader(n, trust.keys, 3), InvalidSignature, ValueError, AssertionError
        )
        # Bent, a note may still be a note to who reads it plainly: another origin, base64 with loose bits.
        assert theirs or not ours
        if not turn % 2:
            assert ours == theirs
            both += ours
    assert both > 40


# --- the rows of docs/strictness.md


def _only_securesystemslib_high_s():
    raw = sign(SIGNERS[1], MANIFEST_TYPE, DOCUMENT).sig
    high = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    assert their_threshold(DOCUMENT, {1: high}, 1)
    assert not our_threshold(DOCUMENT, {1: high}, 1)


def _only_securesystemslib_twice():
    """One key under two ids: each is a signer to it."""
    key = SIGNERS[0].public_key()
    aliases = [SSlibKey.from_crypto(key, keyid=name) for name in ("one", "two")]
    raw = sign(SIGNERS[0], MANIFEST_TYPE, DOCUMENT).sig
    signatures = {name: TheirSignature(name, raw.hex()) for name in ("one", "two")}
    assert dsse.Envelope(DOCUMENT, MANIFEST_TYPE, signatures).verify(aliases, 2)
    claims = [Signature(KEYS[0].key_id, raw)] * 2
    with pytest.raises(ProtocolError):
        verify_threshold(MANIFEST_TYPE, DOCUMENT, claims, keys=[KEYS[0], KEYS[0]], threshold=2)


def _only_securesystemslib_kinds():
    other = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    SSlibKey.from_crypto(other)
    spki = other.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(SignatureError):
        PublicKey.from_der(spki)


def _only_securesystemslib_small_order():
    point = ed25519.Ed25519PublicKey.from_public_bytes(bytes(32))
    SSlibKey.from_crypto(point)
    with pytest.raises(SignatureError):
        PublicKey.from_der(
            point.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


def _only_eth_account_link():
    fields = {
        "release": bytes(32),
        "sequence": 1,
        "kind": 1,
        "time": 1,
        "detail": bytes(32),
        "previous": b"\1" * 32,
    }
    assert their_digest(fields, 1, bytes(20))
    with pytest.raises(MalformedError):
        UpdateEvent(**(fields | {"kind": EventKind.BASELINE}))


def _only_eth_keys_high_s():
    digest = bytes(31) + b"\1"
    right = secp256k1.sign(PRIVATE, digest)
    high = right[:32] + (secp256k1.ORDER - int.from_bytes(right[32:], "big")).to_bytes(32, "big")
    assert _eth_keys_takes(digest, high)
    with pytest.raises(SignatureError):
        device_key.verify_digest(digest, high, OURS.raw)


def _only_coincurve_forms():
    short = coincurve.PublicKey(COIN.format(compressed=True))
    with pytest.raises(MalformedError):
        secp256k1.PublicKey.from_bytes(short.format(compressed=True))


ROWS = {
    ("securesystemslib", "an ECDSA signature whose s is high"): _only_securesystemslib_high_s,
    ("securesystemslib", "one key under two ids, counted twice"): _only_securesystemslib_twice,
    ("securesystemslib", "RSA and other curves"): _only_securesystemslib_kinds,
    (
        "securesystemslib",
        "an Ed25519 key of small order, for which anyone can sign",
    ): _only_securesystemslib_small_order,
    (
        "eth_account",
        "an event whose `previous` is no link (low 96 bits), whose kind or sequence is 0",
    ): _only_eth_account_link,
    ("eth_keys", "an event's signature whose s is high"): _only_eth_keys_high_s,
    ("coincurve", "a compressed point"): _only_coincurve_forms,
}


@pytest.mark.parametrize(("library", "what"), ROWS)
def test_what_only_the_reference_takes(library, what):
    ROWS[library, what]()
