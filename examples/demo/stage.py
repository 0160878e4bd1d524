"""The stage of the demo: servers as processes of their own, commands as a person would type them, and a
story on screen.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ledger_client.cli.main import run as run_fwledger

READY_S = 60.0
_LINES = 12
_WIDTH = 118


class DemoError(Exception):
    """The demo went otherwise than it must."""


@dataclass(slots=True)
class Server:
    """A server process; `ready` is what it said of itself when it answered."""

    name: str
    process: subprocess.Popen[bytes]
    ready: dict[str, Any]

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said: on standard output, and on both streams in order."""

    code: int
    out: str
    both: str

    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


class _Heard(io.StringIO):
    """A stream that also writes to a list shared with the other one, so that their order is kept."""

    def __init__(self, both: list[str]) -> None:
        super().__init__()
        self._both = both

    def write(self, text: str) -> int:
        written = super().write(text)  # refuses bytes, which click tries
        self._both.append(text)
        return written


@dataclass(slots=True)
class Stage:
    """A folder, the processes that live in it, and the story so far."""

    folder: Path
    servers: list[Server] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)
    chapter_number: int = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self.chapter_number += 1
        passed_s = time.monotonic() - self.started_s
        heading = f"── {self.chapter_number}. {title} "
        print(f"\n{bold(heading + '─' * max(3, 96 - len(heading)))} {passed_s:.0f} s", flush=True)

    def tell(self, text: str) -> None:
        """Say what happens, in one line."""
        print(f"   {text}", flush=True)

    def check(self, what: str, holds: bool, *, got: object = "") -> None:
        """Show that something holds. Raises DemoError where it does not."""
        if not holds:
            raise DemoError(f"{what}: not so; got {got}")
        print(f"   {green('✓')} {what}", flush=True)

    def fwledger(
        self, *arguments: str, code: int = 0, show: bool = True, lines: int = _LINES, width: int = _WIDTH
    ) -> Ran:
        """Run a host command in this process, as `fwledger ARGUMENTS`, and show its first `lines`.

        Raises DemoError for another exit code than `code`.
        """
        both: list[str] = []
        out, err = _Heard(both), _Heard(both)
        if show:
            self.show_command("fwledger", arguments)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = run_fwledger(arguments)
            except SystemExit as end:  # a command that ends with a verdict of its own
                ended = end.code if isinstance(end.code, int) else 1
        ran = self._expect("fwledger", arguments, Ran(ended, out.getvalue(), "".join(both)), code)
        if show:
            self._show(ran.both, lines, width)
        return ran

    def device(
        self, config: Path, *arguments: str, code: int = 0, show: bool = True, lines: int = _LINES
    ) -> Ran:
        """Run `fwledger-device --config CONFIG ARGUMENTS` as a process of its own; else as `fwledger`.

        Only a command that is not shown keeps its standard output apart, for programs to read.
        """
        full = ("--config", str(config), *arguments)
        if show:
            self.show_command("fwledger-device", full)
        ended = subprocess.run(
            [script("fwledger-device"), *full],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if show else subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )
        both = ended.stdout + (ended.stderr or "")
        ran = self._expect("fwledger-device", full, Ran(ended.returncode, ended.stdout, both), code)
        if show:
            self._show(ran.both, lines, _WIDTH)
        return ran

    def serve(self, name: str, *command: str) -> Server:
        """Start a server as a process, and wait until it says that it answers (a JSON file)."""
        ready_file = self.folder / f"{name}.ready"
        ready_file.unlink(missing_ok=True)
        full = [script(command[0]), *command[1:], "--ready-file", str(ready_file)]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(full, stdout=log, stderr=log, env=environment())
        server = Server(name, process, {})
        self.servers.append(server)
        give_up_s = time.monotonic() + READY_S
        while not (ready_file.exists() and ready_file.stat().st_size):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise DemoError(f"{name} did not start: {(self.folder / f'{name}.log').read_text()[-800:]}")
            time.sleep(0.02)
        server.ready = json.loads(ready_file.read_text())
        return server

    def show_command(self, name: str, arguments: tuple[str, ...]) -> None:
        """Show a command as a person would type it."""
        text = " ".join([name, *arguments])
        print(f"   {dim('$')} {_cut(shorten(text, self.folder), _WIDTH)}", flush=True)

    def _show(self, said: str, lines: int, width: int) -> None:
        for line in [line for line in said.splitlines() if line.strip()][:lines]:
            print(f"     {dim(_cut(shorten(line, self.folder), width))}", flush=True)

    def _expect(self, name: str, arguments: tuple[str, ...], ran: Ran, code: int) -> Ran:
        if ran.code != code:
            command = " ".join([name, *arguments])
            raise DemoError(f"`{command}` ended with {ran.code}, expected {code}\n{ran.both[-3000:]}")
        return ran


class Bar:
    """A progress bar on a terminal, a line at the start and the end elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._shown = what, max(total, 1), -1

    def __call__(self, done: int) -> None:
        """So much of the total is done."""
        percent = min(100, 100 * done // self._total)
        if percent == self._shown:
            return
        self._shown = percent
        if sys.stdout.isatty():
            print(
                f"\r   {self._what} [{'█' * (percent // 4):<25}] {percent:3} %",
                end="\n" if percent == 100 else "",
                flush=True,
            )
        elif percent == 100:
            print(f"   {self._what}: done", flush=True)


def script(name: str) -> str:
    """The path of one of our commands, beside the Python that runs this."""
    return str(Path(sys.executable).parent / name)


def environment() -> dict[str, str]:
    """The environment of every process: this checkout, no colours, no settings of the person who runs it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FWLEDGER_", "ETH_"))}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "NO_COLOR": "1"}


def _cut(text: str, width: int) -> str:
    return text if len(text) < width else text[: width - 1] + "…"


def shorten(text: str, folder: Path) -> str:
    """The text without the demo's folder in its paths."""
    return text.replace(f"{folder}/", "").replace(str(folder), ".")


def fresh(folder: Path) -> Path:
    """An empty folder at this place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def bold(text: str) -> str:
    """Bold on a terminal."""
    return _styled(text, "1")


def dim(text: str) -> str:
    """Dim on a terminal."""
    return _styled(text, "2")


def green(text: str) -> str:
    """Green on a terminal."""
    return _styled(text, "32")


def _styled(text: str, style: str) -> str:
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\x1b[{style}m{text}\x1b[0m"
    return text
