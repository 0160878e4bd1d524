r"""Replays the tutorials in docs/: their commands really run, their output is what is really printed.

The source of a tutorial says what is replayed by the words behind its fences:

    ```console               every `$ ` line is run (a line that ends in `\` goes on); below it stands what it prints
    ```console exit=10       the block's last command ends with this code; without it, all end with 0
    ```console server        the block's one command keeps running; it is ready when it has printed what stands there
    ```toml cam-1/device.toml    the block is saved as this file
    ```sh, ```text, ...      shown, not replayed

A line `...` in an output stands for any lines; `...` at the end of a line for its rest. What differs from run to
run is compared as a kind (`variable_parts`).
To write the outputs anew, all three tutorials in order (where a block still agrees, its `...` stay):

    python -m tests.support.tutorials
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from ledger_client.cli.main import run as run_fwledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS = Path(__file__).parents[2] / "docs"
TUTORIALS = tuple(DOCS / f"tutorial-{reader}.md" for reader in ("manufacturer", "device", "auditor"))
# Replayed in the same way, each in a folder of its own.
RUNBOOKS = (DOCS / "rotation.md",)
# The ports that the tutorials name: chain, IPFS API, gateway, relay. A replay takes free ones.
PORTS = (8545, 5001, 8080, 8181)
SERVER_READY_S = 30.0
COMMAND_S = 60.0

_FENCE = re.compile(r"^```(\S*) ?(.*)$")
# What joins commands, unless it stands in $(...).
_PLUMBING = re.compile(r"[|&;<>]")
_SUBSTITUTION = re.compile(r"\$\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Command:
    """One `$ ` line, and what stands below it."""

    text: str
    expected: tuple[str, ...]
    exit_code: int
    is_server: bool
    line: int


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A block that is saved as a file."""

    path: str
    text: str


@dataclass(slots=True)
class _Open:
    language: str
    words: list[str]
    first_line: int
    lines: list[str] = field(default_factory=list)


def steps(page: str) -> list[Command | SavedFile]:
    """What a tutorial does, in order."""
    found: list[Command | SavedFile] = []
    block: _Open | None = None
    for number, line in enumerate(page.splitlines(), start=1):
        fence = _FENCE.match(line)
        if block is None and fence:
            block = _Open(fence[1], fence[2].split(), number + 1)
        elif block is not None and line == "```":
            if block.language == "console":
                found += _commands(block)
            elif block.words:
                found.append(SavedFile(block.words[0], "\n".join(block.lines) + "\n"))
            block = None
        elif block is not None:
            block.lines.append(line)
    if block is not None:
        raise ValueError(f"the block that begins in line {block.first_line} does not end")
    return found


def _commands(block: _Open) -> list[Command]:
    last_code = 0
    for word in block.words:
        if word.startswith("exit="):
            last_code = int(word.removeprefix("exit="))
        elif word != "server":
            raise ValueError(f"line {block.first_line}: unknown word {word!r} behind ```console")
    starts = [i for i, line in enumerate(block.lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"line {block.first_line}: a console block begins with `$ `")
    commands = []
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        head = start
        while block.lines[head].endswith("\\"):
            head += 1
        text = "\n".join([block.lines[start][2:], *block.lines[start + 1 : head + 1]])
        commands.append(
            Command(
                text,
                tuple(block.lines[head + 1 : end]),
                last_code if end == len(block.lines) else 0,
                "server" in block.words,
                block.first_line + start,
            )
        )
    return commands


# Kind by kind, the first that matches wins. Release ids, keys and addresses are hex; CIDs base32.
_KINDS = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"\bbaf[a-z2-7]{20,}"), "<cid>"),
    (re.compile(r"\b(0x)?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\b\d{1,3}(,\d{3})+(\.\d+)?|(?<![.\d])\d+\.\d+(?![.\d])"), "<number>"),
    (re.compile(r"\b\d+ s old\b"), "<age>"),
    (re.compile(r'("pid": ?)\d+'), r"\1<pid>"),
)


def variable_parts(line: str) -> str:
    """The line with what differs from run to run replaced by its kind: times, ids, money and byte counts, ages."""
    for pattern, kind in _KINDS:
        line = pattern.sub(kind, line)
    return re.sub(r"\s+", " ", line).strip()


def aligned(expected: tuple[str, ...], printed: list[str]) -> list[str] | None:
    """The page's lines with what was printed now in the place of variable parts; None where they do not agree."""
    wanted = [line for line in expected if line.strip()]
    got = [line for line in printed if line.strip()]
    if not wanted:
        return None if got else []
    if wanted[0] == "...":
        for start in range(len(got) + 1):
            rest = aligned(tuple(wanted[1:]), got[start:])
            if rest is not None:
                return ["...", *rest]
        return None
    first = _line(wanted[0], got[0]) if got else None
    rest = None if first is None else aligned(tuple(wanted[1:]), got[1:])
    return None if first is None or rest is None else [first, *rest]


def _line(wanted: str, got: str) -> str | None:
    if not wanted.endswith("..."):
        return got.rstrip() if variable_parts(wanted) == variable_parts(got) else None
    # The cut may stand in the middle of a variable part: whole words before it are compared.
    kept = variable_parts(wanted[:-3]).rsplit(" ", 1)[0]
    return got[: len(wanted) - 3] + "..." if variable_parts(got).startswith(kept) else None


