"""A host whose disk is full: one clear line, exit code 2, and no half of a file where a whole one is expected."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import CLIENT, environment, publish

if TYPE_CHECKING:
    from tests.support.manufacturer import Manufacturer

IMAGE = os.urandom(400_000)
MOST_BYTES = 3_000

COMMANDS = {
    "audit export": ("audit", "export", "--trust-root", "trust-root.cbor", "--output", "out/history.ndjson"),
    "bundle make": ("bundle", "make", "--channel", "stable", "--out", "out/stick.car"),
    "release build": (
        "release", "build", "rootfs=1.0.0.img", "--compatible", "acme,cam", "--arch", "aarch64", "--version", "2.0.0",
        "--sequence", "2", "--channel", "stable", "--out", "out/release",
    ),
    "proof channel": ("proof", "channel", "stable", "--out", "out/proof.cbor"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(maker: Manufacturer) -> Manufacturer:
    publish(maker, "1.0.0", 1, IMAGE)
    (maker.path / "out").mkdir()
    (maker.path / "1.0.0.img").write_bytes(os.urandom(400_000))
    return maker


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(ready, name):
    command = COMMANDS[name]
    full_at = 100 if name == "proof channel" else MOST_BYTES

    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full_at, full_at))

    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *command],
        cwd=ready.path, env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True,
        check=False, preexec_fn=shrink,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (2, 1), done.stderr
    assert "hint: " in done.stderr or "large" in errors[0], done.stderr
    left = [path for path in (ready.path / "out").rglob("*") if path.is_file()]
    assert left == [], left
    ready.run(*command)  # the next try works
    for path in sorted((ready.path / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
