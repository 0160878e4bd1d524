"""V10: one component from its sources into its spare slot, read back from the disk before anyone may arm
it.
"""

import hashlib
from collections.abc import Sequence

from device_verifier.agent import Agent
from device_verifier.errors import NotTrusted, SlotFailure
from device_verifier.fetcher import Fetched, Leaf, fetch_image
from device_verifier.held import HeldBlocks
from device_verifier.records import ChunkRecord
from device_verifier.slots import SlotTarget, SlotWriter, hash_slot, open_for_writing
from device_verifier.sources import BlockSource
from ledger_protocol.release.manifest import Component
from ledger_protocol.report.reasons import Reason

__all__ = ["read_back", "stage_component"]


def stage_component(
    agent: Agent, component: Component, *, slot: str, sources: Sequence[BlockSource], held: HeldBlocks
) -> Fetched:
    """Write the verified manifest's `component` into slot set `slot` and prove that the disk holds it.

    Raises NotTrusted (corrupt-content for lying sources, bad-manifest for an image that was signed wrongly),
    SourceUnreachable, or SlotFailure; after a SlotFailure nothing that
    was written counts any more, and the next try begins from zero.
    """
    target = agent.config.slots.target(slot, component.slot_class)
    running = agent.config.slots.targets(agent.running)
    try:
        opened = open_for_writing(target, size_bytes=component.size, running=running)
        try:
            journal = _Journal(agent, target)
            writer = SlotWriter(
                opened, size_bytes=component.size, steps=agent.steps, on_flushed=journal.flushed
            )
            streamed = hashlib.sha256()

            def write(data: bytes) -> None:
                writer.write(data)
                streamed.update(data)
                agent.progress.advance(component.name, writer.received_bytes, component.size)

            fetched = fetch_image(component, sources=sources, write=write, reuse=held, on_leaf=journal.heard)
            _require_digest(component, streamed.digest())
            writer.finish()
        finally:
            opened.close()
        read_back(component, target)
    except SlotFailure:
        # After an error of the disk, what it gives back from its cache may not be what it holds.
        with agent.store.change() as change:
            change.forget_chunks(slot, component.slot_class)
        raise
    with agent.store.change() as change:
        change.set_staged(component.name)
        agent.log(change, "staged", detail=f"{target.label}: {component.size} bytes, {_told(fetched)}")
    return fetched


def read_back(component: Component, target: SlotTarget) -> None:
    """Hash the slot past the page cache; SlotFailure `slot-readback` unless it is the signed image."""
    found = hash_slot(target, size_bytes=component.size)
    if found != component.sha256:
        raise SlotFailure(
            f"slot {target.label} read back",
            reason=Reason.SLOT_READBACK,
            expected=component.sha256,
            got=found,
            hint="the disk does not give back what was written; it may be failing",
        )


class _Journal:
    """Notes which leaves are on the disk, so that an interrupted download goes on, and the next one reuses
    them.
    """

    def __init__(self, agent: Agent, target: SlotTarget) -> None:
        self._store = agent.store
        self._target = target
        self._heard: list[ChunkRecord] = []

    def heard(self, leaf: Leaf) -> None:
        """Take note of a leaf that was handed to the writer."""
        self._heard.append(
            ChunkRecord(self._target.slot, self._target.slot_class, leaf.offset, leaf.size_bytes, leaf.digest)
        )

    def flushed(self, end: int) -> None:
        """Keep the leaves that end at or below `end`: they are on the disk."""
        done = [chunk for chunk in self._heard if chunk.offset + chunk.length <= end]
        if done:
            self._heard = self._heard[len(done) :]
            with self._store.change() as change:
                change.add_chunks(done)


def _require_digest(component: Component, found: bytes) -> None:
    if found != component.sha256:
        raise NotTrusted(
            f"component {component.name}",
            reason=Reason.BAD_MANIFEST,
            check="V10",
            expected=component.sha256,
            got=found,
            hint="its tree and its digest were signed over different images; tell the manufacturer",
        )


def _told(fetched: Fetched) -> str:
    parts = [f"{fetched.reused_bytes} held already"] if fetched.reused_bytes else []
    for source in fetched.sources:
        note = f" (dropped: {source.dropped})" if source.dropped else ""
        parts.append(f"{source.size_bytes} from {source.name}{note}")
    return ", ".join(parts)
