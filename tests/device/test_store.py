"""The state file: durable, private, and only ever one arrow at a time."""

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.facts import InstalledRelease
from device_verifier.memory import StoreMemory
from device_verifier.records import (
    BUSY_PHASES,
    ChunkRecord,
    EventChain,
    Install,
    LogLine,
    Origin,
    Phase,
    QueuedEvent,
    Refusal,
)
from device_verifier.store import Store
from device_verifier.trusted_ledger import LedgerFloor
from ledger_protocol.report.reasons import Reason
from tests.sim.power import CountingSteps, PowerCut
from tests.sim.repository import Repository

OFFER = Install(
    phase=Phase.OFFERED,
    release=b"r" * 32,
    head=b"r" * 32,
    slot="b",
    origin=Origin.NETWORK,
    overridden=False,
    started_at_s=1,
    armed_at_s=None,
    manifest=b"m",
    reason=None,
    detail="",
)
FLOOR = LedgerFloor(number=10, hash=b"h" * 32, time=100, root_version=2, scope=b"s" * 32)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        yield store


def chunks(store):
    return store._rows("SELECT slot, slot_class, offset, length, digest FROM chunk")


def begin_twice(store):
    with store.change() as change:
        change.begin(OFFER)
        change.begin(OFFER)


def move(store, *phases):
    for phase in phases:
        with store.change() as change:
            change.begin(OFFER) if phase is Phase.OFFERED else change.move(phase)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "state.db").write_bytes(b"not a database, and long enough to look at" * 100)
    with pytest.raises(SlotFailure, match="not a database") as caught:
        Store(tmp_path / "state.db", steps=DurableSteps())
    assert caught.value.reason is Reason.STATE_DAMAGED
    assert caught.value.exit_code == 4


def test_another_programs_database_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(SlotFailure, match="expected fwledger state, schema 1"):
        Store(tmp_path / "state.db", steps=DurableSteps())


def test_a_newer_schema_is_refused(tmp_path, store):
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(SlotFailure, match="schema 2"):
        Store(tmp_path / "state.db", steps=DurableSteps())


def test_a_missing_state_directory_is_refused(tmp_path):
    with pytest.raises(SlotFailure, match="expected a directory that the agent may write") as caught:
        Store(tmp_path / "gone" / "state.db", steps=DurableSteps())
    assert "fwledger-device enrol" in caught.value.hint


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SlotFailure):
        Store(tmp_path / "state.db", steps=DurableSteps())
    assert not (tmp_path / "elsewhere").exists()


def test_only_its_owner_may_read_it(tmp_path, store):
    move(store, Phase.OFFERED)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_full_disk_is_named_and_changes_nothing(store):
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SlotFailure) as caught, store.change() as change:
        change.begin(replace(OFFER, manifest=bytes(100_000)))
    assert caught.value.reason is Reason.DISK_FULL
    assert store.phase() is Phase.IDLE


def test_a_change_that_fails_leaves_nothing(store):
    with pytest.raises(RuntimeError):
        begin_twice(store)
    assert store.phase() is Phase.IDLE


@pytest.mark.parametrize("held", list(Phase))
@pytest.mark.parametrize("wanted", list(Phase))
def test_there_is_no_arrow_but_those_of_the_design(tmp_path, held, wanted):
    arrows = {
        Phase.IDLE: {Phase.OFFERED},
        Phase.OFFERED: {Phase.DOWNLOADING, Phase.IDLE},
        Phase.DOWNLOADING: {Phase.STAGED, Phase.IDLE},
        Phase.STAGED: {Phase.ARMED, Phase.IDLE, Phase.DOWNLOADING},
        Phase.ARMED: {Phase.TRIAL, Phase.REVERTED},
        Phase.TRIAL: {Phase.CONFIRMED, Phase.REVERTED},
        Phase.CONFIRMED: {Phase.OFFERED, Phase.IDLE},
        Phase.REVERTED: {Phase.OFFERED, Phase.IDLE},
    }
    ways = {
        Phase.OFFERED: (),
        Phase.DOWNLOADING: (Phase.DOWNLOADING,),
        Phase.STAGED: (Phase.DOWNLOADING, Phase.STAGED),
        Phase.ARMED: (Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED),
        Phase.TRIAL: (Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED, Phase.TRIAL),
        Phase.CONFIRMED: (Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED, Phase.TRIAL, Phase.CONFIRMED),
        Phase.REVERTED: (Phase.DOWNLOADING, Phase.STAGED, Phase.ARMED, Phase.REVERTED),
    }
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        if held is not Phase.IDLE:
            move(store, Phase.OFFERED, *ways[held])
        if wanted in arrows[held]:
            move(store, wanted)
            assert store.phase() is wanted
        else:
            with pytest.raises(RuntimeError):
                move(store, wanted)
            assert store.phase() is held


def test_the_ledger_floor_never_goes_back(store):
    with store.change() as change:
        change.raise_floor(FLOOR)
    for lower in (
        replace(FLOOR, number=9),
        replace(FLOOR, time=99),
        replace(FLOOR, root_version=1, scope=b"t" * 32),
    ):
        with pytest.raises(RuntimeError), store.change() as change:
            change.raise_floor(lower)
    assert store.floor() == FLOOR


