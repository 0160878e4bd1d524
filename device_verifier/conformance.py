"""The adapter of this device for `fwledger-conformance` (docs/conformance.md): the agent's own code, a state
directory on disk, and the sources that the suite names.

    python -m device_verifier.conformance init|check|install ...
    python -m device_verifier.conformance serve      the same commands as JSON lines on standard input
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from device_verifier import updater
from device_verifier.agent import Agent
from device_verifier.assembly import open_agent
from device_verifier.config import load_config
from device_verifier.errors import DeviceError, UsageError
from device_verifier.memory import read_factory_root
from device_verifier.policy import Decision
from device_verifier.records import Phase
from device_verifier.sources.bundle import Bundle
from device_verifier.sources.directory import Directory
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.http import HttpLimits
from device_verifier.sources.relay import RelayLedger
from device_verifier.sources.rpc import RpcLedger
from device_verifier.strict_json import parse_json
from device_verifier.updater import Sources
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot
from ledger_protocol.report.reasons import Reason

__all__ = ["main"]

RESULT_SCHEMA: Final = "fwledger/conformance-result/1"
DEVICE_SCHEMA: Final = "fwledger/conformance-device/1"
CONFIG_NAME: Final = "device.toml"
MAX_DEVICE_BYTES: Final = 64 * 1024
# A silent server is left after a third of the time that a whole exchange may take.
STALL_SHARE: Final = 3
EXIT_NOT_ACCEPTED: Final = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the suite's contract, or `serve` them; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["serve"]:
        return _serve()
    code, result = _answer(arguments)
    print(json.dumps(result))
    return code


def _serve() -> int:
    """Answer one JSON line `{"arguments": [...]}` after the other with `{"exit": N, "result": {...}}`."""
    for line in sys.stdin:
        code, result = _answer(json.loads(line)["arguments"])
        print(json.dumps({"exit": code, "result": result}), flush=True)
    return 0


def _answer(argv: Sequence[str]) -> tuple[int, dict[str, Any]]:
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "init":
            return 0, _init(arguments)
        return _ask(arguments)
    except UsageError as error:
        return error.exit_code, _result(accepted=False, reason=error.reason, detail=str(error))


@cache
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m device_verifier.conformance")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init")
    init.add_argument("--state", type=Path, required=True)
    init.add_argument("--device", type=Path, required=True)
    init.add_argument("--trust-root", type=Path, required=True)
    for name in ("check", "install"):
        ask = commands.add_parser(name)
        ask.add_argument("--state", type=Path, required=True)
        ask.add_argument("--now", required=True)
        ask.add_argument("--patience", type=float, required=True)
        ask.add_argument("--directory", type=Path, action="append", default=[])
        ask.add_argument("--bundle", type=Path)
        for source in ("--relay", "--node", "--gateway"):
            ask.add_argument(source, action="append", default=[])
    return parser


def _init(arguments: argparse.Namespace) -> dict[str, Any]:
    """Turn the suite's device.json into a device.toml in the state directory."""
    base = arguments.device.absolute().parent
    with arguments.device.open("rb") as file:
        data = file.read(MAX_DEVICE_BYTES + 1)
    device: Any = parse_json(data, max_bytes=MAX_DEVICE_BYTES)
    state: Path = arguments.state.absolute()
    state.mkdir(mode=0o700)
    shutil.copyfile(base / device["key"], state / "device.key")
    (state / "device.key").chmod(0o600)
    (state / CONFIG_NAME).write_text(
        _config_text(device, base, state, arguments.trust_root.absolute()), encoding="utf-8"
    )
    factory = SignedTrustRoot.decode(read_factory_root(load_config(state / CONFIG_NAME).trust_root))
    holds = {"trust_root_version": TrustRoot.decode(factory.document).version, "height": None, "armed": None}
    return _result(accepted=True, reason=None, detail="") | holds


