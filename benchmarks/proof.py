"""What a ledger proof costs a device: bytes on the wire and CPU to verify. Run: `python -m benchmarks.proof`.

The tries are built by an independent library, the header is sealed by three of four validators, and the
whole check is the device's: decode, seals, account with its code hash, and the six words (protocol.md §5).
Exits with 1 where a bar is missed.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from dataclasses import dataclass

from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.ledger.proof import LedgerProof, proof_from_rpc, verify_words
from tests.sim.validators import Validators, header_fields
from tests.sim.world import World

MAX_CPU_MS = 10.0
MAX_BYTES_AT_100_CHANNELS = 6_000
LEDGER, JOURNAL, CODE_HASH = b"\x11" * 20, b"\x22" * 20, b"\xaa" * 32
ACCOUNTS = 100  # people and contracts beside ours on a consortium's chain; sixteen times as many add 0.5 kB
TIMED = 12  # channels whose proofs are timed; sizes are of all, because they differ by where a hash falls
TURNS = 8


@dataclass(frozen=True)
class Row:
    channels: int
    devices: int
    bytes_min: int
    bytes_mean: float
    bytes_max: int
    cpu_ms: float


def digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def ledger_words(channels: int) -> dict[bytes, int]:
    """Give the ledger's storage: heads, words, groups, a revocation in every second channel, roles, the
    trust root.
    """
    words = {state.trust_root_key(): int.from_bytes(digest("root"), "big"), state.trust_root_version_key(): 3}
    for role in range(12):
        words[state.map_slot(8, digest("role", role))] = 1
    for index in range(channels):
        channel, release = digest("channel", index), digest("release", index)
        words[state.head_key(channel)] = int.from_bytes(release, "big")
        words[state.channel_of_key(index + 1)] = int.from_bytes(channel, "big")
        words[state.word_key(channel)] = ChannelWord(
            sequence=40,
            security_version=3,
            epoch=60,
            halted=False,
            immediate=False,
            published_at=1_700_000_000,
            rollout_from=1_700_000_000,
            initial_bps=100,
            hold_hours=24,
            ramp_hours=48,
            halt_bps=300,
            min_reports=300,
        ).encode()
        if index % 2:
            revoked = Revocation(time=1_700_000_000, reason=1, mandatory=False)
            words[state.revoked_key(digest("older", index))] = revoked.encode()
    return words


def journal_words(devices: int) -> dict[bytes, int]:
    words = {}
    for index in range(devices):
        word = DeviceWord(
            sequence=9,
            enrolled=True,
            retired=False,
            open_vote=False,
            group=1,
            counted=1_700_000_000,
            head=digest("head", index)[:20],
        )
        words[state.device_key(digest("device", index)[:20])] = word.encode()
    return words


def keys_of(index: int) -> list[bytes]:
    """Give the storage keys of the six words that a device of this channel's group asks for."""
    channel = digest("channel", index)
    return [
        state.channel_of_key(index + 1),
        state.head_key(channel),
        state.word_key(channel),
        state.revoked_key(digest("release", index)),
        state.revoked_key(digest("older", index)),
        state.trust_root_key(),
    ]


def measure(channels: int, devices: int) -> Row:
    """Measure proofs on a chain with so many channels and enrolled devices."""
    world, validators = World(), Validators(4)
    for index in range(ACCOUNTS):
        world.set_account(digest("account", index)[:20], {}, balance=index)
    world.set_account(LEDGER, ledger_words(channels), code_hash=CODE_HASH)
    world.set_account(JOURNAL, journal_words(devices))
    header = validators.seal(header_fields(state_root=world.state_root), round_=1, signers=(0, 2, 3))
    trust = validators.trust()
    sizes, times_ms = [], []
    for index in range(channels):
        keys = keys_of(index)
        proof = proof_from_rpc(header, world.get_proof(LEDGER, keys), envelopes=[bytes(36)]).encode()
        sizes.append(len(proof))
        for _ in range(TURNS if index < TIMED else 0):
            start = time.process_time()
            given = LedgerProof.decode(proof)
            verified = qbft.verify_seals(given.header or b"", trust)
            found = verify_words(verified.state_root, given, account=LEDGER, code_hash=CODE_HASH, keys=keys)
            times_ms.append((time.process_time() - start) * 1_000)
            assert found[keys[1]] == int.from_bytes(digest("release", index), "big")
    return Row(
        channels=channels,
        devices=devices,
        bytes_min=min(sizes),
        bytes_mean=statistics.mean(sizes),
        bytes_max=max(sizes),
        cpu_ms=statistics.median(times_ms),
    )


def missed_bars(rows: list[Row]) -> list[str]:
    """Name every row that is over a bar, and every size that the number of enrolled devices changes."""
    missed = [
        f"{row.channels} channels, {row.devices} devices: {row.bytes_max} bytes, {row.cpu_ms:.2f} ms"
        for row in rows
        if row.cpu_ms >= MAX_CPU_MS or row.bytes_max >= MAX_BYTES_AT_100_CHANNELS
    ]
    for few, many in zip(rows[::2], rows[1::2], strict=True):
        if (few.bytes_min, few.bytes_mean, few.bytes_max) != (
            many.bytes_min,
            many.bytes_mean,
            many.bytes_max,
        ):
            missed.append(f"{few.channels} channels: enrolled devices change the size")
    return missed


def main() -> int:
    """Print the table; give 1 where a bar is missed."""
    rows = [measure(channels, devices) for channels in (1, 10, 100) for devices in (10, 2_000)]
    print("channels  devices  bytes: least   mean  most  CPU ms (median)")
    for row in rows:
        print(
            f"{row.channels:8}  {row.devices:7}  {row.bytes_min:12}  {row.bytes_mean:5.0f}  {row.bytes_max:4}"
            f"  {row.cpu_ms:6.2f}"
        )
    missed = missed_bars(rows)
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
