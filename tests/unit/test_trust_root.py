from dataclasses import replace

import pytest

from ledger_protocol import limits
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.errors import (
    LimitError,
    MalformedError,
    ProtocolError,
    QuorumError,
    RootExpiredError,
    SignatureError,
    TrustRootError,
)
from ledger_protocol.release import trust_root as walking
from ledger_protocol.release.signing import MANIFEST_TYPE, sign
from ledger_protocol.release.trust_root import (
    HeaderTrust,
    KeySet,
    SignedTrustRoot,
    TrustRoot,
    check_current,
    check_witness_trust,
    verify_first,
    verify_next,
    walk,
)
from tests.protocol_makers import (
    NOW_S,
    ROOT_SIGNERS,
    digest,
    ec_key,
    ed25519_key,
    public,
    root_chain,
    signed_root,
    trust_root,
    validator,
    vkey,
)

CHAIN = root_chain(4)
FIRST = TrustRoot.decode(SignedTrustRoot.decode(CHAIN[0]).document)
FIRST_CID = Cid.of(DAG_CBOR, CHAIN[0])
NEW_SIGNERS = tuple(ed25519_key(f"new root {n}") for n in range(3))
OUTSIDERS = tuple(ed25519_key(f"outsider {n}") for n in range(3))


def second(*signers, held_cid=FIRST_CID, version=2, **changes):
    return signed_root(trust_root(version=version, previous=held_cid, **changes), *signers)


def take_second(signed, *, now_s=NOW_S):
    return verify_next(signed, held=FIRST, held_cid=FIRST_CID, now_s=now_s)


# --- the first root ---


@pytest.mark.parametrize("signers", [(), ROOT_SIGNERS[:1], OUTSIDERS, (ROOT_SIGNERS[0], OUTSIDERS[0])])
def test_a_first_root_signed_by_too_few_of_its_keys_is_refused(signers):
    with pytest.raises(QuorumError, match="its own root keys"):
        verify_first(signed_root(trust_root(), *signers), now_s=None)


def test_a_root_signed_as_another_kind_of_document_is_refused():
    document = trust_root().encode()
    signed = SignedTrustRoot(document)
    for key in ROOT_SIGNERS:
        signed = signed.with_signature(sign(key, MANIFEST_TYPE, document))
    with pytest.raises(QuorumError):
        verify_first(signed.encode(), now_s=None)


def test_a_changed_document_is_refused():
    signed = SignedTrustRoot.decode(CHAIN[0])
    other = replace(signed, document=trust_root(issued_at=NOW_S - 999).encode())
    with pytest.raises(QuorumError):
        verify_first(other.encode(), now_s=None)


@pytest.mark.parametrize("now_s", [NOW_S + 1000, NOW_S + 1001])
def test_an_expired_root_is_refused(now_s):
    with pytest.raises(RootExpiredError, match="expiry of trust root 1"):
        verify_first(CHAIN[0], now_s=now_s)


def test_the_last_second_and_an_unknown_time_are_accepted():
    assert verify_first(CHAIN[0], now_s=NOW_S + 999) == FIRST
    assert verify_first(CHAIN[0], now_s=None) == FIRST


def test_a_root_without_expiry_never_expires():
    check_current(trust_root(expires=None), now_s=2**40)


# --- the next root ---


@pytest.mark.parametrize(
    ("signers", "who"),
    [
        ((), "version 1"),
        (NEW_SIGNERS, "version 1"),
        ((*NEW_SIGNERS, ROOT_SIGNERS[0]), "version 1"),
        (ROOT_SIGNERS, "its own"),
        ((*ROOT_SIGNERS, NEW_SIGNERS[0]), "its own"),
        (OUTSIDERS, "version 1"),
    ],
)
def test_a_change_of_root_keys_needs_both_thresholds(signers, who):
    signed = second(*signers, root_keys=KeySet(2, public(*NEW_SIGNERS)))
    with pytest.raises(QuorumError, match=who):
        take_second(signed)


def test_a_change_of_root_keys_with_both_thresholds_is_accepted():
    signed = second(*ROOT_SIGNERS[:2], *NEW_SIGNERS[:2], root_keys=KeySet(2, public(*NEW_SIGNERS)))
    assert take_second(signed).root_keys.keys == public(*NEW_SIGNERS)


