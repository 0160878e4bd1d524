import json
import random
from pathlib import Path

import pytest
from eth_keys import keys as reference

from ledger_protocol.errors import LimitError, MalformedError, ProtocolError, QuorumError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp, secp256k1
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import QbftTrust, Validator
from tests.sim.validators import Validators, header_fields

VECTORS = Path(__file__).parents[1] / "vectors"
PUBLISHED = json.loads((VECTORS / "qbft.json").read_text())
NETWORK = json.loads((VECTORS / "qbft-network.json").read_text())
FOUR = Validators(4)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def digest_of(fields, *, round_=0, listed=None) -> bytes:
    """What validators sign for these fields at a round."""
    fields = list(fields)
    fields[12] = qbft.encode_extra(bytes(32), listed or FOUR.addresses(), round_, [])
    return keccak256(rlp.encode(fields))


# --- a quorum of pinned validators, or nothing


@pytest.mark.parametrize("signers", [(), (0,), (1, 3), (0, 2)])
def test_two_of_four_seals_or_fewer_are_refused(signers):
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.seal(signers=signers), FOUR.trust())


@pytest.mark.parametrize(("count", "floor"), [(4, 2), (5, 3), (7, 4), (8, 5), (10, 6)])
def test_a_quorum_rounded_down_is_refused(count, floor):
    many = Validators(count)
    assert floor == 2 * count // 3
    assert qbft.quorum(count) == floor + 1
    with pytest.raises(QuorumError):
        qbft.verify_seals(many.seal(signers=range(floor)), many.trust())
    assert qbft.verify_seals(many.seal(signers=range(floor + 1)), many.trust()).number == 100


def test_the_quorum_is_two_thirds_rounded_up():
    assert [qbft.quorum(n) for n in (1, 2, 3, 4, 5, 6, 7, 9, 10)] == [1, 2, 2, 3, 4, 4, 5, 6, 7]


def test_a_seal_given_twice_counts_once():
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.seal(signers=(0, 0, 1, 1)), FOUR.trust())


def test_two_different_seals_of_one_validator_count_once():
    fields = header_fields()
    digest = digest_of(fields)
    seals = [FOUR.seal_of(place, digest) for place in (0, 0, 0, 1)]
    assert len(set(seals)) == 4
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, seals), FOUR.trust())


def test_a_seal_and_its_mirror_with_high_s_count_once():
    fields = header_fields()
    first, second = (FOUR.seal_of(place, digest_of(fields)) for place in (0, 1))
    mirror = first[:32] + (secp256k1.ORDER - int.from_bytes(first[32:64], "big")).to_bytes(32, "big") + b"\1"
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, [first, mirror, second]), FOUR.trust())


def test_high_s_is_accepted_as_besu_does():
    fields = header_fields()
    first, second, third = (FOUR.seal_of(place, digest_of(fields)) for place in (0, 1, 2))
    mirror = first[:32] + (secp256k1.ORDER - int.from_bytes(first[32:64], "big")).to_bytes(32, "big") + b"\1"
    assert qbft.verify_seals(FOUR.with_seals(fields, [mirror, second, third]), FOUR.trust()).number == 100


def test_the_validators_that_a_header_lists_prove_nothing():
    forgers = Validators(4, seed=2)
    with pytest.raises(QuorumError):
        qbft.verify_seals(forgers.seal(), FOUR.trust())


def test_forgers_who_list_the_pinned_validators_are_refused():
    forgers = Validators(4, seed=2)
    with pytest.raises(QuorumError):
        qbft.verify_seals(forgers.seal(listed=FOUR.addresses()), FOUR.trust())


def test_pinned_validators_suffice_whatever_the_header_lists():
    assert qbft.verify_seals(FOUR.seal(listed=[bytes(20)]), FOUR.trust()).number == 100


def test_seals_of_another_header_are_refused():
    fields = header_fields()
    seals = [FOUR.seal_of(place, digest_of(header_fields(number=101))) for place in range(4)]
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, seals), FOUR.trust())


@pytest.mark.parametrize("place", [0, 2, 3, 4, 5, 6, 8, 9, 10, 11, 15])
def test_a_change_of_any_field_breaks_the_seals(place):
    fields = list(parse_header(FOUR.seal()).fields)
    changed = bytearray(fields[place] or b"\1")
    changed[-1] ^= 1
    fields[place] = bytes(changed) if any(changed) or len(changed) > 8 else b"\2"
    with pytest.raises(QuorumError):
        qbft.verify_seals(rlp.encode(fields), FOUR.trust())


# --- two hashes


