"""Run cases against a client: each with a device of its own, in a directory of its own."""

import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ledger_client.conformance.case import BEFORE_WORDS, Case, Device, Plan, Site, Step
from ledger_client.conformance.client import Answer, Client, ClientError
from ledger_client.conformance.server import SiteServer
from ledger_client.conformance.world import keys
from ledger_client.conformance.world.manufacturer import DEVICE_KEY

# What a client gets for one exchange with one source, so that the suite need not wait for its own limits.
PATIENCE_S: Final = 2.0
# Seconds after which a client that has not answered is held to be hung.
TIMEOUT_S: Final = 60.0
DEVICE_SCHEMA: Final = "fwledger/conformance-device/1"


@dataclass(frozen=True, slots=True)
class Result:
    """How a case ended: `failures` say what was expected and what came, none means passed."""

    case: Case
    failures: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


def run_cases(
    cases: Sequence[Case],
    make_client: Callable[[], Client],
    *,
    jobs: int,
    timeout_s: float = TIMEOUT_S,
    patience_s: float = PATIENCE_S,
    on_result: Callable[[Result], object] = lambda _result: None,
) -> list[Result]:
    """Run every case with `jobs` clients side by side; give the results in the order of `cases`."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    # Cases that wait for slow servers come first, so that the others fill the time.
    for place in sorted(range(len(cases)), key=lambda place: cases[place].attack != "slow retrieval"):
        waiting.put(place)
    results: dict[int, Result] = {}
    broken: list[BaseException] = []

    def work() -> None:
        client = make_client()
        try:
            while not broken:
                place = waiting.get_nowait()
                results[place] = run_case(
                    cases[place], client, server, timeout_s=timeout_s, patience_s=patience_s
                )
                on_result(results[place])
        except queue.Empty:
            pass
        except BaseException as error:
            broken.append(error)
        finally:
            client.close()

    with SiteServer() as server:
        threads = [threading.Thread(target=work) for _ in range(min(jobs, len(cases)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if broken:
        raise broken[0]
    return [results[place] for place in range(len(cases))]


def run_case(
    case: Case, client: Client, server: SiteServer, *, timeout_s: float, patience_s: float
) -> Result:
    """Run one case."""
    started = time.monotonic()
    plan = _built(case)
    with tempfile.TemporaryDirectory(prefix="fwledger-conformance-") as name:
        room = Path(name)
        failures = list(_run(plan, client, server, room, timeout_s, patience_s))
    return Result(case, tuple(failures), time.monotonic() - started)


@cache
def _built(case: Case) -> Plan:
    return case.build()


def _run(
    plan: Plan, client: Client, server: SiteServer, room: Path, timeout_s: float, patience_s: float
) -> Iterable[str]:
    running = _write_device(plan, room)
    state = str(room / "state")
    first = ["init", "--state", state, "--device", str(room / "device.json")]
    try:
        answer = client.ask([*first, "--trust-root", str(room / "trust-root.cbor")], timeout_s=timeout_s)
        if answer.exit_code:
            yield f"init: expected exit code 0, got {answer.exit_code}: {answer.result.get('detail', '')}"
            return
        height: object = answer.result.get("height")
        for number, step in enumerate(plan.steps, start=1):
            where = f"step {number} ({step.command})"
            if step.before is not None:
                step.before(room)
            with ExitStack() as stack:
                sites = _Sites(server, stack)
                arguments = [step.command, "--state", state, *_sources(step, room, number, sites)]
                arguments += ["--now", "none" if step.now is None else str(step.now)]
                arguments += ["--patience", str(patience_s)]
                answer = client.ask(arguments, timeout_s=timeout_s)
                sent = max((site.sent_bytes for site in sites.mounted), default=0)
            for failure in _judge(step, answer, sent, height, room):
                yield f"{where}: {failure}"
            for name, data in running.items():
                if (room / name).read_bytes() != data:
                    yield f"{where}: the running slot {name} was written"
            height = answer.result.get("height")
    except ClientError as error:
        yield str(error)


def _judge(step: Step, answer: Answer, sent: int, height: object, room: Path) -> Iterable[str]:
    result, expected = answer.result, step.expected
    accepted, reason = answer.exit_code == 0, result.get("reason")
    detail = f"{reason}: {result.get('detail', '')}"
    if accepted != expected.accepted:
        yield f"expected {expected}, got {'accept' if accepted else 'refuse'} ({detail})"
    elif expected.reasons and reason not in {each.value for each in expected.reasons}:
        yield f"expected {expected}, got another reason ({detail})"
    if accepted and step.release is not None and result.get("release") != "0x" + step.release.hex():
        yield f"expected release 0x{step.release.hex()}, got {result.get('release')}"
    if step.command == "install" and accepted != (result.get("armed") is not None):
        yield f"expected armed to go with accepted, got armed {result.get('armed')}"
    if step.height is not None and result.get("height") != step.height:
        yield f"expected height {step.height}, got {result.get('height')}"
    unread = not expected.accepted and set(expected.reasons) <= BEFORE_WORDS
    if unread and step.height is None and result.get("height") != height:
        yield f"expected that a refused proof leaves the height at {height}, got {result.get('height')}"
    if step.root_version is not None and result.get("trust_root_version") != step.root_version:
        yield f"expected trust root version {step.root_version}, got {result.get('trust_root_version')}"
    if accepted:
        for name, image in step.images.items():
            if not (room / f"{name}.spare").read_bytes().startswith(image):
                yield f"expected the signed image in the spare slot {name}, got other bytes"
    if step.max_sent_bytes is not None and sent > step.max_sent_bytes:
        yield f"expected at most {step.max_sent_bytes} bytes read of an endless answer, got {sent}"


class _Sites:
    """The sites of one step, mounted until its stack closes."""

    def __init__(self, server: SiteServer, stack: ExitStack) -> None:
        self._server, self._stack = server, stack
        self.mounted: list[Site] = []

    def url(self, make: Callable[[], Site]) -> str:
        site = make()
        self.mounted.append(site)
        return self._stack.enter_context(self._server.mounted(site))


def _sources(step: Step, room: Path, number: int, sites: _Sites) -> list[str]:
    arguments: list[str] = []
    for place, files in enumerate(step.directories):
        directory = room / f"stick-{number}-{place}"
        _write_all(directory, files.items())
        arguments += ["--directory", str(directory)]
    if step.bundle is not None:
        directory = room / f"bundle-{number}"
        _write_all(directory, step.bundle.items())
        arguments += ["--bundle", str(directory / "stick.car")]
    for option, makers in (("--relay", step.relays), ("--node", step.nodes), ("--gateway", step.gateways)):
        for make in makers:
            arguments += [option, sites.url(make)]
    return arguments


def _write_device(plan: Plan, room: Path) -> dict[str, bytes]:
    """Write the device's files; give the running slots' bytes."""
    device, running = plan.device, {}
    (room / "trust-root.cbor").write_bytes(plan.trust_root)
    (room / "device.pem").write_bytes(keys.pem(DEVICE_KEY))
    (room / "device.pem").chmod(0o600)
    if device.installed is not None:
        (room / "installed.cbor").write_bytes(device.installed)
    for slot_class, size_bytes in device.slots.items():
        running[f"{slot_class}.running"] = b"a" * size_bytes
        (room / f"{slot_class}.running").write_bytes(running[f"{slot_class}.running"])
        (room / f"{slot_class}.spare").write_bytes(b"b" * size_bytes)
    (room / "device.json").write_text(json.dumps(device_document(device), indent=2))
    return running


def device_document(device: Device) -> dict[str, Any]:
    """Give the contract's device.json."""
    return {
        "schema": DEVICE_SCHEMA,
        "compatible": device.compatible,
        "hw_revision": device.hw_revision,
        "arch": device.arch,
        "channel": device.channel,
        "group": device.group,
        "mode": device.mode,
        "windows": list(device.windows),
        "key": "device.pem",
        "installed": None if device.installed is None else "installed.cbor",
        "slots": [
            {"class": name, "running": f"{name}.running", "spare": f"{name}.spare"} for name in device.slots
        ],
    }


def _write_all(directory: Path, files: Iterable[tuple[str, bytes]]) -> None:
    directory.mkdir()
    for name, data in files:
        (directory / name).write_bytes(data)
