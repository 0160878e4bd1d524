"""The pure checks V0 to V4: their order, their floor, and what they give."""

import time

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import LedgerFloor, TrustedLedger, floor_scope
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import DEVICE, GENESIS_TIME, LEDGER, Repository

STABLE = StateQuery(channel="stable")


@pytest.fixture
def repository():
    repository = Repository()
    repository.publish(repository.build(10))
    repository.enrol(DEVICE, group=7, sequence=3)
    repository.assign(7, "stable")
    repository.seal()
    return repository


def ledger(repository, *, floor=None, now_s=None):
    return TrustedLedger(trust_root=repository.factory_root, floor=floor, now_s=now_s)


def test_the_trust_root_has_no_default():
    with pytest.raises(TypeError):
        TrustedLedger(floor=None, now_s=None)
    with pytest.raises(TypeError):
        TrustedLedger(b"", None, None)


def test_words_before_a_header_are_out_of_order(repository):
    with pytest.raises(RuntimeError, match="header"):
        ledger(repository).read(STABLE)


def test_a_floor_before_a_whole_proof_is_out_of_order(repository):
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    with pytest.raises(RuntimeError, match="read"):
        _ = trusted.new_floor
    trusted.read(STABLE)
    assert trusted.new_floor.number == 100


def test_a_root_after_a_header_is_out_of_order(repository):
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    with pytest.raises(RuntimeError, match="root"):
        trusted.update_roots([repository.rotate_root()])


def test_a_second_header_is_out_of_order(repository):
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    with pytest.raises(RuntimeError, match="header"):
        trusted.update_header(repository.proof(STABLE))


def test_a_refused_header_may_be_followed_by_a_good_one(repository):
    trusted = ledger(repository)
    with pytest.raises(NotTrusted):
        trusted.update_header(b"rubbish")
    assert trusted.update_header(repository.proof(STABLE)).number == 100


def test_a_factory_root_that_is_not_signed_is_refused(repository):
    with pytest.raises(NotTrusted) as caught:
        TrustedLedger(trust_root=repository.sign_root(repository.root, []), floor=None, now_s=None)
    assert (caught.value.reason, caught.value.check) == (Reason.BAD_TRUST_ROOT, "V0")


def test_a_stored_root_older_than_the_floors_is_refused(repository):
    floor = LedgerFloor(1, None, 0, 2, floor_scope(repository.factory_root))
    with pytest.raises(NotTrusted) as caught:
        ledger(repository, floor=floor).update_header(repository.proof(STABLE))
    assert caught.value.reason is Reason.BAD_TRUST_ROOT


def test_a_stored_root_older_than_the_floors_may_be_walked_from(repository):
    floor = LedgerFloor(1, None, 0, 2, floor_scope(repository.factory_root))
    trusted = ledger(repository, floor=floor)
    trusted.update_roots([repository.rotate_root()])
    repository.seal()
    assert trusted.update_header(repository.proof(STABLE)).number == 101


def test_roots_that_were_accepted_before_a_bad_one_stay_accepted(repository):
    good = repository.rotate_root()
    trusted = ledger(repository)
    with pytest.raises(NotTrusted):
        trusted.update_roots([good, b"rubbish"])
    assert trusted.new_roots == (good,)
    assert trusted.root.version == 2


def test_a_gap_between_roots_is_refused(repository):
    repository.rotate_root()
    third = repository.rotate_root()
    with pytest.raises(NotTrusted) as caught:
        ledger(repository).update_roots([third])
    assert caught.value.reason is Reason.BAD_TRUST_ROOT


def test_every_word_is_given_as_it_stands(repository):
    installed = b"\x05" * 32
    repository.revoke(installed, reason=7, mandatory=True)
    block = repository.seal()
    query = StateQuery(group=7, installed=installed, also_revoked=(b"\x06" * 32,), device=DEVICE)
    trusted = ledger(repository, now_s=block.time + 5)
    trusted.update_header(repository.proof(query))
    view = trusted.read(query)
    assert view.header.number == block.number
    assert view.header.age_s == 5
    assert (view.word.sequence, view.word.security_version) == (10, 1)
    assert view.head_revoked is None
    assert (view.installed_revoked.reason, view.installed_revoked.mandatory) == (7, True)
    assert view.revocation_of(b"\x06" * 32) is None
    assert (view.device.group, view.device.sequence) == (7, 3)
    assert [step.check for step in view.steps] == ["V0", "V1", "V2", "V3", "V4"]
    assert all(step.ok for step in view.steps)


def test_ids_that_begin_with_zeros_are_given_whole(repository):
    release = repository.build(11)
    head = bytes(5) + b"\x01" * 27
    repository.publish(release)
    repository.ledger_words[state.head_key(STABLE.channel_id)] = int.from_bytes(head, "big")
    repository.seal()
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    assert trusted.read(STABLE).head == head


def test_a_channel_that_was_never_published_is_proven_empty(repository):
    for query in (StateQuery(channel="beta"), StateQuery(group=8), StateQuery(device=b"\x08" * 20)):
        trusted = ledger(repository)
        trusted.update_header(repository.proof(query))
        view = trusted.read(query)
        assert (view.head, view.word, view.device) == (None, None, None)