@dataclass(slots=True)
class World:
    """One scratch folder in which the tutorials are replayed, and the servers that they started."""

    folder: Path
    below: str = "."
    ports: dict[int, int] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def replay(self, page: str) -> list[tuple[Command, int, list[str]]]:
        """Do everything that a tutorial says. What each command ended with, and printed."""
        ran = []
        for step in steps(page):
            if isinstance(step, SavedFile):
                path = self._here / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._real_ports(step.text))
            else:
                code, printed = self._serve(step) if step.is_server else self._run(step)
                ran.append((step, code, self._page_ports(printed).splitlines()))
        return ran

    @property
    def _here(self) -> Path:
        return self.folder / self.below

    def stop(self) -> None:
        """End every server that was started."""
        for server in self.servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def _run(self, command: Command) -> tuple[int, str]:
        text = self._real_ports(command.text)
        if text.startswith("cd "):
            self.below = str(Path(self.below, text.removeprefix("cd ")))
            return 0 if self._here.is_dir() else 1, ""
        if text.startswith("fwledger ") and not _PLUMBING.search(_SUBSTITUTION.sub("", text)):
            return self._in_process(self._words(text)[1:])
        return self._bash(text)

    def _bash(self, text: str) -> tuple[int, str]:
        ended = subprocess.run(
            ["bash", "-c", text],
            cwd=self._here,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        return ended.returncode, ended.stdout

    def _words(self, text: str) -> list[str]:
        """The command's words as a shell makes them."""
        return self._bash("printf '%s\\n' " + text)[1].splitlines()

    def _in_process(self, arguments: list[str]) -> tuple[int, str]:
        """Importing web3 takes longer than most commands: they share this process."""
        out = io.StringIO()
        with (
            contextlib.chdir(self._here),
            mock.patch.dict(os.environ, self._environment(), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            try:
                code = run_fwledger(arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        return code, out.getvalue()

    def _serve(self, command: Command) -> tuple[int, str]:
        path = self.folder / f"server-{len(self.servers)}.log"
        with path.open("wb") as log:
            server = subprocess.Popen(
                ["bash", "-c", "exec " + self._real_ports(command.text)],
                cwd=self._here,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.servers.append(server)
        give_up_s = time.monotonic() + SERVER_READY_S
        while True:
            printed = path.read_text()
            if (
                aligned(command.expected, self._page_ports(printed).splitlines()) is not None
                or server.poll() is not None
                or time.monotonic() > give_up_s
            ):
                return server.poll() or 0, printed
            time.sleep(0.02)

    def _environment(self) -> Mapping[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FWLEDGER_", "ETH_", "COLUMNS"))}
        api, gateway = self._port(5001), self._port(8080)
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}",
            "PYTHONPATH": str(DOCS.parent),
            "NO_COLOR": "1",
            "HOME": str(self.folder),
            # fwledger.toml names the usual ports of an IPFS node; these settings win over it.
            "FWLEDGER_IPFS_API": f"/ip4/127.0.0.1/tcp/{api}/http",
            "FWLEDGER_IPFS_GATEWAYS": f"http://127.0.0.1:{gateway}",
        }

    def _port(self, named: int) -> int:
        if not self.ports:
            self.ports.update(_free_ports())
        return self.ports[named]

    def _real_ports(self, text: str) -> str:
        return re.sub(r"\b(" + "|".join(map(str, PORTS)) + r")\b", lambda m: str(self._port(int(m[1]))), text)

    def _page_ports(self, text: str) -> str:
        for named, real in self.ports.items():
            text = re.sub(rf"\b{real}\b", str(named), text)
        return text.replace(str(self.folder), "/tmp/tour")


def _free_ports() -> dict[int, int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {named: each.getsockname()[1] for named, each in zip(PORTS, sockets, strict=True)}


def differences(ran: list[tuple[Command, int, list[str]]]) -> Iterator[str]:
    """What went otherwise than the page says."""
    for command, code, printed in ran:
        if code != command.exit_code:
            yield (
                f"line {command.line}: `{command.text}` ended with {code}, the page says {command.exit_code}:\n"
                + "\n".join(printed)
            )
        elif aligned(command.expected, printed) is None:
            yield (
                f"line {command.line}: `{command.text}`\nthe page says:\n"
                + "\n".join(command.expected)
                + "\nprinted:\n"
                + "\n".join(printed)
            )


def rewrite(page: str, ran: list[tuple[Command, int, list[str]]]) -> str:
    """The page with what every command printed now; where it still agrees, its `...` stay."""
    lines = page.splitlines()
    for command, _, printed in reversed(ran):
        now = aligned(command.expected, printed)
        head = command.line + command.text.count("\n")
        lines[head : head + len(command.expected)] = (
            [line.rstrip() for line in printed if line.strip()] if now is None else now
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Replay all tutorials and runbooks, and write what is really printed into them."""
    return max(_write_anew(pages) for pages in (TUTORIALS, *((one,) for one in RUNBOOKS)))


def _write_anew(pages: tuple[Path, ...]) -> int:
    with tempfile.TemporaryDirectory(prefix="fwledger-tutorial-") as folder:
        world = World(Path(folder).resolve())
        code = 0
        try:
            for path in pages:
                if not path.exists():
                    continue
                page = path.read_text(encoding="utf-8")
                ran = world.replay(page)
                for command, ended, printed in ran:
                    if ended != command.exit_code:
                        code = 1
                        print(
                            f"{path.name}:{command.line}: `{command.text}` ended with {ended}",
                            *printed,
                            sep="\n",
                        )
                path.write_text(rewrite(page, ran), encoding="utf-8")
        finally:
            world.stop()
    return code


if __name__ == "__main__":
    sys.exit(main())
