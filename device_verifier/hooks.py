"""Executables of the device's owner at each stage of an update: `hooks.d/<stage>/*`, in the order of their
names.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from device_verifier.commands import run_command

__all__ = ["HookResult", "HookStage", "run_hooks"]

# Seconds: a hook stops services or copies settings; one that needs longer should start a job of its own.
HOOK_TIMEOUT_S: Final = 120.0
# More hooks than this in one stage is a mistake in packaging, and each may take its whole time limit.
MAX_HOOKS: Final = 32


class HookStage(StrEnum):
    """When hooks run. A failing one of the first three stops the step that it precedes; later ones are only
    noted.
    """

    PRE_INSTALL = "pre-install"
    POST_INSTALL = "post-install"
    PRE_REBOOT = "pre-reboot"
    HEALTH = "health"
    POST_CONFIRM = "post-confirm"
    POST_REVERT = "post-revert"


@dataclass(frozen=True, slots=True)
class HookResult:
    """How one hook ended."""

    name: str
    passed: bool
    detail: str


def run_hooks(
    directory: Path | None,
    stage: HookStage,
    decision: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    timeout_s: float = HOOK_TIMEOUT_S,
) -> tuple[HookResult, ...]:
    """Run the hooks of `stage` under `directory` (None: there are none), each with `decision` as JSON on
    stdin.

    A hook that others than its owner may write is not run and counts as failed: it would be their code.
    """
    results = []
    stdin = json.dumps({**decision, "stage": stage.value}).encode()
    for path in _executables(directory, stage):
        refusal = _unsafe(path)
        if refusal:
            results.append(HookResult(path.name, passed=False, detail=refusal))
            continue
        result = run_command(
            [str(path)],
            timeout_s=timeout_s,
            environment={**environment, "FWLEDGER_STAGE": stage.value},
            stdin=stdin,
        )
        detail = "" if result.passed else result.output.strip()[-1000:] or f"exit code {result.exit_code}"
        results.append(HookResult(path.name, result.passed, detail))
    return tuple(results)


def _executables(directory: Path | None, stage: HookStage) -> Iterator[Path]:
    if directory is None:
        return
    try:
        paths = sorted((directory / stage.value).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from [path for path in paths if path.is_file() and os.access(path, os.X_OK)][:MAX_HOOKS]


def _unsafe(path: Path) -> str:
    for place in (path, path.parent):
        status = place.stat()
        if status.st_uid not in {0, os.geteuid()}:
            return f"not run: {place} belongs to user {status.st_uid}, expected root or the agent's user"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"not run: {place} can be written by others, expected mode 0755 or stricter"
    return ""
