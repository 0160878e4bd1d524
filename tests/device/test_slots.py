"""V10's last yard: writing a spare slot, and never a running one."""

import errno
import fcntl
import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.durable import DurableSteps
from device_verifier.errors import SlotFailure
from device_verifier.slots import (
    SlotLayout,
    SlotTarget,
    SlotWriter,
    hash_slot,
    identify,
    open_for_writing,
    read_slot,
)
from device_verifier.slots.writer import HELD_BACK_BYTES
from ledger_protocol.report.reasons import Reason


class FailingSteps(DurableSteps):
    """A disk on which the n-th write or flush fails."""

    def __init__(self, *, write=None, flush=None, code=errno.EIO):
        self.write_left, self.flush_left, self.code = write, flush, code
        self.flushes = 0

    def write_at(self, fd, data, offset):
        if self.write_left == 0:
            raise OSError(self.code, os.strerror(self.code))
        self.write_left = None if self.write_left is None else self.write_left - 1
        super().write_at(fd, data, offset)

    def flush(self, fd):
        self.flushes += 1
        if self.flush_left == 0:
            raise OSError(self.code, os.strerror(self.code))
        self.flush_left = None if self.flush_left is None else self.flush_left - 1
        super().flush(fd)


@pytest.fixture
def slots(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes([ord(name)]) * 300_000)
    return SlotLayout({"rootfs": (tmp_path / "a", tmp_path / "b")})


def spare(slots, size=200_000):
    return open_for_writing(slots.target("b", "rootfs"), size_bytes=size, running=slots.targets("a"))


def image(size=200_000):
    return hashlib.shake_256(b"image").digest(size)


def refused(reason, call):
    with pytest.raises(SlotFailure) as caught:
        call()
    assert caught.value.reason is reason
    assert caught.value.exit_code == 4
    return caught.value


def test_a_missing_slot_is_named_with_how_to_make_one(slots, tmp_path):
    (tmp_path / "b").unlink()
    error = refused(Reason.SLOT_MISSING, lambda: spare(slots))
    assert str(error) == f"slot rootfs.b: expected a file or a block device, got nothing at {tmp_path / 'b'}"
    assert "truncate" in error.hint


def test_a_directory_is_no_slot(slots, tmp_path):
    (tmp_path / "b").unlink()
    (tmp_path / "b").mkdir()
    refused(Reason.SLOT_WRITE, lambda: spare(slots))


def test_a_character_device_is_no_slot(slots, tmp_path):
    target = SlotTarget("b", "rootfs", type(tmp_path)("/dev/null"))
    refused(Reason.SLOT_WRITE, lambda: identify(target))


@pytest.mark.parametrize("kind", ["same path", "symbolic link", "hard link"])
def test_the_running_slot_is_refused_whatever_name_leads_to_it(slots, tmp_path, kind):
    path = tmp_path / "b"
    if kind == "same path":
        path = tmp_path / "a"
    else:
        path.unlink()
        path.symlink_to(tmp_path / "a") if kind == "symbolic link" else os.link(tmp_path / "a", path)
    target = SlotTarget("b", "rootfs", path)
    error = refused(
        Reason.SLOT_WRITE, lambda: open_for_writing(target, size_bytes=1, running=slots.targets("a"))
    )
    assert "runs now" in str(error)
    assert (tmp_path / "a").read_bytes() == b"a" * 300_000


def test_a_slot_that_is_exchanged_between_look_and_open_is_refused(slots, tmp_path, monkeypatch):
    real = os.open

    def exchange_and_open(path, *rest, **named):
        (tmp_path / "b").rename(tmp_path / "c")
        (tmp_path / "b").write_bytes(b"precious" * 50_000)
        return real(path, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", exchange_and_open)
        error = refused(Reason.SLOT_WRITE, lambda: spare(slots))
    assert "exchanged" in str(error)


def test_an_image_larger_than_the_slot_is_refused_before_a_byte_is_written(slots, tmp_path):
    error = refused(Reason.TOO_LARGE, lambda: spare(slots, 300_001))
    assert "expected at least 300001 bytes, got 300000 bytes" in str(error)
    assert (tmp_path / "b").read_bytes() == b"b" * 300_000


def test_a_class_that_the_device_lacks_is_named(slots):
    error = refused(Reason.SLOT_MISSING, lambda: slots.target("b", "mcu"))
    assert "[slot.mcu]" in error.hint


def test_two_slots_on_one_file_are_refused(slots, tmp_path):
    (tmp_path / "b").unlink()
    os.link(tmp_path / "a", tmp_path / "b")
    refused(Reason.SLOT_WRITE, slots.check_distinct)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, Reason.DISK_FULL),
        (errno.EDQUOT, Reason.DISK_FULL),
        (errno.EIO, Reason.SLOT_WRITE),
    ],
)
@pytest.mark.parametrize("where", [{"write": 1}, {"flush": 1}])
def test_a_disk_error_ends_the_writer_with_its_reason(slots, code, reason, where):
    steps = FailingSteps(code=code, **where)
    slot = spare(slots)
    writer = SlotWriter(slot, size_bytes=200_000, steps=steps)

    def write_all():
        writer.write(image())
        writer.finish()

    refused(reason, write_all)
    with pytest.raises(RuntimeError, match="open the slot again"):
        writer.finish()
    slot.close()


