"""Everything from one bundle file and its further parts: proof, trust roots, release, blocks (protocol.md
§7).
"""

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.sources import BlockMissing, StateQuery
from ledger_protocol.bundle import BundleReader, open_bundle, part_name
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import MissingError, ProtocolError
from ledger_protocol.limits import MAX_BUNDLE_PARTS
from ledger_protocol.release.trust_root import LedgerRef
from ledger_protocol.report.reasons import Reason

__all__ = ["Bundle"]


class Bundle:
    """Both a `LedgerSource` and a `BlockSource` over `name.car`, `name.1.car`, ... Safe to use from several
    threads.

    Opening reads the documents at its front. Raises NotTrusted (corrupt-content) for a bundle whose bytes are
    not what they say or end within a block, SourceUnreachable (bundle-incomplete) for one that lacks a block
    or a part, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # one file position for all readers
        with contextlib.ExitStack() as stack, self._refusals():
            self.reader: BundleReader = open_bundle(
                [stack.enter_context(_open(part)) for part in _parts(path)]
            )
            self._files: ExitStack = stack.pop_all()

    @property
    def name(self) -> str:
        """The first part's path."""
        return str(self._path)

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:  # noqa: ARG002 - carries them all
        """Return every signed root in the bundle: the walk passes over those already held."""
        return list(self.reader.trust_roots)

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:  # noqa: ARG002 - one proof for all
        """Return the bundle's proof; the verifier says whether it answers the query."""
        return self.reader.proof

    @property
    def envelope_cid(self) -> Cid:
        """The CID of the bundle's envelope: a hint of what to install."""
        return self.reader.envelope_cid

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return a block, the envelope or the manifest; BlockMissing where the bundle does not hold it."""
        if cid == self.reader.envelope_cid:
            return self.reader.envelope
        if cid == Cid.of(DAG_CBOR, self.reader.manifest):
            return self.reader.manifest
        with self._lock, self._refusals():
            return self.reader.block(cid, max_bytes=max_bytes)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _refusals(self) -> Generator[None]:
        """Turn what the reader refuses into our errors, by what it means for who holds the stick."""
        try:
            yield
        except MissingError as error:
            raise BlockMissing(
                f"{self.name} lacks a block",
                reason=Reason.BUNDLE_INCOMPLETE,
                expected=error.expected,
                got="nothing",
                hint=error.hint or "copy all parts (name.car, name.1.car, ...) again",
            ) from error
        except ProtocolError as error:
            raise NotTrusted(
                f"{self.name} is not an intact bundle: {error.what}",
                reason=Reason.CORRUPT_CONTENT,
                expected=error.expected,
                got=error.got,
                hint="copy it again from its maker, and compare its SHA-256",
            ) from error
        except OSError as error:
            raise SourceUnreachable(
                f"{self.name} cannot be read",
                reason=Reason.BUNDLE_INCOMPLETE,
                expected="a bundle",
                got=error.strerror or str(error),
                hint="check the path and the medium",
            ) from error


def _open(path: Path) -> BinaryIO:
    """Open a regular file; not blocking, so that a named pipe on a hostile stick cannot hang us."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _parts(path: Path) -> list[Path]:
    """Return the bundle's files in order: the one named, then `name.1.car` and so on while they are there."""
    stem = path.name.removesuffix(".car")
    parts = [path]
    for index in range(1, MAX_BUNDLE_PARTS):
        further = path.with_name(part_name(stem, index))
        if not further.exists():
            break
        parts.append(further)
    return parts
