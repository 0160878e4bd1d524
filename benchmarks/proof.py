"""What a ledger proof costs a device: bytes on the wire and CPU to verify. Run: `python -m benchmarks.proof`.

The tries are built by an independent library, the header is sealed by three of four validators, and the
check is the device's whole one from raw bytes: trust root, header, account with its code hash, the six words
(protocol.md §5), envelope, manifest and its two signatures. Exits with 1 where a bar is missed.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from dataclasses import dataclass

from device_verifier.release import verify_release
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.proofs import COVERED_RELEASES
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.ledger.proof import proof_from_rpc
from ledger_protocol.release.trust_root import SignedTrustRoot
from tests.sim.repository import CODE_HASH, GENESIS_TIME, JOURNAL, LEDGER, Release, Repository
from tests.sim.validators import header_fields
from tests.sim.world import World

MAX_CPU_MS = 10.0
# For the mean over the channels, the header included; a count of channels in between has the bar of the next
# one. What one channel gets differs by where the hashes of its keys fall: the largest is shown beside it.
MAX_BYTES = {10: 3_500, 100: 6_000, 10_000: 11_000}
CHANNELS = (1, 10, 100, 1_000, 10_000)
FEW_DEVICES, MANY_DEVICES = 10, 2_000
ACCOUNTS = 100  # people and contracts beside ours on a consortium's chain; sixteen times as many add 0.5 kB
MEASURED = 400  # channels whose proofs are sized, evenly chosen; they differ by where a hash falls
TIMED = 3  # channels whose check is timed
TURNS = 25
SIZED_FILES = 20


@dataclass(frozen=True)
class Row:
    """One line of the table: sizes of `measured` channels' proofs, CPU as the median of whole checks."""

    channels: int
    devices: int
    measured: int
    bytes_min: int
    bytes_mean: float
    bytes_max: int
    cpu_ms: float
    file_mean: float = 0.0
    """Bytes of a channel's file as a relay serves it, which covers the last 16 releases as well."""


def digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def ledger_words(channels: int, release: Release, root: bytes) -> dict[bytes, int]:
    """Give the ledger's storage: heads, words, groups, a revocation in every second channel, roles, the
    trust root. Every channel has the same release under a head of its own, the timed ones the very release.
    """
    words = {
        state.trust_root_key(): int.from_bytes(SignedTrustRoot.decode(root).digest, "big"),
        state.trust_root_version_key(): 1,
    }
    for role in range(12):
        words[state.map_slot(8, digest("role", role))] = 1
    for index in range(channels):
        channel = digest("channel", index)
        words[state.head_key(channel)] = int.from_bytes(head_of(index, release), "big")
        words[state.channel_of_key(index + 1)] = int.from_bytes(channel, "big")
        words[state.word_key(channel)] = ChannelWord(
            sequence=40,
            security_version=3,
            epoch=60,
            halted=False,
            immediate=False,
            published_at=GENESIS_TIME,
            rollout_from=GENESIS_TIME,
            initial_bps=100,
            hold_hours=24,
            ramp_hours=48,
            halt_bps=300,
            min_reports=300,
        ).encode()
        if index % 2:
            revoked = Revocation(time=GENESIS_TIME, reason=1, mandatory=False)
            words[state.revoked_key(digest("older", index))] = revoked.encode()
    return words


def head_of(index: int, release: Release) -> bytes:
    return release.id if index < TIMED else digest("release", index)


def journal_words(devices: int) -> dict[bytes, int]:
    words = {}
    for index in range(devices):
        word = DeviceWord(
            sequence=9,
            enrolled=True,
            retired=False,
            open_vote=False,
            group=1,
            counted=GENESIS_TIME,
            head=digest("head", index)[:20],
        )
        words[state.device_key(digest("device", index)[:20])] = word.encode()
    return words


def keys_of(index: int, release: Release) -> list[bytes]:
    """Give the storage keys of the six words that a device of this channel's group asks for."""
    channel = digest("channel", index)
    return [
        state.channel_of_key(index + 1),
        state.head_key(channel),
        state.word_key(channel),
        state.revoked_key(head_of(index, release)),
        state.revoked_key(digest("older", index)),
        state.trust_root_key(),
    ]


