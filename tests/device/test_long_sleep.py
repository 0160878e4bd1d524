"""A device that slept for years: it walks every trust root before it looks at a header, and no wrong one."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from device_verifier.asking import ask_all
from device_verifier.sources.relay import RelayLedger
from device_verifier.trusted_roots import floor_scope
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.release.trust_root import HeaderTrust
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import CODE_HASH, GENESIS_TIME, Repository, ed25519_keys, key_set
from tests.sim.scene import Scene
from tests.sim.servers import Relay, http_server
from tests.sim.sources import MemoryLedger
from tests.sim.validators import Validators
from tests.sim.witnesses import Witnesses

VERSIONS = 100
SEALERS = {25: 2, 50: 3, 75: 4}  # versions at which all validators are replaced, and the seed of the new ones


def slept(scene: Scene) -> Repository:
    """Issue versions 2 to 100: root keys change every tenth, release keys every twentieth, validators thrice."""
    repository = scene.repository
    for version in range(2, VERSIONS + 1):
        changes: dict[str, object] = {"max_checkpoint_age": 86_400 * version}
        if version in SEALERS:
            repository.validators = Validators(seed=SEALERS[version])
            changes["headers"] = HeaderTrust(repository.validators.trust(), None, "any")
            number = repository.first_block + len(repository.chain)
            changes["ledger"] = replace(repository.root.ledger, from_block=number, from_time=repository.time)
            repository.seal()
        signers = list(repository.root_keys[:2])
        if version % 10 == 0:
            repository.root_keys = ed25519_keys(f"root of version {version}", 3)
            changes["root_keys"] = key_set(repository.root_keys, 2)
            signers += repository.root_keys[:2]
        if version % 20 == 0:
            repository.release_keys = ed25519_keys(f"release of version {version}", 3)
            changes["release_keys"] = key_set(repository.release_keys, 2)
        root = repository.next_root(**changes)
        repository.roots.append(root)
        repository.signed_roots.append(repository.sign_root(root, signers))
    repository.announce_root()
    repository.publish(repository.build(2))
    repository.seal()
    return repository


def test_a_device_that_slept_through_a_hundred_versions_walks_them_all_and_then_believes_its_first_header():
    scene = Scene()
    repository = slept(scene)
    assert scene.consult().decision.installs
    assert len(scene.memory.roots) == VERSIONS - 1
    assert scene.memory.floor.number == repository.chain[-1].number
    assert scene.memory.floor.root_version == VERSIONS


def test_headers_of_the_three_sets_of_validators_before_are_not_believed():
    scene = Scene()
    repository = slept(scene)
    for seed in (1, 2, 3):
        scene.ledger.at = repository.seal(validators=Validators(seed=seed), append=False)
        assert scene.refusal().reason is Reason.HEADER_QUORUM


@pytest.mark.parametrize("missing", [2, 25, 57, 100])
def test_one_version_left_out_ends_the_walk_before_it(missing):
    scene = Scene()
    repository = slept(scene)
    roots = repository.signed_roots
    scene.ledger.roots = [*roots[: missing - 1], *roots[missing:]]
    # Behind a gap nothing can be walked to; the newest alone is missed by the ledger's digest.
    assert scene.refusal().reason is (
        Reason.TRUST_ROOT_MISSING if missing == VERSIONS else Reason.BAD_TRUST_ROOT
    )
    assert len(scene.memory.roots) == missing - 2
    scene.ledger.roots = None
    assert scene.consult().decision.installs


@pytest.mark.parametrize("fault", ["forked", "replayed", "expired", "under-signed", "signed by retired keys"])
def test_a_wrong_version_among_a_hundred_is_not_walked_over(fault):
    scene = Scene()
    repository = slept(scene)
    last = repository.roots[-1]
    signers = repository.root_keys[:2]
    if fault == "forked":
        # The same number after the same version, rightly signed: whoever walked over one refuses the other.
        assert scene.consult().decision.installs
        wrong = repository.sign_root(replace(last, max_checkpoint_age=1), signers)
    elif fault == "replayed":
        assert scene.consult().decision.installs
        wrong = repository.signed_roots[40]
    elif fault == "expired":
        gone = repository.next_root(expires=repository.time - 5, issued_at=GENESIS_TIME - 900)
        wrong = repository.sign_root(gone, signers)
    else:
        keys = signers[:1] if fault == "under-signed" else ed25519_keys("root of version 90", 3)[:2]
        wrong = repository.sign_root(repository.next_root(), keys)
    before = len(scene.memory.roots)
    scene.ledger.roots = [*repository.signed_roots, wrong]
    if fault in ("replayed", "forked"):
        scene.consult()
        assert len(scene.memory.roots) == before
        return
    reason = scene.reason()
    if fault == "expired":
        assert reason is Reason.TRUST_ROOT_EXPIRED
    else:
        assert wrong not in scene.memory.roots
        assert len(scene.memory.roots) == VERSIONS - 1


def test_a_move_to_a_chain_of_lower_height_is_followed_because_the_root_says_where_it_begins():
    """The dead chain stood at height 110; the new one, with witnesses in place of validators, stands at 6."""
    scene = Scene()
    old = scene.repository
    for _ in range(10):
        old.seal()
    assert scene.consult().decision.installs
    high = scene.memory.floor.number
    fresh = Repository(witnesses=Witnesses(3), sealed=False)
    fresh.root_keys, fresh.release_keys = old.root_keys, old.release_keys
    fresh.first_block, fresh.time = 5, old.time
    ledger = replace(old.root.ledger, from_block=5, from_time=old.time)
    headers = HeaderTrust(None, fresh.witnesses.trust(2), "any")
    moved = replace(
        old.root, version=2, previous=Cid.of(DAG_CBOR, old.factory_root), ledger=ledger, headers=headers
    )
    signed = old.sign_root(moved, old.root_keys[:2])
    fresh.roots, fresh.signed_roots = [old.root, moved], [old.factory_root, signed]
    fresh.ledger_words.clear()
    fresh.announce_root()
    fresh.publish(fresh.build(20))
    fresh.seal()
    fresh.seal()
    assert floor_scope(signed) != floor_scope(old.factory_root)
    # From before the new root's first block nothing counts, although no height was ever seen there.
    early = fresh.seal(number=4, append=False)
    scene.ledger.repository = fresh
    scene.mirror.blocks.update(fresh.blocks)
    scene.ledger.at = early
    assert scene.refusal().reason is Reason.LEDGER_ROLLBACK
    scene.ledger.at = None
    assert scene.consult().decision.installs
    assert (scene.memory.floor.number, high > 100) == (6, True)
    # And it does not go back to the old chain.
    scene.ledger.repository = old
    assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_a_root_that_changes_neither_ledger_nor_header_signers_keeps_the_height():
    scene = Scene()
    old = scene.repository.chain[-1]
    scene.repository.seal()
    assert scene.consult().decision.installs
    scene.repository.rotate_root(ledger=replace(scene.repository.root.ledger, code_hash=CODE_HASH))
    scene.repository.seal()
    scene.ledger.at = old
    assert scene.refusal().reason is Reason.LEDGER_ROLLBACK


def test_a_hundred_versions_over_a_slow_line_are_walked_in_several_checks(monkeypatch):
    """Beside a source that answers at once and has none of them."""
    monkeypatch.setattr(ask_all, "__kwdefaults__", {**ask_all.__kwdefaults__, "grace_s": 0.3})
    scene = Scene()
    slept(scene)
    relay = Relay(scene.repository)

    def slow(method, path, body):
        threading.Event().wait(0.01 if "trust-roots" in path else 0)
        return relay(method, path, body)

    walked = [0]
    with http_server(slow) as url:
        scene.ledgers = [MemoryLedger(scene.repository, roots=[]), RelayLedger(url)]
        while walked[-1] < VERSIONS - 1:
            scene.reason()
            walked.append(len(scene.memory.roots))
            assert walked[-1] > walked[-2], "no check is in vain"
        assert len(walked) > 2, "one check was not enough"
        assert scene.consult().learned.view.root.version == VERSIONS


def test_trust_roots_before_a_line_went_dead_are_walked():
    scene = Scene()
    slept(scene)
    relay = Relay(scene.repository)
    with http_server(
        lambda method, path, body: (500, b"") if path.endswith("/31") else relay(method, path, body)
    ) as url:
        scene.ledgers = [RelayLedger(url)]
        scene.refusal()
    assert len(scene.memory.roots) == 29
