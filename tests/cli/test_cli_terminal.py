"""On a terminal: the command asks before it sends, and shows a bar while it works long."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.manufacturer import Manufacturer

ROOT = Path(__file__).parents[2]
LIMIT_S = 30.0


def converse(maker: Manufacturer, *arguments: str, question: str, answer: str) -> tuple[int, str, str]:
    """Run the command on a pseudo terminal and answer its question; exit code, standard output, the talk."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from ledger_client.cli.main import main; main()", *arguments],
        cwd=maker.path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    talk, answered, deadline = "", False, time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        readable, _, _ = select.select([ours], [], [], LIMIT_S)
        if not readable:
            break
        try:
            piece = os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the other side of the terminal is closed: the command has ended
            break
        if not piece:
            break
        talk += piece
        if not answered and question in talk:
            os.write(ours, f"{answer}\n".encode())
            answered = True
    out, _ = process.communicate(timeout=LIMIT_S)
    os.close(ours)
    return process.returncode, out, talk


def test_a_no_sends_nothing_and_a_yes_sends(maker: Manufacturer) -> None:
    arguments = ("channel", "create", "asked", "--group", "9")
    code, out, talk = converse(maker, *arguments, question="send it? [y/N]", answer="n")
    assert (code, out) == (2, "")
    assert "error: nothing was sent" in talk
    assert "paid by  0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in talk
    assert maker.json("channel", "status", "asked")["channels"][0]["groups"] == []
    code, out, talk = converse(maker, *arguments, question="send it? [y/N]", answer="y")
    assert code == 0
    assert out.startswith("group 9 follows asked\n")
    assert maker.json("channel", "status", "asked")["channels"][0]["groups"] == [9]


def test_pressing_return_is_a_no(maker: Manufacturer) -> None:
    code, _, talk = converse(
        maker, "channel", "create", "silent", "--group", "10", question="[y/N]", answer=""
    )
    assert code == 2
    assert "nothing was sent" in talk


def test_an_import_shows_a_bar(maker: Manufacturer) -> None:
    (maker.path / "big.img").write_bytes(os.urandom(3_000_000))
    code, out, talk = converse(
        maker, "release", "build", "rootfs=big.img", "--compatible", "acme,cam", "--version", "9.9.9",
        "--sequence", "999", "--channel", "stable", question="never asked", answer="",
    )  # fmt: skip
    assert code == 0
    assert "importing rootfs" in talk
    assert "━" in talk
    assert "release " in out
