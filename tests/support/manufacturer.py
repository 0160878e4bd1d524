"""A manufacturer's folder, and the real `fwledger` command run in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger_client.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Manufacturer:
    """A folder with fwledger.toml and keys. `run` is the command itself, in this process."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, expect: int | None = 0) -> Result:
        out, err = io.StringIO(), io.StringIO()
        before, cwd = dict(os.environ), Path.cwd()
        for name in [name for name in os.environ if name.startswith(("FWLEDGER_", "ETH_"))]:
            del os.environ[name]
        os.environ.update(self.environment)
        os.chdir(self.path)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run([str(argument) for argument in arguments])
        finally:
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(before)
        result = Result(code, out.getvalue(), err.getvalue())
        if expect is not None and code != expect:
            raise AssertionError(f"exit {code}, not {expect}\n{result.out}\n{result.err}")
        return result

    def json(self, *arguments: str | Path) -> Any:
        return self.run(*arguments, "--json").document

    def refused(self, *arguments: str | Path, code: int) -> str:
        """Standard error of a command that ends with `code`; its first line is the error."""
        return self.run(*arguments, expect=code).err

    def build(
        self, version: str, sequence: int, *more: str, image: bytes = b"image", channel: str = "stable"
    ) -> str:
        """Build a release of one image; its folder."""
        name = f"{version}.img"
        (self.path / name).write_bytes(image)
        self.run(
            "release", "build", f"rootfs={name}", "--compatible", "acme,cam", "--arch", "aarch64", "--version", version,
            "--sequence", str(sequence), "--channel", channel, "--created", "1700000000", *more,
        )  # fmt: skip
        return f"releases/{version}"

    def signed(
        self, version: str, sequence: int, *more: str, image: bytes = b"image", channel: str = "stable"
    ) -> str:
        """Build a release and sign it with both keys."""
        folder = self.build(version, sequence, *more, image=image, channel=channel)
        for key in ("alice", "bob"):
            self.run("release", "sign", folder, "--key", f"keys/{key}.pem")
        return folder


def found(path: Path, *, rpc: str, ipfs: str = "", gateway: str = "") -> Manufacturer:
    """A folder with configuration and keys; nothing is on a chain yet."""
    path.mkdir(parents=True, exist_ok=True)
    maker = Manufacturer(path)
    maker.run("init", "--rpc", rpc)
    config = path / "fwledger.toml"
    text = config.read_text().replace("# dev_account = 0", "dev_account = 0")
    if ipfs:
        text = text.replace('api = "/ip4/127.0.0.1/tcp/5001/http"', f'api = "{ipfs}"')
        text = text.replace('gateways = ["http://127.0.0.1:8080"]', f'gateways = ["{gateway}"]')
    config.write_text(text)
    maker.run("key", "new", "keys/alice.pem")
    maker.run("key", "new", "--type", "p256", "keys/bob.pem")
    maker.run("key", "new", "--kind", "root", "keys/root.pem")
    return maker


def deployed(path: Path, *more: str, rpc: str, ipfs: str = "", gateway: str = "") -> Manufacturer:
    """The same with contracts, a trust root of two release keys that both must sign, and group 1 on
    `stable`.
    """
    maker = found(path, rpc=rpc, ipfs=ipfs, gateway=gateway)
    maker.run(
        "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--release-key", "keys/bob.pem.pub",
        "--release-threshold", "2", "--root-key", "keys/root.pem", *more,
    )  # fmt: skip
    return maker