def test_a_threshold_cannot_be_lowered_by_fewer_than_the_old_one():
    lowered = KeySet(1, public(*ROOT_SIGNERS))
    with pytest.raises(QuorumError, match="version 1"):
        take_second(second(ROOT_SIGNERS[0], root_keys=lowered))
    assert take_second(second(*ROOT_SIGNERS[:2], root_keys=lowered)).root_keys.threshold == 1


@pytest.mark.parametrize("version", [3, 4, 2**32 - 1])
def test_a_gap_is_refused(version):
    with pytest.raises(TrustRootError, match="version of trust root"):
        take_second(second(*ROOT_SIGNERS, version=version))


def test_the_same_version_is_no_next_one():
    with pytest.raises(TrustRootError, match="version of trust root"):
        take_second(CHAIN[0])


@pytest.mark.parametrize("previous", [Cid.of(DAG_CBOR, b"another"), Cid(DAG_CBOR, bytes(32))])
def test_a_root_that_follows_another_one_is_refused(previous):
    with pytest.raises(TrustRootError, match="previous of trust root"):
        take_second(second(*ROOT_SIGNERS, held_cid=previous))


def test_an_expired_next_root_is_refused_only_where_the_time_is_known():
    signed = second(*ROOT_SIGNERS, expires=NOW_S - 10)
    with pytest.raises(RootExpiredError):
        take_second(signed)
    assert take_second(signed, now_s=None).version == 2


def test_the_next_root_is_returned():
    assert take_second(CHAIN[1]).version == 2


# --- walking ---


def test_a_walk_ends_at_the_newest_and_returns_each_step():
    walked = walk(CHAIN[0], CHAIN[1:], now_s=NOW_S)
    assert walked.root.version == 4
    assert walked.steps == tuple(CHAIN[1:])
    assert walked.signed == CHAIN[3]


def test_a_walk_over_nothing_stays():
    walked = walk(CHAIN[1], [], now_s=NOW_S)
    assert (walked.root.version, walked.signed, walked.steps) == (2, CHAIN[1], ())


def test_held_and_older_roots_are_passed_over():
    walked = walk(CHAIN[1], CHAIN, now_s=NOW_S)
    assert walked.steps == tuple(CHAIN[2:])


def test_the_held_document_with_other_signatures_is_no_fork():
    again = signed_root(trust_root(), *ROOT_SIGNERS)
    assert again != CHAIN[0]
    assert walk(CHAIN[0], [again, *CHAIN[1:]], now_s=NOW_S).root.version == 4


def test_a_fork_of_the_held_version_is_refused():
    fork = signed_root(trust_root(issued_at=NOW_S - 900), *ROOT_SIGNERS)
    with pytest.raises(TrustRootError, match="version 1: expected the held document"):
        walk(CHAIN[0], [fork], now_s=NOW_S)


def test_a_fork_met_on_the_way_is_refused_and_the_good_steps_are_kept():
    fork = second(*ROOT_SIGNERS, issued_at=NOW_S - 900)
    with pytest.raises(TrustRootError) as caught:
        walk(CHAIN[0], [CHAIN[1], fork, CHAIN[2]], now_s=NOW_S)
    assert caught.value.steps == (CHAIN[1],)


def test_a_gap_on_the_way_is_refused_and_the_good_steps_are_kept():
    with pytest.raises(TrustRootError, match="expected 3, got 4") as caught:
        walk(CHAIN[0], [CHAIN[1], CHAIN[3]], now_s=NOW_S)
    assert caught.value.steps == (CHAIN[1],)


def test_roots_in_descending_order_are_refused():
    with pytest.raises(TrustRootError, match="expected 2, got 4"):
        walk(CHAIN[0], CHAIN[:0:-1], now_s=NOW_S)


SECOND_CID = Cid.of(DAG_CBOR, CHAIN[1])


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xa0",
        CHAIN[2][:-1],
        CHAIN[2] + b"\0",
        second(version=3, held_cid=SECOND_CID),
        second(*OUTSIDERS, version=3, held_cid=SECOND_CID),
        bytes(65537),
    ],
    ids=["empty", "no fields", "cut", "longer", "unsigned", "signed by outsiders", "oversize"],
)
def test_a_bad_root_after_good_steps_is_refused_and_the_good_steps_are_kept(bad):
    with pytest.raises(TrustRootError) as caught:
        walk(CHAIN[0], [CHAIN[1], bad], now_s=NOW_S)
    assert caught.value.steps == (CHAIN[1],)


