"""`status` and `log`: they read, and work beside an install."""

import argparse
import json
from typing import Any

from device_verifier.assembly import STATE_NAME, open_agent, simulated_bootloader, system_clock
from device_verifier.cli.output import Answer
from device_verifier.cli.views import clock_text, status_document, status_sentence
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps
from device_verifier.errors import DeviceError
from device_verifier.facts import facts_to_json
from device_verifier.identity import load_identity
from device_verifier.memory import StoreMemory, read_factory_root
from device_verifier.progress import Progress
from device_verifier.records import BUSY_PHASES, LogLine, read_reason
from device_verifier.slots import SLOT_NAMES
from device_verifier.store import Store
from device_verifier.updater import LAST_CHECK

__all__ = ["log", "status"]

DETAILED_LINES = 10


def status(config: DeviceConfig, arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Show what this device runs, trusts and refused."""
    if arguments.facts:
        with open_agent(config, progress=progress) as agent:
            facts = facts_to_json(agent.facts())
        return Answer(json.loads(facts), facts.rstrip("\n"))
    with Store(config.state_dir / STATE_NAME, steps=DurableSteps()) as store:
        document = _document(config, store)
        document["ledger_view"] = _view(config, store)
        history = store.log(DETAILED_LINES)
    lines = _lines(document)
    if arguments.detailed:
        document["log"] = [_entry(line) for line in history]
        lines += _detailed(document, history)
    return Answer(document, "\n".join(lines))


def log(config: DeviceConfig, arguments: argparse.Namespace, _progress: Progress) -> Answer:
    """Show the device's own history, oldest first."""
    with Store(config.state_dir / STATE_NAME, steps=DurableSteps()) as store:
        history = store.log(max(0, arguments.limit))
    document = {"schema": "fwledger/device-log/1", "lines": [_entry(line) for line in history]}
    return Answer(document, "\n".join(map(_readable, history)) or "nothing happened yet")


def _document(config: DeviceConfig, store: Store) -> dict[str, Any]:
    loader = simulated_bootloader(config, DurableSteps())
    slots = {}
    for slot in SLOT_NAMES:
        boot, held = loader.get_state(slot), store.installed(slot)
        slots[slot] = {
            "state": boot.state.value,
            "tries_left": boot.tries_left,
            "version": None if held is None else held.version,
            "release": None if held is None else "0x" + held.release.hex(),
            "sequence": None if held is None else held.sequence,
            "security_version": None if held is None else held.security_version,
        }
    floor, install = store.floor(), store.install()
    last_check, address = store.note(LAST_CHECK), _address(config)
    return {
        "schema": "fwledger/device-status/1",
        "compatible": config.compatible,
        "hw_revision": config.hw_revision,
        "address": None if address is None else "0x" + address.hex(),
        "phase": store.phase().value,
        "running": loader.running(),
        "primary": loader.get_primary(),
        "slots": slots,
        "security_floor": store.security_floor(),
        "ledger_floor": None
        if floor is None
        else {"block": floor.number, "time": floor.time, "trust_root_version": floor.root_version},
        "install": None
        if install is None
        else {
            "release": "0x" + install.release.hex(),
            "slot": install.slot,
            "origin": install.origin.value,
            "overridden": install.overridden,
            "reason": None if install.reason is None else install.reason.value,
            "detail": install.detail,
        },
        "last_check": None if last_check is None else json.loads(last_check),
        "pending_events": 0 if address is None else store.count_events(address),
        "refusals": [
            {
                "release": "0x" + refusal.release.hex(),
                "reason": refusal.reason.value,
                "detail": refusal.detail,
                "at": refusal.at_s,
                "count": refusal.count,
                "retry_at": refusal.retry_at_s,
                "failed_here": not refusal.by_policy,
            }
            for refusal in store.refusals()
        ],
    }


def _view(config: DeviceConfig, store: Store) -> dict[str, Any] | None:
    try:
        factory_root = read_factory_root(config.trust_root)
    except DeviceError:
        return None  # every other command says so; this one shows what there is
    memory = StoreMemory(store, factory_root=factory_root, image=config.image)
    return status_document(memory, now_s=system_clock(config))


def _lines(document: dict[str, Any]) -> list[str]:
    slots = document["slots"]
    running, primary = document["running"], document["primary"]
    address = document["address"] or "without a key"
    lines = [
        f"device   {address} ({document['compatible']}, {document['hw_revision']})",
        f"state    {document['phase']}, slot {running} runs, slot {primary} boots next",
    ]
    for name, slot in slots.items():
        tries = f", {slot['tries_left']} tries" if slot["state"] == "trial" else ""
        held = "content unknown" if slot["version"] is None else f"version {slot['version']}"
        lines.append(f"slot {name}   {slot['state']}{tries}, {held}")
    floor = document["ledger_floor"]
    proven = "nothing proven yet"
    if floor is not None:
        proven = (
            f"block {floor['block']} of {clock_text(floor['time'])}, trust root {floor['trust_root_version']}"
        )
    lines.append(f"floors   security version {document['security_floor']}; {proven}")
    if document["ledger_view"] is not None:
        lines.append(f"view     {status_sentence(document['ledger_view'])}")
    install = document["install"]
    if install is not None and (install["reason"] or document["phase"] in BUSY_PHASES):
        why = f": {install['reason']} {install['detail']}".rstrip() if install["reason"] else ""
        lines.append(f"install  {install['release']} into slot {install['slot']}{why}")
    checked = document["last_check"]
    if checked is not None:
        reason = read_reason(checked["reason"])
        meaning = "a code of a newer agent" if reason is None else reason.meaning
        lines.append(f"check    {clock_text(checked['at'])} {checked['reason']}: {meaning}")
    lines.append(f"events   {document['pending_events']} not proven to be on the ledger")
    return lines


def _detailed(document: dict[str, Any], history: list[LogLine]) -> list[str]:
    refusals = document["refusals"]
    lines = ["refused:"] if refusals else []
    for refusal in refusals:
        again = "" if refusal["retry_at"] is None else f", again after {clock_text(refusal['retry_at'])}"
        lines.append(f"  {refusal['release']}: {refusal['reason']}{again}: {refusal['detail']}")
    return [*lines, "history:", *("  " + _readable(line) for line in history)]


def _address(config: DeviceConfig) -> bytes | None:
    try:
        return load_identity(config.device_key).address
    except DeviceError:
        return None


def _entry(line: LogLine) -> dict[str, Any]:
    return {
        "at": line.at_s,
        "what": line.what,
        "release": None if line.release is None else "0x" + line.release.hex(),
        "reason": None if line.reason is None else line.reason.value,
        "detail": line.detail,
    }


def _readable(line: LogLine) -> str:
    parts = [clock_text(line.at_s), line.what]
    if line.release is not None:
        parts.append("0x" + line.release.hex()[:12])
    if line.reason is not None:
        parts.append(f"[{line.reason.value}]")
    return " ".join([*parts, line.detail]).rstrip()
