"""A release on a stick: everything a device without network needs, in one CAR v1 or a few (protocol.md §7).

Order of blocks: ledger proof, trust-root envelopes from oldest to newest, release envelope, manifest, then
images. Roots are the CIDs of the proof and of the release envelope, repeated in the header of every part, so
each part is a CAR of its own and `ipfs dag import` reads them. Nothing here is trusted for being in a bundle:
documents come back as bytes, for the same checks as those from the network.

Streams belong to the caller, and their errors (OSError) pass through.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Protocol

from ledger_protocol import limits
from ledger_protocol.content import car
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, MissingError
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_OFFSET_BITS: Final = 48  # part number above, offset in the part below
_PREFIX_BYTES: Final = 8  # of a digest, in the index; the whole CID is compared at the place it points to


class Writable(Protocol):
    """Anything with `write`."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...


class Seekable(car.Readable, Protocol):
    """A part: a binary file opened for reading, or anything like it."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to `offset`; return the new position."""
        ...


def part_name(stem: str, index: int) -> str:
    """Return the file name of a part: `stem.car`, then `stem.1.car` and so on."""
    return f"{stem}.car" if index == 0 else f"{stem}.{index}.car"


def write_bundle(
    open_part: Callable[[int], Writable],
    *,
    proof: bytes,
    trust_roots: Sequence[bytes],
    envelope: bytes,
    manifest: bytes,
    blocks: Iterable[tuple[Cid, bytes]],
    max_part_bytes: int = limits.MAX_BUNDLE_PART_BYTES,
) -> int:
    """Write a bundle; return the number of its parts.

    `open_part(n)` gives the stream of part n, asked in order, the one before being complete by then. `blocks`
    are the images' blocks in the order in which they will be read; one that comes again is written once.
    Raise MismatchError for a manifest that the envelope does not link or a block that is not its CID's, and
    LimitError for more blocks or parts than a reader takes.
    """
    _check_documents(proof, trust_roots, envelope, manifest)
    documents = [proof, *trust_roots, envelope, manifest]
    roots = (Cid.of(DAG_CBOR, proof), Cid.of(DAG_CBOR, envelope))
    writer = _Writer(open_part, car.encode_header(roots), max_part_bytes)
    written: set[bytes] = set()
    for document in documents:
        cid = Cid.of(DAG_CBOR, document)
        if cid.digest in written:
            raise MalformedError("documents of bundle", expected="each once", got=f"{cid} twice")
        written.add(cid.digest)
        writer.section(car.encode_section(cid, document))
    for cid, block in blocks:
        if cid.digest in written:
            continue
        if len(written) - len(documents) == limits.MAX_BUNDLE_BLOCKS:
            raise LimitError("blocks of bundle", expected=f"at most {limits.MAX_BUNDLE_BLOCKS}", got="more")
        written.add(cid.digest)
        writer.section(car.encode_section(cid, block))
    return writer.parts


class BundleReader:
    """An open bundle. `proof`, `trust_roots`, `envelope` and `manifest` are bytes as found, not verified yet.

    Made by `open_bundle`. Not for several threads at once: a stream has one position.
    """

    def __init__(self, parts: _Parts) -> None:
        documents = _Documents(parts)
        self.proof: bytes = documents.take(parts.proof, "ledger proof", limits.MAX_PROOF_BYTES)
        self.trust_roots: tuple[bytes, ...] = documents.take_until(parts.envelope)
        self.envelope_cid: Cid = parts.envelope
        self.envelope: bytes = documents.take(parts.envelope, "release envelope", limits.MAX_ENVELOPE_BYTES)
        linked = Envelope.decode(self.envelope).manifest
        self.manifest: bytes = documents.take(linked, "manifest", limits.MAX_MANIFEST_BYTES)
        self._parts = parts
        self._start = documents.end
        self._index: _Index | None = None

    def block(self, cid: Cid, *, max_bytes: int = limits.MAX_BLOCK_BYTES) -> bytes:
        """Return one image block, verified; raise MissingError where no part given holds it.

        The first call reads through all parts, section by section, to index them: 16 bytes of memory a block.
        """
        if self._index is None:
            self._index = _Index(self._parts, self._start)
        for place in self._index.places(cid):
            found, size = self._parts.head(place)
            if found == cid:
                if size > max_bytes:
                    raise LimitError(
                        f"block {cid}", expected=f"at most {max_bytes} bytes", got=f"{size} bytes"
                    )
                return self._parts.read(place, cid, size)
        raise MissingError(
            "block of bundle",
            expected=str(cid),
            got="none",
            hint="copy all parts (name.car, name.1.car, ...), or make the bundle anew",
        )

    def blocks(self) -> Iterator[tuple[Cid, bytes]]:
        """Yield all image blocks, verified, in the order in which they are written."""
        for place, cid, size in self._parts.sections(self._start):
            yield cid, self._parts.read(place, cid, size)


