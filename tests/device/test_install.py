"""Whole installs over real files: every refusal leaves the running slot as it was, and the next try works."""

import errno
import os
from dataclasses import replace

import pytest

from device_verifier.durable import DurableSteps
from device_verifier.errors import NotTrusted, SlotFailure, SourceUnreachable
from device_verifier.policy import Action
from device_verifier.records import Phase
from ledger_protocol.release.trust_root import HeaderTrust
from ledger_protocol.report.reasons import Reason
from tests.sim.device import SLOT_BYTES, SimDevice
from tests.sim.repository import ed25519_keys, key_set


class BrokenDisk(DurableSteps):
    """A disk whose slot writes fail after the first few; the state file lives elsewhere and works."""

    def __init__(self, code, after=2, what="write"):
        self.code, self.after, self.what = code, after, what

    def _fail(self, what, fd):
        if what == self.what and os.fstat(fd).st_size == SLOT_BYTES:
            if self.after == 0:
                raise OSError(self.code, os.strerror(self.code))
            self.after -= 1

    def write_at(self, fd, data, offset):
        self._fail("write", fd)
        super().write_at(fd, data, offset)

    def flush(self, fd):
        self._fail("flush", fd)
        super().flush(fd)


@pytest.fixture
def device(tmp_path):
    device = SimDevice.make(tmp_path / "device")
    before = device.slot("a")
    yield device
    assert device.running != "a" or device.slot("a") == before


def refused(kind, reason, call):
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.reason is reason
    return caught.value


def test_a_full_disk_is_named_and_the_next_try_works(device):
    device.release()
    error = refused(SlotFailure, Reason.DISK_FULL, lambda: device.install(BrokenDisk(errno.ENOSPC)))
    assert error.exit_code == 4
    assert device.kinds() == ["baseline", "rejected"]
    assert device.install().armed


@pytest.mark.parametrize("what", ["write", "flush"])
def test_a_disk_error_starts_again_from_zero(device, what):
    device.release()
    refused(SlotFailure, Reason.SLOT_WRITE, lambda: device.install(BrokenDisk(errno.EIO, what=what)))
    with device.store() as store:
        assert store._rows("SELECT digest FROM chunk WHERE slot = 'b'") == []
    assert device.install().armed


def test_a_disk_that_does_not_keep_what_was_written_is_never_armed(device, monkeypatch):
    device.release()
    real = DurableSteps.write_at

    def flip(self, fd, data, offset):
        real(self, fd, bytes([data[0] ^ 1]) + bytes(data[1:]) if offset else data, offset)

    monkeypatch.setattr(DurableSteps, "write_at", flip)
    refused(SlotFailure, Reason.SLOT_READBACK, device.install)
    monkeypatch.undo()
    assert device.power_on() == "a"
    assert device.install().armed


def test_a_missing_spare_slot_is_named(device):
    device.release()
    (device.path / "rootfs.b").rename(device.path / "elsewhere")
    refused(SlotFailure, Reason.SLOT_MISSING, device.install)
    (device.path / "elsewhere").rename(device.path / "rootfs.b")
    assert device.install().armed


def test_a_release_too_large_for_the_slot_is_refused(device):
    device.release(images={"rootfs": bytes(SLOT_BYTES + 1)})
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.TOO_LARGE)
    assert device.slot("b") == b"b" * SLOT_BYTES
    assert device.kinds() == ["baseline", "rejected"]


def test_a_release_for_other_hardware_is_refused_and_reported_once(device):
    device.release(compatible="acme,toaster")
    for _ in range(3):
        outcome = device.install()
        assert (outcome.armed, outcome.decision.action) == (False, Action.REFUSE)
    assert device.kinds() == ["baseline", "rejected"]