def _config_text(device: Mapping[str, Any], base: Path, state: Path, trust_root: Path) -> str:
    lines = [
        f'state_dir = "{state}"',
        f'trust_root = "{trust_root}"',
        *(f"{name} = {json.dumps(device[name])}" for name in ("compatible", "hw_revision", "arch")),
        *(
            f"{name} = {json.dumps(device[name])}"
            for name in ("channel", "group")
            if device[name] is not None
        ),
    ]
    if device["installed"] is not None:
        lines.append(f'factory_manifest = "{base / device["installed"]}"')
    lines += ["[bootloader]", 'kind = "simulated"', f'state = "{state / "boot.json"}"']
    lines += ["[install]", f"mode = {json.dumps(device['mode'])}"]
    for window in device["windows"]:
        lines += ["[[install.window]]", *(f"{name} = {json.dumps(value)}" for name, value in window.items())]
    for slot in device["slots"]:
        lines.append(f"[slot.{slot['class']}]")
        lines += [f'a = "{base / slot["running"]}"', f'b = "{base / slot["spare"]}"']
    return "\n".join(lines) + "\n"


def _ask(arguments: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    now_s = None if arguments.now == "none" else int(arguments.now)
    with _agent(arguments.state.absolute(), now_s=now_s) as agent:
        try:
            with _sources(arguments) as sources:
                accepted, decision, release = _outcome(agent, sources, arguments.command)
        except DeviceError as error:
            detail = "; ".join([str(error), *getattr(error, "__notes__", ())])
            result = _result(accepted=False, reason=error.reason, detail=detail, agent=agent)
            return EXIT_NOT_ACCEPTED, result
        reason = None if decision is None else decision.reason
        result = _result(accepted=accepted, reason=reason, detail="", release=release, agent=agent)
        return 0 if accepted else EXIT_NOT_ACCEPTED, result


def _outcome(agent: Agent, sources: Sources, command: str) -> tuple[bool, Decision | None, bytes | None]:
    """Say whether the device would install (or has armed) a release, why, and which."""
    if command == "check":
        consultation = updater.check(agent, sources)
        release = None if consultation.release is None else consultation.release.release_id
        return consultation.decision.installs, consultation.decision, release
    outcome = updater.install(agent, sources)
    return outcome.armed, outcome.decision, outcome.release if outcome.armed else None


@contextmanager
def _agent(state: Path, *, now_s: int | None) -> Generator[Agent]:
    config = replace(load_config(state / CONFIG_NAME), clock=now_s is not None)
    with open_agent(config, now_s=now_s) as agent:
        yield agent


@contextmanager
def _sources(arguments: argparse.Namespace) -> Generator[Sources]:
    """Give what the suite serves, as the agent's own kinds of sources."""
    patience_s = arguments.patience
    limits = HttpLimits(
        connect_s=patience_s,
        stall_s=patience_s / STALL_SHARE,
        total_s=patience_s,
        grace_s=patience_s / STALL_SHARE,
    )
    with ExitStack() as stack:
        if arguments.bundle is not None:
            bundle = stack.enter_context(Bundle(arguments.bundle))
            yield Sources(ledgers=[bundle], blocks=[bundle], bundle=bundle)
            return
        directories = [Directory(path) for path in arguments.directory]
        gateways = [GatewayBlocks(url, limits=limits) for url in arguments.gateway]
        nodes = [RpcLedger(url, blocks=[*directories, *gateways], limits=limits) for url in arguments.node]
        relays = [RelayLedger(url, limits=limits) for url in arguments.relay]
        yield Sources(ledgers=[*directories, *relays, *nodes], blocks=[*directories, *gateways])


def _result(
    *,
    accepted: bool,
    reason: Reason | None,
    detail: str,
    release: bytes | None = None,
    agent: Agent | None = None,
) -> dict[str, Any]:
    """Give the contract's answer: what was decided, and what the device holds now."""
    result: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "accepted": accepted,
        "reason": None if reason is None else reason.value,
        "detail": detail,
        "release": None if release is None else "0x" + release.hex(),
    }
    if agent is not None:
        floor, install = agent.store.floor(), agent.store.install()
        armed = install is not None and install.phase is Phase.ARMED
        result |= {
            "trust_root_version": agent.memory.root().version,
            "height": None if floor is None else floor.number,
            "armed": "0x" + install.release.hex() if armed and install is not None else None,
        }
    return result


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # nothing is left to tidy, and a broken-off request must not hold the exit