def test_seals_over_the_block_hash_are_refused_when_the_round_is_not_zero():
    fields = header_fields()
    seals = [FOUR.seal_of(place, digest_of(fields, round_=0)) for place in range(4)]
    assert qbft.verify_seals(FOUR.with_seals(fields, seals, 0), FOUR.trust()).number == 100
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, seals, 1), FOUR.trust())


def test_the_two_hashes_agree_only_at_round_zero():
    for round_ in (0, 1, 2, 300):
        header = qbft.verify_seals(FOUR.seal(round_=round_), FOUR.trust())
        assert (qbft.seal_digest(header) == qbft.block_hash(header)) is (round_ == 0)
        assert qbft.block_hash(header) == digest_of(header_fields(), round_=0)


def test_a_hash_of_the_whole_header_is_neither():
    raw = FOUR.seal(round_=1)
    header = parse_header(raw)
    assert keccak256(raw) not in (qbft.seal_digest(header), qbft.block_hash(header))


# --- seals that are nobody's


@pytest.mark.parametrize(
    "seal",
    [
        bytes(65),
        b"\xff" * 64 + b"\0",
        secp256k1.ORDER.to_bytes(32, "big") * 2 + b"\0",
        bytes(32) + b"\1" * 32 + b"\0",
        b"\1" * 32 + bytes(32) + b"\0",
        b"\1" * 64 + b"\1",
    ],
)
def test_a_seal_that_is_nobodys_blocks_no_good_header(seal):
    fields = header_fields()
    good = [FOUR.seal_of(place, digest_of(fields)) for place in (1, 2, 3)]
    assert qbft.verify_seals(FOUR.with_seals(fields, [seal, *good]), FOUR.trust()).number == 100
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, [seal, *good[:2]]), FOUR.trust())


def test_one_replaced_validator_is_no_flag_day():
    newcomer = Validators(1, seed=3)
    fields = header_fields()
    digest = digest_of(fields)
    seals = [newcomer.seal_of(0, digest), *(FOUR.seal_of(place, digest) for place in (0, 1, 2))]
    assert qbft.verify_seals(FOUR.with_seals(fields, seals), FOUR.trust()).number == 100


@pytest.mark.parametrize("v", [2, 27, 28, 255])
def test_a_seal_with_a_v_that_no_client_writes_counts_nothing(v):
    fields = header_fields()
    seals = [FOUR.seal_of(place, digest_of(fields))[:64] + bytes([v]) for place in range(4)]
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.with_seals(fields, seals), FOUR.trust())


@pytest.mark.parametrize("size", [0, 64, 66, 130])
def test_seals_of_another_length_are_malformed(size):
    with pytest.raises(MalformedError):
        qbft.verify_seals(FOUR.with_seals(header_fields(), [bytes(size)]), FOUR.trust())


def test_the_count_of_seals_is_bounded():
    fields = header_fields()
    junk = [bytes([1]) * 62 + index.to_bytes(2, "big") + b"\0" for index in range(qbft.MAX_SEALS + 1)]
    with pytest.raises(LimitError):
        qbft.verify_seals(FOUR.with_seals(fields, junk), FOUR.trust())


# --- extraData is strict


def extra(parts) -> bytes:
    fields = header_fields()
    fields[12] = rlp.encode(parts)
    return rlp.encode(fields)


GOOD_PARTS = [bytes(32), FOUR.addresses(), [], b"", []]


@pytest.mark.parametrize(
    ("place", "part"),
    [
        (0, bytes(31)),
        (0, bytes(33)),
        (0, []),
        (1, b"x"),
        (1, [bytes(19)]),
        (1, [[bytes(20)]]),
        (1, [bytes(20)] * 129),
        (2, b""),
        (2, [bytes(20)]),
        (2, [bytes(20), b"\1"]),
        (2, [bytes(19), b"\xff"]),
        (2, [bytes(20), b"\xff", b""]),
        (3, b"\0"),
        (3, b"\0\1"),
        (3, b"\1\2\3\4\5"),
        (3, []),
        (4, b""),
        (4, [[bytes(65)]]),
        (4, [[]]),
    ],
)
def test_extra_data_of_another_shape_is_refused(place, part):
    parts = list(GOOD_PARTS)
    parts[place] = part
    with pytest.raises(MalformedError):
        qbft.verify_seals(extra(parts), FOUR.trust())


@pytest.mark.parametrize("parts", [GOOD_PARTS[:4], [*GOOD_PARTS, b""], [], b"x"])
def test_extra_data_has_five_parts(parts):
    with pytest.raises(MalformedError):
        qbft.parse_extra(rlp.encode(parts))