def test_two_components_for_one_slot_are_refused(device):
    device.release(images={"rootfs": b"1" * 100, "other": b"2" * 100}, component={"slot_class": "rootfs"})
    outcome = device.install()
    assert (outcome.armed, outcome.decision.action) == (False, Action.REFUSE)
    assert device.slot("b") == b"b" * SLOT_BYTES


def test_a_component_that_the_device_has_no_slot_for_is_refused(device):
    device.release(images={"rootfs": b"1" * 100, "app": b"2" * 100})
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.SLOT_MISSING)


def test_an_image_signed_with_a_wrong_digest_is_refused_for_good(device):
    release = device.release(component={"sha256": b"x" * 32})
    refused(NotTrusted, Reason.BAD_MANIFEST, device.install)
    assert device.phase is Phase.IDLE
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.ALREADY_FAILED)
    assert release.id in {event.release for event in device.events()}


def test_a_lying_gateway_is_refused_and_an_honest_one_finishes(device):
    release = device.release()
    leaf = next(cid for cid in release.blocks if cid.codec == 0x55)
    device.blocks.lies[leaf] = b"x" * 1024
    refused(NotTrusted, Reason.CORRUPT_CONTENT, device.install)
    device.blocks.lies.clear()
    assert device.install().armed
    assert device.slot("b")[:10_000] == release.images["rootfs"]


def test_a_gateway_that_dies_half_way_is_unreachable_and_the_next_try_goes_on(device):
    device.release(images={"rootfs": os.urandom(50_000)})
    left = [20]

    def die(_cid):
        left[0] -= 1
        device.blocks.down = left[0] < 0

    device.blocks.before = die
    refused(SourceUnreachable, Reason.CONTENT_UNAVAILABLE, device.install)
    assert device.phase is Phase.DOWNLOADING
    device.blocks.before, device.blocks.down = None, False
    assert device.install().armed


def test_no_ledger_source_is_unreachable(device):
    device.release()
    device.ledger.down = True
    assert refused(SourceUnreachable, Reason.SOURCE_UNREACHABLE, device.install).exit_code == 3
    device.ledger.down = False
    assert device.install().armed


def test_a_release_revoked_while_it_is_fetched_is_not_armed(device):
    release = device.release()
    leaves = [cid for cid in release.blocks if cid.codec == 0x55]

    def revoke(cid):
        if cid == leaves[-1]:
            device.repository.revoke(release.id)
            device.repository.seal()

    device.blocks.before = revoke
    refused(NotTrusted, Reason.DECISION_CHANGED, device.install)
    assert device.phase is Phase.IDLE
    assert device.power_on() == "a"
    assert device.kinds() == ["baseline", "rejected"]


def test_a_head_that_moves_while_it_is_fetched_is_not_armed_and_the_newer_one_is_next(device):
    first = device.release()
    leaves = [cid for cid in first.blocks if cid.codec == 0x55]
    moved = []

    def move(cid):
        if cid == leaves[-1] and not moved:
            moved.append(device.release(3))

    device.blocks.before = move
    refused(NotTrusted, Reason.DECISION_CHANGED, device.install)
    assert device.install().release == moved[0].id


def test_a_channel_halted_while_it_is_fetched_leaves_the_release_staged(device):
    release = device.release()
    leaves = [cid for cid in release.blocks if cid.codec == 0x55]

    def halt(cid):
        if cid == leaves[-1]:
            device.repository.halt()
            device.repository.seal()

    device.blocks.before = halt
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.HALTED)
    assert device.phase is Phase.STAGED
    device.blocks.before = None
    device.repository.publish(release)
    device.repository.seal()
    device.blocks.asked.clear()
    assert device.install().armed
    assert not [cid for cid in device.blocks.asked if cid.codec == 0x55]


