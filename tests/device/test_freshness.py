"""How old a view is, by a clock, by witnesses or by neither; and that no replay makes it look newer."""

import json
from dataclasses import replace

import pytest

from device_verifier.cli import main
from device_verifier.config import ImageFloor
from device_verifier.durable import DurableSteps
from device_verifier.freshness import MAX_CLOCK_LEAD_S, age_text, duration_text, is_over, usable_clock
from device_verifier.ledger_view import LedgerFloor
from device_verifier.memory import StoreMemory
from device_verifier.policy import Action
from device_verifier.sources import StateQuery
from device_verifier.store import Store
from device_verifier.trusted_ledger import floor_scope
from ledger_protocol.report.reasons import Reason
from tests.sim.device import SimDevice
from tests.sim.repository import GENESIS_TIME, Repository, altered
from tests.sim.scene import Scene
from tests.sim.servers import Gateway, Node, http_server
from tests.sim.witnesses import Witnesses

DAY_S = 86_400
THREE_MONTHS_S = 92 * DAY_S
YEAR_1970, YEAR_2106 = 1_000, 2**32 + 1_000


def noted(**repository):
    return Scene(witnesses=Witnesses(5), sealed=False, **repository)


def serve_note(scene, at_s, block=None):
    """Serve a block under a note that three witnesses signed at this time."""
    repository = scene.repository
    block = block or repository.chain[-1]
    note = repository.witnesses.note(repository.checkpoint(block), range(3), time_s=at_s)
    scene.ledger.replay = altered(repository.proof(StateQuery(channel="stable"), block), note=note)


# -- clocks


@pytest.mark.parametrize("now_s", [0, YEAR_1970, GENESIS_TIME - 1_000 - MAX_CLOCK_LEAD_S - 1])
def test_a_clock_behind_what_is_proven_is_no_clock(now_s):
    assert usable_clock(now_s, Repository().root, None) is None


@pytest.mark.parametrize("now_s", [GENESIS_TIME, YEAR_2106])
def test_a_clock_ahead_of_what_is_proven_is_one(now_s):
    assert usable_clock(now_s, Repository().root, None) == now_s


def test_a_clock_behind_a_witness_time_that_was_accepted_is_no_clock():
    scene = noted()
    seen_at = GENESIS_TIME + 30 * DAY_S
    serve_note(scene, seen_at)
    scene.consult(now_s=None)
    assert scene.consult(now_s=seen_at - MAX_CLOCK_LEAD_S - 1).learned.view.header.age_s is None
    assert scene.consult(now_s=seen_at + 5).learned.view.header.age_s == 5


def test_a_clock_of_1970_makes_no_view_stale_and_shows_an_unknown_age():
    scene = Scene(max_checkpoint_age=DAY_S)
    answer = scene.consult(now_s=YEAR_1970)
    assert answer.decision.action is Action.INSTALL
    assert answer.learned.view.header.age_s is None
    assert "age unknown (no clock)" in [step.found for step in answer.decision.steps]


def test_a_clock_of_2106_makes_every_view_stale_where_the_root_bounds_its_age():
    scene = Scene(max_checkpoint_age=DAY_S)
    error = scene.refusal(now_s=YEAR_2106)
    assert (error.reason, error.got) == (Reason.STALE_LEDGER, f"{error.header.age_s // DAY_S} days old")
    assert scene.memory.floor is None, "what was refused for its age moves no floor"
    assert Scene().consult(now_s=YEAR_2106).decision.installs


# -- witness times


def test_a_replayed_older_note_of_the_same_block_takes_no_freshness_back():
    scene = noted(max_checkpoint_age=DAY_S)
    newer, older = GENESIS_TIME + 10 * DAY_S, GENESIS_TIME + DAY_S
    serve_note(scene, newer)
    assert scene.consult(now_s=newer).learned.view.header.age_s == 0
    assert scene.memory.floor.seen_at == newer
    serve_note(scene, older)
    answer = scene.consult(now_s=newer + 60)
    assert answer.learned.view.header.age_s == 60
    assert scene.memory.floor.seen_at == newer


