"""A device in a temporary directory: real files, real state, a simulated boot loader, and a manufacturer in
memory.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_verifier import trial, updater
from device_verifier.assembly import open_agent, open_bundle_sources, simulated_bootloader
from device_verifier.config import load_config
from device_verifier.durable import DurableSteps
from device_verifier.identity import create_identity, load_identity
from device_verifier.sources import StateQuery
from device_verifier.store import Store
from device_verifier.updater import Sources
from ledger_protocol.bundle import write_bundle
from ledger_protocol.ledger.contract_state import DeviceWord, device_key
from ledger_protocol.report.event import chain_link, event_digest
from tests.sim.repository import CHAIN_ID, JOURNAL, Repository
from tests.sim.sources import MemoryBlocks, MemoryLedger

SLOT_BYTES = 60_000


@dataclass
class SimDevice:
    """Everything that survives a power cut is under `path`; every call is a fresh start of the agent."""

    path: Path
    repository: Repository
    ledger: MemoryLedger
    blocks: MemoryBlocks

    @classmethod
    def make(cls, path, repository=None, *, extra="", classes=("rootfs",), factory=True):
        repository = Repository() if repository is None else repository
        path.mkdir(exist_ok=True)
        for slot_class in classes:
            for slot in "ab":
                (path / f"{slot_class}.{slot}").write_bytes(slot.encode() * SLOT_BYTES)
        (path / "trust-root").write_bytes(repository.factory_root)
        lines = [
            'state_dir = "state"',
            'trust_root = "trust-root"',
            'compatible = "acme,gateway"',
            'hw_revision = "B2"',
            'arch = "aarch64"',
            'serial = "0001"',
            "" if extra.startswith("channel") or "group" in extra.split("[")[0] else 'channel = "stable"',
            'factory_manifest = "factory.manifest"' if factory else "",
            extra,
            "[bootloader]",
            'kind = "simulated"',
            'state = "boot.json"',
        ]
        for slot_class in classes:
            lines += [f"[slot.{slot_class}]", f'a = "{slot_class}.a"', f'b = "{slot_class}.b"']
        (path / "device.toml").write_text("\n".join(lines) + "\n")
        device = cls(path, repository, MemoryLedger(repository), MemoryBlocks(repository.blocks))
        create_identity(device.config.device_key, steps=DurableSteps())
        repository.enrol(device.address)
        if factory:
            images = {name: name.encode() * 1000 for name in classes}
            release = repository.build(1, images=images)
            (path / "factory.manifest").write_bytes(release.block)
            for name, image in images.items():
                with (path / f"{name}.a").open("r+b") as file:
                    file.write(image)
            repository.publish(release)
        repository.seal()
        return device

    @property
    def config(self):
        return load_config(self.path / "device.toml")

    @property
    def address(self):
        return load_identity(self.config.device_key).address

    @property
    def sources(self):
        return Sources(ledgers=[self.ledger], blocks=[self.blocks])

    @contextmanager
    def agent(self, steps=None):
        with open_agent(self.config, steps=steps, now_s=self.repository.time) as agent:
            yield agent

    def check(self, **options):
        with self.agent() as agent:
            return updater.check(agent, self.sources, **options)

    def install(self, steps=None, *, bundle=None, **options):
        with self.agent(steps) as agent:
            if bundle is None:
                return updater.install(agent, self.sources, **options)
            with open_bundle_sources(bundle) as sources:
                return updater.install(agent, sources, **options)

    def power_on(self, steps=None):
        """Let the boot loader choose, and return the slot; the agent does not start."""
        return simulated_bootloader(self.config, steps or DurableSteps()).boot()

    def start(self, steps=None):
        """Start the agent in the running slot, as its confirm unit does."""
        with self.agent(steps) as agent:
            return trial.examine(agent, ledgers=[self.ledger], blocks=[self.blocks])

    def boot(self, steps=None):
        """Power on and start the agent; reboot once more if it says so. Returns the last trial's answer."""
        self.power_on(steps)
        answer = self.start(steps)
        if answer.reboot:
            self.power_on(steps)
            self.start(steps)
        return answer

    @contextmanager
    def store(self):
        with Store(self.config.state_dir / "state.db", steps=DurableSteps()) as store:
            yield store

    @property
    def phase(self):
        with self.store() as store:
            return store.phase()

    @property
    def running(self):
        return simulated_bootloader(self.config, DurableSteps()).running()

    def slot(self, slot, slot_class="rootfs"):
        return (self.path / f"{slot_class}.{slot}").read_bytes()

    def events(self):
        """The queued events, signatures checked."""
        with self.agent() as agent:
            if not agent.reporter().pending():
                return []
            return [s.event for s in agent.reporter().receipts().verify(chain_id=CHAIN_ID, journal=JOURNAL)]

    def kinds(self):
        return [event.kind.name.lower() for event in self.events()]

    def reasons(self):
        with self.store() as store:
            return {refusal.reason.value for refusal in store.refusals()}

    def journal_word(self):
        """What the journal says of this device now."""
        return DeviceWord.decode(self.repository.journal_words[device_key(self.address)])

    def record(self, events):
        """Let the journal hold `events`, as a relay would bring them there."""
        last = events[-1]
        digest = event_digest(last, chain_id=CHAIN_ID, journal=JOURNAL)
        self.repository.enrol(self.address, sequence=last.sequence, head=chain_link(digest)[:20])
        self.repository.seal()

    def release(self, sequence=2, **changes):
        """Build and publish a release, and seal it."""
        release = self.repository.build(sequence, **changes)
        self.repository.publish(release)
        self.repository.seal()
        return release

    def bundle(self, release, name="stick.car"):
        """Write a bundle of `release` under the newest proof."""
        facts = self.repository.device()
        with self.agent() as agent:
            installed = agent.installed()
        query = StateQuery(
            channel=facts.channel,
            installed=None if installed is None else installed.release,
            also_revoked=(release.id,),
        )
        path = self.path / name
        with path.open("wb") as file:
            write_bundle(
                lambda _part: file,
                proof=self.repository.proof(query),
                trust_roots=self.repository.signed_roots,
                envelope=release.envelope,
                manifest=release.block,
                blocks=release.blocks.items(),
            )
        return path


def assert_bootable(device, releases):
    """The slot that a power-on chooses holds one of `releases` (by id -> images), whole."""
    slot = device.power_on()
    with device.store() as store:
        held = store.installed(slot)
    assert held is not None, f"slot {slot} boots, and nobody knows what it holds"
    for name, image in releases[held.release].items():
        assert device.slot(slot, name)[: len(image)] == image
    return slot