def test_a_staged_slot_that_changed_meanwhile_is_not_armed(device):
    release = device.release()
    leaves = [cid for cid in release.blocks if cid.codec == 0x55]

    def halt(cid):
        if cid == leaves[-1]:
            device.repository.halt()
            device.repository.seal()

    device.blocks.before = halt
    device.install()
    device.blocks.before = None
    device.repository.publish(release)
    device.repository.seal()
    with (device.path / "rootfs.b").open("r+b") as file:
        file.seek(5000)
        file.write(b"swapped between check and use")
    refused(SlotFailure, Reason.SLOT_READBACK, device.install)
    assert device.power_on() == "a"
    assert device.install().armed


def test_nothing_is_written_while_the_running_slot_is_on_trial(device):
    device.release()
    device.install()
    device.power_on()
    device.release(3)
    before = device.slot("a")
    refused(SlotFailure, Reason.TRIAL_PENDING, device.install)
    assert device.slot("a") == before


def test_a_second_agent_at_once_is_refused(device):
    with device.agent():
        error = refused(SlotFailure, Reason.BUSY, device.check)
    assert "wait until it is done" in error.hint


def test_an_up_to_date_device_does_nothing(device):
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.UP_TO_DATE)
    assert device.phase is Phase.IDLE


def test_an_install_fills_the_spare_slot_and_arms_it(device):
    release = device.release()
    outcome = device.install()
    assert (outcome.armed, outcome.release, outcome.slot, outcome.version) == (True, release.id, "b", "1.2")
    assert device.slot("b") == release.images["rootfs"] + b"b" * (SLOT_BYTES - 10_000)
    assert device.phase is Phase.ARMED
    assert device.kinds() == ["baseline", "installed"]
    assert device.running == "a"


def test_an_armed_install_is_not_done_again(device):
    device.release()
    device.install()
    device.blocks.asked.clear()
    assert device.install().armed
    assert device.blocks.asked == []


def test_components_install_together(tmp_path):
    device = SimDevice.make(tmp_path / "device", classes=("rootfs", "app"))
    images = {"rootfs": os.urandom(20_000), "app": os.urandom(3_000)}
    release = device.release(images=images)
    leaf = [cid for cid in release.blocks if cid.codec == 0x55][-1]
    device.blocks.missing.add(leaf)
    refused(SourceUnreachable, Reason.CONTENT_UNAVAILABLE, device.install)
    assert device.power_on() == "a"
    device.blocks.missing.clear()
    assert device.install().armed
    assert device.boot().phase is Phase.CONFIRMED
    for name, image in images.items():
        assert device.slot("b", name)[: len(image)] == image


def test_what_the_running_slot_holds_is_not_fetched_again(device):
    image = os.urandom(40_000)
    device.release(2, images={"rootfs": image})
    device.install()
    device.boot()
    device.blocks.asked.clear()
    device.release(3, images={"rootfs": image[:20_480] + os.urandom(1_024) + image[21_504:]})
    assert device.install().armed
    fetched = [cid for cid in device.blocks.asked if cid.codec == 0x55]
    assert len(fetched) == 1


def test_a_bundle_installs_without_any_network(device):
    release = device.release()
    bundle = device.bundle(release)
    device.ledger.down = device.blocks.down = True
    assert device.install(bundle=bundle).armed
    bundle.unlink()
    assert device.boot().phase is Phase.CONFIRMED
    assert device.slot("b")[:10_000] == release.images["rootfs"]


@pytest.mark.parametrize("kept", [0, 10, 200, 3_000, 8_000])
def test_a_bundle_cut_short_is_refused(device, kept):
    bundle = device.bundle(device.release())
    data = bundle.read_bytes()
    bundle.write_bytes(data[:kept])
    with pytest.raises((SourceUnreachable, NotTrusted)) as caught:
        device.install(bundle=bundle)
    assert caught.value.hint
    bundle.write_bytes(data)
    assert device.install(bundle=bundle).armed


