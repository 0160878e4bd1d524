"""V12 and V13: the new slot confirms itself, or the device falls back and says why."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from device_verifier import trial, updater
from device_verifier.bootloaders import SlotState
from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.records import Phase
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.report.reasons import Reason
from tests.sim.device import SimDevice
from tests.sim.power import CountingSteps, PowerCut
from tests.sim.repository import GENESIS_TIME

HEALTH = """
[[health]]
name = "app"
command = ["/bin/sh", "-c", "test ! -e {path}/ill && grep -q good $FWLEDGER_SLOT_ROOTFS"]
"""
GOOD = {"rootfs": b"good image" + bytes(5_000)}
BAD = {"rootfs": b"bad image" + bytes(5_000)}


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "device"
    return SimDevice.make(path, extra=HEALTH.format(path=path))


def installed(device, images, sequence=2, **changes):
    release = device.release(sequence, images=images, **changes)
    assert device.install().armed
    return release


def loader_state(device, slot):
    with device.agent() as agent:
        return agent.bootloader.get_state(slot).state


def test_an_unhealthy_release_falls_back_and_is_not_tried_again(device):
    release = installed(device, BAD)
    answer = device.boot()
    assert (answer.reason, answer.reboot) == (Reason.HEALTH_FAILED, True)
    assert (device.running, device.phase) == ("a", Phase.REVERTED)
    assert device.kinds() == ["baseline", "installed", "reverted"]
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.ALREADY_FAILED)
    assert device.slot("b")[:9] == b"bad image", "a slot that failed keeps its bytes for diagnosis"
    assert device.events()[-1].release == release.id


def test_a_failed_release_is_tried_again_when_a_technician_says_so(device):
    installed(device, BAD)
    device.boot()
    assert device.install(override=True).armed


def test_a_newly_signed_release_is_tried_after_a_failed_one(device):
    installed(device, BAD)
    device.boot()
    installed(device, GOOD, sequence=3)
    assert device.boot().phase is Phase.CONFIRMED


def test_a_release_that_never_comes_up_falls_back_by_itself(device):
    installed(device, GOOD)
    assert [device.power_on() for _ in range(4)] == ["b", "b", "b", "a"]
    assert device.start().phase is Phase.REVERTED
    assert device.kinds() == ["baseline", "installed", "failed"]
    assert device.reasons() == {"boot-failed"}


def test_after_a_boot_failure_the_boot_loader_is_told_too(device):
    installed(device, GOOD)
    for _ in range(4):
        device.power_on()
    device.start()
    assert loader_state(device, "b") is SlotState.BAD
    with device.agent() as agent:
        assert agent.bootloader.get_primary() == "a"


@pytest.mark.parametrize("how", ["factory state", "other primary"])
def test_a_slot_that_someone_disarmed_is_reported_as_that_and_may_be_tried_again(device, how):
    installed(device, GOOD)
    if how == "factory state":
        (device.path / "boot.json").unlink()
    else:
        with device.agent() as agent:
            agent.bootloader.set_primary("a")
    assert device.boot().phase is Phase.REVERTED
    assert device.kinds() == ["baseline", "installed", "reverted"]
    with device.store() as store:
        assert store.install().reason is Reason.BOOT_LOADER
    assert device.install().armed


def test_a_cut_before_the_boot_loader_hears_of_the_revert_is_made_good(device):
    installed(device, GOOD)
    for _ in range(4):
        device.power_on()
    steps = CountingSteps()
    with pytest.raises(PowerCut):
        device.start(CountingSteps(cut_at=1))
    assert device.phase is Phase.REVERTED
    assert loader_state(device, "b") is SlotState.TRIAL
    device.start(steps)
    assert loader_state(device, "b") is SlotState.BAD
    assert device.kinds() == ["baseline", "installed", "failed"]


def test_a_verdict_that_a_cut_kept_from_the_boot_loader_is_carried_out_first(device):
    installed(device, BAD)
    device.power_on()
    steps = CountingSteps()
    with device.agent() as agent:
        settled = trial.settle(agent)
    assert settled is Phase.TRIAL
    with pytest.raises(PowerCut):
        device.start(CountingSteps(cut_at=1))
    (device.path / "ill").touch()
    assert device.power_on() == "b"
    answer = device.start(steps)
    assert (answer.reboot, answer.report, answer.reason) == (True, None, Reason.HEALTH_FAILED)
    assert steps.trace.count("commit") == 0, "nothing is judged twice"
    assert device.power_on() == "a"


def test_a_release_whose_agent_dies_each_time_has_failed(device):
    installed(device, GOOD)
    for _ in range(3):
        assert device.power_on() == "b"
        with pytest.raises(PowerCut):
            device.start(CountingSteps(cut_at=1))
    assert device.power_on() == "a"
    device.start()
    assert device.kinds()[-1] == "failed"


def test_a_release_that_is_only_cut_off_is_tried_again_later(device):
    installed(device, GOOD)
    device.ledger.down = device.blocks.down = True
    assert device.boot().reason is Reason.CONNECTIVITY_LOST
    assert device.kinds() == ["baseline", "installed", "unreachable"]
    device.ledger.down = device.blocks.down = False
    assert device.install().decision.reason is Reason.ALREADY_FAILED
    device.repository.time += 3_601
    device.repository.seal()
    assert device.install().armed
    device.ledger.down = device.blocks.down = True
    device.boot()
    device.ledger.down = device.blocks.down = False
    device.repository.time += 3_601
    device.repository.seal()
    assert not device.install().armed, "the second wait is longer"
    device.repository.time += 3_600
    device.repository.seal()
    assert device.install().armed


def test_a_clock_that_was_years_ahead_when_a_release_was_cut_off_does_not_keep_it_away_for_years(device):
    installed(device, GOOD)
    device.ledger.down = device.blocks.down = True
    truth = device.repository.time
    device.repository.time += 10 * 365 * 86_400
    assert device.boot().reason is Reason.CONNECTIVITY_LOST
    device.repository.time = truth
    device.ledger.down = device.blocks.down = False
    assert device.install().armed


def test_a_board_that_starts_in_1970_waits_as_long_before_it_tries_a_cut_off_release_again(device):
    installed(device, GOOD)
    device.ledger.down = device.blocks.down = True
    truth, device.repository.time = device.repository.time, 100
    assert device.boot().reason is Reason.CONNECTIVITY_LOST
    device.repository.time = truth
    device.ledger.down = device.blocks.down = False
    assert device.install().decision.reason is Reason.ALREADY_FAILED
    assert min(event.time for event in device.events()) >= GENESIS_TIME
    device.repository.time += 3_601
    device.repository.seal()
    assert device.install().armed


def test_a_bundle_that_newer_blocks_overtook_before_the_reboot_is_still_an_update_path(device):
    bundle = device.bundle(device.release(images=GOOD))
    assert device.install(bundle=bundle).armed
    device.repository.seal()
    device.check()
    assert device.boot().phase is Phase.CONFIRMED


def test_an_old_agent_reads_what_a_newer_one_wrote_before_the_revert(device):
    release = installed(device, BAD)
    device.power_on()
    with device.agent() as agent:
        trial.settle(agent)
        agent.bootloader.mark_bad("b")
    with closing(sqlite3.connect(device.config.state_dir / "state.db")) as db, db:
        db.execute("UPDATE install SET reason = 'code-of-tomorrow'")
        db.execute("UPDATE log SET reason = 'code-of-tomorrow'")
        db.execute(
            "INSERT INTO refused (release, reason, detail, at_s, count, by_policy)"
            " VALUES (?, 'code-of-tomorrow', '', 1, 1, 0)",
            (bytes(32),),
        )
    assert device.boot().phase is Phase.REVERTED
    assert device.kinds() == ["baseline", "installed", "reverted"]
    assert device.install().decision.reason is Reason.ALREADY_FAILED
    with device.store() as store:
        assert {refusal.release for refusal in store.refusals()} == {release.id, bytes(32)}
        assert all(line.reason is None for line in store.log(100)[:3])
        assert any("code-of-tomorrow" in line.detail for line in store.log(100))


def test_after_a_revert_the_old_slot_holds_the_root_that_the_newer_image_brought(device):
    brought = device.repository.rotate_root(announce=False)
    device.ledger.roots = [device.repository.factory_root]  # the newer one comes with that image only
    installed(device, BAD)
    device.power_on()
    (device.path / "trust-root").write_bytes(brought)
    assert device.start().reboot
    device.power_on()
    (device.path / "trust-root").write_bytes(device.repository.factory_root)
    device.start()
    consultation = device.check()
    assert consultation.decision.reason is Reason.ALREADY_FAILED
    assert consultation.learned.view.root.version == 2


def test_a_lost_old_slot_is_no_reason_to_fall_back_to_it(device):
    installed(device, GOOD)
    device.power_on()
    (device.path / "rootfs.a").unlink()
    assert device.start().phase is Phase.CONFIRMED


def test_one_gateway_that_still_answers_is_an_update_path(device):
    installed(device, GOOD)
    device.ledger.down = True
    assert device.boot().phase is Phase.CONFIRMED


def test_a_read_only_image_that_changed_before_confirm_falls_back(device):
    installed(device, GOOD, component={"read_only": True})
    device.power_on()
    with (device.path / "rootfs.b").open("r+b") as file:
        file.seek(4_000)
        file.write(b"changed")
    answer = device.start()
    assert answer.reason is Reason.HEALTH_FAILED
    assert "no longer holds the signed image" in answer.report.failed[0].detail


def test_an_image_that_may_change_may_change(device):
    installed(device, GOOD)
    device.power_on()
    with (device.path / "rootfs.b").open("r+b") as file:
        file.seek(4_000)
        file.write(b"a log file, say")
    assert device.start().phase is Phase.CONFIRMED


def test_the_rollback_floor_rises_only_at_confirm(device):
    installed(device, BAD, security_version=5)
    device.boot()
    with device.store() as store:
        assert store.security_floor() == 1
    installed(device, GOOD, sequence=3, security_version=5)
    with device.store() as store:
        assert store.security_floor() == 1
    device.boot()
    with device.store() as store:
        assert store.security_floor() == 5


def test_an_old_slot_below_the_floor_gets_no_tries(device):
    installed(device, GOOD, security_version=5)
    device.boot()
    assert loader_state(device, "a") is SlotState.BAD


def test_an_old_slot_at_the_floor_stays_a_fallback(device):
    installed(device, GOOD)
    device.boot()
    assert loader_state(device, "a") is SlotState.GOOD


def test_keep_fallback_keeps_it(tmp_path):
    device = SimDevice.make(tmp_path / "device", extra="[install]\nkeep_fallback = true\n")
    installed(device, GOOD, security_version=5)
    device.boot()
    assert loader_state(device, "a") is SlotState.GOOD


def test_mark_good_runs_the_same_checks(device):
    installed(device, BAD)
    device.power_on()
    with device.agent() as agent, pytest.raises(SlotFailure) as caught:
        trial.mark_good(agent, ledgers=[device.ledger], blocks=[device.blocks])
    assert caught.value.reason is Reason.HEALTH_FAILED
    assert device.phase is Phase.TRIAL


def test_mark_good_confirms_a_healthy_slot(device):
    installed(device, GOOD)
    device.power_on()
    with device.agent() as agent:
        trial.mark_good(agent, ledgers=[device.ledger], blocks=[device.blocks])
    assert device.phase is Phase.CONFIRMED
    assert device.kinds()[-1] == "confirmed"


def test_mark_good_refuses_a_slot_below_the_floor(device):
    installed(device, GOOD, security_version=5)
    device.boot()
    with device.agent() as agent:
        agent.bootloader.mark_good("a")
    assert device.power_on() == "a"
    with device.agent() as agent, pytest.raises(SlotFailure) as caught:
        trial.mark_good(agent, ledgers=[], blocks=[])
    assert caught.value.reason is Reason.ROLLBACK


def test_hooks_after_confirm_and_revert_cannot_undo_them(tmp_path):
    path = tmp_path / "device"
    device = SimDevice.make(path, extra='hooks_dir = "hooks"\n' + HEALTH.format(path=path))
    for stage in ("post-confirm", "post-revert"):
        (path / "hooks" / stage).mkdir(parents=True)
        hook = path / "hooks" / stage / "10-x"
        hook.write_text("#!/bin/sh\necho no; exit 1\n")
        hook.chmod(0o755)
    installed(device, GOOD)
    assert device.boot().phase is Phase.CONFIRMED
    installed(device, BAD, sequence=3)
    device.boot()
    assert device.phase is Phase.REVERTED
    with device.store() as store:
        assert {line.what for line in store.log(99)} >= {
            "post-confirm hook failed",
            "post-revert hook failed",
        }


@pytest.mark.parametrize("stage", ["pre-install", "post-install", "pre-reboot"])
def test_a_hook_holds_an_install_back_and_lets_it_go_on_later(tmp_path, stage):
    path = tmp_path / "device"
    device = SimDevice.make(path, extra='hooks_dir = "hooks"')
    (path / "hooks" / stage).mkdir(parents=True)
    hook = path / "hooks" / stage / "10-busy"
    hook.write_text(f"#!/bin/sh\necho in use; test -e {path}/free\n")
    hook.chmod(0o755)
    device.release(images=GOOD)
    with pytest.raises(SlotFailure) as caught:
        device.install()
    assert caught.value.reason is Reason.HOOK_FAILED
    assert "in use" in str(caught.value)
    assert device.power_on() == "a"
    (path / "free").touch()
    assert device.install().armed


def test_a_failing_health_hook_falls_back(tmp_path):
    path = tmp_path / "device"
    device = SimDevice.make(path, extra='hooks_dir = "hooks"')
    (path / "hooks" / "health").mkdir(parents=True)
    hook = path / "hooks" / "health" / "10-x"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    installed(device, GOOD)
    assert device.boot().reason is Reason.HEALTH_FAILED


def test_a_boot_with_nothing_on_trial_changes_nothing(device):
    assert device.boot().phase is Phase.IDLE
    with device.store() as store:
        before = store.log(99)
    device.boot()
    with device.store() as store:
        assert store.log(99) == before


def test_a_confirmed_release_is_what_runs(device):
    release = installed(device, GOOD)
    assert device.boot().phase is Phase.CONFIRMED
    assert device.install().decision.reason is Reason.UP_TO_DATE
    assert device.kinds() == ["baseline", "installed", "confirmed"]
    with device.agent() as agent:
        assert agent.installed().release == release.id


def test_the_cut_twin_and_the_real_disk_have_the_same_doors():
    twin = {name for name in vars(CountingSteps) if not name.startswith("_")}
    assert {name for name in vars(DurableSteps) if not name.startswith("_")} <= twin


# -- revoked between arming and the reboot


def revoke(device, release, **terms):
    device.repository.revoke(release.id, **terms)
    device.repository.seal()


def factory(device):
    with device.agent() as agent:
        return agent.installed().release


@pytest.mark.parametrize("mandatory", [False, True])
def test_a_release_revoked_between_arming_and_reboot_is_not_confirmed(device, mandatory):
    release = installed(device, GOOD, security_version=3)
    revoke(device, release, mandatory=mandatory)
    answer = device.boot()
    assert (answer.reason, answer.reboot) == (Reason.REVOKED, True)
    assert (device.running, device.phase) == ("a", Phase.REVERTED)
    assert device.kinds() == ["baseline", "installed", "reverted"]
    with device.store() as store:
        assert store.install().reason is Reason.REVOKED
        assert store.install().detail.startswith("revoked at ")
        assert store.security_floor() == 1, "a floor that this release never confirmed"
    assert device.install().decision.reason is Reason.REVOKED
    assert device.boot().phase is Phase.REVERTED


def test_a_release_revoked_after_a_stick_was_used_falls_back_where_the_network_says_so(device):
    release = device.release(images=GOOD)
    assert device.install(bundle=device.bundle(release)).armed
    revoke(device, release)
    assert device.boot().reason is Reason.REVOKED
    assert device.running == "a"


def test_without_anybody_to_ask_what_was_proven_before_still_counts(device):
    release = device.release(images=GOOD)
    assert device.install(bundle=device.bundle(release)).armed
    device.power_on()
    revoke(device, release)
    with device.agent() as agent:
        agent.memory.keep_revocations({release.id: Revocation(time=1, reason=1, mandatory=False)})
    device.ledger.down = True
    assert device.start().reason is Reason.REVOKED


def test_without_anybody_to_ask_and_nothing_proven_the_trial_ends_well(device):
    release = device.release(images=GOOD)
    assert device.install(bundle=device.bundle(release)).armed
    revoke(device, release)
    device.ledger.down = True
    assert device.boot().phase is Phase.CONFIRMED
    device.ledger.down = False
    assert device.check().decision.reason is Reason.REVOKED_NO_SUCCESSOR


def test_a_device_does_not_fall_back_to_a_release_that_is_revoked_as_hard(device):
    before = factory(device)
    release = installed(device, GOOD)
    device.repository.revoke(before)
    revoke(device, release)
    assert device.boot().phase is Phase.CONFIRMED
    assert device.check().decision.reason is Reason.REVOKED_NO_SUCCESSOR


def test_a_device_falls_back_from_a_mandatory_revocation_to_a_release_that_may_still_run(device):
    before = factory(device)
    release = installed(device, GOOD)
    device.repository.revoke(before)
    revoke(device, release, mandatory=True)
    assert device.boot().reason is Reason.REVOKED
    assert device.running == "a"


def test_a_device_does_not_go_back_to_a_release_that_must_be_left_at_once(device):
    before = factory(device)
    release = installed(device, GOOD)
    device.repository.revoke(before, mandatory=True)
    revoke(device, release, mandatory=True)
    assert device.boot().phase is Phase.CONFIRMED
    assert device.running == "b"


def test_a_device_never_gives_up_its_only_good_slot(device):
    release = installed(device, GOOD)
    revoke(device, release)
    with device.agent() as agent:
        agent.bootloader.mark_bad("a")
    assert device.boot().phase is Phase.CONFIRMED
    assert device.running == "b"


def test_a_halt_between_arming_and_reboot_is_no_reason_to_fall_back(device):
    installed(device, GOOD)
    device.repository.halt()
    device.repository.seal()
    assert device.boot().phase is Phase.CONFIRMED


def test_an_ill_release_that_is_also_revoked_failed_for_its_health(device):
    release = installed(device, BAD)
    revoke(device, release)
    assert device.boot().reason is Reason.HEALTH_FAILED


def test_mark_good_does_not_confirm_what_was_revoked_meanwhile(device):
    release = installed(device, GOOD)
    revoke(device, release)
    device.power_on()
    with device.agent() as agent, pytest.raises(SlotFailure) as caught:
        trial.mark_good(agent, ledgers=[device.ledger], blocks=[device.blocks])
    assert caught.value.reason is Reason.REVOKED
    assert device.phase is Phase.TRIAL
    assert device.start().reason is Reason.REVOKED


def test_a_check_that_proves_the_armed_release_revoked_disarms_it(device):
    release = installed(device, GOOD)
    revoke(device, release, mandatory=True)
    assert device.check().decision.reason is Reason.REVOKED
    assert (device.phase, loader_state(device, "b")) == (Phase.REVERTED, SlotState.BAD)
    assert device.power_on() == "a"
    assert device.kinds() == ["baseline", "installed", "reverted"]
    device.repository.publish(device.repository.build(3, images=GOOD))
    device.repository.seal()
    assert device.install().armed


def test_an_install_that_finds_the_armed_release_revoked_disarms_it_and_goes_on_to_the_next(device):
    release = installed(device, GOOD)
    device.repository.revoke(release.id)
    better = device.release(3, images={"rootfs": b"good and better" + bytes(5_000)})
    outcome = device.install()
    assert (outcome.armed, outcome.release) == (True, better.id)
    assert device.kinds() == ["baseline", "installed", "reverted", "installed"]


def test_an_install_that_reaches_nobody_leaves_the_armed_slot_armed(device):
    release = installed(device, GOOD)
    device.ledger.down = True
    outcome = device.install()
    assert (outcome.armed, outcome.release) == (True, release.id)


def test_a_check_that_says_nothing_against_it_leaves_the_armed_slot_armed(device):
    installed(device, GOOD)
    device.repository.halt()
    device.repository.seal()
    device.check()
    assert (device.phase, loader_state(device, "b")) == (Phase.ARMED, SlotState.TRIAL)


def test_every_cut_of_a_trial_of_a_revoked_release_ends_in_the_old_slot(tmp_path, device):
    release = installed(device, GOOD, security_version=3)
    revoke(device, release, mandatory=True)
    every_cut_reverts(tmp_path, device, lambda copy, steps: copy.boot(steps))


def test_every_cut_of_disarming_a_revoked_release_ends_in_the_old_slot(tmp_path, device):
    release = installed(device, GOOD, security_version=3)
    revoke(device, release, mandatory=True)

    def check(copy, steps):
        with copy.agent(steps) as agent:
            updater.check(agent, copy.sources)

    every_cut_reverts(tmp_path, device, check)


def every_cut_reverts(tmp_path, device, act):
    """Cut `act` before and after each durable step, let the device start again, and see where it ends."""

    def copied(name):
        shutil.copytree(device.path, tmp_path / name)
        return replace(device, path=tmp_path / name)

    steps = CountingSteps()
    act(copied("count"), steps)
    assert steps.point > 6
    for point in range(steps.point):
        copy = copied(f"cut-{point}")
        with pytest.raises(PowerCut):
            act(copy, CountingSteps(cut_at=point, seed=point))
        for _ in range(3):
            copy.boot()
        assert (copy.running, copy.phase) == ("a", Phase.REVERTED), point
        assert copy.kinds() == ["baseline", "installed", "reverted"], point
        with copy.store() as store:
            assert store.security_floor() == 1
            assert store.install().reason is Reason.REVOKED
        assert loader_state(copy, "b") is SlotState.BAD
