"""Every file that the device's command reads, in the wrong form: one error line and a hint, a documented exit
code, no traceback, the running slot untouched, and the next try works.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from device_verifier.cli import main
from device_verifier.sources import StateQuery
from ledger_protocol.bundle import write_bundle
from tests.sim.device import SimDevice
from tests.support.bad_files import FORMS, directory

if TYPE_CHECKING:
    from pathlib import Path

# What becomes wrong, and commands that read it.
FILES = {
    "device.toml": (("status",), ("install", "--bundle", "stick.car")),
    "trust-root": (("status",), ("check", "--bundle", "stick.car"), ("install", "--bundle", "stick.car")),
    "factory.manifest": (("status", "--facts"), ("install", "--bundle", "stick.car")),
    "stick.car": (("check", "--bundle", "stick.car"), ("install", "--bundle", "stick.car")),
    "boot.json": (("status",), ("boot",), ("install", "--bundle", "stick.car")),
    "state/device.key": (("status", "--facts"), ("receipts", "export", "out.receipts")),
    "state/state.db": (("status",), ("log",), ("boot",), ("install", "--bundle", "stick.car")),
    "rootfs.b": (("install", "--bundle", "stick.car"),),
}
DOCUMENTED = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    device = SimDevice.make(tmp_path_factory.mktemp("bad") / "device")
    release = device.release(sequence=2)
    with (device.path / "stick.car").open("wb") as file:
        write_bundle(
            lambda _part: file,
            proof=device.repository.proof(StateQuery(channel="stable", installed=None)),
            trust_roots=device.repository.signed_roots,
            envelope=release.envelope,
            manifest=release.block,
            blocks=release.blocks.items(),
        )
    text = (device.path / "device.toml").read_text()
    (device.path / "device.toml").write_text("clock = false\n" + text)
    assert run(device.path, "status", "--facts") == 0
    return device.path


def run(path: Path, *arguments: str) -> int:
    return main(
        [
            "--config",
            str(path / "device.toml"),
            "--quiet",
            *(str(path / a) if "." in a else a for a in arguments),
        ]
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("name", FILES)
def test_no_command_falls_over_a_file_of_this_form(name, form, template, tmp_path, capsys):
    for number, command in enumerate(FILES[name]):
        path = tmp_path / str(number)
        shutil.copytree(template, path)
        wrong, kept = path / name, path / "kept"
        present = wrong.exists()
        assert present or name == "boot.json"  # that one is made by the first boot
        if present:
            wrong.rename(kept)
        if name == "factory.manifest":  # it is read once, by an agent that remembers nothing yet
            (path / "state/state.db").unlink()
        form(wrong)
        if form is not directory and not wrong.is_symlink():
            wrong.chmod(0o600)
        capsys.readouterr()
        code = run(path, *command)
        said = capsys.readouterr()
        told = f"{name} {form.__name__} {command}: {code}\n{said.out}\n{said.err}"
        running = (path / "rootfs.a").read_bytes()
        assert running == (template / "rootfs.a").read_bytes(), told
        if code != 0:
            assert code in DOCUMENTED, told
            errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
            assert len(errors) == 1 or said.out, told
            assert "Traceback" not in said.err, told
        if form is directory:
            shutil.rmtree(wrong, ignore_errors=True)
        wrong.unlink(missing_ok=True)
        if present:
            kept.rename(wrong)
        if code != 0:
            assert run(path, "install", "--bundle", "stick.car") == 0, (
                f"afterwards: {told}\n{capsys.readouterr().err}"
            )
