"""Put a device together from its configuration."""

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from device_verifier.agent import Agent
from device_verifier.bootloaders import SimulatedBootLoader
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps
from device_verifier.errors import UsageError
from device_verifier.facts import InstalledRelease
from device_verifier.identity import load_identity
from device_verifier.lock import agent_lock
from device_verifier.memory import StoreMemory, read_factory_root
from device_verifier.progress import NoProgress, Progress
from device_verifier.sources.bundle import Bundle
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.relay import RelayLedger
from device_verifier.sources.rpc import RpcLedger
from device_verifier.sources.witnesses import WitnessNotes
from device_verifier.store import Store
from device_verifier.updater import STATE_NAME, Sources
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_MANIFEST_BYTES
from ledger_protocol.release.manifest import Manifest, release_id
from ledger_protocol.report.reasons import Reason

__all__ = [
    "STATE_NAME",
    "network_sources",
    "open_agent",
    "open_bundle_sources",
    "simulated_bootloader",
    "system_clock",
]


@contextmanager
def open_agent(
    config: DeviceConfig,
    *,
    steps: DurableSteps | None = None,
    progress: Progress | None = None,
    now_s: int | None = None,
) -> Generator[Agent]:
    """Give the device of `config`, locked for this process.

    `now_s` stands in for the clock where it is given. Raises UsageError (no key, no trust root) and
    SlotFailure (state that cannot be used, another agent at work).
    """
    steps = DurableSteps() if steps is None else steps
    factory_root = read_factory_root(config.trust_root)
    identity = load_identity(config.device_key)
    with ExitStack() as stack:
        stack.enter_context(agent_lock(config.state_dir))
        config.slots.check_distinct()
        store = stack.enter_context(Store(config.state_dir / STATE_NAME, steps=steps))
        agent = Agent(
            config=config,
            store=store,
            memory=StoreMemory(store, factory_root=factory_root, image=config.image),
            bootloader=simulated_bootloader(config, steps),
            identity=identity,
            steps=steps,
            clock=lambda: system_clock(config) if now_s is None else now_s,
            progress=NoProgress() if progress is None else progress,
        )
        _note_factory_release(agent)
        yield agent


def simulated_bootloader(config: DeviceConfig, steps: DurableSteps) -> SimulatedBootLoader:
    """Return the boot loader that the configuration names; `simulated` is the only kind so far."""
    return SimulatedBootLoader(config.bootloader.state, steps=steps)


def network_sources(config: DeviceConfig) -> Sources:
    """Return the configured RPC nodes, relay and gateways; UsageError if there is nobody to ask."""
    blocks = [GatewayBlocks(url) for url in config.gateway_urls]
    # Each node asks the witnesses over connections of its own, so that one can be broken off alone.
    nodes = [
        RpcLedger(url, blocks=blocks, witnesses=[WitnessNotes(at) for at in config.witness_urls])
        for url in config.rpc_urls
    ]
    # A relay that takes receipts serves proof files too: one more witness of what is newest.
    relays = [] if config.relay_url is None else [RelayLedger(config.relay_url)]
    if not nodes and not relays:
        raise UsageError(
            "nobody to ask",
            reason=Reason.USAGE,
            expected="an [[rpc]] url or a relay in device.toml",
            got="neither",
            hint="add one, or install from a stick with --bundle FILE",
        )
    return Sources(ledgers=[*nodes, *relays], blocks=blocks)


@contextmanager
def open_bundle_sources(path: Path) -> Generator[Sources]:
    """Give a bundle as the only source. Raises as `Bundle` does."""
    with Bundle(path) as bundle:
        yield Sources(ledgers=[bundle], blocks=[bundle], bundle=bundle)


def system_clock(config: DeviceConfig) -> int | None:
    """Return the clock in Unix seconds, None where the configuration says that it cannot be trusted."""
    return int(time.time()) if config.clock else None


def _note_factory_release(agent: Agent) -> None:
    """At the first start, record what the factory wrote into the running slot."""
    path = agent.config.factory_manifest
    if path is None or agent.installed() is not None or agent.store.install() is not None:
        return
    try:
        with path.open("rb") as file:
            block = file.read(MAX_MANIFEST_BYTES + 1)
        manifest = Manifest.decode(block)
    except (OSError, ProtocolError) as error:
        raise UsageError(
            f"factory manifest {path}",
            reason=Reason.USAGE,
            expected="the manifest block of the release that the factory wrote",
            got=str(error),
            hint="put it there, or take factory_manifest out of device.toml",
        ) from error
    release = InstalledRelease(
        release_id(block), manifest.sequence, manifest.security_version, manifest.version
    )
    with agent.store.change() as change:
        change.set_installed(agent.running, release)
        change.raise_security_floor(manifest.security_version)
        agent.log(change, "factory release", release=release.release, detail=f"version {manifest.version}")
