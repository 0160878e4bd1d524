"""Every file that a command reads, in the wrong form: one error line, a hint, a documented exit code, and
never a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.errors import EXIT_NOT_TRUSTED, EXIT_USAGE
from tests.support.bad_files import FORMS, directory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.manufacturer import Manufacturer

# What stands where {} is read as a file.
COMMANDS = [
    ("channel", "status", "--config", "{}"),
    ("release", "sign", "{}", "--key", "keys/alice.pem"),
    ("release", "sign", "releases/1.0.0", "--key", "{}", "--out", "never.sig"),
    ("release", "sign", "releases/1.0.0", "--key", "keys/locked.pem", "--password-file", "{}", "--out", "never.sig"),
    ("release", "merge", "{}", "keys/alice.pem"),
    ("release", "merge", "releases/1.0.0", "{}"),
    ("release", "check", "{}", "--device", "facts.json", "--channel", "stable"),
    ("release", "check", "releases/1.0.0", "--device", "{}", "--channel", "stable"),
    ("release", "show", "{}"),
    ("release", "approve", "{}", "--channel", "stable", "--out", "never.approval", "--yes"),
    ("release", "publish", "{}", "--channel", "stable", "--yes"),
    ("release", "publish", "releases/1.0.0", "--channel", "stable", "--yes", "--approval", "{}"),
    ("release", "revoke", "{}", "--yes"),
    ("channel", "resume", "stable", "--approval", "{}", "--yes"),
    ("device", "enrol", "{}", "--group", "1", "--yes"),
    ("bundle", "show", "{}"),
    ("receipts", "submit", "{}", "--yes"),
    ("trust", "show", "--file", "{}"),
    ("trust", "sign", "{}", "--key", "keys/root.pem"),
    ("deploy", "--yes", "--release-key", "{}", "--root-key", "keys/root.pem"),
    ("deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "{}"),
    ("deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", "--validators", "{}"),
    ("channel", "halt", "stable", "--keystore", "{}", "--password-file", "password", "--yes"),
    ("audit", "verify", "--trust-root", "{}"),
    ("audit", "verify", "--trust-root", "trust-root.cbor", "--from", "{}"),
    ("audit", "timeline", "--trust-root", "trust-root.cbor", "--from", "{}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def ready(maker: Manufacturer) -> Manufacturer:
    maker.signed("1.0.0", 1)
    (maker.path / "password").write_text("secret\n")
    (maker.path / "password").chmod(0o600)
    maker.run("key", "new", "keys/locked.pem", "--password-file", "password")
    (maker.path / "facts.json").write_text("{}")
    return maker


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_no_command_falls_over_a_file_of_this_form(ready: Manufacturer, tmp_path: Path, form) -> None:
    before = sorted(path for path in ready.path.rglob("*") if path.is_file())
    for number, command in enumerate(COMMANDS):
        wrong = tmp_path / f"wrong-{number}"
        form(wrong)
        wrong.chmod(
            0o700 if form is directory else 0o600, follow_symlinks=False
        ) if not wrong.is_symlink() else None
        ran = ready.run(*[part.replace("{}", str(wrong)) for part in command], expect=None)
        told = f"{' '.join(command)}\n{ran.err}"
        assert ran.code in (EXIT_NOT_TRUSTED, EXIT_USAGE), told
        error = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        if command[0] != "audit" or error:  # an audit that finds something says so in its own words
            assert len(error) == 1, told
            assert len(error[0]) < 600, told
        assert "Traceback" not in ran.err, told
    assert sorted(path for path in ready.path.rglob("*") if path.is_file()) == before, "nothing was written"
