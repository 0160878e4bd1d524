"""The real thing as a side of the run: both contracts on the embedded chain, and what devices run themselves.

At each tick the device's own code asks the node for a proof, checks seals, account and words (V0 to V4), and
each device that looks decides by its own policy (V5). Reports are signed by the devices' keys, as their agent
does it, and sent through the journal's batch functions, as the relay does it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from benchmarks.rollouts.engine import Seen
from benchmarks.rollouts.on_model import CHANNEL, GROUP, SEQUENCE
from benchmarks.rollouts.pens import Pens
from benchmarks.rollouts.site import DEADLINE_S
from device_verifier.facts import DeviceFacts, InstalledRelease
from device_verifier.inquiry import learn
from device_verifier.policy import decide
from device_verifier.sources.rpc import RpcLedger
from ledger_client.receipts import recovery_of
from ledger_client.watching import Snapshot, Watch, find_publication
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.contract_state import DeviceWord, Tally, device_key, tally_key
from ledger_protocol.ledger.rollout import share_bps
from ledger_protocol.report.device_key import sign_digest
from tests.sim.sources import Notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rollouts.engine import Said
    from benchmarks.rollouts.pens import Written
    from benchmarks.rollouts.plan import Plan
    from benchmarks.rollouts.site import Site
    from device_verifier.ledger_view import LedgerView
    from ledger_client.network import Call, Receipt
    from ledger_protocol.report.event import EventKind, UpdateEvent

START_S = 1_900_000_000  # the publication; later than any clock that made the chain
_U32 = 2**32 - 1
_COUNTED = 1 << 144  # in Recorded's stamp (contracts: events)
_RECORDED = keccak256(b"Recorded(address,bytes32,uint256,bytes32)").hex()
_SKIPPED = keccak256(b"Skipped(address,bytes32,uint256,uint256)").hex()
_HALTED = keccak256(b"Halted(bytes32,address,uint256)").hex()
_FACTORY = InstalledRelease(hashlib.sha256(b"factory image").digest(), 1, 0, "1.0.0")


class ChainSide:
    """See `Side`. Begins where the fleet is enrolled and nothing is published."""

    def __init__(self, plan: Plan, site: Site) -> None:
        self.log: list[object] = []
        self.batches = 0
        self.plan, self._site = plan, site
        site.back()
        self._ledger, self._journal = site.ledger, site.journal
        self._pens = self.pens()
        self._items: dict[int, tuple[UpdateEvent, bytes, int]] = {}
        self._memory = Notebook(site.trust_root)
        self._source = RpcLedger(site.chain.url)
        self._head_s = 0
        self._view: LedgerView | None = None
        self._watch: Watch | None = None

    def pens(self) -> Pens:
        """New pens for this plan's release."""
        pair = self._site.pair
        return Pens(self.plan.release, chain_id=pair.chain_id, journal=pair.journal)

    def publish(self) -> int:
        plan = self.plan
        act = self._ledger.publish_act(
            channel=CHANNEL,
            release=plan.release,
            envelope=hashlib.sha256(b"envelope of " + plan.release).digest(),
            sequence=SEQUENCE,
            security_version=0,
            rollout=plan.scenario.rollout,
            epoch=self._ledger.word(CHANNEL).epoch,
            deadline=START_S + DEADLINE_S,
        )
        self._send_at(START_S, self._site.carry_out(act))
        return START_S

    def batch(self, at_s: int, said: Sequence[Said]) -> None:
        items = []
        for device, kind in said:
            written = self._pens.write(device, kind, at_s)
            signature, recovery = self._signed(device, written)
            self._items[device] = (written.event, signature, recovery)
            items.append(self._items[device])
        self.batches += 1
        self._note(self._send_at(at_s, self._journal.submit_batch(items)))

    def replay(self, at_s: int, device: int) -> None:
        self._note(self._send_at(at_s, self._journal.submit_batch([self._items[device]])))

    def queue(self, at_s: int, device: int, kinds: Sequence[EventKind]) -> None:
        before = self._votes()
        written = [self._pens.write(device, kind, at_s) for kind in kinds]
        signature, recovery = self._signed(device, written[-1])
        events = [one.event for one in written]
        self._send_at(at_s, self._journal.submit_queue(events, signature, recovery=recovery))
        self.log.append(
            ("queue", self.plan.fleet.addresses[device], events[-1].sequence, before != self._votes())
        )

    def look(self, at_s: int) -> Seen:
        if self._head_s < at_s:
            self._site.chain.rpc("evm_mine", hex(at_s))
            self._head_s = at_s
        view = learn(self._facts(0), sources=[self._source], memory=self._memory).view
        word, now = view.word, view.header.time
        if word is None or view.head != self.plan.release:
            raise RuntimeError("the channel does not show the release that was published")
        self._view = view
        return Seen(now, word.epoch, word.halted, share_bps(word, now), self._votes())

    def installs(self, device: int) -> bool:
        if self._view is None:
            raise RuntimeError("look first")
        return decide(self._view, self._facts(device)).installs

    def missing(self) -> tuple[int, int]:
        """From what `fwledger release watch` shows."""
        shown = self._look_at_watch()
        return shown.tally.installed, shown.installed

    def halt(self, at_s: int) -> None:
        self._send_at(at_s, self._ledger.halt(CHANNEL))

    def words(self) -> dict[bytes, tuple[int, bool, int, int, bytes]]:
        """Every device's word: sequence, open vote, group, counted, head."""
        found = {}
        for address in self.plan.fleet.addresses:
            word = DeviceWord.decode(self._storage(device_key(address)))
            found[address] = (word.sequence, word.open_vote, word.group, word.counted, word.head)
        return found

    def _facts(self, device: int) -> DeviceFacts:
        return DeviceFacts(
            compatible="acme,gateway",
            hw_revision="A",
            arch="aarch64",
            address=self.plan.fleet.addresses[device],
            slots=(),
            group=GROUP,
            installed=_FACTORY,
        )

    def _signed(self, device: int, written: Written) -> tuple[bytes, int]:
        signature = sign_digest(self._site.key(device), written.digest)
        address = self.plan.fleet.addresses[device]
        return signature, recovery_of(written.digest, signature, device=address)

    def _send_at(self, at_s: int, call: Call) -> Receipt:
        self._head_s = at_s
        return self._site.payer.send_at(at_s, call)

    def _note(self, receipt: Receipt) -> None:
        """Write down what a batch's logs say, in their order."""
        for log in receipt.logs:
            topic, data = log["topics"][0][2:], bytes.fromhex(log["data"][2:])
            first, second = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big")
            if topic == _HALTED:
                self.log.append(("halted", self._head_s))
                continue
            device = bytes.fromhex(log["topics"][1][-40:])
            if topic == _RECORDED:
                self.log.append((device, first & _U32, 0, bool(first & _COUNTED)))
            elif topic == _SKIPPED:
                self.log.append((device, first & _U32, second, False))

    def _look_at_watch(self) -> Snapshot:
        if self._watch is None:
            first = self._site.pair.from_block
            publication = find_publication(
                self._ledger, from_block=first, channel=CHANNEL, release=self.plan.release
            )
            self._watch = Watch(self._ledger, self._journal, publication, from_block=first)
        return self._watch.look()

    def _votes(self) -> tuple[int, int, int]:
        tally = Tally.decode(self._storage(tally_key(self.plan.release, START_S)))
        return tally.installed, tally.confirmed, tally.failed

    def _storage(self, key: bytes) -> int:
        where = "0x" + self._site.pair.journal.hex()
        return int(str(self._site.chain.rpc("eth_getStorageAt", where, "0x" + key.hex(), "latest")), 16)