def test_a_bundle_with_a_changed_byte_anywhere_never_boots_other_bytes(device):
    release = device.release()
    bundle = device.bundle(release)
    data = bundle.read_bytes()
    for place in range(50, len(data), len(data) // 40):
        bundle.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        try:
            device.install(bundle=bundle)
        except (SourceUnreachable, NotTrusted):
            assert device.power_on() == "a"
        else:
            assert device.slot("b")[:10_000] == release.images["rootfs"]
            break


def test_a_bundle_older_than_what_the_device_has_seen_is_refused(device):
    bundle = device.bundle(device.release())
    device.release(3)
    device.check()
    refused(NotTrusted, Reason.LEDGER_ROLLBACK, lambda: device.install(bundle=bundle))


def test_an_install_that_began_on_the_network_and_ended_from_a_bundle_needs_no_network_to_stay(device):
    release = device.release()
    bundle = device.bundle(release)
    leaf = next(cid for cid in release.blocks if cid.codec == 0x55)
    device.blocks.missing.add(leaf)
    refused(SourceUnreachable, Reason.CONTENT_UNAVAILABLE, device.install)
    device.ledger.down = device.blocks.down = True
    assert device.install(bundle=bundle).armed
    assert device.boot().phase is Phase.CONFIRMED


def test_an_install_into_a_slot_that_runs_meanwhile_begins_anew_in_the_other(device):
    release = device.release()
    leaf = next(cid for cid in release.blocks if cid.codec == 0x55)
    device.blocks.missing.add(leaf)
    refused(SourceUnreachable, Reason.CONTENT_UNAVAILABLE, device.install)
    with device.agent() as agent:
        agent.bootloader.mark_good("b")
    assert device.power_on() == "b"
    device.blocks.missing.clear()
    before = device.slot("b")
    assert device.install().slot == "a"
    assert device.slot("b") == before


def test_now_overrides_the_window_and_says_so_in_the_report(tmp_path):
    device = SimDevice.make(tmp_path / "device", extra='[install]\nmode = "consent"\n')
    device.release()
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.NEEDS_CONSENT)
    assert device.install(override=True).armed
    with device.store() as store:
        assert any("--now" in line.detail for line in store.log(50))


def test_a_release_whose_signers_are_withdrawn_while_it_is_fetched_is_not_armed(device):
    release = device.release()
    leaves = [cid for cid in release.blocks if cid.codec == 0x55]

    def withdraw(cid):
        if cid == leaves[-1]:
            device.repository.rotate_root(release_keys=key_set(ed25519_keys("new", 2), 2))
            device.repository.seal()

    device.blocks.before = withdraw
    refused(NotTrusted, Reason.DECISION_CHANGED, device.install)
    device.blocks.before = None
    assert device.power_on() == "a"
    with pytest.raises(NotTrusted) as caught:
        device.install()
    assert caught.value.reason is Reason.THRESHOLD


def test_a_component_with_hooks_that_this_device_would_not_run_is_refused(device):
    device.release(component={"hooks": ("migrate",)})
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.UNSUPPORTED)
    assert device.slot("b") == b"b" * SLOT_BYTES


def test_a_bundle_that_is_a_named_pipe_is_refused_at_once(device):
    bundle = device.path / "stick.car"
    os.mkfifo(bundle)
    refused(SourceUnreachable, Reason.BUNDLE_INCOMPLETE, lambda: device.install(bundle=bundle))


def test_a_revocation_once_proven_is_kept_through_restarts_and_a_floor_that_starts_afresh(device):
    release = device.release()
    before = device.repository.chain[-1]
    device.repository.revoke(release.id, mandatory=True)
    device.repository.seal()
    assert device.install().decision.reason is Reason.REVOKED
    looser = replace(device.repository.root.headers.qbft, min_validators=3)
    device.repository.rotate_root(headers=HeaderTrust(looser, None, "any"))
    device.ledger.at = before
    outcome = device.install()
    assert (outcome.armed, outcome.decision.reason) == (False, Reason.REVOKED)
    with device.store() as store:
        assert store.floor().number == before.number
        assert store.revocations()[release.id].mandatory