def test_an_under_signed_root_is_refused_with_its_reason():
    with pytest.raises(TrustRootError, match="2 of 3 trusted keys") as caught:
        walk(CHAIN[0], [second(ROOT_SIGNERS[0])], now_s=NOW_S)
    assert isinstance(caught.value.__cause__, QuorumError)


def test_expired_roots_may_be_walked_through_but_not_ended_at():
    old = signed_root(trust_root(expires=NOW_S - 500), *ROOT_SIGNERS)
    stale = second(*ROOT_SIGNERS, held_cid=Cid.of(DAG_CBOR, old), expires=NOW_S - 100)
    fresh = second(*ROOT_SIGNERS, held_cid=Cid.of(DAG_CBOR, stale), version=3)
    assert walk(old, [stale, fresh], now_s=NOW_S).root.version == 3
    with pytest.raises(RootExpiredError) as caught:
        walk(old, [stale], now_s=NOW_S)
    assert caught.value.steps == (stale,)
    assert walk(old, [stale], now_s=None).root.version == 2


def test_a_held_root_that_is_not_signed_is_no_place_to_begin():
    with pytest.raises(QuorumError):
        walk(signed_root(trust_root()), CHAIN[1:], now_s=NOW_S)


def test_an_endless_offer_of_old_roots_is_refused():
    with pytest.raises(TrustRootError, match="old trust roots"):
        walk(CHAIN[1], iter(lambda: CHAIN[0], None), now_s=NOW_S)


def test_one_walk_takes_256_steps_and_leaves_the_rest():
    chain = root_chain(259)
    taken = []
    walked = walk(chain[0], (taken.append(root) or root for root in chain[1:]), now_s=NOW_S)
    assert walked.root.version == 257
    assert len(walked.steps) == 256
    assert len(taken) == 257
    assert walk(walked.signed, chain, now_s=NOW_S).root.version == 259


def test_old_roots_are_passed_over_up_to_a_limit_and_not_one_more(monkeypatch):
    monkeypatch.setattr(walking, "MAX_ROOTS_PASSED_OVER", 3)
    assert walk(CHAIN[1], [CHAIN[0]] * 3 + CHAIN[2:], now_s=NOW_S).root.version == 4
    with pytest.raises(TrustRootError, match=r"old trust roots offered.* at most 3") as refused:
        walk(CHAIN[1], [CHAIN[0]] * 4, now_s=NOW_S)
    assert refused.value.hint == "ask another source for it"


def test_a_walk_takes_so_many_steps_and_leaves_the_rest(monkeypatch):
    monkeypatch.setattr(walking, "MAX_ROOT_STEPS", 2)
    walked = walk(CHAIN[0], CHAIN[1:], now_s=NOW_S)
    assert (walked.root.version, walked.signed, walked.steps) == (3, CHAIN[2], tuple(CHAIN[1:3]))


def test_a_root_that_its_own_new_keys_did_not_sign_is_refused_by_that_name():
    signed = second(*ROOT_SIGNERS[:2], root_keys=KeySet(2, public(*NEW_SIGNERS)))
    with pytest.raises(QuorumError) as refused:
        take_second(signed)
    assert refused.value.what == "signatures of trust root by its own root keys"


# --- the document ---


def plain():
    return dag_cbor.decode(trust_root().encode(), max_bytes=65536)


def _paths(value, path=()):
    for key in value if isinstance(value, dict) else ():
        yield (*path, key)
        yield from _paths(value[key], (*path, key))


@pytest.mark.parametrize("path", list(_paths(plain())), ids=lambda path: ".".join(path))
def test_each_field_is_required(path):
    document = plain()
    at = document
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    with pytest.raises(MalformedError):
        TrustRoot.decode(dag_cbor.encode(document))


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("root_keys",),
        ("release_keys",),
        ("ledger",),
        ("headers",),
        ("headers", "qbft"),
        ("headers", "witnesses"),
        ("headers", "qbft", "validators", 0),
    ],
)
def test_an_unknown_field_is_refused_at_every_level(path):
    document = plain()
    at = document
    for step in path:
        at = at[step]
    at["weaker"] = True
    with pytest.raises(MalformedError, match="weaker"):
        TrustRoot.decode(dag_cbor.encode(document))


