"""Progress for people: a bar on a terminal, a line a step elsewhere, nothing when quiet."""

import io

from device_verifier.progress import BarProgress, LineProgress, NoProgress

MIB = 1024 * 1024


def drive(progress):
    progress.step("fetching rootfs")
    for done in range(5):
        progress.advance("rootfs", done * MIB, 4 * MIB)
    progress.step("armed")


def test_a_log_gets_one_line_a_step():
    out = io.StringIO()
    drive(LineProgress(out))
    assert out.getvalue() == "fetching rootfs\narmed\n"


def test_a_terminal_gets_one_line_that_is_redrawn_and_ends_full():
    out = io.StringIO()
    drive(BarProgress(out))
    first, bar, last, end = out.getvalue().split("\n")
    assert (first, last, end) == ("fetching rootfs", "armed", "")
    assert bar.split("\r")[-1] == "rootfs [########################] 100% 4.0/4.0 MiB"
    assert bar.count("\r") == 2, "the first and the last; what lies between came too soon after"


def test_an_empty_image_is_all_done():
    out = io.StringIO()
    BarProgress(out).advance("empty", 0, 0)
    assert out.getvalue().endswith("100% 0.0/0.0 MiB\n")


def test_quiet_says_nothing(capsys):
    drive(NoProgress())
    assert capsys.readouterr() == ("", "")
