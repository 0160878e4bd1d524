"""The built-in health check: a slot from which the device could not be updated again must not stay."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from device_verifier.agent import Agent
from device_verifier.durable import DurableSteps, replace_file
from device_verifier.errors import DeviceError, SlotFailure
from device_verifier.fetcher import fetch_block
from device_verifier.inquiry import Held, Memory, learn
from device_verifier.ledger_view import LedgerFloor
from device_verifier.records import Install, Origin
from device_verifier.sources import BlockSource, LedgerSource
from device_verifier.sources.bundle import Bundle
from ledger_protocol.bundle import write_bundle
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.limits import MAX_MANIFEST_BYTES
from ledger_protocol.report.reasons import Reason

__all__ = ["keep_sample", "update_path"]

SAMPLE_NAME = "bundle-sample.car"


def keep_sample(bundle: Bundle, state_dir: Path, *, steps: DurableSteps) -> None:
    """Keep the documents of a bundle, without its images: the stick may be gone when the new slot must read
    one.
    """
    reader = bundle.reader
    sample = bytearray()
    write_bundle(
        lambda _part: _Collect(sample),
        proof=reader.proof,
        trust_roots=reader.trust_roots,
        envelope=reader.envelope,
        manifest=reader.manifest,
        blocks=(),
    )
    try:
        replace_file(state_dir / SAMPLE_NAME, bytes(sample), steps=steps)
    except OSError as error:
        raise SlotFailure(
            f"state directory {state_dir}",
            reason=Reason.STATE_DAMAGED,
            expected="room for a file of a few kilobytes",
            got=error.strerror or str(error),
            hint="make room, then try again; nothing was changed",
        ) from error


def update_path(
    agent: Agent, install: Install, *, ledgers: Sequence[LedgerSource], blocks: Sequence[BlockSource]
) -> str:
    """Return "" if the device can still be updated the way this install came, else why not.

    From the network: a ledger source whose proof verifies, or a gateway that still gives the manifest. From a
    bundle: the documents of that bundle, read and verified by the software that runs now.
    """
    if install.origin is Origin.BUNDLE:
        try:
            with Bundle(agent.config.state_dir / SAMPLE_NAME) as sample:
                # Can it be read and checked? Its age is no question any more: newer blocks may have come
                # between the install and this boot.
                learn(replace(agent.outline(), now_s=None), sources=[sample], memory=_Timeless(agent.memory))
        except DeviceError as error:
            return f"a bundle cannot be read any more: {error}"
        return ""
    try:
        learn(agent.outline(), sources=ledgers, memory=agent.memory)
    except DeviceError as error:
        try:
            fetch_block(Cid(DAG_CBOR, install.release), sources=blocks, max_bytes=MAX_MANIFEST_BYTES)
        except DeviceError:
            return str(error)
    return ""


class _Timeless:
    """The device's memory without its floor, and without raising it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def held(self) -> Held:
        return replace(self._memory.held(), floor=None)

    def keep_root(self, signed: bytes) -> None:
        self._memory.keep_root(signed)

    def keep_floor(self, floor: LedgerFloor) -> None:
        """Keep nothing: the real floor is this one or higher."""

    def revocations(self) -> Mapping[bytes, Revocation]:
        return self._memory.revocations()

    def keep_revocations(self, revoked: Mapping[bytes, Revocation]) -> None:
        self._memory.keep_revocations(revoked)


class _Collect:
    """A stream into a byte array."""

    def __init__(self, into: bytearray) -> None:
        self._into = into

    def write(self, data: bytes) -> None:
        self._into += data