def test_a_heartbeat_raises_what_is_stored_at_the_same_height():
    scene = noted()
    for at_s in (GENESIS_TIME + 100, GENESIS_TIME + 200, GENESIS_TIME + 150):
        serve_note(scene, at_s)
        scene.consult(now_s=None)
    assert (scene.memory.floor.time, scene.memory.floor.seen_at) == (GENESIS_TIME, GENESIS_TIME + 200)


def test_a_later_block_is_as_fresh_as_the_one_that_witnesses_called_newest_before():
    scene = noted(max_checkpoint_age=DAY_S)
    seen_at = GENESIS_TIME + 10 * DAY_S
    serve_note(scene, seen_at)
    assert scene.consult(now_s=seen_at).decision.installs
    serve_note(scene, GENESIS_TIME + 2 * DAY_S, scene.repository.seal())
    answer = scene.consult(now_s=seen_at + 60)
    assert (answer.learned.view.header.number, answer.learned.view.header.age_s) == (101, 60)


def test_without_a_clock_a_view_is_stale_once_a_trust_root_was_issued_much_later():
    scene = noted(max_checkpoint_age=DAY_S)
    serve_note(scene, GENESIS_TIME + 60)
    assert scene.consult(now_s=None).decision.installs
    scene.repository.rotate_root(announce=False, issued_at=GENESIS_TIME + 60 + 8 * DAY_S)
    error = scene.refusal(now_s=None)
    assert error.reason is Reason.STALE_LEDGER
    assert error.got == "age unknown (no clock), at least 8 days"


def test_a_new_set_of_witnesses_starts_their_time_afresh():
    scene = noted()
    serve_note(scene, YEAR_2106)
    scene.consult(now_s=None)
    repository = scene.repository
    repository.witnesses = Witnesses(5, seed=2)
    repository.rotate_root(headers=replace(repository.root.headers, witnesses=repository.witnesses.trust()))
    repository.seal()
    scene.ledger.replay = None
    scene.consult(now_s=None)
    assert scene.memory.floor.seen_at < YEAR_2106


# -- the state file


def test_a_witness_time_survives_a_restart_and_is_never_lowered(tmp_path):
    scope = floor_scope(Repository().factory_root)
    floor = LedgerFloor(10, b"h" * 32, 100, 1, scope, seen_at=500)
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store, store.change() as change:
        change.raise_floor(floor)
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        assert store.floor() == floor
        with pytest.raises(RuntimeError, match="never goes back"), store.change() as change:
            change.raise_floor(replace(floor, seen_at=499))
        with store.change() as change:
            change.raise_floor(replace(floor, number=11, seen_at=501))
        assert store.floor().seen_at == 501


def test_a_floor_that_an_older_agent_moved_has_no_witness_time_of_another_scope(tmp_path):
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        with store.change() as change:
            change.raise_floor(LedgerFloor(10, b"h" * 32, 100, 1, b"s" * 32, seen_at=500))
        # What the agent before this one wrote: the table alone.
        store._db.execute("UPDATE floor SET scope = ?, root_version = 2, number = 1", (b"t" * 32,))
        assert store.floor() == LedgerFloor(1, b"h" * 32, 100, 2, b"t" * 32, seen_at=0)


# -- the day of the image's build


BUILT = ImageFloor(built_at=GENESIS_TIME + 50 * DAY_S, block=150, block_time=GENESIS_TIME + 49 * DAY_S)


@pytest.fixture
def memory(tmp_path):
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        yield StoreMemory(store, factory_root=Repository().factory_root, image=BUILT)


def test_a_wiped_device_starts_from_its_images_floor(memory):
    floor = memory.held().floor
    assert (floor.number, floor.hash, floor.time) == (150, None, BUILT.block_time)
    assert (floor.built_at, floor.seen_at) == (BUILT.built_at, 0)


def test_what_was_accepted_later_counts_and_the_image_never_lowers_it(memory):
    scope = floor_scope(Repository().factory_root)
    later = LedgerFloor(200, b"h" * 32, BUILT.block_time + 100, 1, scope, seen_at=5)
    memory.keep_floor(later)
    assert memory.floor() == replace(later, built_at=BUILT.built_at)
    assert memory.held().floor.hash == b"h" * 32