def open_bundle(parts: Sequence[Seekable]) -> BundleReader:
    """Read the documents of a bundle whose parts are given in order, and no image block yet.

    Raise MalformedError for another order, other roots, a truncated or oversized section; MismatchError for
    bytes that are not what their CID says; MissingError where a document is not there.
    """
    if not 1 <= len(parts) <= limits.MAX_BUNDLE_PARTS:
        raise LimitError("parts of bundle", expected=f"1 to {limits.MAX_BUNDLE_PARTS}", got=len(parts))
    return BundleReader(_Parts(parts))


def _check_documents(proof: bytes, trust_roots: Sequence[bytes], envelope: bytes, manifest: bytes) -> None:
    if len(proof) > limits.MAX_PROOF_BYTES:
        raise LimitError("ledger proof", expected=f"at most {limits.MAX_PROOF_BYTES} bytes", got=len(proof))
    if len(trust_roots) > limits.MAX_ROOT_STEPS or sum(map(len, trust_roots)) > limits.MAX_BUNDLE_ROOTS_BYTES:
        raise LimitError(
            "trust roots of bundle",
            expected=f"at most {limits.MAX_ROOT_STEPS}, {limits.MAX_BUNDLE_ROOTS_BYTES} bytes",
            got=f"{len(trust_roots)}, {sum(map(len, trust_roots))} bytes",
            hint="leave out versions that every device holds",
        )
    versions = [TrustRoot.decode(SignedTrustRoot.decode(root).document).version for root in trust_roots]
    if versions and versions != list(range(versions[0], versions[0] + len(versions))):
        raise MalformedError("trust roots of bundle", expected="ascending without gap", got=versions)
    linked, given = Envelope.decode(envelope).manifest, Cid.of(DAG_CBOR, manifest)
    if linked != given:
        raise MismatchError("manifest of bundle", expected=f"{linked}, as the envelope says", got=given)


class _Writer:
    """Cuts a run of sections into parts."""

    def __init__(self, open_part: Callable[[int], Writable], header: bytes, max_part_bytes: int) -> None:
        if max_part_bytes > limits.MAX_BUNDLE_PART_BYTES:
            limit = f"at most {limits.MAX_BUNDLE_PART_BYTES} bytes"
            raise LimitError("part of bundle", expected=limit, got=max_part_bytes, hint="FAT32 holds no more")
        self._open_part = open_part
        self._header = header
        self._max = max_part_bytes
        self._out: Writable | None = None
        self._size = 0
        self.parts = 0

    def section(self, section: bytes) -> None:
        if self._out is None or self._size + len(section) > self._max:
            self._out = self._next_part(len(section))
        self._out.write(section)
        self._size += len(section)

    def _next_part(self, needed: int) -> Writable:
        if len(self._header) + needed > self._max:
            raise LimitError("part of bundle", expected=f"{len(self._header) + needed} bytes", got=self._max)
        if self.parts == limits.MAX_BUNDLE_PARTS:
            raise LimitError("parts of bundle", expected=f"at most {limits.MAX_BUNDLE_PARTS}", got="more")
        out = self._open_part(self.parts)
        out.write(self._header)
        self._size = len(self._header)
        self.parts += 1
        return out