KEYS = [key.spki for key in public(*ROOT_SIGNERS)]
VALIDATORS = plain()["headers"]["qbft"]["validators"]
VKEYS = plain()["headers"]["witnesses"]["keys"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "fwledger/trust-root/2"),
        (("version",), 0),
        (("version",), 2),  # without previous
        (("version",), 2**32),
        (("previous",), FIRST_CID),  # in version 1
        (("previous",), FIRST_CID.to_bytes()),
        (("previous",), Cid.of(RAW, b"x")),
        (("issued_at",), -1),
        (("expires",), NOW_S - 1000),
        (("expires",), 2**40),
        (("root_keys", "threshold"), 0),
        (("root_keys", "threshold"), 4),
        (("root_keys", "keys"), []),
        (("root_keys", "keys"), [KEYS[0], KEYS[0]]),
        (("root_keys", "keys"), [*KEYS[:2], KEYS[2][:-1]]),
        (("root_keys", "keys"), ["key"] * 2),
        (("release_keys", "threshold"), 0),
        (("release_keys", "keys"), KEYS[:1]),
        (("ledger", "chain_id"), 0),
        (("ledger", "chain_id"), "1"),
        (("ledger", "address"), bytes(32)),
        (("ledger", "code_hash"), bytes(20)),
        (("ledger", "journal"), None),
        (("ledger", "from_block"), -1),
        (("ledger", "from_time"), 2**40),
        (("headers", "require"), "none"),
        (("headers", "qbft", "min_validators"), 0),
        (("headers", "qbft", "min_validators"), 5),
        (("headers", "qbft", "validators"), []),
        (("headers", "qbft", "validators"), [VALIDATORS[0]] * 4),
        (("headers", "qbft", "validators", 0, "address"), bytes(20)),
        (("headers", "qbft", "validators", 0, "public_key"), VALIDATORS[1]["public_key"]),
        (("headers", "qbft", "validators", 0, "public_key"), VALIDATORS[0]["public_key"][1:]),
        (("headers", "witnesses", "threshold"), 1),  # 1 of 3 could both count
        (("headers", "witnesses", "threshold"), 4),
        (("headers", "witnesses", "keys"), []),
        (("headers", "witnesses", "keys"), [VKEYS[0], VKEYS[0], VKEYS[1]]),
        (
            ("headers", "witnesses", "keys"),
            [*VKEYS[:2], vkey("alias.example", point=digest("witness witness0.example"))],
        ),
        (("headers", "witnesses", "keys"), [*VKEYS[:2], VKEYS[2][:-4]]),
        (("headers", "witnesses", "keys"), [*VKEYS[:2], "name+00000000+" + VKEYS[2].split("+", 2)[2]]),
        (("headers", "witnesses", "keys"), [*VKEYS[:2], "no vkey"]),
        (("headers", "witnesses", "keys"), [*VKEYS[:2], "a+00000000+*"]),
        (("headers", "witnesses", "keys"), [*VKEYS[:2], "x" * 600]),
        (("headers", "witnesses", "origin"), "acme.example"),
        (("headers", "witnesses", "origin"), "acme.example/evm/01"),
        (("headers", "witnesses", "final"), "depth:0"),
        (("headers", "witnesses", "final"), "latest"),
        (("max_checkpoint_age",), 0),
        (("operator",), bytes(32)),
    ],
    # A CID or bytes may come from keys that each run makes anew.
    ids=lambda value: type(value).__name__ if isinstance(value, bytes | Cid) else repr(value)[:60],
)
def test_a_value_out_of_range_is_refused(path, value):
    document = plain()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(ProtocolError):
        TrustRoot.decode(dag_cbor.encode(document))


def test_the_values_changed_above_are_accepted_unchanged():
    assert TrustRoot.decode(dag_cbor.encode(plain())) == trust_root()


def test_a_root_without_any_header_trust_is_refused():
    with pytest.raises(TrustRootError, match="validators or witnesses"):
        trust_root(headers=HeaderTrust(None, None, "any")).encode()


@pytest.mark.parametrize("left_out", ["qbft", "witnesses"])
def test_one_path_of_header_trust_is_enough(left_out):
    root = trust_root(headers=replace(trust_root().headers, **{left_out: None}))
    assert TrustRoot.decode(root.encode()) == root


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (2, 2), (2, 3), (3, 4), (3, 5)])
def test_more_than_half_of_the_witnesses_is_a_threshold(threshold, count):
    witnesses = replace(
        trust_root().headers.witnesses,
        threshold=threshold,
        keys=tuple(vkey(f"w{n}.example") for n in range(count)),
    )
    root = trust_root(headers=HeaderTrust(None, witnesses, "all"))
    assert TrustRoot.decode(root.encode()) == root