def test_a_newer_image_raises_what_an_older_one_accepted(memory):
    scope = floor_scope(Repository().factory_root)
    memory.keep_floor(LedgerFloor(120, b"h" * 32, GENESIS_TIME, 1, scope))
    assert memory.floor().number == 150
    assert memory.floor().hash is None


def test_a_ledger_that_a_newer_root_named_is_not_held_to_the_images_floor(memory):
    moved = LedgerFloor(3, b"h" * 32, GENESIS_TIME, 2, b"t" * 32)
    memory.keep_floor(moved)
    assert memory.floor() == moved


def test_a_first_root_that_people_put_in_the_place_of_another_is_what_counts(tmp_path):
    staging, other = Repository().factory_root, Repository(seed=2).factory_root
    with Store(tmp_path / "state.db", steps=DurableSteps()) as store:
        StoreMemory(store, factory_root=staging).keep_floor(
            LedgerFloor(120, b"h" * 32, GENESIS_TIME, 1, floor_scope(staging))
        )
        assert StoreMemory(store, factory_root=other).held().trust_root == other


def image_device(path, **image):
    lines = "\n".join(f"{key} = {value}" for key, value in image.items())
    return SimDevice.make(path, extra=f"[image]\n{lines}")


def test_a_clock_before_the_images_build_is_unknown(tmp_path):
    device = image_device(tmp_path / "device", built_at=GENESIS_TIME + 50 * DAY_S)
    header = device.check().learned.view.header  # its clock stands at the chain's time, 50 days before
    assert header.age_s is None
    assert header.least_age_s > 49 * DAY_S


def test_a_view_from_before_the_images_block_is_a_rollback_even_after_a_wipe(tmp_path):
    device = image_device(tmp_path / "device", built_at=GENESIS_TIME, block=101, block_time=GENESIS_TIME)
    device.ledger.at = device.repository.chain[0]
    with pytest.raises(Exception, match="older than one accepted before") as caught:
        device.check()
    assert caught.value.reason is Reason.LEDGER_ROLLBACK
    device.ledger.at = None
    device.repository.seal()
    assert device.check().decision.reason is Reason.UP_TO_DATE


# -- what people see


