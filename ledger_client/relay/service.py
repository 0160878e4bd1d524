"""What the relay does, without HTTP: proofs fetched and kept for a moment, receipts recorded one at a time.

Devices verify every proof and believe no "ok"; the relay only saves them an RPC node and the gas.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger_client import carrying, receipts
from ledger_client.errors import ClientError, UnreachableError
from ledger_client.journal import MAX_BATCH
from ledger_client.proofs import channel_proof, ledger_proof
from ledger_client.publishing import envelope_hint
from ledger_client.witness.notes import Notes, Vouched
from ledger_protocol.errors import QuorumError
from ledger_protocol.ledger import contract_state
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.release.trust_root import SignedTrustRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.journal import Journal
    from ledger_client.ledger import Ledger
    from ledger_client.network import Call, Receipt
    from ledger_client.rotation import RootShelf
    from ledger_client.trust import HeldRoot

# How long a proof is handed out before the chain is asked again (seconds): a call a channel, not one a
# device.
PROOF_LIFE_S = 5.0

# How long a source of notes may take (seconds).
_NOTES_S = 10.0

# Channels, groups and devices kept at once; the oldest go first.
MAX_KEPT_PROOFS = 4_096

# A healthy device says a handful of things a day. A rooted one shall not drain the account that pays.
MAX_EVENTS_PER_DEVICE = 120
EVENTS_WINDOW_S = 3_600.0

# Devices whose rate is remembered; the oldest go first.
MAX_DEVICES = 100_000


# Documents carried by one transaction at most: a batch takes so many events.
MAX_TOGETHER = MAX_BATCH


class TooManyError(ClientError):
    """A device says more than a device has to say."""


@dataclass(slots=True, eq=False)
class _Job:
    """A verified document that waits to be carried; `counted` of its events were booked in `said`, its
    device's hour.
    """

    raw: bytes
    device: bytes
    sequences: tuple[int, ...]
    counted: int = 0
    said: deque[float] = field(default_factory=deque)
    result: receipts.Outcome | Exception | None = None


@dataclass(slots=True)
class Relay:
    """The relay of one ledger. `send` signs, sends and waits; `now_s` is a monotonic clock (seconds); `notes`
    is asked where the trust root pins witnesses; `shelf` holds older trust roots.

    `carrier` is the journal over the connection that `send` uses, `ledger` and `journal` go over another:
    a proof does not wait until somebody's receipts are mined.
    """

    ledger: Ledger
    journal: Journal
    carrier: Journal
    held: HeldRoot
    ipfs: IpfsClient | None
    send: Callable[[Call], Receipt]
    from_block: int
    notes: Notes = field(default_factory=lambda: Notes((), timeout_s=_NOTES_S))
    shelf: RootShelf | None = None
    now_s: Callable[[], float] = time.monotonic
    _block: tuple[float, Vouched] | None = None
    _proofs: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict)
    _events: OrderedDict[bytes, deque[float]] = field(default_factory=OrderedDict)
    # A web3 session, and an account's nonce, serve one caller at a time.
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _sending: threading.Lock = field(default_factory=threading.Lock)
    _jobs: deque[_Job] = field(default_factory=deque)

    def channel(self, name: str) -> bytes:
        """The proof of a channel by name; of one that nobody published on, the proof that it is absent."""
        return self._kept(
            f"channel/{name}", lambda: self._channel_proof(channel_id(name), vouched=self._vouched())
        )

    def group(self, group: int) -> bytes:
        """The proof of a group: the channel that it follows and that channel's state."""
        return self._kept(f"group/{group}", lambda: self._group_proof(group, (), vouched=self._vouched()))

    def device(self, address: bytes) -> bytes:
        """The proof of a device: its word in the journal, and its group's channel."""

        def make() -> bytes:
            vouched = self._vouched()
            return self._group_proof(
                self.journal.device(address, block=vouched.number).group, (address,), vouched=vouched
            )

        return self._kept(f"device/{address.hex()}", make)

    def trust_root(self, version: int) -> bytes | None:
        """A version of the trust root, signed: one at hand, or from IPFS by the hint in the ledger's log. One
        that waits to be announced is handed out too: its signatures make it, not the ledger.
        """
        if version == self.held.root.version:
            return self.held.signed
        if self.shelf is not None and (found_here := self.shelf.get(version)) is not None:
            return found_here
        if self.ipfs is None:
            return None
        with self._reading:
            newest = self.ledger.network.block_number()
            for found in self.ledger.trust_roots(from_block=self.from_block, to_block=newest):
                if found.version == version:
                    block = self.ipfs.get_block(envelope_hint(found.envelope))
                    return block if SignedTrustRoot.decode(block).digest == found.digest else None
        return None

    def note(self, number: int | None) -> bytes | None:
        """The note of a block, joined of enough witnesses; None = of the newest. None where there is none."""
        with self._reading:
            if number is None:
                return self._vouched().note
            return self.notes.at(number, self.held.root)

    def submit(self, raw: bytes) -> receipts.Outcome:
        """Record a receipts document. Raises what `carrying.submit` raises, TooManyError for a chatty
        device.

        Documents that come in while a transaction is on its way are carried together by the next one.
        """
        document, events = receipts.verify_receipts(
            raw, chain_id=self.carrier.network.chain_id, journal=self.carrier.address
        )
        job = _Job(raw, document.device, tuple(one.event.sequence for one in events))
        self._jobs.append(job)
        with self._sending:
            while job.result is None:
                self._carry([self._jobs.popleft() for _ in range(min(len(self._jobs), MAX_TOGETHER))])
        if isinstance(job.result, Exception):
            raise job.result
        return job.result

    def _carry(self, jobs: list[_Job]) -> None:
        """Record documents together; every job has its result afterwards, whatever happens."""
        try:
            allowed = [job for job in jobs if self._allow(job)]
            found = carrying.submit_many(
                self.carrier,
                [job.raw for job in allowed],
                send=self.send,
                ipfs=self.ipfs,
                known_reports=False,
            )
            for job, result in zip(allowed, found, strict=True):
                job.result = result
        except Exception as error:
            for job in jobs:
                job.result = job.result or error
                if isinstance(error, UnreachableError):
                    # Not the device's doing: it will say the same again.
                    for _ in range(job.counted):
                        job.said.pop()

    def _allow(self, job: _Job) -> bool:
        """Count what a device says; False, with the refusal as the result, where it is too much."""
        word = self.carrier.device(job.device)
        fresh = sum(1 for sequence in job.sequences if sequence > word.sequence)
        if not word.enrolled:
            return True  # and not remembered: keys cost nothing, and many would push out a chatty one
        try:
            job.said = self._said_by(job.device, fresh)
        except TooManyError as error:
            job.result = error
            return False
        job.said.extend([self.now_s()] * fresh)
        job.counted = fresh
        return True

    def _vouched(self) -> Vouched:
        """The block that proofs are of: one note serves all of them for a moment."""
        kept, now = self._block, self.now_s()
        if kept is None or now - kept[0] >= PROOF_LIFE_S:
            kept = self._block = (now, self.notes.newest(self.ledger.network, self.held.root))
        return kept[1]

    def _group_proof(self, group: int, devices: tuple[bytes, ...], *, vouched: Vouched) -> bytes:
        channel = self.ledger.channel_of(group, block=vouched.number)
        if channel is not None:
            return self._channel_proof(channel, devices=devices, group=group, vouched=vouched)
        proof = ledger_proof(
            self.ledger.network,
            ledger=self.ledger.address,
            keys=[contract_state.channel_of_key(group), contract_state.trust_root_key()],
            journal=self.journal.address,
            journal_keys=[contract_state.device_key(device) for device in devices],
            block=vouched.number,
        )
        return vouched.attach(proof, self.held.root).encode()

    def _channel_proof(
        self,
        channel: bytes,
        *,
        vouched: Vouched,
        devices: tuple[bytes, ...] = (),
        group: int | None = None,
    ) -> bytes:
        if group is not None:
            wanted = [group]
        else:
            groups = self.ledger.groups(from_block=self.from_block, to_block=vouched.number)
            wanted = sorted(number for number, followed in groups.items() if followed == channel)
        proof = channel_proof(
            self.ledger,
            channel,
            groups=wanted,
            devices=devices,
            journal=self.journal.address,
            from_block=self.from_block,
            block=vouched.number,
        )
        return vouched.attach(proof, self.held.root).encode()

    def _kept(self, name: str, make: Callable[[], bytes]) -> bytes:
        with self._reading:
            kept = self._proofs.get(name)
            if kept is not None and self.now_s() - kept[0] < PROOF_LIFE_S:
                return kept[1]
            try:
                made = make()
            except (UnreachableError, QuorumError):
                # Nobody answers, or too few witnesses agree yet. An older proof is still a proof: its reader
                # sees how old it is, and decides.
                if kept is None:
                    raise
                return kept[1]
            self._proofs[name] = (self.now_s(), made)
            self._proofs.move_to_end(name)
            while len(self._proofs) > MAX_KEPT_PROOFS:
                self._proofs.popitem(last=False)
            return made

    def _said_by(self, device: bytes, count: int) -> deque[float]:
        """When a device spoke in the last hour; TooManyError where `count` more would be too much."""
        now = self.now_s()
        said = self._events.setdefault(device, deque())
        self._events.move_to_end(device)
        while said and now - said[0] > EVENTS_WINDOW_S:
            said.popleft()
        while len(self._events) > MAX_DEVICES:
            self._events.popitem(last=False)
        if len(said) + count > MAX_EVENTS_PER_DEVICE:
            raise TooManyError(
                f"device 0x{device.hex()} says too much",
                expected=f"at most {MAX_EVENTS_PER_DEVICE} events an hour",
                got=len(said) + count,
                hint="look at the device; `fwledger receipts submit` takes a long queue",
            )
        return said
