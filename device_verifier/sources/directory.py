"""Blocks, a proof and trust roots as files in one directory: a mounted share, a cache, or a stick unpacked by
hand.
"""

import os
import stat
from pathlib import Path
from typing import Final

from device_verifier.errors import SourceUnreachable
from device_verifier.sources import BlockMissing, StateQuery
from ledger_protocol.content.cid import Cid
from ledger_protocol.limits import MAX_PROOF_BYTES, MAX_ROOT_STEPS, MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.trust_root import LedgerRef
from ledger_protocol.report.reasons import Reason

__all__ = ["Directory"]

PROOF_NAME: Final = "proof.cbor"


class Directory:
    """Both a `BlockSource` and a `LedgerSource`.

    Files: a block under its CID's text, the ledger proof as `proof.cbor`, signed trust roots as
    `trust-root-N.cbor`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The directory's path."""
        return str(self._path)

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the file named by `cid`; BlockMissing where there is none."""
        return self._read(str(cid), max_bytes, Reason.CONTENT_UNAVAILABLE)

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:  # noqa: ARG002 - files of one ledger
        """Return `trust-root-N.cbor` from N = `after_version` + 1 up to the first that is not there."""
        found: list[bytes] = []
        for version in range(after_version + 1, after_version + 1 + MAX_ROOT_STEPS):
            try:
                found.append(
                    self._read(f"trust-root-{version}.cbor", MAX_TRUST_ROOT_BYTES, Reason.SOURCE_UNREACHABLE)
                )
            except BlockMissing:
                break
        return found

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:  # noqa: ARG002 - one proof for all
        """Return `proof.cbor`, whatever was asked for: the verifier says whether it answers the query."""
        return self._read(PROOF_NAME, MAX_PROOF_BYTES, Reason.SOURCE_UNREACHABLE)

    def _read(self, file_name: str, max_bytes: int, reason: Reason) -> bytes:
        path = self._path / file_name
        try:
            # Not blocking on open, so that a named pipe on a hostile stick cannot hang us; fstat then refuses
            # it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                data = file.read(max_bytes + 1) if regular else b""
        except FileNotFoundError as error:
            raise BlockMissing(
                f"{path} is not there", reason=reason, hint="copy the whole directory again"
            ) from error
        except OSError as error:
            raise SourceUnreachable(
                f"{path} cannot be read",
                reason=reason,
                expected="a file",
                got=error.strerror,
                hint="check the medium",
            ) from error
        if not regular or len(data) > max_bytes:
            raise SourceUnreachable(
                f"{path} is not what it should be",
                reason=reason,
                expected=f"a regular file of at most {max_bytes} bytes",
                got="more" if regular else "something else",
                hint="the medium is damaged or hostile",
            )
        return data