@pytest.mark.parametrize("kind", [b"", b"\0", b"\xff"])
def test_a_header_with_a_vote_is_sealed_with_it(kind):
    fields = header_fields()
    vote = (b"\7" * 20, kind)
    fields[12] = qbft.encode_extra(bytes(32), FOUR.addresses(), 0, [], vote=vote)
    digest = keccak256(rlp.encode(list(fields)))
    seals = [FOUR.seal_of(place, digest) for place in range(3)]
    fields[12] = qbft.encode_extra(bytes(32), FOUR.addresses(), 0, seals, vote=vote)
    header = qbft.verify_seals(rlp.encode(fields), FOUR.trust())
    assert qbft.parse_extra(header.extra_data).vote == vote


@pytest.mark.parametrize(("place", "value"), [(7, b""), (7, b"\2"), (13, bytes(32)), (14, b"\1" * 8)])
def test_a_header_that_is_not_of_qbft_is_refused(place, value):
    fields = header_fields()
    fields[place] = value
    with pytest.raises(MalformedError):
        qbft.verify_seals(FOUR.seal(fields), FOUR.trust())


# --- the trust root's own words


def test_fewer_pinned_validators_than_the_least_are_refused():
    three = Validators(3)
    with pytest.raises(QuorumError, match="too few validators"):
        qbft.verify_seals(three.seal(), three.trust(min_validators=4))
    assert qbft.verify_seals(three.seal(), three.trust(min_validators=3)).number == 100


def test_the_count_of_pinned_validators_is_bounded():
    many = FOUR.trust().validators * 33
    with pytest.raises(LimitError):
        qbft.verify_seals(FOUR.seal(), QbftTrust(validators=many, min_validators=4))


def test_no_pinned_validators_are_no_trust():
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.seal(), QbftTrust(validators=(), min_validators=0))


def test_a_validator_pinned_four_times_is_one():
    one = FOUR.trust().validators[0]
    with pytest.raises(QuorumError):
        qbft.verify_seals(FOUR.seal(), QbftTrust(validators=(one,) * 4, min_validators=4))


def test_a_pinned_key_that_is_not_its_address_is_refused():
    good = FOUR.trust().validators
    swapped = Validator(address=good[0].address, public_key=good[1].public_key)
    with pytest.raises(MalformedError):
        qbft.verify_seals(FOUR.seal(), QbftTrust(validators=(swapped, *good[1:]), min_validators=4))


@pytest.mark.parametrize("key", [b"", bytes(65), b"\4" + bytes(64), b"\4" + b"\1" * 64, b"\2" + b"\1" * 32])
def test_a_pinned_key_off_the_curve_is_refused(key):
    good = FOUR.trust().validators
    bad = Validator(address=good[0].address, public_key=key)
    with pytest.raises(MalformedError):
        qbft.verify_seals(FOUR.seal(), QbftTrust(validators=(bad, *good[1:]), min_validators=4))


# --- what real networks wrote


def test_a_published_header_of_round_one_verifies():
    vector = PUBLISHED["header_round1_n4"]
    raw = unhex(vector["raw"])
    header = parse_header(raw)
    assert header.number == vector["number"]
    assert header.state_root.hex() == vector["state_root"]
    assert qbft.seal_digest(header).hex() == vector["commit_hash"]
    assert keccak256(unhex(vector["seal_free_preimage"])).hex() == vector["commit_hash"]
    assert qbft.block_hash(header).hex() == vector["block_hash_by_besu_rule"]
    extra_data = qbft.parse_extra(header.extra_data)
    assert extra_data.round == vector["round"] == 1
    assert [address.hex() for address in extra_data.validators] == vector["validators"]
    signers = [(unhex(s["address"]), unhex(s["public_key"])) for s in vector["signers_in_seal_order"]]
    for seal, (_, key) in zip(extra_data.seals, signers, strict=True):
        assert secp256k1.PublicKey.from_bytes(key).has_signed(qbft.seal_digest(header), seal[:64])
    pinned = tuple(Validator(address=address, public_key=key) for address, key in signers)
    assert qbft.verify_seals(raw, QbftTrust(validators=pinned, min_validators=3)) == header


def test_a_published_extra_data_reads():
    vector = PUBLISHED["extra_data_n1"]
    parsed = qbft.parse_extra(unhex(vector["raw"]))
    assert len(parsed.validators) == len(parsed.seals) == 1
    assert rlp.encode_scalar(parsed.round) == b""
    again = qbft.encode_extra(parsed.vanity, parsed.validators, parsed.round, parsed.seals, vote=parsed.vote)
    assert again == unhex(vector["raw"])