def test_a_floor_of_another_ledger_starts_afresh(store):
    moved = LedgerFloor(number=1, hash=None, time=5, root_version=3, scope=b"t" * 32)
    for floor in (FLOOR, moved):
        with store.change() as change:
            change.raise_floor(floor)
    assert store.floor() == moved


def test_the_security_floor_only_rises(store):
    for version in (3, 5, 4):
        with store.change() as change:
            change.raise_security_floor(version)
    assert store.security_floor() == 5


def test_an_event_must_continue_its_journals_chain(store):
    event = QueuedEvent(sequence=1, receipts=b"r", link=b"l" * 32)
    with store.change() as change:
        change.queue_event("1:j", event)
    with pytest.raises(RuntimeError), store.change() as change:
        change.queue_event("1:j", event)
    assert store.events("1:j") == [event]
    assert store.event_chain("1:j") == EventChain(1, b"l" * 32)
    assert store.event_chain("2:j") == EventChain(0, bytes(32))


def test_only_events_that_are_proven_are_dropped(store):
    events = [QueuedEvent(sequence=n, receipts=b"r", link=bytes([n]) * 32) for n in (1, 2, 3)]
    with store.change() as change:
        for event in events:
            change.queue_event("1:j", event)
        assert change.drop_events("1:j", 2) == 2
        assert change.drop_events("2:j", 9) == 0
    assert store.events("1:j") == events[2:]
    assert store.event_chain("1:j").sequence == 3


def test_a_verdict_is_only_for_a_trial(store):
    with pytest.raises(RuntimeError), store.change() as change:
        change.set_verdict(Reason.HEALTH_FAILED, "")


def test_all_that_is_kept_comes_back_after_reopening(tmp_path):
    release = InstalledRelease(b"r" * 32, 4, 2, "1.2")
    refusal = Refusal(b"x" * 32, Reason.HEALTH_FAILED, "why", 5, 2, None, by_policy=False)
    line = LogLine(7, "armed", b"r" * 32, None, "slot b")
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store, store.change() as change:
        change.add_trust_root(2, b"root 2")
        change.add_trust_root(1, b"root 1")
        change.begin(OFFER)
        change.set_installed("a", release)
        change.refuse(refusal)
        change.add_chunks([ChunkRecord("a", "rootfs", 0, 100, b"d" * 32)])
        change.set_staged("rootfs")
        change.log(line)
        change.set_note("salt", b"n")
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        assert store.trust_roots() == [b"root 1", b"root 2"]
        assert store.install() == OFFER
        assert (store.installed("a"), store.installed("b")) == (release, None)
        assert store.refusals() == [refusal]
        assert chunks(store) == [("a", "rootfs", 0, 100, b"d" * 32)]
        assert store.staged_components() == {"rootfs"}
        assert store.log(5) == [line]
        assert (store.note("salt"), store.note("pepper")) == (b"n", None)
        with store.change() as change:
            change.forget_slot("a")
            change.clear_refusal(b"x" * 32)
        assert (store.installed("a"), chunks(store), store.refusals()) == (None, [], [])
        assert store.staged_components() == frozenset()


def test_a_cut_keeps_all_of_a_change_or_none(tmp_path):
    def write(path, cut_at):
        with Store(path, steps=CountingSteps(cut_at=cut_at)) as store, store.change() as change:
            change.begin(OFFER)
            change.raise_security_floor(9)

    for point, kept in ((0, (Phase.IDLE, 0)), (1, (Phase.OFFERED, 9))):
        path = tmp_path / f"state-{point}.db"
        Store(path, steps=DurableSteps()).close()
        with pytest.raises(PowerCut):
            write(path, point)
        with Store(path, steps=DurableSteps()) as store:
            assert (store.phase(), store.security_floor()) == kept


class StateMachineWalk(RuleBasedStateMachine):
    """Any order of requests leaves the store on a path of the design's arrows."""

    def __init__(self):
        super().__init__()
        self.store = Store.__new__(Store)
        self.store._path, self.store._steps = "memory", DurableSteps()
        self.store._db = sqlite3.connect(":memory:", isolation_level=None)
        self.store._prepare()
        self.floor = 0

    @rule(phase=st.sampled_from(list(Phase)))
    def request(self, phase):
        before = self.store.phase()
        try:
            move(self.store, phase)
        except RuntimeError:
            assert self.store.phase() is before
        else:
            assert before.leads_to(phase)

    @rule(version=st.integers(0, 2**24 - 1))
    def confirm_floor(self, version):
        with self.store.change() as change:
            change.raise_security_floor(version)

    @invariant()
    def floor_never_falls(self):
        assert self.store.security_floor() >= self.floor
        self.floor = self.store.security_floor()

    @invariant()
    def an_install_under_way_is_known(self):
        assert self.store.phase() not in BUSY_PHASES or self.store.install() is not None

    def teardown(self):
        self.store.close()


TestStateMachineWalk = StateMachineWalk.TestCase
TestStateMachineWalk.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_of_two_roots_of_one_version_the_one_that_was_walked_to_counts(tmp_path):
    for seed in range(8):
        repository = Repository(seed=seed)
        walked = repository.rotate_root(expires=2**33)
        factory = repository.sign_root(repository.root, repository.root_keys[1:])
        assert factory != walked
        with Store(tmp_path / f"{seed}.db", steps=DurableSteps()) as store:
            with store.change() as change:
                change.add_trust_root(2, walked)
            assert StoreMemory(store, factory_root=factory).held().trust_root == walked
