"""The parts of one device that work together, and the facts that they amount to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from device_verifier.bootloaders import BootLoader
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps
from device_verifier.facts import DeviceFacts, InstalledRelease
from device_verifier.freshness import MAX_CLOCK_LEAD_S, usable_clock
from device_verifier.identity import Identity
from device_verifier.memory import StoreMemory
from device_verifier.progress import Progress
from device_verifier.records import LogLine
from device_verifier.reporter import Reporter, Statement
from device_verifier.slots import other_slot
from device_verifier.store import Change, Store
from ledger_protocol.ledger.contract_state import DeviceWord
from ledger_protocol.report.document import Stage
from ledger_protocol.report.event import EventKind
from ledger_protocol.report.reasons import Reason

__all__ = ["Agent"]


@dataclass(frozen=True, slots=True)
class Agent:
    """One device: where its state is, what boots it, who it is. Every command works through one of these.

    `clock` returns Unix seconds, or None where the device's clock cannot be trusted.
    """

    config: DeviceConfig
    store: Store
    memory: StoreMemory
    bootloader: BootLoader
    identity: Identity
    steps: DurableSteps
    clock: Callable[[], int | None]
    progress: Progress

    @property
    def running(self) -> str:
        """The slot set that runs now."""
        return self.bootloader.running()

    @property
    def spare(self) -> str:
        """The slot set that an install may write."""
        return other_slot(self.running)

    def installed(self) -> InstalledRelease | None:
        """Return what runs now, as recorded when it was verified or by the factory."""
        return self.store.installed(self.running)

    def facts(self, *, override: bool = False) -> DeviceFacts:
        """Return all that policy may know; SlotFailure where a spare slot is missing."""
        return replace(self.outline(override=override), slots=self.config.slots.facts(self.spare))

    def outline(self, *, override: bool = False) -> DeviceFacts:
        """Return the facts without the slots: what it takes to ask the ledger."""
        return DeviceFacts(
            compatible=self.config.compatible,
            hw_revision=self.config.hw_revision,
            arch=self.config.arch,
            address=self.identity.address,
            slots=(),
            channel=self.config.channel,
            group=self.config.group,
            installed=self.installed(),
            security_floor=self.store.security_floor(),
            now_s=self.clock(),
            mode=self.config.install.mode,
            windows=self.config.install.windows,
            consented=self._consented(),
            failed=self._failed(),
            override=override,
        )

    def at_s(self) -> int:
        """Return the time for records and events: the clock's, else the newest proven header's, else 0.

        A clock that is provably behind (a board without a battery starts in 1970) is no clock.
        """
        floor = self.memory.floor()
        now_s = usable_clock(self.clock(), self.memory.root(), floor)
        return now_s if now_s is not None else 0 if floor is None else floor.time

    def log(
        self,
        change: Change,
        what: str,
        *,
        release: bytes | None = None,
        reason: Reason | None = None,
        detail: str = "",
    ) -> None:
        """Add a line to the device's history inside `change`."""
        change.log(LogLine(self.at_s(), what, release, reason, detail[:1000]))

    def reporter(self) -> Reporter:
        """Return the queue for the journal that the newest trust root pins."""
        return Reporter(self.store, self.identity, ledger=self.memory.root().ledger)

    def say(self, change: Change, statement: Statement) -> None:
        """Queue an event inside `change`, after the baseline that must come first."""
        reporter = self.reporter()
        if not reporter.begun():
            self._say_baseline(change, reporter)
        reporter.say(change, statement, at_s=self.at_s())

    def introduce(self, word: DeviceWord | None) -> None:
        """Queue the baseline once the journal's proven `word` says that this device is enrolled.

        After a wiped state file the chain goes on from that word.
        """
        reporter = self.reporter()
        if word is None or not word.enrolled or reporter.begun():
            return
        with self.store.change() as change:
            if word.sequence:
                reporter.adopt(change, word)
            self._say_baseline(change, reporter)

    def environment(self, slot: str, release: bytes | None) -> Mapping[str, str]:
        """Return what hooks and health checks may know: FWLEDGER_SLOT, _RELEASE, and _SLOT_<CLASS> paths."""
        paths = {
            "FWLEDGER_SLOT_" + target.slot_class.upper().replace("-", "_"): str(target.path)
            for target in self.config.slots.targets(slot)
        }
        return {"FWLEDGER_SLOT": slot, "FWLEDGER_RELEASE": "" if release is None else release.hex(), **paths}

    def _say_baseline(self, change: Change, reporter: Reporter) -> None:
        runs = self.installed()
        reporter.say(
            change,
            Statement(
                kind=EventKind.BASELINE,
                release=bytes(32) if runs is None else runs.release,
                stage=Stage.CONFIRM,
                reason=Reason.BASELINE,
                version_before="" if runs is None else runs.version,
            ),
            at_s=self.at_s(),
        )

    def _consented(self) -> frozenset[bytes]:
        release = self.store.note("consent")
        return frozenset() if release is None else frozenset({release})

    def _failed(self) -> frozenset[bytes]:
        at_s = self.at_s()
        return frozenset(
            refusal.release
            for refusal in self.store.refusals()
            if not refusal.by_policy and refusal.holds(at_s, clock_error_s=MAX_CLOCK_LEAD_S)
        )