def test_a_published_genesis_has_its_published_hash():
    vector = PUBLISHED["genesis_n5"]
    fields = header_fields(number=0, timestamp=vector["timestamp"], base_fee=None)
    fields[1] = _genesis_ommers(vector)
    fields[9] = rlp.encode_scalar(vector["gas_limit"])
    fields[12] = unhex(vector["extra_data"])
    header = parse_header(rlp.encode(list(fields)))
    assert qbft.block_hash(header).hex() == vector["published_hash"]
    assert len(qbft.parse_extra(header.extra_data).validators) == 5


def _genesis_ommers(vector) -> bytes:
    return unhex(vector["ommers_hash"]) if "ommers_hash" in vector else keccak256(b"\xc0")


def network_trust() -> QbftTrust:
    """Recover the public keys of the recorded network with an independent library, as its operator would
    export them.
    """
    found = {}
    for entry in NETWORK["headers"]:
        header = parse_header(unhex(entry["raw"]))
        for seal in qbft.parse_extra(header.extra_data).seals:
            key = reference.Signature(seal).recover_public_key_from_msg_hash(qbft.seal_digest(header))
            found[key.to_canonical_address()] = b"\4" + key.to_bytes()
    assert sorted(found) == sorted(map(unhex, NETWORK["validators"]))
    pinned = tuple(Validator(address=address, public_key=key) for address, key in sorted(found.items()))
    return QbftTrust(validators=pinned, min_validators=4)


def test_every_recorded_header_verifies_and_has_its_hash():
    trust = network_trust()
    rounds = set()
    for entry in NETWORK["headers"]:
        raw = unhex(entry["raw"])
        header = parse_header(raw)
        assert qbft.block_hash(header).hex() == entry["hash"][2:]
        assert qbft.parse_extra(header.extra_data).round == entry["round"]
        rounds.add(entry["round"])
        if entry["number"]:
            assert qbft.verify_seals(raw, trust).state_root.hex() == entry["stateRoot"][2:]
    assert rounds == {0, 1, 2}


def test_a_genesis_without_seals_is_not_trusted():
    with pytest.raises(QuorumError):
        qbft.verify_seals(unhex(NETWORK["headers"][0]["raw"]), network_trust())


def test_eight_hundred_mutations_of_a_recorded_header_are_never_another_header():
    rng = random.Random(4)
    trust = network_trust()
    raw = unhex(NETWORK["headers"][1]["raw"])
    sealed = qbft.seal_digest(parse_header(raw))
    for _ in range(800):
        data = bytearray(raw)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            header = qbft.verify_seals(bytes(data), trust)
        except ProtocolError:
            continue
        # Only seals themselves may differ (their v, which nothing covers): what was sealed is the same.
        assert qbft.seal_digest(header) == sealed


# --- bounds, to the one


def test_one_validator_may_be_enough_where_the_root_says_so():
    alone = Validators(1)
    assert qbft.verify_seals(alone.seal(), alone.trust(min_validators=1)).number == 100
    with pytest.raises(QuorumError):
        qbft.verify_seals(alone.seal(signers=()), alone.trust(min_validators=0))


def test_sixty_four_validators_may_be_pinned_and_not_one_more():
    many = Validators(65)
    trust = many.trust()
    with pytest.raises(LimitError):
        qbft.verify_seals(many.seal(signers=()), trust)
    fewer = QbftTrust(validators=trust.validators[:64], min_validators=4)
    with pytest.raises(QuorumError, match="at least 43 of 64"):
        qbft.verify_seals(many.seal(signers=()), fewer)


def test_a_seal_with_a_strange_v_hides_none_behind_it():
    digest = digest_of(header_fields())
    seals = [FOUR.seal_of(place, digest) for place in range(4)]
    raw = FOUR.with_seals(header_fields(), [seals[0][:64] + b"\2", *seals[1:]])
    assert qbft.verify_seals(raw, FOUR.trust()).number == 100


def test_a_hundred_and_twenty_eight_seals_and_validators_are_read_and_not_one_more():
    seal, address = bytes(65), bytes(20)
    extra = qbft.parse_extra(qbft.encode_extra(bytes(32), [address] * 128, 0, [seal] * 128))
    assert (len(extra.validators), len(extra.seals)) == (128, 128)
    with pytest.raises(LimitError, match="validators"):
        qbft.parse_extra(qbft.encode_extra(bytes(32), [address] * 129, 0, []))
    with pytest.raises(LimitError, match="seals"):
        qbft.parse_extra(qbft.encode_extra(bytes(32), [], 0, [seal] * 129))