@pytest.mark.parametrize(("threshold", "count"), [(1, 2), (2, 4), (1, 3), (2, 1)])
def test_half_of_the_witnesses_is_none(threshold, count):
    witnesses = replace(
        trust_root().headers.witnesses,
        threshold=threshold,
        keys=tuple(vkey(f"w{n}.example") for n in range(count)),
    )
    with pytest.raises(TrustRootError, match="threshold of witnesses"):
        trust_root(headers=HeaderTrust(None, witnesses, "all")).encode()


def _odd_vkeys():
    good = vkey("w.example")
    name, key_id, encoded = good.split("+", 2)
    assert good.endswith("=")  # 50 bytes: the last character has unused bits
    yield "an Ed25519 key of a plain note", vkey("w.example", kind=b"\x01")
    yield "another type byte", vkey("w.example", kind=b"\xfeevm-checkpoint/v1")
    yield "no name of the type", vkey("w.example", kind=b"\xff")
    yield "a short point", vkey("w.example", point=b"x" * 12)
    yield "another name", f"v.example+{key_id}+{encoded}"
    yield "another id", f"{name}+{'0' * 8}+{encoded}"
    yield "upper-case id", f"{name}+{key_id.upper()}+{encoded}"
    yield "unused bits of base64", good[:-2] + chr(ord(good[-2]) + 1) + "="
    yield "missing padding", good[:-1]
    yield "a point of order 4, for which anyone can sign", vkey("w.example", point=bytes(32))
    yield "the point of order 1", vkey("w.example", point=b"\x01" + bytes(31))
    yield "a point beyond the field", vkey("w.example", point=b"\xff" * 31 + b"\x7f")
    yield "a name with a space", vkey("w example")
    yield "a name with a plus", vkey("w+example")
    yield (
        "a name that is no UTF-8, as a command line may bring it",
        vkey("w.example").replace("w", "\udcff", 1),
    )


@pytest.mark.parametrize(("why", "odd"), list(_odd_vkeys()))
def test_an_odd_vkey_is_refused(why, odd):
    witnesses = replace(trust_root().headers.witnesses, threshold=1, keys=(odd,))
    with pytest.raises(ProtocolError):
        trust_root(headers=HeaderTrust(None, witnesses, "all")).encode()


def test_a_root_that_nobody_could_decode_is_not_encoded():
    with pytest.raises(ProtocolError):
        trust_root(version=0).encode()
    with pytest.raises(MalformedError, match="survive"):
        trust_root(root_keys=KeySet(2, list(public(*ROOT_SIGNERS)))).encode()


def test_a_validator_off_the_curve_is_refused():
    from ledger_protocol.keccak import keccak256

    point = b"\x04" + bytes(64)
    bad = replace(validator("x"), address=keccak256(point[1:])[12:], public_key=point)
    qbft = replace(trust_root().headers.qbft, validators=(bad, *trust_root().headers.qbft.validators[:3]))
    with pytest.raises(TrustRootError, match="secp256k1"):
        trust_root(headers=HeaderTrust(qbft, None, "any")).encode()


def test_a_validator_in_compressed_or_hybrid_form_is_refused():
    good = validator("x")
    for first in (b"\x00", b"\x02", b"\x03", b"\x06", b"\x07"):
        bad = replace(good, public_key=first + good.public_key[1:])
        qbft = replace(trust_root().headers.qbft, validators=(bad, *trust_root().headers.qbft.validators[:3]))
        with pytest.raises(TrustRootError, match="public key of validator"):
            trust_root(headers=HeaderTrust(qbft, None, "any")).encode()


def test_the_signed_form_comes_back_and_has_its_digest():
    import hashlib

    signed = SignedTrustRoot.decode(CHAIN[0])
    assert signed.encode() == CHAIN[0]
    assert signed.cid == FIRST_CID
    assert signed.digest == hashlib.sha256(trust_root().encode()).digest()


@pytest.mark.parametrize("document", [b"", "text", None, bytes(65536)])
def test_a_signed_form_without_its_document_is_refused(document):
    block = dag_cbor.encode(
        {"schema": "fwledger/trust-root-envelope/1", "document": document, "signatures": []}
    )
    with pytest.raises(MalformedError):
        SignedTrustRoot.decode(block)


