"""Offline bundles: a release with all that a device needs to trust it, as CAR files for a stick."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from device_verifier.errors import NotTrusted
from device_verifier.release import VerifiedRelease, verify_release
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import LedgerView, TrustedLedger
from ledger_client.content.address import Address
from ledger_client.content.dag import walk
from ledger_client.errors import ClientError, NotTrustedError, UsageError
from ledger_client.proofs import channel_proof
from ledger_client.trust import roots_up_to
from ledger_protocol.bundle import open_bundle, part_name, write_bundle
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Manifest, channel_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger_client.ledger import Ledger
    from ledger_client.rotation import RootShelf
    from ledger_client.trust import HeldRoot
    from ledger_client.witness.notes import Vouched
    from ledger_protocol.bundle import BundleReader


@dataclass(frozen=True, slots=True)
class Content:
    """Where a bundle's blocks come from: `get` gives a verified block or raises."""

    get: Callable[[Cid], bytes]


@dataclass(frozen=True, slots=True)
class Shown:
    """A bundle after the device's own checks V0 to V7."""

    view: LedgerView
    release: VerifiedRelease
    channels: tuple[str, ...]
    blocks: int
    image_bytes: int


def make_bundle(
    ledger: Ledger,
    *,
    held: HeldRoot,
    shelf: RootShelf,
    vouched: Vouched,
    channel: str,
    groups: Sequence[int],
    devices: Sequence[bytes],
    journal: bytes,
    content: Content,
    out: Path,
    from_block: int,
    components: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the bundle of a channel's head to `out` (ends in .car), in parts where it is large; the paths.

    It shows the state at the `vouched` block, with its note. `components` limits it to some images. The proof
    covers the groups and, where given, the devices' own words; older trust roots come from `shelf`, else from
    `content`. What would be written is checked as a device would, before the first byte is.
    """
    head = ledger.head(channel_id(channel), block=vouched.number)
    if head is None:
        raise UsageError(
            f"nothing was published on channel {channel} up to block {vouched.number}",
            hint="a publication of a moment ago may wait for its block to be final"
            if vouched.note is not None
            else "",
        )
    proof = vouched.attach(
        channel_proof(
            ledger,
            channel_id(channel),
            groups=groups,
            devices=devices,
            journal=journal,
            from_block=from_block,
            block=vouched.number,
        ),
        held.root,
    )
    _check_header(proof.encode(), held)
    manifest = content.get(Cid(DAG_CBOR, head))
    envelope = _envelope_of(proof.envelopes, head, content)
    verified = verify_release(envelope, manifest, head=head, root=held.root)
    wanted = [c for c in verified.manifest.components if not components or c.name in components]
    if not wanted or (components and len(wanted) != len(set(components))):
        known = ", ".join(c.name for c in verified.manifest.components)
        raise UsageError("components of the bundle", expected=f"some of {known}", got=", ".join(components))
    roots = roots_up_to(held, get=lambda cid, version: shelf.block(cid, version=version) or content.get(cid))
    paths: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:

            def open_part(index: int) -> BinaryIO:
                path = _fresh(out.with_name(part_name(out.stem, index)))
                stream = stack.enter_context(path.open("xb"))
                paths.append(path)
                stack.callback(_to_disk, stream)
                return stream

            write_bundle(
                open_part,
                proof=proof.encode(),
                trust_roots=roots,
                envelope=envelope,
                manifest=manifest,
                blocks=_counted(_blocks([c.image for c in wanted], content), progress),
            )
    except BaseException as error:  # half a bundle is none, whoever broke it off
        for path in paths:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError | ProtocolError):
            got = error.strerror if isinstance(error, OSError) else error
            hint = "is there space left, and may you write there?"
            raise UsageError(f"cannot write the bundle {out}", got=got, hint=hint) from error
        raise
    return paths


def _check_header(proof: bytes, held: HeldRoot) -> None:
    """Refuse to write a stick that no device would believe: seals or note are checked as a device does."""
    TrustedLedger(trust_root=held.signed, floor=None, now_s=None).update_header(proof)


def _fresh(path: Path) -> Path:
    if path.exists():
        raise UsageError(f"{path} exists already", hint="choose another name with --out")
    return path


def _to_disk(stream: BinaryIO) -> None:
    """A stick is pulled as soon as the command ends."""
    stream.flush()
    os.fsync(stream.fileno())


def show_bundle(path: Path, *, held: HeldRoot, channel: str | None, now_s: int | None) -> Shown:
    """Open a bundle and check it as a device does: roots, header, words, manifest, signatures, every block.

    `channel` None takes the one of the release's channels that the proof speaks of. Raises NotTrustedError.
    """
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(part.open("rb")) for part in parts_of(path)]
        try:
            reader = open_bundle(streams)
            return _check(reader, held=held, channel=channel, now_s=now_s)
        except ProtocolError as error:
            raise NotTrustedError(f"{path} is not a bundle that holds: {error}", hint=error.hint) from error
        except OSError as error:
            raise UsageError(f"cannot read {path}", got=error.strerror or error) from error


def parts_of(path: Path) -> list[Path]:
    """All parts of a bundle, by the path of its first."""
    if not path.is_file():
        raise UsageError(f"cannot read bundle {path}", got="no such file")
    found = [path]
    while (part := path.with_name(part_name(path.stem, len(found)))).exists():
        found.append(part)
    return found


def _check(reader: BundleReader, *, held: HeldRoot, channel: str | None, now_s: int | None) -> Shown:
    manifest = Manifest.decode(reader.manifest)
    names = (channel,) if channel is not None else manifest.channels
    refusal: Exception | None = None
    for name in names:
        trusted = TrustedLedger(trust_root=held.signed, floor=None, now_s=now_s)
        trusted.update_roots(reader.trust_roots)
        trusted.update_header(reader.proof)
        try:
            view = trusted.read(StateQuery(channel=name))
        except NotTrusted as error:  # a proof of another channel is no proof of this one; the last is raised
            refusal = error
            continue
        if view.head is None:
            continue
        release = verify_release(reader.envelope, reader.manifest, head=view.head, root=view.root)
        count = size = 0
        for _, block in reader.blocks():
            count, size = count + 1, size + len(block)
        return Shown(view, release, names, count, size)
    if refusal is not None:
        raise refusal
    raise NotTrustedError("the bundle's proof shows no release on " + ", ".join(names))


def _envelope_of(hints: Sequence[bytes], head: bytes, content: Content) -> bytes:
    """The head's envelope among the hinted ones."""
    trouble: Exception | None = None
    for hint in hints:
        try:
            block = content.get(Cid.from_bytes(hint))
            if Envelope.decode(block).manifest.digest == head:
                return block
        except (ClientError, ProtocolError) as error:
            trouble = error
    raise UsageError(
        "no envelope of the head is at hand", got=str(trouble or "no hint"), hint="is the IPFS node up?"
    )


def _blocks(roots: Sequence[Cid], content: Content) -> Iterator[tuple[Cid, bytes]]:
    for root in roots:
        for address, block in walk(Address.of(root), content.get):
            if not address.inline:
                yield address.cid, block


def _counted(
    blocks: Iterator[tuple[Cid, bytes]], progress: Callable[[int], None] | None
) -> Iterator[tuple[Cid, bytes]]:
    done = 0
    for cid, block in blocks:
        yield cid, block
        done += len(block)
        if progress is not None:
            progress(done)