@pytest.fixture
def command(capsys):
    def run(device, *arguments):
        capsys.readouterr()
        code = main(["--config", str(device.path / "device.toml"), "--quiet", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


class At:
    """A device whose clock is so much later than the chain's newest block."""

    def __init__(self, monkeypatch, tmp_path, after_s, *, extra="", **repository):
        self.device = SimDevice.make(tmp_path / "device", Repository(**repository), extra=extra)
        self.release = self.device.release()
        self.stick = self.device.bundle(self.release)
        newest = self.device.repository.chain[-1].time
        monkeypatch.setattr("device_verifier.assembly.time.time", lambda: newest + after_s)


def test_a_stick_of_three_months_ago_says_what_it_is(monkeypatch, tmp_path, command):
    at = At(monkeypatch, tmp_path, THREE_MONTHS_S)
    code, out, err = command(at.device, "check", "--bundle", str(at.stick))
    assert code == 10
    block = at.device.repository.chain[-1].number
    assert f"the bundle shows the ledger at block {block} of 2027-01-15T08:00:10Z: 92 days old" in out
    assert err == ""


def test_a_stick_that_is_older_than_the_root_allows_is_a_state_with_exit_code_1(
    monkeypatch, tmp_path, command
):
    at = At(monkeypatch, tmp_path, THREE_MONTHS_S, max_checkpoint_age=7 * DAY_S)
    for verb in ("check", "install"):
        code, out, err = command(at.device, verb, "--bundle", str(at.stick))
        assert (code, err) == (1, "")
        assert "nothing to install: stale-ledger" in out
        assert "92 days old" in out
        assert "expected at most 7 days old, got 92 days old" in out
        assert "hint: " in out
    _, out, _ = command(at.device, "--output-format", "json", "status")
    assert json.loads(out)["last_check"]["reason"] == "stale-ledger"


def test_a_stick_behind_what_the_device_has_seen_is_a_state_too(monkeypatch, tmp_path, command):
    at = At(monkeypatch, tmp_path, 0)
    at.device.repository.seal()
    at.device.check()
    monkeypatch.setattr("device_verifier.assembly.time.time", lambda: at.device.repository.time)
    code, out, err = command(at.device, "--output-format", "json", "check", "--bundle", str(at.stick))
    document = json.loads(out)
    assert (code, err, document["reason"], document["action"]) == (1, "", "ledger-rollback", "refuse")
    assert document["block"] == at.device.repository.chain[-2].number
    assert [step["check"] for step in document["steps"]] == ["V0", "V1", "V2"]


def test_a_stick_without_a_clock_says_that_its_age_is_unknown(monkeypatch, tmp_path, command):
    at = At(monkeypatch, tmp_path, 0, extra="clock = false")
    code, out, _ = command(at.device, "check", "--bundle", str(at.stick))
    assert code == 10
    assert "age unknown (no clock)" in out.splitlines()[-2]


def test_a_stick_with_a_note_shows_when_witnesses_last_saw_its_block(monkeypatch, tmp_path, command):
    at = At(monkeypatch, tmp_path, DAY_S, witnesses=Witnesses(5))
    _, out, _ = command(at.device, "check", "--bundle", str(at.stick))
    assert "which witnesses last saw at 2027-01-15T08:00:" in out


@pytest.mark.parametrize(
    ("after_s", "limit", "clock", "state", "said"),
    [
        (30, None, True, "fresh", "view     30 s old"),
        (30, DAY_S, True, "fresh", "view     30 s old, at most 86400 s allowed"),
        (THREE_MONTHS_S, None, True, "fresh", "view     92 days old"),
        (THREE_MONTHS_S, DAY_S, True, "stale", "view     stale: 92 days old; nothing is installed from it"),
        (THREE_MONTHS_S, DAY_S, False, "unknown-age", "view     age unknown (no clock)"),
        (-THREE_MONTHS_S, DAY_S, True, "unknown-age", "view     age unknown (no clock)"),
    ],
)
def test_status_shows_how_old_the_newest_accepted_view_is(
    monkeypatch, tmp_path, command, after_s, limit, clock, state, said
):
    at = At(monkeypatch, tmp_path, after_s, max_checkpoint_age=limit, extra="" if clock else "clock = false")
    at.device.check()
    newest = at.device.repository.chain[-1].time
    monkeypatch.setattr("device_verifier.assembly.time.time", lambda: newest + after_s)
    code, out, _ = command(at.device, "status")
    assert code == 0
    assert said in out
    _, out, _ = command(at.device, "--output-format", "json", "status")
    assert json.loads(out)["ledger_view"]["state"] == state


def test_a_check_over_the_network_says_a_view_of_today_without_its_age(monkeypatch, tmp_path, command):
    at = At(monkeypatch, tmp_path, 3_600)
    repository = at.device.repository
    with http_server(Node(repository)) as node, http_server(Gateway(repository.blocks)) as gateway:
        config = at.device.path / "device.toml"
        config.write_text(f'{config.read_text()}\n[[rpc]]\nurl = "{node}"\n[[gateway]]\nurl = "{gateway}"\n')
        assert "the ledger at block" not in command(at.device, "check")[1]
        newest = repository.chain[-1].time
        monkeypatch.setattr("device_verifier.assembly.time.time", lambda: newest + 5 * DAY_S)
        assert "this is the ledger at block" in command(at.device, "check")[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (599, "599 s"), (600, "10 min"), (7_199, "119 min"), (7_200, "2 h"), (172_800, "2 days")],
)
def test_durations_read_well(seconds, text):
    assert duration_text(seconds) == text


def test_an_age_is_known_or_bounded_or_unknown():
    assert age_text(5, 3) == "5 s old"
    assert age_text(None, 0) == "age unknown (no clock)"
    assert age_text(None, 90_000) == "age unknown (no clock), at least 25 h"
    assert not is_over(None, age_s=10**9, least_s=0)
    assert not is_over(10, age_s=None, least_s=10)
    assert is_over(10, age_s=None, least_s=11)
    assert is_over(10, age_s=11, least_s=0)