def test_a_failed_flush_is_never_tried_again(slots):
    steps = FailingSteps(flush=1)
    slot = spare(slots)
    writer = SlotWriter(slot, size_bytes=200_000, steps=steps)
    writer.write(image())
    refused(Reason.SLOT_WRITE, writer.finish)
    assert steps.flushes == 2
    slot.close()


def test_more_bytes_than_the_image_has_are_refused(slots):
    slot = spare(slots)
    writer = SlotWriter(slot, size_bytes=10, steps=DurableSteps())
    refused(Reason.CORRUPT_CONTENT, lambda: writer.write(bytes(11)))
    slot.close()


def test_an_image_that_ends_early_is_never_finished(slots, tmp_path):
    slot = spare(slots)
    writer = SlotWriter(slot, size_bytes=200_000, steps=DurableSteps())
    writer.write(image()[:-1])
    refused(Reason.CORRUPT_CONTENT, writer.finish)
    slot.close()
    assert (tmp_path / "b").read_bytes()[:HELD_BACK_BYTES] == bytes(HELD_BACK_BYTES)


def test_the_first_sector_is_erased_first_and_written_last(slots, tmp_path):
    slot = spare(slots)
    writer = SlotWriter(slot, size_bytes=200_000, steps=DurableSteps())
    assert read_slot(slot.target, offset=0, size_bytes=HELD_BACK_BYTES) == bytes(HELD_BACK_BYTES)
    writer.write(image())
    assert read_slot(slot.target, offset=0, size_bytes=HELD_BACK_BYTES) == bytes(HELD_BACK_BYTES)
    writer.finish()
    slot.close()
    assert (tmp_path / "b").read_bytes() == image() + b"b" * 100_000


def test_a_slot_that_ends_early_does_not_read_back(slots):
    refused(Reason.SLOT_READBACK, lambda: hash_slot(slots.target("b", "rootfs"), size_bytes=300_001))


def test_a_file_system_that_opens_directly_but_does_not_read_so_is_read_another_way(slots, monkeypatch):
    real = os.preadv

    def preadv(fd, buffers, offset):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct reads here")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert (
        hash_slot(slots.target("b", "rootfs"), size_bytes=300_000) == hashlib.sha256(b"b" * 300_000).digest()
    )


def test_a_changed_bit_changes_the_read_back(slots, tmp_path):
    before = hash_slot(slots.target("b", "rootfs"), size_bytes=300_000)
    with (tmp_path / "b").open("r+b") as file:
        file.seek(299_999)
        file.write(b"c")
    assert hash_slot(slots.target("b", "rootfs"), size_bytes=300_000) != before


def test_what_cannot_be_read_is_not_held(slots, tmp_path):
    (tmp_path / "b").unlink()
    assert read_slot(slots.target("b", "rootfs"), offset=0, size_bytes=10) == b""


def test_progress_names_only_what_is_on_the_disk(slots):
    ends = []
    steps = FailingSteps()
    slot = spare(slots)
    writer = SlotWriter(
        slot,
        size_bytes=200_000,
        steps=steps,
        on_flushed=lambda end: ends.append((end, steps.flushes)),
        flush_every_bytes=50_000,
    )
    writer.write(image())
    writer.finish()
    slot.close()
    assert ends[-1][0] == 200_000
    assert all(flushes >= 2 for _, flushes in ends)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 3 * HELD_BACK_BYTES),
    cuts=st.lists(st.integers(1, HELD_BACK_BYTES + 10), max_size=20),
)
def test_any_split_of_an_image_gives_the_same_slot(tmp_path_factory, size, cuts):
    path = tmp_path_factory.mktemp("slot") / "b"
    path.write_bytes(b"b" * 20_000)
    target = SlotTarget("b", "rootfs", path)
    slot = open_for_writing(target, size_bytes=size, running=())
    writer = SlotWriter(slot, size_bytes=size, steps=DurableSteps(), flush_every_bytes=5000)
    data, at = image(size), 0
    for cut in [*cuts, size]:
        writer.write(data[at : at + cut])
        at = min(size, at + cut)
    writer.finish()
    slot.close()
    assert hash_slot(target, size_bytes=size) == hashlib.sha256(data).digest()
    assert path.read_bytes()[size:] == b"b" * (20_000 - size)
