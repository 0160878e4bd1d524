"""The simulated boot loader decides as real ones do."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.bootloaders import BootState, SimulatedBootLoader, SlotState
from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from ledger_protocol.report.reasons import Reason
from tests.sim.power import CountingSteps, PowerCut


@pytest.fixture
def loader(tmp_path):
    return SimulatedBootLoader(tmp_path / "boot.json", steps=DurableSteps())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": "fwledger/simulated-boot/2"}',
        b'{"schema": "fwledger/simulated-boot/1"}',
        b"\xff\xfe",
        b"[" * 3000,
        b" " * 5000,
    ],
)
def test_a_damaged_file_is_refused_with_a_hint(tmp_path, content):
    path = tmp_path / "boot.json"
    path.write_bytes(content)
    with pytest.raises(SlotFailure, match="expected fwledger/simulated-boot/1") as caught:
        SimulatedBootLoader(path, steps=DurableSteps()).running()
    assert caught.value.reason is Reason.BOOT_LOADER
    assert "remove the file" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"primary": "c"},
        {"running": None},
        {"slots": {"a": {"state": "good", "tries_left": 0}}},
        {"slots": {"a": {"state": "good", "tries_left": 0}, "b": {"state": "fine", "tries_left": 0}}},
        {"slots": {"a": {"state": "good", "tries_left": 0}, "b": {"state": "trial", "tries_left": 100}}},
        {"slots": {"a": {"state": "good", "tries_left": 0}, "b": {"state": "trial", "tries_left": True}}},
        {"slots": {"a": {"state": "good", "tries_left": 0}, "b": {"state": "trial"}}},
    ],
)
def test_values_that_no_boot_loader_wrote_are_refused(loader, tmp_path, change):
    loader.arm("b", 3)
    path = tmp_path / "boot.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SlotFailure):
        loader.get_primary()


def test_a_loader_with_nothing_to_boot_says_so(loader):
    loader.mark_bad("a")
    with pytest.raises(SlotFailure, match="nothing to boot") as caught:
        loader.boot()
    assert caught.value.reason is Reason.BOOT_FAILED


@pytest.mark.parametrize("tries", [0, 100, -1])
def test_tries_out_of_range_are_a_programming_error(loader, tries):
    with pytest.raises(ValueError, match="tries"):
        loader.arm("b", tries)


def test_an_unknown_slot_is_a_programming_error(loader):
    with pytest.raises(ValueError, match="slot"):
        loader.mark_good("c")


def test_a_state_directory_that_is_gone_is_a_slot_failure(tmp_path):
    with pytest.raises(SlotFailure):
        SimulatedBootLoader(tmp_path / "gone" / "boot.json", steps=DurableSteps()).arm("b", 1)


def test_the_factory_state_boots_a(loader):
    assert (loader.running(), loader.get_primary(), loader.boot()) == ("a", "a", "a")
    assert loader.get_state("b") == BootState(SlotState.BAD)


def test_a_trial_uses_up_its_tries_and_then_the_old_slot_boots(loader):
    loader.arm("b", 2)
    assert [loader.boot() for _ in range(4)] == ["b", "b", "a", "a"]
    assert loader.get_state("b") == BootState(SlotState.TRIAL, 0)
    assert loader.running() == "a"


def test_a_confirmed_slot_boots_without_counting(loader):
    loader.arm("b", 1)
    loader.boot()
    loader.mark_good("b")
    assert [loader.boot() for _ in range(5)] == ["b"] * 5


def test_a_bad_slot_hands_over_to_the_other(loader):
    loader.arm("b", 3)
    loader.mark_bad("b")
    assert (loader.get_primary(), loader.boot()) == ("a", "a")


def test_set_primary_chooses_among_good_slots(loader):
    loader.mark_good("b")
    loader.set_primary("a")
    assert loader.boot() == "a"


def test_a_try_is_counted_before_the_slot_starts(tmp_path):
    path = tmp_path / "boot.json"
    SimulatedBootLoader(path, steps=DurableSteps()).arm("b", 1)
    steps = CountingSteps()
    SimulatedBootLoader(path, steps=steps).boot()
    after_rename = steps.point - 1
    SimulatedBootLoader(path, steps=DurableSteps()).arm("b", 1)
    with pytest.raises(PowerCut):
        SimulatedBootLoader(path, steps=CountingSteps(cut_at=after_rename)).boot()
    assert SimulatedBootLoader(path, steps=DurableSteps()).boot() == "a"


@settings(max_examples=60, deadline=None)
@given(
    cut=st.integers(0, 9),
    tries=st.integers(1, 9),
    act=st.sampled_from(["arm", "mark_good", "mark_bad", "boot"]),
)
def test_a_cut_leaves_the_old_state_or_the_new_one(tmp_path_factory, cut, tries, act):
    path = tmp_path_factory.mktemp("boot") / "boot.json"

    def state(steps=None):
        loader = SimulatedBootLoader(path, steps=steps or DurableSteps())
        return loader, (loader.get_primary(), loader.running(), loader.get_state("a"), loader.get_state("b"))

    def run(steps):
        loader, _ = state(steps)
        {
            "arm": lambda: loader.arm("b", tries),
            "mark_good": lambda: loader.mark_good("b"),
            "mark_bad": lambda: loader.mark_bad("b"),
            "boot": loader.boot,
        }[act]()

    state()[0].arm("b", 5)
    before = state()[1]
    try:
        run(CountingSteps(cut_at=cut))
    except PowerCut:
        left = state()[1]
        state()[0].arm("b", 5)
        state()[0].boot() if before[1] == "b" else None
        run(DurableSteps())
        assert left in {before, state()[1]}