@pytest.mark.parametrize(
    "query",
    [
        StateQuery(channel="beta"),
        StateQuery(group=9),
        StateQuery(channel="stable", device=DEVICE),
        StateQuery(channel="stable", installed=b"\x05" * 32),
        StateQuery(channel="stable", also_revoked=(b"\x05" * 32,)),
    ],
)
def test_a_word_that_the_proof_does_not_cover_is_refused(repository, query):
    # Enough words that no path is shown by accident: in a small trie the nodes of one word often prove another.
    for number in range(60):
        repository.assign(number, "beta")
        repository.revoke(number.to_bytes(32, "big"))
        repository.enrol(number.to_bytes(20, "big"))
    repository.publish(repository.build(10), channel="beta")
    repository.revoke(b"\x05" * 32)
    repository.seal()
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    with pytest.raises(NotTrusted) as caught:
        trusted.read(query)
    assert caught.value.reason is Reason.BAD_PROOF


def test_a_word_of_another_contract_is_refused(repository):
    repository.ledger_words[state.word_key(STABLE.channel_id)] |= 1 << 255
    repository.seal()
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    with pytest.raises(NotTrusted) as caught:
        trusted.read(STABLE)
    assert caught.value.reason is Reason.BAD_PROOF


def test_a_chain_without_a_journal_refuses_a_devices_word(repository):
    trusted = ledger(repository)
    block = repository.chain[-1]
    only_ledger = type(block.state)()
    only_ledger.set_account(LEDGER, repository.ledger_words, code_hash=repository.ledger_code_hash)
    repository.state = lambda: only_ledger
    repository.seal()
    query = StateQuery(channel="stable", device=DEVICE)
    trusted.update_header(repository.proof(query))
    with pytest.raises(NotTrusted) as caught:
        trusted.read(query)
    assert caught.value.reason is Reason.BAD_PROOF


def test_a_floor_of_an_image_build_without_a_hash_holds_by_height_and_time(repository):
    block = repository.chain[-1]
    scope = floor_scope(repository.factory_root)
    same = LedgerFloor(block.number, None, block.time, 1, scope)
    assert ledger(repository, floor=same).update_header(repository.proof(STABLE)).number == block.number
    above = LedgerFloor(block.number + 1, None, block.time, 1, scope)
    with pytest.raises(NotTrusted) as caught:
        ledger(repository, floor=above).update_header(repository.proof(STABLE))
    assert caught.value.reason is Reason.LEDGER_ROLLBACK


@pytest.mark.parametrize("before", [{"number": 99}, {"time": GENESIS_TIME - 1}])
def test_a_block_from_before_the_roots_first_is_refused(repository, before):
    repository.seal(**before)
    with pytest.raises(NotTrusted) as caught:
        ledger(repository).update_header(repository.proof(STABLE))
    assert (caught.value.reason, caught.value.check) == (Reason.LEDGER_ROLLBACK, "V1")


def test_a_later_block_of_an_earlier_time_is_refused(repository):
    trusted = ledger(repository)
    trusted.update_header(repository.proof(STABLE))
    trusted.read(STABLE)
    repository.seal(time=trusted.new_floor.time - 1)
    with pytest.raises(NotTrusted) as caught:
        ledger(repository, floor=trusted.new_floor).update_header(repository.proof(STABLE))
    assert caught.value.reason is Reason.LEDGER_ROLLBACK


def test_a_root_that_changes_keys_only_keeps_the_floors_scope(repository):
    before = floor_scope(repository.factory_root)
    assert floor_scope(repository.rotate_root(expires=2**33)) == before
    repository.rotate_validators(seed=9)
    assert floor_scope(repository.signed_roots[-1]) != before


def test_a_proof_verifies_in_a_few_milliseconds_and_stays_small_whatever_the_fleet():
    query = StateQuery(group=7, installed=b"\x05" * 32)
    sizes = set()
    for devices in (10, 2_000):
        repository = Repository()
        for channel in range(100):
            repository.publish(repository.build(10, notes=str(channel)), channel=f"channel-{channel}")
        repository.assign(7, "channel-7")
        for device in range(devices):
            repository.enrol(device.to_bytes(20, "big"))
        repository.seal()
        proof = repository.proof(query)
        sizes.add(len(proof))
        best_s = 1.0
        for _ in range(5):
            started = time.process_time()
            trusted = ledger(repository)
            trusted.update_header(proof)
            trusted.read(query)
            best_s = min(best_s, time.process_time() - started)
        assert best_s < 0.010
    assert max(sizes) < 6_000
    assert len(sizes) == 1


@pytest.mark.parametrize("beyond", [{"number": 2**63}, {"time": 2**63}, {"time": 2**40}])
def test_a_sealed_header_beyond_what_can_be_kept_is_refused(repository, beyond):
    repository.seal(**beyond)
    with pytest.raises(NotTrusted) as caught:
        ledger(repository).update_header(repository.proof(STABLE))
    assert caught.value.reason is Reason.WRONG_CHAIN
