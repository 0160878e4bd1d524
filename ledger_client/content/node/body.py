"""Reads the one file of an upload while it arrives: nothing is held but a piece of it.

Kubo's RPC takes files as multipart/form-data (RFC 7578). A handler runs in a worker thread and reads as
from any stream; the event loop brings the bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.from_thread
from starlette.requests import ClientDisconnect

from ledger_client.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_PART_HEAD_BYTES: Final = 8 * 1024  # a file's name, its type, and where a client says it came from
_MAX_BOUNDARY: Final = 70  # RFC 2046 §5.1.1


class UploadError(UsageError):
    """A request's body is not one file in multipart/form-data."""


class UploadBrokenError(UnreachableError):
    """The client went away or went silent in the middle of its upload."""


class _Pieces(Protocol):
    def next_piece(self) -> bytes: ...


class RequestBody:
    """The pieces of a request's body, for a thread that `anyio.to_thread` started."""

    def __init__(self, pieces: AsyncIterator[bytes], *, idle_s: float) -> None:
        self._pieces = pieces
        self._idle_s = idle_s

    def next_piece(self) -> bytes:
        """The next bytes, empty only at the end; UploadBrokenError after `idle_s` seconds of silence."""
        return anyio.from_thread.run(self._next)

    async def _next(self) -> bytes:
        try:
            with anyio.fail_after(self._idle_s):
                async for piece in self._pieces:
                    if piece:
                        return piece
        except TimeoutError:
            raise UploadBrokenError("the upload stopped", got=f"nothing for {self._idle_s:g} s") from None
        except ClientDisconnect:
            raise UploadBrokenError("the upload broke off", got="a closed connection") from None
        return b""


class UploadedFile:
    """The file in a multipart body, as a stream; it must be the only part."""

    def __init__(self, body: _Pieces, content_type: str) -> None:
        """Read up to the first byte of the file; UploadError where the body is something else."""
        self._body = body
        self._mark = b"\r\n--" + _boundary(content_type)
        self._raw = b"\r\n"  # the first delimiter may stand at the very start
        self._ready = memoryview(b"")
        self._ended = False
        self._skip_preamble()
        self.name = self._read_head()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes of the file; empty at its end only, which is checked to be the body's end
        too.
        """
        while not self._ready and not self._ended:
            self._refill()
        taken, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return taken

    def _refill(self) -> None:
        found = self._raw.find(self._mark)
        # Bytes that may be the start of a delimiter wait for what follows them.
        sure = found if found >= 0 else len(self._raw) - len(self._mark) + 1
        if sure > 0:
            self._ready, self._raw = memoryview(self._raw)[:sure], self._raw[sure:]
        elif found == 0:
            self._ended = True
            self._need(len(self._mark) + 2)
            if self._raw[len(self._mark) :][:2] != b"--":
                raise UploadError("upload", expected="one file", got="more parts after it")
        else:
            self._more()

    def _skip_preamble(self) -> None:
        self._need(len(self._mark) + 2)
        if not self._raw.startswith(self._mark + b"\r\n"):
            raise UploadError("upload", expected="a file part", got="another body")
        self._raw = self._raw[len(self._mark) + 2 :]

    def _read_head(self) -> str:
        while (end := self._raw.find(b"\r\n\r\n")) < 0:
            if len(self._raw) > MAX_PART_HEAD_BYTES:
                raise UploadError(
                    "head of upload", expected=f"at most {MAX_PART_HEAD_BYTES} bytes", got="more"
                )
            self._more()
        head, self._raw = self._raw[:end], self._raw[end + 4 :]
        match = re.search(rb'filename="([^"\r\n]{0,255})"', head)
        return match[1].decode("utf-8", "replace") if match else ""

    def _need(self, size: int) -> None:
        while len(self._raw) < size:
            self._more()

    def _more(self) -> None:
        piece = self._body.next_piece()
        if not piece:
            raise UploadError("upload", expected="a closing boundary", got="the end of the body")
        self._raw += piece


def _boundary(content_type: str) -> bytes:
    match = re.fullmatch(
        r'multipart/[\w-]+\s*;.*?boundary=(?:"([^"\r\n]+)"|([^\s;"]+)).*',
        content_type,
        re.ASCII | re.IGNORECASE,
    )
    boundary = (match[1] or match[2]) if match else ""
    if not boundary or len(boundary) > _MAX_BOUNDARY or not boundary.isascii():
        raise UploadError(
            "type of upload", expected="multipart/form-data with a boundary", got=content_type[:80]
        )
    return boundary.encode("ascii")