class _Parts:
    """The parts as one run of sections; a place is a part number and an offset in one integer."""

    def __init__(self, streams: Sequence[Seekable]) -> None:
        self._streams = streams
        self._sizes = [stream.seek(0, 2) for stream in streams]
        for size in self._sizes:
            if size > limits.MAX_BUNDLE_PART_BYTES:
                limit = f"at most {limits.MAX_BUNDLE_PART_BYTES} bytes"
                raise LimitError("part of bundle", expected=limit, got=f"{size} bytes")
        headers = [self._header(stream) for stream in streams]
        if len(headers[0]) != 2 or headers[0][0] == headers[0][1]:
            raise MalformedError(
                "roots of bundle", expected="proof and release envelope", got=len(headers[0])
            )
        for index, header in enumerate(headers):
            if header != headers[0]:
                raise MalformedError(f"roots of part {index}", expected="those of part 0", got="others")
        self.proof, self.envelope = headers[0]
        self.start = len(car.encode_header(headers[0]))

    @staticmethod
    def _header(stream: Seekable) -> tuple[Cid, ...]:
        stream.seek(0)
        return car.read_header(stream)

    def sections(self, place: int) -> Iterator[tuple[int, Cid, int]]:
        """Yield place, CID and block length of each section from `place` on, without reading blocks."""
        first, offset = divmod(place, 1 << _OFFSET_BITS)
        for part in range(first, len(self._streams)):
            while offset < self._sizes[part]:
                place = part << _OFFSET_BITS | offset
                cid, size = self.head(place)
                yield place, cid, size
                offset += len(car.section_head(cid, size)) + size
            offset = self.start

    def head(self, place: int) -> tuple[Cid, int]:
        part, offset = divmod(place, 1 << _OFFSET_BITS)
        stream = self._streams[part]
        stream.seek(offset)
        head = car.read_section_head(stream, max_block_bytes=limits.MAX_BLOCK_BYTES)
        left = self._sizes[part] - offset
        if head is None or len(car.section_head(*head)) + head[1] > left:
            raise MalformedError(f"truncated part {part}", expected="a whole section", got=f"{left} bytes")
        return head

    def read(self, place: int, cid: Cid, size: int) -> bytes:
        part, offset = divmod(place, 1 << _OFFSET_BITS)
        stream = self._streams[part]
        stream.seek(offset + len(car.section_head(cid, size)))
        block = car.read_exactly(stream, size, f"block {cid}")
        cid.verify(block)
        return block


class _Documents:
    """Reads the documents at the front, one section after the other; `end` is the place after the last."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._sections = parts.sections(parts.start)
        self._ahead = next(self._sections, None)
        self.end = parts.start

    def take(self, wanted: Cid, what: str, max_bytes: int) -> bytes:
        if self._ahead is None:
            raise MissingError(f"{what} of bundle", expected=wanted, got="the end")
        place, cid, size = self._ahead
        if cid != wanted:
            raise MalformedError(f"{what} of bundle", expected=wanted, got=cid)
        return self._read(place, cid, size, what, max_bytes)

    def take_until(self, wanted: Cid) -> tuple[bytes, ...]:
        found: list[bytes] = []
        left = limits.MAX_BUNDLE_ROOTS_BYTES
        while self._ahead is not None and self._ahead[1] != wanted:
            if len(found) == limits.MAX_ROOT_STEPS:
                limit = f"at most {limits.MAX_ROOT_STEPS}"
                raise LimitError("trust roots of bundle", expected=limit, got="more")
            found.append(self._read(*self._ahead, "trust root", min(left, limits.MAX_TRUST_ROOT_BYTES)))
            left -= len(found[-1])
        return tuple(found)

    def _read(self, place: int, cid: Cid, size: int, what: str, max_bytes: int) -> bytes:
        if size > max_bytes:
            raise LimitError(f"{what} of bundle", expected=f"at most {max_bytes} bytes", got=f"{size} bytes")
        block = self._parts.read(place, cid, size)
        self.end = place + len(car.section_head(cid, size)) + size
        self._ahead = next(self._sections, None)
        return block


class _Index:
    """Where each block is: the first 8 bytes of its digest, sorted, and its place.

    Two arrays in place of a dict, since a device has little memory.
    """

    def __init__(self, parts: _Parts, start: int) -> None:
        keys, places = array("Q"), array("Q")
        for place, cid, _ in parts.sections(start):
            if len(keys) == limits.MAX_BUNDLE_BLOCKS:
                raise LimitError(
                    "blocks of bundle", expected=f"at most {limits.MAX_BUNDLE_BLOCKS}", got="more"
                )
            keys.append(_key(cid))
            places.append(place)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("Q", (keys[index] for index in order))
        self._places = array("Q", (places[index] for index in order))

    def places(self, cid: Cid) -> Iterator[int]:
        key = _key(cid)
        index = bisect_left(self._keys, key)
        while index < len(self._keys) and self._keys[index] == key:
            yield self._places[index]
            index += 1


def _key(cid: Cid) -> int:
    return int.from_bytes(cid.digest[:_PREFIX_BYTES], "big")