def check_ms(proof: bytes, index: int, release: Release, root: bytes) -> float:
    """Give the CPU milliseconds of one whole check from raw bytes."""
    start = time.process_time()
    trusted = TrustedLedger(trust_root=root, floor=None, now_s=GENESIS_TIME + 60)
    trusted.update_header(proof)
    view = trusted.read(StateQuery(group=index + 1, installed=digest("older", index)))
    assert view.head is not None
    verified = verify_release(release.envelope, release.block, head=view.head, root=view.root)
    spent_ms = (time.process_time() - start) * 1_000
    assert verified.release_id == release.id
    return spent_ms


def measure(channels: int, devices: tuple[int, ...] = (FEW_DEVICES, MANY_DEVICES)) -> list[Row]:
    """Measure proofs on a chain with so many channels, a row for each number of enrolled devices."""
    repository, world = Repository(), World()
    release = repository.build(40)
    for index in range(ACCOUNTS):
        world.set_account(digest("account", index)[:20], {}, balance=index)
    root = repository.factory_root
    world.set_account(LEDGER, ledger_words(channels, release, root), code_hash=CODE_HASH)
    rows = []
    for count in devices:
        world.set_account(JOURNAL, journal_words(count))
        fields = header_fields(state_root=world.state_root, number=100, timestamp=GENESIS_TIME)
        header = repository.validators.seal(fields, round_=1, signers=(0, 2, 3))
        rows.append(_row(channels, count, world, header, release, root))
    return rows


def _row(channels: int, devices: int, world: World, header: bytes, release: Release, root: bytes) -> Row:
    sizes, files, times_ms = [], [], []
    chosen = sorted({*range(min(TIMED, channels)), *range(0, channels, max(1, channels // MEASURED))})
    for index in chosen:
        answer = world.get_proof(LEDGER, keys_of(index, release))
        proof = proof_from_rpc(header, answer, envelopes=[bytes(36)]).encode()
        sizes.append(len(proof))
        if len(files) < SIZED_FILES:
            files.append(len(channel_file(world, header, index, release)))
        times_ms += [check_ms(proof, index, release, root) for _ in range(TURNS if index < TIMED else 0)]
    return Row(
        channels=channels,
        devices=devices,
        measured=len(chosen),
        bytes_min=min(sizes),
        bytes_mean=statistics.mean(sizes),
        bytes_max=max(sizes),
        cpu_ms=statistics.median(times_ms),
        file_mean=statistics.mean(files),
    )


def channel_file(world: World, header: bytes, index: int, release: Release) -> bytes:
    """Make the file that serves devices on any of the channel's last 16 releases, none of them revoked."""
    older = [state.revoked_key(digest("older", index, age)) for age in range(COVERED_RELEASES - 1)]
    answer = world.get_proof(LEDGER, [*keys_of(index, release), *older])
    return proof_from_rpc(header, answer, envelopes=[bytes(36)] * COVERED_RELEASES).encode()


def bar_bytes(channels: int) -> int:
    """Give the bar for this many channels."""
    return next(most for count, most in sorted(MAX_BYTES.items()) if channels <= count)


def missed_bars(rows: list[Row]) -> list[str]:
    """Name every row that is over a bar, and every size that the number of enrolled devices changes."""
    missed = [
        f"{row.channels} channels, {row.devices} devices:"
        f" {row.bytes_mean:.0f} bytes (bar {bar_bytes(row.channels)}),"
        f" {row.cpu_ms:.2f} ms (bar {MAX_CPU_MS:g})"
        for row in rows
        if row.cpu_ms >= MAX_CPU_MS or row.bytes_mean >= bar_bytes(row.channels)
    ]
    sizes: dict[int, set[tuple[int, float, int]]] = {}
    for row in rows:
        sizes.setdefault(row.channels, set()).add((row.bytes_min, row.bytes_mean, row.bytes_max))
    return missed + [
        f"{channels} channels: enrolled devices change the size"
        for channels, found in sizes.items()
        if len(found) > 1
    ]


def main() -> int:
    """Print the table; give 1 where a bar is missed."""
    print(
        "channels  devices  proofs  bytes: least   mean   most    bar  CPU ms (median)  file of 16 releases"
    )
    rows = []
    for channels in CHANNELS:
        for row in measure(channels):
            rows.append(row)
            print(
                f"{row.channels:8}  {row.devices:7}  {row.measured:6}"
                f"  {row.bytes_min:12}  {row.bytes_mean:5.0f}  {row.bytes_max:5}  {bar_bytes(row.channels):5}"
                f"  {row.cpu_ms:15.2f}  {row.file_mean:19.0f}",
                flush=True,
            )
    missed = missed_bars(rows)
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