def test_the_largest_root_fits_its_limit():
    witnesses = replace(
        trust_root().headers.witnesses,
        threshold=17,
        keys=tuple(vkey(f"witness{n}.example") for n in range(32)),
    )
    qbft = replace(
        trust_root().headers.qbft, validators=tuple(validator(f"validator {n}") for n in range(64))
    )
    keys = KeySet(32, public(*(ec_key(f"key {n}") for n in range(32))))
    root = trust_root(root_keys=keys, release_keys=keys, headers=HeaderTrust(qbft, witnesses, "all"))
    signed = signed_root(root, *(ec_key(f"key {n}") for n in range(32)))
    assert verify_first(signed, now_s=NOW_S) == root
    assert len(signed) < 25_000


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"schema": "fwledger/envelope/1"},
        {"signatures": None},
        {"signatures": [{"keyid": bytes(32)}]},
    ],
    ids=str,
)
def test_another_signed_form_is_refused(change):
    document = dag_cbor.decode(CHAIN[0], max_bytes=65_536)
    with pytest.raises(MalformedError):
        SignedTrustRoot.decode(dag_cbor.encode(document | change))


def test_an_oversize_signed_form_is_not_written():
    with pytest.raises(LimitError):
        SignedTrustRoot(bytes(65_536)).encode()


def test_a_flood_of_signatures_is_not_written():
    signature = SignedTrustRoot.decode(CHAIN[0]).signatures[0]
    with pytest.raises(LimitError):
        SignedTrustRoot(b"x", (signature,) * 33).encode()


def test_signing_again_replaces_the_older_signature():
    signed = SignedTrustRoot.decode(CHAIN[0])
    again = signed.with_signature(replace(signed.signatures[0], sig=bytes(64)))
    assert len(again.signatures) == 2
    with pytest.raises(SignatureError):
        verify_first(again.encode(), now_s=None)


# --- the edges of what a document may say ---


def edge(path, value, **changes):
    """Give a good document, changed at one path."""
    document = dag_cbor.decode(trust_root(**changes).encode(), max_bytes=limits.MAX_TRUST_ROOT_BYTES)
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return dag_cbor.encode(document)


ON_CHAIN_1 = {
    "ledger": replace(trust_root().ledger, chain_id=1),
    "headers": replace(trust_root().headers, witnesses=None),
}


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        (("version",), limits.MAX_U32, {"version": 2, "previous": FIRST_CID}),
        (("issued_at",), 0, {}),
        (("issued_at",), limits.MAX_TIME_S, {"expires": None}),
        (("expires",), limits.MAX_TIME_S, {}),
        (("max_checkpoint_age",), 1, {}),
        (("max_checkpoint_age",), limits.MAX_U32, {}),
        (("ledger", "chain_id"), 1, ON_CHAIN_1),
        (("ledger", "chain_id"), limits.MAX_U64, ON_CHAIN_1),
        (("ledger", "from_block"), 0, {}),
        (("ledger", "from_block"), limits.MAX_U64, {}),
        (("ledger", "from_time"), 0, {}),
        (("ledger", "from_time"), limits.MAX_TIME_S, {}),
        (("headers", "qbft", "min_validators"), 1, {}),
        (("release_keys", "threshold"), 1, {}),
        (("release_keys", "threshold"), 3, {}),
        (("headers", "witnesses", "final"), "depth:999999", {}),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, int | str) else "",
)
def test_the_first_and_the_last_value_of_a_range_are_accepted(path, value, changes):
    document = edge(path, value, **changes)
    assert TrustRoot.decode(document).encode() == document


@pytest.mark.parametrize(
    ("path", "value", "changes", "what"),
    [
        (("issued_at",), limits.MAX_TIME_S + 1, {"expires": None}, "issued_at"),
        (("expires",), limits.MAX_TIME_S + 1, {}, "expires"),
        (("expires",), -1, {"issued_at": 0}, "expires"),
        (("max_checkpoint_age",), limits.MAX_U32 + 1, {}, "max_checkpoint_age"),
        (("ledger", "from_time"), limits.MAX_TIME_S + 1, {}, "ledger.from_time"),
        (("root_keys", "threshold"), limits.MAX_KEYS + 1, {}, "root_keys.threshold"),
        (("headers", "qbft", "min_validators"), limits.MAX_VALIDATORS + 1, {}, "qbft.min_validators"),
        (("headers", "witnesses", "threshold"), limits.MAX_WITNESSES + 1, {}, "witnesses.threshold"),
        (("headers", "witnesses", "origin"), "a" * limits.MAX_LABEL_BYTES + "/evm/1337", {}, "origin"),
        (("headers", "witnesses", "keys"), [vkey(f"w{n}.a") for n in range(33)], {}, "keys"),
        (("headers", "qbft", "validators"), [VALIDATORS[0]] * 65, {}, "validators"),
        (("root_keys", "keys"), [KEYS[0]] * 33, {}, "keys"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, int | str) else "",
)
def test_one_more_than_a_range_holds_is_refused_by_the_fields_name(path, value, changes, what):
    with pytest.raises(ProtocolError) as refused:
        TrustRoot.decode(edge(path, value, **changes))
    assert what in refused.value.what


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("root_keys", "keys"), ["key"] * 2, "root keys"),
        (("release_keys", "keys"), ["key"] * 2, "release keys"),
        (("root_keys", "keys"), KEYS[:1], "root keys"),
        (("headers", "qbft", "validators", 0, "public_key"), bytes(64), "public key of validator"),
        (("headers", "qbft", "validators"), [VALIDATORS[0]] * 4, "validators"),
        (("headers", "witnesses", "keys"), [VKEYS[0], VKEYS[1], "x"], "witnesses"),
        (("headers", "require"), "none", "headers.require"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_root_is_named(path, value, what):
    with pytest.raises(ProtocolError) as refused:
        TrustRoot.decode(edge(path, value))
    assert what in refused.value.what


def test_witnesses_of_another_chain_are_refused():
    with pytest.raises(TrustRootError, match="origin of witnesses"):
        TrustRoot.decode(edge(("headers", "witnesses", "origin"), "acme.example/evm/13370"))


def test_an_expiry_is_after_the_issue():
    with pytest.raises(TrustRootError, match="expiry"):
        TrustRoot.decode(edge(("expires",), trust_root().issued_at))


def test_two_names_of_one_witness_key_are_refused_by_that_name():
    twins = [*VKEYS[:2], vkey("alias.example", point=digest("witness witness0.example"))]
    with pytest.raises(ProtocolError) as refused:
        TrustRoot.decode(edge(("headers", "witnesses", "keys"), twins))
    assert "public keys of witnesses" in refused.value.what


# --- witnesses before there is a root ---


def test_witnesses_that_a_root_may_pin_are_accepted():
    assert check_witness_trust(trust_root().headers.witnesses) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"threshold": 1}, "threshold of witnesses"),
        ({"threshold": 0}, "witnesses.threshold"),
        ({"origin": "acme.example"}, "witnesses.origin"),
        ({"final": "latest"}, "witnesses.final"),
        ({"keys": ()}, "witnesses.keys"),
    ],
    ids=repr,
)
def test_witnesses_that_no_root_could_pin_are_refused_by_name(change, what):
    with pytest.raises(ProtocolError) as refused:
        check_witness_trust(replace(trust_root().headers.witnesses, **change))
    assert what in refused.value.what


def test_more_witnesses_than_a_root_may_hold_in_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_TRUST_ROOT_BYTES", 100)
    with pytest.raises(LimitError):
        check_witness_trust(trust_root().headers.witnesses)


def test_there_is_no_version_0_even_with_a_previous():
    with pytest.raises(ProtocolError):
        TrustRoot.decode(edge(("version",), 0, version=2, previous=FIRST_CID))


def test_there_is_no_chain_0():
    with pytest.raises(ProtocolError) as refused:
        TrustRoot.decode(edge(("ledger", "chain_id"), 0, **ON_CHAIN_1))
    assert "chain_id" in refused.value.what


def test_one_validator_is_a_list_of_validators():
    one = trust_root(headers=HeaderTrust(replace(trust_root().headers.qbft, min_validators=1), None, "any"))
    document = edge(("headers", "qbft", "validators"), VALIDATORS[:1], headers=one.headers)
    assert len(TrustRoot.decode(document).headers.qbft.validators) == 1


def test_an_origin_may_be_as_long_as_a_label():
    ending = "/evm/1337"
    origin = "a" * (limits.MAX_LABEL_BYTES - len(ending)) + ending
    document = edge(("headers", "witnesses", "origin"), origin)
    assert TrustRoot.decode(document).headers.witnesses.origin == origin
